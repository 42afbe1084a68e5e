"""PNG, ALP, Micro-Manager and SPAS files: bit by bit against other readers, and what they refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import torch
from builders.plans import make_plan
from builders.sensing import dmd
from PIL import Image

from acqplan.core.errors import InstrumentError
from acqplan.core.registry import find, kinds
from acqplan.formats.export import MANIFEST, export
from acqplan.modalities.dmd.formats.alp import Alp
from acqplan.modalities.dmd.formats.dmd_format import DmdFormat
from acqplan.modalities.dmd.formats.micromanager import MicroManager
from acqplan.modalities.dmd.formats.png import PngFrames
from acqplan.modalities.dmd.formats.spas import Spas
from acqplan.plan.components import option_names
from acqplan.plan.plan import Plan

TESTS = str(Path(__file__).parents[1])
ORDER = [7, 0, 15, 7, 12]
DMD_KINDS = [kind for kind, cls in kinds("instruments").items() if issubclass(cls, DmdFormat)]
FULL_FRAME: dict[str, dict[str, Any]] = {"spas": {"files": "png"}}
"""Options with which a format's files hold the whole mirror array."""


def square_plan(reading_time_s: float | None = None) -> Plan:
    return make_plan(dmd(4, 4), ORDER, [0], reading_time_s=reading_time_s)


