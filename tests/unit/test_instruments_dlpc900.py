"""DLPC900 files: golden bytes, and a slow decoder written from the grammar alone."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from builders.plans import make_plan
from builders.sensing import dmd
from PIL import Image

from acqplan.core.errors import InstrumentError
from acqplan.formats.export import MANIFEST, export
from acqplan.modalities.dmd.formats.dlpc900 import Dlpc900, entries, lut
from acqplan.modalities.dmd.formats.dlpc900_chart import chart, chart_plane
from acqplan.modalities.dmd.formats.dlpc900_image import COMPRESSIONS, blob, composite_of, decoded, encoded
from acqplan.plan.plan import Plan

WIDTH, HEIGHT, N = 26, 18, 30


def frames_plan(n: int = N, reading_time_s: float | None = None) -> Plan:
    return make_plan(dmd(8, 8), np.random.default_rng(0).permutation(64)[:n], reading_time_s=reading_time_s)


def expected_frames(plan: Plan) -> npt.NDArray[np.bool_]:
    frames = np.zeros((2 * plan.pattern.n_readings, HEIGHT, WIDTH), dtype=np.bool_)
    for number, unit in enumerate(plan.pattern.order.tolist()):
        for sign, pixels in enumerate(plan.sensing.frames(unit)):
            frames[2 * number + sign, 1:17, 5:21] = np.kron(pixels, np.ones((2, 2), dtype=np.bool_))
    return frames


def slow_decoder(data: bytes) -> tuple[int, list[list[int]]]:
    """(compression, rows of 24-bit pixels) of a blob, byte by byte as the grammar says."""
    assert data[:4] == b"Spld"
    width, height = data[4] + 256 * data[5], data[6] + 256 * data[7]
    assert int.from_bytes(data[8:12], "little") == len(data) - 48
    assert data[12:20] == b"\xff" * 8
    assert data[20:25] == bytes(5)
    assert data[26:27] == b"\x01"
    assert data[27:48] == bytes(21)
    kind, stream = data[25], list(data[48:])
    stream.reverse()  # pop() from the end

    def pixel() -> int:
        return stream.pop() * 65536 + stream.pop() * 256 + stream.pop()

    def count(first: int) -> int:
        if kind == 1 or first < 128:
            return first
        return first - 128 + 128 * stream.pop()

    rows: list[list[int]] = []
    if kind == 0:
        rows = [[pixel() for _ in range(width)] for _ in range(height)]
    line: list[int] = []
    while kind:
        first = stream.pop()
        if first:
            n = count(first)
            line += [pixel()] * n
            continue
        second = stream.pop()
        if second == 0:
            assert len(line) == width
            rows.append(line)
            line = []
        elif second == 1:
            n = 0 if kind == 1 else count(stream.pop())
            if n == 0:
                break
            line += rows[-1][len(line) : len(line) + n]
        else:
            line += [pixel() for _ in range(count(second))]
    assert not stream
    assert not line
    assert len(rows) == height
    return kind, rows


def images() -> dict[str, npt.NDArray[np.uint32]]:
    rng = np.random.default_rng(0)
    random = rng.integers(0, 1 << 24, (7, 400), dtype=np.uint32)
    steps = np.repeat(np.repeat(rng.integers(0, 1 << 24, (3, 40), dtype=np.uint32), 10, axis=1), 4, axis=0)
    mixed = np.where(rng.random((9, 300)) < 0.5, 7, random[:1, :300]).astype(np.uint32)
    mixed[4] = mixed[3]
    return {
        "random": random,
        "steps": steps,
        "mixed": mixed,
        "flat": np.full((5, 1300), 0xABCDEF, dtype=np.uint32),
        "one pixel": np.array([[0x123456]], dtype=np.uint32),
        "single at the end": np.array([[1, 1, 2], [1, 2, 2]], dtype=np.uint32),
        "257 different": np.arange(257, dtype=np.uint32)[None],
    }


@pytest.mark.parametrize("compression", ["auto", *COMPRESSIONS])
@pytest.mark.parametrize("name", images())
def test_every_image_comes_back_from_both_decoders(name: str, compression: str) -> None:
    image = images()[name]
    data = blob(image, compression)
    assert np.array_equal(composite_of(data), image)
    kind, rows = slow_decoder(data)
    assert np.array_equal(rows, image)
    if compression != "auto":
        assert kind == COMPRESSIONS[compression]


def test_golden_erle() -> None:
    image = np.array([[0x010203] * 4, [0x010203] * 4, [1, 2, 2, 3], [4, 5, 6, 7], [9, 9, 8, 7]], dtype=np.uint32)
    assert encoded(image, 2).hex(" ") == (
        "04 01 02 03 00 00 "  # four times a pixel, end of the line
        "00 01 04 00 00 "  # four pixels as above
        "01 00 00 01 02 00 00 02 01 00 00 03 00 00 "
        "00 04 00 00 04 00 00 05 00 00 06 00 00 07 00 00 "  # four different pixels
        "02 00 00 09 00 02 00 00 08 00 00 07 00 00 "
        "00 01 00"
    )
    long = np.full((2, 1920), 5, dtype=np.uint32)
    assert encoded(long, 2).hex(" ") == "80 0f 00 00 05 00 00 00 01 80 0f 00 00 00 01 00"  # 1920 = 0 + 15 x 128
    assert encoded(long[:1, :300], 1).hex(" ") == "ff 00 00 05 2d 00 00 05 00 00 00 01"


def test_golden_header() -> None:
    data = blob(np.zeros((3, 258), dtype=np.uint32), "none")
    assert data[:48].hex() == "53706c64" + "0201" + "0300" + "12090000" + "ff" * 8 + "00" * 4 + "00" + "00" + "01" + (
        "00" * 21
    )
    assert len(data) == 48 + 3 * 3 * 258


def test_the_shorter_compression_is_chosen() -> None:
    assert blob(images()["random"])[25] == 0
    assert blob(images()["steps"])[25] == 2


@pytest.mark.parametrize("kind", [1, 2])
def test_damaged_data_end_in_an_error_or_an_image(kind: int) -> None:
    image = images()["mixed"]
    data = encoded(image, kind)
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(int(rng.integers(1, 4))):
            damaged[int(rng.integers(len(damaged)))] = int(rng.integers(256))
        del damaged[int(rng.integers(len(damaged) // 2, len(damaged) + 1)) :]
        try:
            assert decoded(bytes(damaged), 300, 9, kind).shape == (9, 300)
        except ValueError:
            continue
    for wrong in (b"", data[:-1], data + b"\0", b"\0\0" + data, data[:-3] + b"\x01\0\0\x01\0\0" + data[-3:]):
        with pytest.raises(ValueError, match=r"line|data|image|pixels"):
            decoded(wrong, 300, 9, kind)
    with pytest.raises(ValueError, match="no line above"):
        decoded(b"\0\1\4\0\0\0\1\0", 4, 1, 2)
    with pytest.raises(ValueError, match="header tells"):
        composite_of(blob(image) + b"\0")
    for wrong in (b"", b"Splx" + blob(image)[4:], blob(image)[:25] + b"\3" + blob(image)[26:]):
        with pytest.raises(ValueError, match="no image of a DLPC900"):
            composite_of(wrong)


def test_golden_look_up_table() -> None:
    table = lut(26, 105)
    assert table[:12].hex(" ") == "00 00 69 00 00 71 00 00 00 00 00 00"
    assert table[23 * 12 : 24 * 12].hex(" ") == "17 00 69 00 00 71 00 00 00 00 00 b8"  # image 0, plane 23
    assert table[25 * 12 :].hex(" ") == "19 00 69 00 00 71 00 00 00 00 01 08"  # image 1, plane 1
    assert lut(1, 0x123456, trigger=True).hex(" ") == "00 00 56 34 12 f1 00 00 00 00 00 00"
    assert entries(table)[:3] == [(0, 0), (0, 1), (0, 2)]
    assert entries(table)[23:] == [(0, 23), (1, 0), (1, 1)]
    for wrong in (table[:-1], table[12:], table[:11] + b"\xf8" + table[12:]):
        with pytest.raises(ValueError, match=r"entr"):
            entries(wrong)


def bits(rows: Any, plane: int) -> npt.NDArray[np.bool_]:
    return np.array([[pixel >> plane & 1 for pixel in row] for row in rows], dtype=np.bool_)


@pytest.mark.parametrize("dual", [False, True])
def test_exported_images_hold_the_frames(dual: bool, tmp_path: Path) -> None:
    plan = frames_plan()
    export(plan, Dlpc900(device="26x18", dual=dual, max_frames=50), tmp_path / "out")
    frames = expected_frames(plan)
    shown = 0
    for batch, count in enumerate((50, 10)):
        table = (tmp_path / "out" / f"batch_{batch:03d}_lut.bin").read_bytes()
        assert len(table) == 12 * count
        for index in range(count):
            place = struct.unpack_from("<H", table, 12 * index + 10)[0]
            image, plane = place & 0x7FF, place >> 11
            name = f"batch_{batch:03d}_image_{image:02d}"
            parts = [f"{name}_primary.spld", f"{name}_secondary.spld"] if dual else [f"{name}.spld"]
            halves = [slow_decoder((tmp_path / "out" / part).read_bytes())[1] for part in parts]
            rows = [[pixel for half in line for pixel in half] for line in zip(*halves, strict=True)]
            assert np.array_equal(bits(rows, plane), frames[shown])
            with Image.open(tmp_path / "out" / f"{name}.png") as picture:
                red, green, blue = np.array(picture).astype(int).transpose(2, 0, 1)
            assert np.array_equal(green + (red << 8) + (blue << 16), rows)
            with Image.open(tmp_path / "out" / f"frame_{shown:06d}.png") as picture:
                assert picture.mode == "1"
                assert np.array_equal(np.array(picture), frames[shown])
            shown += 1
    assert shown == len(frames)
    assert np.array_equal(list(Dlpc900().frames(tmp_path / "out")), frames)


def test_sequence_file_says_what_to_load(tmp_path: Path) -> None:
    export(frames_plan(reading_time_s=400e-6), Dlpc900(device="26x18", max_frames=50, repeats=3), tmp_path / "out")
    content = json.loads((tmp_path / "out" / "dlpc900.json").read_text())
    assert content["exposure_us"] == 200
    assert content["commands"]["define_entry"] == 0x1A34
    assert content["commands"]["configure_lut"] == 0x1A31
    first, second = content["batches"]
    assert (first["first_frame"], first["frames"], second["first_frame"], second["frames"]) == (0, 50, 50, 10)
    assert first["configure_lut"] == "320003000000"  # 50 entries, 3 times
    assert [image["image"] for image in first["images"]] == [2, 1, 0]
    for image in first["images"]:
        (name,), (size,) = image["files"], image["bytes"]
        assert (tmp_path / "out" / name).stat().st_size == size
    assert content["chart"]["configure_lut"] == "180000000000"  # 24 entries, for ever


def test_batches_are_those_of_the_look_up_table() -> None:
    plan = make_plan(dmd(64, 64), np.arange(4096), reading_time_s=None)
    remarks = " ".join(Dlpc900().remarks(plan))
    assert "8192 frames, the device holds 400: there are 21 batches of up to 400 frames" in remarks
    assert "with split=on there are 21 batches" in " ".join(Dlpc900(split=False).check(plan))
    assert "432: there are 19 batches" in " ".join(Dlpc900(max_frames=960).remarks(plan))  # 18 images of 24 planes


def test_exposures() -> None:
    assert "at least 105 µs" in " ".join(Dlpc900(device="26x18").check(frames_plan(reading_time_s=200e-6)))
    assert "at most for 16.7772 s" in " ".join(Dlpc900(picture_time_us=2e7).check(frames_plan()))
    assert Dlpc900().check(frames_plan(reading_time_s=210e-6)) == []
    assert Dlpc900(device="27x18", dual=True).check(frames_plan()) == [
        "27 mirrors can't be halved between two controllers."
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"compression": "zip"},
        {"composites": "tif"},
        {"planes": 1},
        {"trigger": 2},
        {"repeats": -1},
        {"repeats": 1 << 32},
    ],
    ids=str,
)
def test_settings_that_are_none(settings: dict[str, Any]) -> None:
    with pytest.raises(InstrumentError, match=next(iter(settings))):
        Dlpc900(**settings)


@pytest.mark.parametrize("compression", ["none", "rle", "erle"])
def test_bitmaps_and_compressions_come_back(compression: str, tmp_path: Path) -> None:
    plan = frames_plan(13)
    device = Dlpc900(device="26x18", compression=compression, composites="bmp", planes="bmp", picture_time_us=500)
    export(plan, device, tmp_path / "out")
    assert Dlpc900().read(tmp_path / "out").pattern == plan.pattern
    with Image.open(tmp_path / "out" / "frame_000003.bmp") as picture:
        assert (picture.format, picture.mode) == ("BMP", "1")
        assert np.array_equal(np.array(picture), expected_frames(plan)[3])
    with Image.open(tmp_path / "out" / "batch_000_image_01.bmp") as picture:
        assert (picture.format, picture.mode) == ("BMP", "RGB")
        assert np.array_equal(np.array(picture)[..., 1] & 2 > 0, expected_frames(plan)[25])
    assert (tmp_path / "out" / "batch_000_image_01.spld").read_bytes()[25] == COMPRESSIONS[compression]


def test_without_pictures_there_are_none(tmp_path: Path) -> None:
    export(frames_plan(13), Dlpc900(device="26x18", composites="none", planes="none"), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.png"))
    assert Dlpc900().read(tmp_path / "out").pattern == frames_plan(13).pattern


def test_more_frames_than_it_holds_are_no_batch(tmp_path: Path) -> None:
    export(frames_plan(13), Dlpc900(device="26x18"), tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    (tmp_path / "out" / MANIFEST).write_text(json.dumps({**manifest, "batches": [10**12]}))
    with pytest.raises(InstrumentError, match="batch of 1000000000000 frames, a DLPC900 holds 432"):
        Dlpc900().read(tmp_path / "out")


@pytest.mark.parametrize("name", ["batch_000_image_01.png", "frame_000007.png", "chart.png"])
def test_pictures_that_show_something_else_are_refused(name: str, tmp_path: Path) -> None:
    export(frames_plan(13), Dlpc900(device="26x18"), tmp_path / "out")
    with Image.open(tmp_path / "out" / name) as picture:
        changed = picture.copy()
    changed.putpixel((3, 3), 1 - (changed.getpixel((3, 3)) > 0) if changed.mode == "1" else (1, 2, 3))
    changed.save(tmp_path / "out" / name)
    with pytest.raises(InstrumentError, match=r"isn't (the image|plane)"):
        Dlpc900().read(tmp_path / "out")


def test_the_chart_numbers_its_planes(tmp_path: Path) -> None:
    export(frames_plan(2), Dlpc900(device="90x60"), tmp_path / "out")
    rows = slow_decoder((tmp_path / "out" / "chart.spld").read_bytes())[1]
    assert np.array_equal(rows, chart(90, 60))
    planes = [bits(rows, plane) for plane in range(24)]
    assert all(np.array_equal(planes[plane], chart_plane(plane, 90, 60)) for plane in range(24))
    assert len({plane.tobytes() for plane in planes}) == 24
    one = chart_plane(1, 9, 9)  # a corner, and 0 1 in 5 x 7 mirrors
    assert ["".join(" #"[int(on)] for on in row) for row in one] == [
        "#        ",
        "         ",
        " ###  #  ",
        " # # ##  ",
        " # #  #  ",
        " # #  #  ",
        " ### ### ",
        "         ",
        "         ",
    ]
