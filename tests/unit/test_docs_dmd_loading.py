"""The loaders of docs/dmd-loading.md run on exported files; stand-ins for the vendors record what arrives."""

from __future__ import annotations

import re
import struct
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from builders.plans import make_plan
from builders.sensing import dmd

from acqplan.core.registry import find
from acqplan.formats.export import export
from acqplan.modalities.dmd.formats.dlpc900_image import composite_of
from acqplan.plan.plan import Plan

PAGE = Path(__file__).parents[2] / "docs" / "dmd-loading.md"
WIDTH, HEIGHT = 40, 20
Frames = npt.NDArray[np.bool_]


def frames_plan() -> Plan:
    return make_plan(dmd(4, 4), np.random.default_rng(0).permutation(16)[:15], reading_time_s=1e-3)


def expected_frames() -> Frames:
    plan = frames_plan()
    frames = np.zeros((30, HEIGHT, WIDTH), dtype=np.bool_)
    for number, unit in enumerate(plan.pattern.order.tolist()):
        for sign, pixels in enumerate(plan.sensing.frames(unit)):
            frames[2 * number + sign, :, 10:30] = np.kron(pixels, np.ones((5, 5), dtype=np.bool_))
    return frames


def run(heading: str, **names: Any) -> dict[str, Any]:
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    exec(found.group(1), names)
    return names


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> None:
    module = types.ModuleType(name)
    vars(module).update(content)
    monkeypatch.setitem(sys.modules, name, module)


def exported(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    export(frames_plan(), find("instruments", kind)(device=f"{WIDTH}x{HEIGHT}", **settings), folder)
    monkeypatch.chdir(folder)


def test_alp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Frames] = []
    calls: list[Any] = []

    class ALP4:
        """What AlpSeqPut, AlpSeqTiming and AlpProjStart are given."""

        nSizeX, nSizeY = WIDTH, HEIGHT

        def __init__(self, version: str) -> None:
            self.memory = np.zeros((0, 0), dtype=np.uint8)

        def SeqAlloc(self, nbImg: int, bitDepth: int) -> None:
            assert (nbImg <= 12, bitDepth) == (True, 1)
            self.memory = np.zeros((nbImg, 64 * HEIGHT), dtype=np.uint8)

        def SeqControl(self, controlType: int, value: int) -> None:
            calls.append((controlType, value))

        def SeqPut(self, imgData: npt.NDArray[np.uint8], PicOffset: int, PicLoad: int) -> None:
            self.memory[PicOffset : PicOffset + PicLoad] = np.asarray(imgData).reshape(PicLoad, -1)

        def SetTiming(self, pictureTime: int) -> None:
            calls.append(pictureTime)

        def Run(self, loop: bool) -> None:
            assert not loop
            for picture in self.memory:
                rows = np.unpackbits(picture.reshape(HEIGHT, 64), axis=1) > 0
                assert not rows[:, WIDTH:].any()
                shown.append(rows[:, :WIDTH])

        def Initialize(self) -> None: ...
        def Wait(self) -> None: ...
        def FreeSeq(self) -> None: ...
        def Free(self) -> None: ...

    stand_in(monkeypatch, "ALP4", ALP4=ALP4)
    exported("alp", tmp_path / "out", monkeypatch, max_frames=12)
    run("ViALUX ALP-4 and ALP-5")
    assert np.array_equal(shown, expected_frames())
    assert calls == [(2110, 2), (2104, 2106), 500] * 3