def expected_frames(width: int, height: int, scale: int, left: int, top: int) -> npt.NDArray[np.bool_]:
    """Walsh functions of four points, written out."""
    walsh = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, -1, 1], [1, -1, 1, -1]])
    frames = np.zeros((2 * len(ORDER), height, width), dtype=np.bool_)
    for number, unit in enumerate(ORDER):
        mirrors = np.kron(np.outer(walsh[unit // 4], walsh[unit % 4]), np.ones((scale, scale)))
        inside = (slice(top, top + 4 * scale), slice(left, left + 4 * scale))
        frames[2 * number][inside] = mirrors > 0
        frames[2 * number + 1][inside] = mirrors < 0
    return frames


EXPECTED = expected_frames(29, 21, 4, 6, 2)


def exported(kind: str, folder: Path, **settings: Any) -> DmdFormat:
    instrument: DmdFormat = find("instruments", kind)(device="29x21", scale=4, **FULL_FRAME.get(kind, {}), **settings)
    export(square_plan(), instrument, folder)
    return instrument


def test_png_frames_in_pillow(tmp_path: Path) -> None:
    exported("png", tmp_path / "out")
    paths = sorted((tmp_path / "out").glob("*.png"))
    assert [path.name for path in paths] == [f"frame_{number:06d}.png" for number in range(10)]
    for path, frame in zip(paths, EXPECTED, strict=True):
        with Image.open(path) as image:
            assert image.mode == "1"
            assert np.array_equal(np.array(image), frame)
        assert path.read_bytes()[24:26] == b"\x01\x00"  # IHDR: bit depth 1, greyscale


def test_png_written_again_by_another_program_is_read(tmp_path: Path) -> None:
    exported("png", tmp_path / "out")
    for path in (tmp_path / "out").glob("*.png"):
        with Image.open(path) as image:
            again = image.copy()
        again.save(path)
    assert PngFrames().read(tmp_path / "out").pattern == square_plan().pattern


def test_png_of_another_plan_or_kind_is_refused(tmp_path: Path) -> None:
    exported("png", tmp_path / "out")
    path = tmp_path / "out" / "frame_000003.png"
    content = path.read_bytes()
    with Image.open(path) as image:
        image.convert("L").save(tmp_path / "grey.png")
    path.write_bytes((tmp_path / "grey.png").read_bytes())
    with pytest.raises(InstrumentError, match=r"frame_000003.png isn't an image of 29x21 mirrors of 1 bit"):
        PngFrames().read(tmp_path / "out")
    path.write_bytes(content.replace(square_plan().plan_id.encode(), b"0" * 64))
    with pytest.raises(InstrumentError):
        PngFrames().read(tmp_path / "out")


def test_alp_bytes_are_packed_rows(tmp_path: Path) -> None:
    exported("alp", tmp_path / "out")
    parameters = json.loads((tmp_path / "out" / "alp.json").read_text())
    assert parameters["device"] == {"width": 29, "height": 21}
    assert (parameters["row_bytes"], parameters["picture_bytes"]) == (64, 64 * 21)
    data = (tmp_path / "out" / "frames.bin").read_bytes()
    assert len(data) == 10 * 64 * 21
    for number in range(10):
        for row in range(21):
            line = data[(number * 21 + row) * 64 :][:64]
            bits = "".join(f"{byte:08b}" for byte in line)  # bit 7 first: the leftmost mirror
            assert bits == "".join("01"[int(on)] for on in EXPECTED[number, row]).ljust(512, "0")


def test_alp_golden_picture(tmp_path: Path) -> None:
    """One picture of 8x4 mirrors in full."""
    plan = make_plan(dmd(2, 4), [2], reading_time_s=1e-3)
    export(plan, Alp(device="8x4", row_bytes=2), tmp_path / "out")  # unit 2: + - - + in each row, two mirrors a pixel
    data = (tmp_path / "out" / "frames.bin").read_bytes()
    assert data == bytes([0b11000011, 0] * 4 + [0b00111100, 0] * 4)
    (sequence,) = json.loads((tmp_path / "out" / "alp.json").read_text())["sequences"]
    assert sequence == {
        "file": "frames.bin",
        "first_frame": 0,
        "SeqAlloc": {"BitPlanes": 1, "PicNum": 2},
        "SeqControl": [
            {"ControlType": "ALP_DATA_FORMAT", "code": 2110, "value": 2},
            {"ControlType": "ALP_BIN_MODE", "code": 2104, "value": 2106},
        ],
        "SeqTiming": {"PictureTime": 500},
        "SeqPut": {"PicOffset": 0, "PicLoad": 2},
    }


def test_alp_batches_memory_and_time(tmp_path: Path) -> None:
    device = Alp(device="29x21", memory_gib=5 * 64 * 21 / 2**30)
    assert device.max_frames == 5
    export(square_plan(reading_time_s=200.5e-6), device, tmp_path / "out")
    sequences = json.loads((tmp_path / "out" / "alp.json").read_text())["sequences"]
    assert [(s["file"], s["first_frame"], s["SeqPut"]["PicLoad"]) for s in sequences] == [
        ("frames_000.bin", 0, 4),
        ("frames_001.bin", 4, 4),
        ("frames_002.bin", 8, 2),
    ]
    assert {s["SeqTiming"]["PictureTime"] for s in sequences} == {101}
    remarks = " ".join(device.remarks(square_plan(reading_time_s=200.5e-6)))
    assert "100.25 µs, is rounded up to 101 µs" in remarks
    assert "3 batches of up to 4 frames" in remarks
    assert "isn't known: give picture_time_us" in " ".join(Alp(device="29x21").remarks(square_plan()))
    assert json.loads((tmp_path / "out" / MANIFEST).read_text())["picture_time_s"] == pytest.approx(101e-6)
    assert "an ALP at most for 10 s" in " ".join(Alp(picture_time_us=2e7).check(square_plan()))
    full = Alp(device="alp-xga-4gib", max_frames=8, split="off").check(square_plan())
    assert full == ["The pattern shows 10 frames, the device holds 8: with split=on there are 2 batches."]


@pytest.mark.parametrize("change", ["padding", "short", "long", "parameters"])
def test_alp_files_that_were_changed_are_refused(change: str, tmp_path: Path) -> None:
    exported("alp", tmp_path / "out")
    path = tmp_path / "out" / ("alp.json" if change == "parameters" else "frames.bin")
    data = bytearray(path.read_bytes())
    if change == "padding":
        data[63] = 1
    elif change == "short":
        del data[-64:]
    elif change == "long":
        data += bytes(64)
    else:
        data = bytearray(data.replace(b'"PicNum": 10', b'"PicNum": 11'))
    path.write_bytes(data)
    with pytest.raises(InstrumentError):
        Alp().read(tmp_path / "out")


def test_micromanager_pages_are_bytes(tmp_path: Path) -> None:
    exported("micromanager", tmp_path / "out")
    found = tifffile.imread(tmp_path / "out" / "frames.tif", key=range(10))
    assert found.dtype == np.uint8
    assert np.array_equal(found, 255 * EXPECTED.astype(np.uint8))
    with Image.open(tmp_path / "out" / "frames.tif") as stack:
        assert (stack.n_frames, stack.mode) == (10, "L")
    changed = found.copy()
    changed[4, 0, 0] = 1
    tifffile.imwrite(tmp_path / "out" / "frames.tif", changed, photometric="minisblack", metadata=None)
    with pytest.raises(InstrumentError, match="0 or 255"):
        MicroManager().read(tmp_path / "out")


def test_spas_numpy_patterns_and_order(tmp_path: Path) -> None:
    export(square_plan(), Spas(device="40x22", scale=5), tmp_path / "out")
    folder = tmp_path / "out"
    with np.load(folder / "pattern_order.npz") as file:
        order, pairs = file["pattern_order"], file["pos_neg"]
    assert order.dtype == np.uint16
    assert order.tolist() == [14, 15, 0, 1, 30, 31, 14, 15, 24, 25]
    assert bool(pairs)
    assert sorted(path.name for path in folder.glob("*.npy")) == sorted(f"Walsh_4x4_{i}.npy" for i in set(order))
    shown = [np.load(folder / f"Walsh_4x4_{i}.npy") for i in order]
    assert np.array_equal(shown, 255 * expected_frames(4, 4, 1, 0, 0).astype(np.uint8))
    placed = json.loads((folder / MANIFEST).read_text())["spas"]
    assert (int(22 / placed["zoom"]), placed["xw_offset"], placed["yh_offset"]) == (20, 10, 1)
    assert np.array_equal(list(Spas().frames(folder)), expected_frames(40, 22, 5, 10, 1))


def test_spas_pictures_of_the_whole_array(tmp_path: Path) -> None:
    exported("spas", tmp_path / "out", prefix="hadamard")
    order = np.load(tmp_path / "out" / "pattern_order.npz")["pattern_order"]
    for number, frame in zip(order, EXPECTED, strict=True):
        with Image.open(tmp_path / "out" / f"hadamard_{number}.png") as image:
            assert image.mode == "L"
            assert np.array_equal(np.array(image), 255 * frame.astype(np.uint8))


def test_spas_refuses_what_it_cannot_show(tmp_path: Path) -> None:
    problems = " ".join(Spas(rotation=90, border="on").check(make_plan(dmd(4, 8), ORDER, [0], reading_time_s=None)))
    assert "square patterns only, not 4x8" in problems
    assert "without rotation, flips, border or dead mirrors" in problems
    large = make_plan(dmd(256, 256), ORDER)
    assert "131072 frames, SPAS counts them up to 65536" in " ".join(Spas().check(large))
    for settings in ({"files": "bmp"}, {"prefix": "../x"}, {"prefix": ""}):
        with pytest.raises(InstrumentError, match=next(iter(settings))):
            Spas(**settings)
    with pytest.raises(InstrumentError, match="SPAS places"):
        export(square_plan(), Spas(flip_x=True), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", DMD_KINDS)
def test_frames_play_in_order_in_every_format(kind: str, tmp_path: Path) -> None:
    exported(kind, tmp_path / "out", max_frames=4)
    fresh: DmdFormat = find("instruments", kind)()
    assert np.array_equal(list(fresh.frames(tmp_path / "out")), EXPECTED)
    assert fresh.read(tmp_path / "out").pattern == square_plan().pattern
    placement = fresh.exported_placement(tmp_path / "out")
    assert (placement.scale, placement.left, placement.top) == (4, 6, 2)


@pytest.mark.parametrize("kind", DMD_KINDS)
def test_every_placement_comes_back_in_every_format(kind: str, tmp_path: Path) -> None:
    settings = {"rotation": 270, "flip_y": "on", "border": "on", "offset_x": -3, "offset_y": 1}
    exported(kind, tmp_path / "out", dead_mirrors=[[5, 5], [0, 0], [28, 20]], **settings)
    fresh: DmdFormat = find("instruments", kind)()
    assert fresh.read(tmp_path / "out").pattern == square_plan().pattern
    image = torch.rand((4, 4), generator=torch.Generator().manual_seed(0))
    placement = fresh.exported_placement(tmp_path / "out")
    sums = [(placement.shares(frame) * image.numpy()).sum() for frame in fresh.frames(tmp_path / "out")]
    played = fresh.play(tmp_path / "out", square_plan().sensing, image).numpy().ravel()
    assert np.allclose(played, sums)


@pytest.mark.parametrize("scheme", ["two-detector", "dc", "s-matrix"])
@pytest.mark.parametrize("kind", DMD_KINDS)
def test_every_display_scheme_comes_back_in_every_format(kind: str, scheme: str, tmp_path: Path) -> None:
    """Units of one frame each, unit 0 repeated; a pixel of the first row without a working mirror."""
    sensing, order = dmd(8, 8, scheme=scheme), np.array([0, 9, 63, 0, 0, 17, 8, 1])
    plan = make_plan(sensing, order, [0], reading_time_s=None)
    settings: dict[str, Any] = {"device": "29x21", "scale": 2, "max_frames": 3, **FULL_FRAME.get(kind, {})}
    dead = [[6 + 6 + x, 2 + y] for x in range(2) for y in range(2)]  # pixel 3 of row 0
    image = torch.rand((8, 8), generator=torch.Generator().manual_seed(0))
    for number, mirrors in enumerate(([], dead)):
        export(plan, find("instruments", kind)(**settings, dead_mirrors=mirrors), tmp_path / str(number))
        fresh: DmdFormat = find("instruments", kind)()
        assert fresh.read(tmp_path / str(number)).pattern == plan.pattern
        played = fresh.play(tmp_path / str(number), sensing, image)
        assert played.shape == (8, *sensing.reading_shape)
        placement = fresh.exported_placement(tmp_path / str(number))
        on = torch.tensor([(placement.shares(f) * image.numpy()).sum() for f in fresh.frames(tmp_path / str(number))])
        both = torch.stack([on, image.sum() - on], dim=1)  # a second detector sees the mirrors that are off
        assert torch.allclose(played.double(), both[:, : played.shape[1]], atol=1e-5)
        if not mirrors:
            assert torch.allclose(played, sensing(image[None])[0][torch.from_numpy(order)], atol=1e-5)


@pytest.mark.parametrize("kind", DMD_KINDS)
def test_one_wrong_mirror_is_noticed_in_every_format(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of the writer, anywhere on the mirrors: the export is refused and leaves nothing."""
    rng = np.random.default_rng(0)
    instrument: DmdFormat = find("instruments", kind)(device="29x21", scale=4, **FULL_FRAME.get(kind, {}))
    write = type(instrument).write_frames
    for _ in range(5):
        number, row, column = int(rng.integers(10)), int(rng.integers(21)), int(rng.integers(29))

        def faulty(self: Any, folder: Path, frames: Any, *others: Any, at: Any = (number, row, column)) -> Any:
            def changed() -> Any:
                for count, frame in enumerate(frames):
                    if count in (at[0], at[0] + 6, at[0] - 6):  # where a unit is repeated, both of its frames
                        frame[at[1], at[2] // 8] ^= 128 >> at[2] % 8
                    yield frame

            return write(self, folder, changed(), *others)

        monkeypatch.setattr(type(instrument), "write_frames", faulty)
        with pytest.raises(InstrumentError, match=rf"mirror {column} of row {row} is wrong|no pattern|doesn't play"):
            export(square_plan(), instrument, tmp_path / "out")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", DMD_KINDS)
def test_devices_that_cannot_show_it_leave_nothing(kind: str, tmp_path: Path) -> None:
    wrong = {
        "mirrors wide": {"device": "29x21", "scale": 8},
        "with split=on": {"device": "29x21", "max_frames": 4, "split": "off"},
        "picture_time_us=150": {"device": "29x21", "picture_time_us": 100, "min_picture_time_us": 150},
        "no whole number": {"device": "29x21", "scale": 1.5},
        "smaller pattern": {"device": "3x3"},
    }
    for words, settings in wrong.items():
        instrument: DmdFormat = find("instruments", kind)(**settings, **FULL_FRAME.get(kind, {}))
        with pytest.raises(InstrumentError, match=words):
            export(square_plan(), instrument, tmp_path / "out")
        assert list(tmp_path.iterdir()) == []


def test_options_of_a_format_include_those_of_every_one() -> None:
    assert option_names("instruments", "alp")[:3] == ["memory_gib", "row_bytes", "device"]
    for kind in DMD_KINDS:
        assert set(option_names("instruments", "dmd-tiff")) <= set(option_names("instruments", kind))
    with pytest.raises(TypeError, match="rotate"):
        Alp(rotate=90)


_EXPORT = """
import sys

sys.path.insert(0, sys.argv[2])
import re
from pathlib import Path
import numpy as np
from builders.plans import make_plan
from builders.sensing import dmd
from acqplan.formats.export import export
from acqplan.core.registry import find

peaks = []
for n in (64, 640):
    plan = make_plan(dmd(32, 32), np.random.default_rng(0).permutation(1024)[:n])
    export(plan, find("instruments", "alp")(device="1024x768"), Path(sys.argv[1]) / str(n))
    status = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's memory too
    peaks.append(int(re.search(r"VmHWM:\\s*(\\d+)", status)[1]))
print(*peaks)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures the memory as Linux counts it")
def test_ten_times_the_frames_need_no_more_memory(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _EXPORT, str(tmp_path), TESTS], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    few, many = (int(word) for word in done.stdout.split())
    assert many < 1 << 20  # KiB
    assert many - few < 20_000  # 576 pairs of frames more are 113 MB
