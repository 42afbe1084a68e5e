"""Placement on the mirror array, dead mirrors, batches and devices: mirror by mirror against plain NumPy."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import torch
from builders.plans import make_plan
from builders.sensing import dmd

from acqplan.core.errors import InstrumentError
from acqplan.formats.export import export
from acqplan.formats.numpy_files import NumpyFiles
from acqplan.modalities.dmd.formats.dmd_devices import DEVICES, alp_frames, alp_row_bytes, find_device
from acqplan.modalities.dmd.formats.dmd_frames import Placement, unpacked
from acqplan.modalities.dmd.formats.dmd_tiff import DmdTiff
from acqplan.plan.plan import Plan

ORDER = [7, 0, 31, 7, 12, 0]


def oblong_plan(reading_time_s: float | None = None) -> Plan:
    return make_plan(dmd(4, 8), ORDER, [0], reading_time_s=reading_time_s)


def placed(pixels: npt.NDArray[np.bool_], placement: Placement) -> npt.NDArray[np.bool_]:
    """The frame from the definition: turned, mirrored, enlarged, set into the border, dead mirrors off."""
    for _ in range(placement.rotation // 90):
        pixels = pixels.T[::-1]  # the right column becomes the top row
    if placement.flip_x:
        pixels = np.fliplr(pixels)
    if placement.flip_y:
        pixels = np.flipud(pixels)
    mirrors = np.kron(pixels, np.ones((placement.scale, placement.scale), dtype=np.bool_))
    frame = np.full((placement.height, placement.width), placement.border)
    rows, columns = mirrors.shape
    frame[placement.top : placement.top + rows, placement.left : placement.left + columns] = mirrors
    for column, row in placement.dead:
        frame[row, column] = False
    return frame


DEAD = ((5, 2), (6, 2), (44, 30), (10, 9))
PLACEMENTS = [
    Placement(45, 31, 4, 8, 3, 5, 2, rotation, flip_x, flip_y, border, DEAD if has_dead else ())
    for rotation, flip_x, flip_y in itertools.product((0, 90, 180, 270), (False, True), (False, True))
    for border, has_dead in [((rotation > 90) ^ flip_x, flip_x ^ flip_y)]
]
"""Every way to turn and mirror; with each pair of settings, all their values together."""


@pytest.mark.parametrize("placement", PLACEMENTS, ids=range(len(PLACEMENTS)))
def test_frames_are_those_of_the_definition(placement: Placement) -> None:
    pixels = np.random.default_rng(0).random((4, 8)) < 0.5
    frame = placement.packed(pixels)
    assert np.array_equal(unpacked(frame, 45), placed(pixels, placement))
    assert np.array_equal(np.packbits(placed(pixels, placement), axis=1), frame)  # the spare bits are 0
    assert np.array_equal(placement.pixels(frame), pixels)


@pytest.mark.parametrize("placement", PLACEMENTS, ids=range(len(PLACEMENTS)))
def test_shares_are_those_of_each_pixels_mirrors(placement: Placement) -> None:
    for row, column in ((0, 0), (1, 7), (3, 2)):
        pixels = np.zeros((4, 8), dtype=np.bool_)
        pixels[row, column] = True
        shares = placement.shares(placed(pixels, placement))
        assert shares[row, column] == pytest.approx(placement.working[row, column])
        assert shares.sum() == pytest.approx(shares[row, column])
    dead_inside = sum(
        placement.left <= x < placement.left + 3 * placement.shown_shape[1]
        and placement.top <= y < placement.top + 3 * placement.shown_shape[0]
        for x, y in placement.dead
    )
    assert (1 - placement.working).sum() * 9 == pytest.approx(dead_inside)


TURNED = {"rotation": 90, "flip_x": True, "offset_x": 3, "offset_y": -2, "border": "on", "scale": 2}


def test_turned_export_reads_back_and_plays(tmp_path: Path) -> None:
    plan = oblong_plan()
    export(plan, DmdTiff("37x22", **TURNED), tmp_path / "out")  # type: ignore[arg-type]
    assert DmdTiff().read(tmp_path / "out").pattern == plan.pattern
    placement = DmdTiff().exported_placement(tmp_path / "out")
    expected = [placed(pixels, placement) for unit in ORDER for pixels in plan.sensing.frames(unit)]
    frames = list(DmdTiff().frames(tmp_path / "out"))
    assert np.array_equal(frames, expected)
    assert np.array_equal(tifffile.imread(tmp_path / "out" / "frames.tif", key=range(12)), expected)
    image = torch.rand((4, 8), generator=torch.Generator().manual_seed(0))
    played = DmdTiff().play(tmp_path / "out", plan.sensing, image)
    sums = [(placement.shares(frame) * image.numpy()).sum() for frame in frames]
    assert np.allclose(played.numpy().ravel(), sums)


def dead_block(left: int, top: int, side: int) -> list[list[int]]:
    return [[left + x, top + y] for x in range(side) for y in range(side)]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pixels_without_a_working_mirror_do_not_hide_the_unit(rotation: int, tmp_path: Path) -> None:
    """Also those of the first row and column, by which a unit is recognised."""
    plan = oblong_plan()
    dead = dead_block(10, 10, 2) + dead_block(12, 10, 2) + dead_block(18, 16, 2) + [[15, 12], [0, 0]]
    instrument = DmdTiff("40x40", scale=2, offset_x=0, rotation=rotation, dead_mirrors=dead)
    assert instrument.check(plan) == []
    export(plan, instrument, tmp_path / "out")
    assert DmdTiff().read(tmp_path / "out").pattern == plan.pattern
    placement = DmdTiff().exported_placement(tmp_path / "out")
    assert not any(frame[10, 10] or frame[16, 18] for frame in DmdTiff().frames(tmp_path / "out"))
    image = torch.rand((4, 8), generator=torch.Generator().manual_seed(0))
    sums = [(placement.shares(f) * image.numpy()).sum() for f in DmdTiff().frames(tmp_path / "out")]
    assert np.allclose(DmdTiff().play(tmp_path / "out", plan.sensing, image).numpy().ravel(), sums)


def test_remarks_count_the_pixels_that_dead_mirrors_touch() -> None:
    # 16 x 8 mirrors of the pattern in 20 x 10: left 2, top 1
    dead = [*dead_block(2, 1, 2), [4, 1], [5, 1], [0, 0], [19, 9]]
    instrument = DmdTiff("20x10", scale=2, dead_mirrors=dead)
    assert instrument.remarks(oblong_plan()) == [
        "8 dead mirrors touch 2 pixels of the pattern; 1 of them have no working mirror."
    ]
    assert DmdTiff("20x10").remarks(oblong_plan()) == []
    assert NumpyFiles().remarks(oblong_plan()) == []


def test_dead_mirrors_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "dead.csv").write_text("# column,row\n3,4\n\n10,2 # stuck since May\n3,4\n")
    assert DmdTiff(dead_mirrors=str(tmp_path / "dead.csv")).dead_mirrors == ((3, 4), (10, 2))
    for wrong in ("3;4\n", "3\n", "a,b\n", "1,2,3\n", "-1,2\n"):
        (tmp_path / "dead.csv").write_text(wrong)
        with pytest.raises(InstrumentError, match="one column,row a line"):
            DmdTiff(dead_mirrors=str(tmp_path / "dead.csv"))
    with pytest.raises(InstrumentError, match=r"missing\.csv"):
        DmdTiff(dead_mirrors=str(tmp_path / "missing.csv"))
    assert "1 of the 2 dead mirrors lie outside 20x10" in " ".join(
        DmdTiff("20x10", dead_mirrors=[[1, 1], [20, 1]]).check(oblong_plan())
    )


@pytest.mark.parametrize(("max_frames", "batches"), [(12, (12,)), (11, (10, 2)), (5, (4, 4, 4)), (2, (2,) * 6)])
def test_batches_hold_whole_units(max_frames: int, batches: tuple[int, ...], tmp_path: Path) -> None:
    plan = oblong_plan()
    instrument = DmdTiff("20x10", max_frames=max_frames)
    export(plan, instrument, tmp_path / "out")
    names = ["frames.tif"] if len(batches) == 1 else [f"frames_{n:03d}.tif" for n in range(len(batches))]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.tif")) == names
    for name, count in zip(names, batches, strict=True):
        with tifffile.TiffFile(tmp_path / "out" / name) as file:
            assert len(file.pages) == count
    assert DmdTiff().read(tmp_path / "out").pattern == plan.pattern
    assert len(instrument.remarks(plan)) == (len(batches) > 1)


@pytest.mark.parametrize("swap", [("frames_000.tif", "frames_001.tif"), ("frames_002.tif", "frames_000.tif")])
def test_batches_in_another_order_are_noticed(swap: tuple[str, str], tmp_path: Path) -> None:
    export(oblong_plan(), DmdTiff("20x10", max_frames=4), tmp_path / "out")
    first, second = (tmp_path / "out" / name for name in swap)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    with pytest.raises(InstrumentError):
        DmdTiff().read(tmp_path / "out")


def test_check_collects_what_the_device_cannot() -> None:
    device = DmdTiff("lightcrafter-6500", scale=2.5, rotation=45, max_frames=5, split="off", picture_time_us=50)
    problems = " ".join(device.check(oblong_plan()))
    for words in (
        "the nearest are 2 and 3",
        "rotation by 45 degrees",
        "12 frames, the device holds 5: with split=on there are 3 batches",
        "a frame for 50 µs, the device needs at least 105 µs: the nearest is picture_time_us=105",
    ):
        assert words in problems
    fast = DmdTiff("alp-xga-4gib", picture_time_us=40).check(oblong_plan())
    assert fast == [
        "The plan shows 25000 frames per second, the device at most 22700: the nearest is picture_time_us=44.06."
    ]
    assert DmdTiff("alp-xga-4gib", picture_time_us=44.06).check(oblong_plan()) == []
    assert "The device holds 1 frames, one coefficient shows 2" in " ".join(DmdTiff(max_frames=1).check(oblong_plan()))
    assert DmdTiff("lightcrafter-6500").check(oblong_plan(reading_time_s=210e-6)) == []
    assert DmdTiff("lightcrafter-6500").check(oblong_plan(reading_time_s=200e-6))


@pytest.mark.parametrize(
    "settings",
    [
        {"scale": "2"},
        {"scale": float("nan")},
        {"rotation": 90.0},
        {"flip_x": 1},
        {"border": "grey"},
        {"split": "maybe"},
        {"max_frames": 0},
        {"picture_time_us": 0},
        {"min_picture_time_us": -1},
        {"max_rate_hz": "fast"},
        {"dead_mirrors": [1, 2]},
        {"dead_mirrors": [[1, 2, 3]]},
        {"dead_mirrors": 7},
        {"device": "lightcrafter-6000"},
    ],
    ids=str,
)
def test_settings_that_are_none(settings: dict[str, Any]) -> None:
    with pytest.raises(InstrumentError, match=next(iter(settings))):
        DmdTiff(**settings)


def test_memory_of_devices_in_frames() -> None:
    """Values from public drivers and from the arithmetic: RAM bits over padded row bits and rows, rounded down."""
    assert {width: alp_row_bytes(width) for width in (1024, 1280, 1920, 2560)} == {
        1024: 128,
        1280: 192,
        1920: 256,
        2560: 320,
    }
    expected = {"xga": 43690, "1080p": 15534, "wxga": 27962, "wqxga": 8388}
    for array, frames in expected.items():
        assert DEVICES[f"alp-{array}-4gib"].max_frames == frames
    assert DEVICES["alp-xga-8gib"].max_frames == 87381
    assert DEVICES["alp-wxga-8gib"].max_frames == 55924
    assert alp_frames(1920, 1080, 8) == 31068
    for device in DEVICES.values():
        assert "mirrors" in device.sources
        assert (device.max_rate_hz is None) == ("max_rate_hz" not in device.sources)
    assert find_device("1024x768").max_frames is None
    with pytest.raises(InstrumentError, match="Did you mean alp-1080p-4gib"):
        find_device("alp-1080p-4gb")


def test_old_manifests_and_damaged_ones(tmp_path: Path) -> None:
    import json

    export(oblong_plan(), DmdTiff("20x10"), tmp_path / "out")
    path = tmp_path / "out" / "manifest.json"
    manifest = json.loads(path.read_text())
    older = {k: v for k, v in manifest.items() if k not in ("rotation", "flip_x", "flip_y", "dead_mirrors", "batches")}
    path.write_text(json.dumps(older))
    assert DmdTiff().read(tmp_path / "out").pattern == oblong_plan().pattern
    for name, value in (
        ("rotation", 45),
        ("border", "grey"),
        ("dead_mirrors", [[99, 99]]),
        ("batches", []),
        ("scale", 9),
    ):
        path.write_text(json.dumps({**manifest, name: value}))
        with pytest.raises(InstrumentError):
            DmdTiff().read(tmp_path / "out")
