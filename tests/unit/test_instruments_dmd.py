"""DMD frames: pixel by pixel against other readers, every way in which they can be wrong, and the memory it takes."""

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
from acqplan.formats.export import export
from acqplan.modalities.dmd.formats import dmd_pages
from acqplan.modalities.dmd.formats.dmd_tiff import DmdTiff
from acqplan.plan.plan import Plan

TESTS = str(Path(__file__).parents[1])
ROWS, COLUMNS = 4, 8
ORDER = [7, 0, 31, 7, 12]
Frames = npt.NDArray[np.bool_]


def oblong_plan(reading_time_s: float | None = None) -> Plan:
    return make_plan(dmd(ROWS, COLUMNS), ORDER, [0], reading_time_s=reading_time_s)


def expected_frames(width: int, height: int, scale: int, left: int, top: int) -> Frames:
    """From the definition: Walsh functions counted by sign changes of scipy's Hadamard matrix."""
    from scipy.linalg import hadamard

    def walsh(n: int) -> npt.NDArray[Any]:
        matrix = hadamard(n)
        return matrix[np.argsort((np.diff(matrix, axis=1) != 0).sum(1))]

    frames = np.zeros((2 * len(ORDER), height, width), dtype=np.bool_)
    for number, unit in enumerate(ORDER):
        pattern = np.outer(walsh(ROWS)[unit // COLUMNS], walsh(COLUMNS)[unit % COLUMNS])
        mirrors = np.kron(pattern, np.ones((scale, scale)))
        inside = (slice(top, top + ROWS * scale), slice(left, left + COLUMNS * scale))
        frames[2 * number][inside] = mirrors > 0
        frames[2 * number + 1][inside] = mirrors < 0
    return frames


def write_frames(path: Path, frames: Frames, **options: Any) -> None:
    settings: dict[str, Any] = {"photometric": "minisblack", "compression": "zlib", "metadata": None}
    with tifffile.TiffWriter(path) as writer:
        for frame in frames:
            writer.write(frame, contiguous=False, **{**settings, **options})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An export to 37x22 mirrors, which is no multiple of eight: scale 4, 2 mirrors left, 3 at the top."""
    export(oblong_plan(), DmdTiff("37x22"), tmp_path / "out")
    return tmp_path / "out"


def test_other_readers_see_the_same_frames(folder: Path) -> None:
    expected = expected_frames(37, 22, 4, 2, 3)
    with Image.open(folder / "frames.tif") as stack:
        assert (stack.n_frames, stack.mode, stack.size) == (2 * len(ORDER), "1", (37, 22))
        for number in range(stack.n_frames):
            stack.seek(number)
            assert np.array_equal(np.array(stack), expected[number])
    assert np.array_equal(tifffile.imread(folder / "frames.tif", key=range(2 * len(ORDER))), expected)


def test_first_page_carries_the_stamp(folder: Path) -> None:
    plan = oblong_plan()
    with tifffile.TiffFile(folder / "frames.tif") as file:
        stamp = json.loads(file.pages[0].description)
        assert file.pages[1].description == ""
        assert not file.is_bigtiff
        assert all(page.bitspersample == 1 for page in file.pages)
    assert (stamp["plan_id"], stamp["pattern_digest"]) == (plan.plan_id, plan.pattern.digest)


def test_manifest_says_how_to_show_it(tmp_path: Path) -> None:
    export(oblong_plan(reading_time_s=0.002), DmdTiff("64x40", scale=3, offset_x=-5, offset_y=4), tmp_path / "out")
    details = DmdTiff().read(tmp_path / "out").details
    assert details == {
        "device": "64x40",
        "scale": 3,
        "left": (64 - 24) // 2 - 5,
        "top": (40 - 12) // 2 + 4,
        "rotation": 0,
        "flip_x": False,
        "flip_y": False,
        "border": "off",
        "dead_mirrors": [],
        "frames": 10,
        "frame_order": "frame 2k: reading k, mirrors on where the pattern is +1; frame 2k + 1: where it is -1",
        "batches": [10],
        "picture_time_s": 0.001,
    }
    found = tifffile.imread(tmp_path / "out" / "frames.tif", key=range(10))
    assert np.array_equal(found, expected_frames(64, 40, 3, 15, 18))


def test_every_single_wrong_mirror_is_noticed(folder: Path) -> None:
    frames = expected_frames(37, 22, 4, 2, 3)
    rng = np.random.default_rng(0)
    for _ in range(60):
        place = tuple(int(rng.integers(size)) for size in frames.shape)
        changed = frames.copy()
        changed[place] ^= True
        write_frames(folder / "frames.tif", changed)
        with pytest.raises(InstrumentError, match=r"Page \d+|pattern that its manifest|pair"):
            DmdTiff().read(folder)
        with pytest.raises(InstrumentError):
            DmdTiff().play(folder, oblong_plan().sensing, torch.ones(ROWS, COLUMNS))


def test_wrong_border_is_located(folder: Path) -> None:
    frames = expected_frames(37, 22, 4, 2, 3)
    frames[5, 21, 36] = True
    write_frames(folder / "frames.tif", frames)
    with pytest.raises(InstrumentError, match=r"Page 5 of .* mirror 36 of row 21 is wrong"):
        DmdTiff().read(folder)


@pytest.mark.parametrize(
    "pages",
    [[1, 0, *range(2, 10)], [2, 3, 0, 1, *range(4, 10)], [0, 3, 2, 1, *range(4, 10)], list(range(8)), list(range(9))],
    ids=["signs swapped", "readings swapped", "pairs mixed", "last pair missing", "last frame missing"],
)
def test_wrong_pages_are_noticed(folder: Path, pages: list[int]) -> None:
    write_frames(folder / "frames.tif", expected_frames(37, 22, 4, 2, 3)[pages])
    with pytest.raises(InstrumentError):
        DmdTiff().read(folder)


@pytest.mark.parametrize(
    "options",
    [{}, {"compression": None}, {"rowsperstrip": 5}, {"description": "made by another program"}],
    ids=["no stamp", "uncompressed", "strips", "other description"],
)
def test_frames_that_another_program_wrote_again_are_read(folder: Path, options: dict[str, Any]) -> None:
    write_frames(folder / "frames.tif", expected_frames(37, 22, 4, 2, 3), **options)
    assert DmdTiff().read(folder).pattern == oblong_plan().pattern


def test_stamp_of_another_plan_is_refused(folder: Path) -> None:
    stamp = json.dumps({"plan_id": "0" * 64})
    write_frames(folder / "frames.tif", expected_frames(37, 22, 4, 2, 3), description=stamp)
    with pytest.raises(InstrumentError, match="belongs to another plan"):
        DmdTiff().read(folder)


@pytest.mark.parametrize("change", ["bytes", "inverted", "size"])
def test_other_kinds_of_pages_are_refused(folder: Path, change: str) -> None:
    frames = expected_frames(37, 22, 4, 2, 3)
    if change == "bytes":
        write_frames(folder / "frames.tif", 255 * frames.astype(np.uint8))
    elif change == "inverted":
        write_frames(folder / "frames.tif", ~frames, photometric="miniswhite")
    else:
        write_frames(folder / "frames.tif", frames[:, :-1])
    with pytest.raises(InstrumentError, match="isn't 37x22 mirrors of 1 bit"):
        DmdTiff().read(folder)


def test_large_stacks_are_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dmd_pages, "CLASSIC_BYTES", 1000)
    export(oblong_plan(), DmdTiff("37x22"), tmp_path / "out")
    with tifffile.TiffFile(tmp_path / "out" / "frames.tif") as file:
        assert file.is_bigtiff


def test_check_lists_every_problem() -> None:
    plan = oblong_plan(reading_time_s=0.0001)
    device = DmdTiff("30x20", scale=6, max_frames=8, split=False, min_picture_time_us=105)
    problems = " ".join(device.check(plan))
    for words in ("48 mirrors wide", "24 mirrors high", "10 frames, the device holds 8", "50 µs", "at least 105 µs"):
        assert words in problems
    assert "scale of at most 3" in problems
    assert "moved to mirrors 12 to 43, outside 0 to 39" in " ".join(DmdTiff("40x20", offset_x=8, scale=4).check(plan))
    assert "smaller pattern" in " ".join(DmdTiff("7x20").check(plan))
    assert DmdTiff("30x20", scale=0).check(plan)
    assert DmdTiff("30x20", max_frames=10, min_picture_time_us=50).check(plan) == []


def test_export_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InstrumentError, match="48 mirrors wide"):
        export(oblong_plan(), DmdTiff("30x30", scale=6), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("device", ["", "1920", "1920x", "0x100", "-1x5", "1920x1080x2", "9999999x1"])
def test_devices_that_are_none(device: str) -> None:
    with pytest.raises(InstrumentError, match="WIDTHxHEIGHT"):
        DmdTiff(device)


def test_fractional_scale_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InstrumentError, match=r"scale of 2\.5 .* no whole number: the nearest are 2 and 3"):
        export(oblong_plan(), DmdTiff(scale=2.5), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    assert DmdTiff(scale=2.0).check(oblong_plan()) == []


_EXPORT_1024_FRAMES = """
import sys

sys.path.insert(0, sys.argv[2])
import re
from pathlib import Path
import numpy as np, torch
from builders.plans import make_plan
from builders.sensing import dmd
from acqplan.formats.export import export
from acqplan.modalities.dmd.formats.dmd_tiff import DmdTiff

sensing = dmd(64, 64)
plan = make_plan(sensing, np.random.default_rng(0).permutation(4096)[:512])
folder = Path(sys.argv[1]) / "out"
export(plan, DmdTiff("1920x1080"), folder)
image = torch.rand((64, 64), generator=torch.Generator().manual_seed(0))
played = DmdTiff().play(folder, sensing, image)
expected = sensing(image[None])[0][torch.as_tensor(plan.pattern.order.astype(np.int64))]
assert torch.allclose(played, expected, rtol=1e-5)
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])  # ru_maxrss would count the parent's
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures the memory as Linux counts it")
def test_a_thousand_frames_fit_in_a_gibibyte(tmp_path: Path) -> None:
    """1,024 frames of 1920x1080: written, read back and played in a process of its own (some ten seconds)."""
    done = subprocess.run(
        [sys.executable, "-c", _EXPORT_1024_FRAMES, str(tmp_path), TESTS], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1 << 20  # KiB