class Dlpc900Controller:
    """Collects reports into commands, keeps images and look-up table, and shows them when it is started."""

    def __init__(self, n_controllers: int) -> None:
        self.n_controllers = n_controllers
        self.buffer = b""
        self.table: dict[int, tuple[int, int]] = {}
        self.images: dict[tuple[int, int], bytes] = {}
        self.loading: list[tuple[int, int]] = [(-1, 0)] * 2
        self.shown: list[Frames] = []
        self.n_entries = 0
        self.order: list[int] = []

    def open(self, vendor: int, product: int) -> None:
        assert (vendor, product) == (0x0451, 0xC900)

    def write(self, report: bytes) -> None:
        assert len(report) == 65
        assert report[0] == 0
        self.buffer += report[1:]
        length = struct.unpack_from("<H", self.buffer, 2)[0]
        if len(self.buffer) >= 4 + length:
            code = struct.unpack_from("<H", self.buffer, 4)[0]
            self.command(code, self.buffer[6 : 4 + length])
            self.buffer = b""

    def command(self, code: int, payload: bytes) -> None:
        if code == 0x1A34:
            assert len(payload) == 12
            place = struct.unpack_from("<H", payload, 10)[0]
            self.table[struct.unpack_from("<H", payload)[0]] = (place & 0x7FF, place >> 11)
        elif code == 0x1A31:
            self.n_entries, repeats = struct.unpack("<HI", payload)
            assert repeats == 1
        elif code in (0x1A2A, 0x1A2C):
            image, size = struct.unpack("<HI", payload)
            self.loading[code == 0x1A2C] = (image, size)
            self.images[code == 0x1A2C, image] = b""
            self.order.append(image)
        elif code in (0x1A2B, 0x1A2D):
            n = struct.unpack_from("<H", payload)[0]
            assert n == len(payload) - 2 <= 504
            image, size = self.loading[code == 0x1A2D]
            self.images[code == 0x1A2D, image] += payload[2:]
            assert len(self.images[code == 0x1A2D, image]) <= size
        elif code == 0x1A24 and payload == b"\2":
            for index in range(self.n_entries):
                image, plane = self.table[index]
                halves = [composite_of(self.images[half, image]) for half in range(self.n_controllers)]
                self.shown.append(np.concatenate(halves, axis=1) >> np.uint32(plane) & 1 > 0)
        else:
            assert (code, payload) in ((0x1A24, b"\0"), (0x1A1B, b"\3"))


@pytest.mark.parametrize("dual", [False, True])
def test_lightcrafter(dual: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = Dlpc900Controller(1 + dual)
    stand_in(monkeypatch, "hid", device=lambda: controller)
    slept: list[float] = []
    exported("dlpc900", tmp_path / "out", monkeypatch, dual=dual, max_frames=26, picture_time_us=300)
    monkeypatch.setattr("time.sleep", slept.append)
    run("TI LightCrafter 6500 and 9000")
    assert np.array_equal(controller.shown, expected_frames())
    assert controller.order == ([1, 1, 0, 0, 0, 0] if dual else [1, 0, 0])
    assert slept == pytest.approx([26 * 300e-6, 4 * 300e-6])


def test_micromanager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class CMMCore:
        shown: Frames

        def loadSystemConfiguration(self, name: str) -> None: ...
        def getSLMDevice(self) -> str:
            return "DMD"

        def getSLMWidth(self, label: str) -> int:
            return WIDTH

        def getSLMHeight(self, label: str) -> int:
            return HEIGHT

        def setSLMImage(self, label: str, pixels: npt.NDArray[np.uint8]) -> None:
            assert (label, pixels.dtype, pixels.shape) == ("DMD", np.dtype(np.uint8), (HEIGHT, WIDTH))
            assert set(np.unique(pixels)) <= {0, 255}
            self.loaded = pixels > 127

        def displaySLMImage(self, label: str) -> None:
            CMMCore.shown = self.loaded

    stand_in(monkeypatch, "pymmcore", CMMCore=CMMCore)
    exported("micromanager", tmp_path / "out", monkeypatch)
    names = run("Micro-Manager", measure=lambda: CMMCore.shown.copy())
    assert np.array_equal(names["values"], expected_frames())


def test_spas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "spas", MetaData=types.SimpleNamespace, AcquisitionParameters=types.SimpleNamespace)
    exported("spas", tmp_path / "out", monkeypatch)
    names = run("SPAS")
    metadata, placed = names["metadata"], names["placed"]
    order = np.load(metadata.pattern_order_source)["pattern_order"]
    side = int(HEIGHT / placed["zoom"])
    frames = np.zeros((len(order), HEIGHT, WIDTH), dtype=np.bool_)
    for frame, index in zip(frames, order, strict=True):
        pattern = np.load(f"{metadata.pattern_source}/{metadata.pattern_prefix}_{index}.npy")
        assert pattern.shape == (names["parameters"].pattern_dimension_y, names["parameters"].pattern_dimension_x)
        large = np.kron(pattern > 127, np.ones((side // 4, side // 4), dtype=np.bool_))
        top, left = placed["yh_offset"], placed["xw_offset"]
        frame[top : top + side, left : left + side] = large
    assert np.array_equal(frames, expected_frames())


def test_every_command_of_the_page_is_one(tmp_path: Path) -> None:
    """Options named on the page exist."""
    from acqplan.plan.components import option_names

    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("acqplan export"):
            kind = re.search(r"--to (\S+)", line)
            assert kind is not None
            for name in re.findall(r"--option (\w+)=", line):
                assert name in option_names("instruments", kind.group(1))
