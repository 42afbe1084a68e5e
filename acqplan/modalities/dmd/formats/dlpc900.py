"""Frames for the TI DLPC900 of the LightCrafter 6500 and 9000: composites of 24 planes and a look-up table, in batches.

Frame k of a batch is bit k % 24 of image k // 24. Per batch there are the images as the load command takes them
(`dlpc900_image`; two halves where two controllers share the mirrors), the same as 24-bit pictures
for TI's own tools, the entries of the look-up table, and every frame as a 1-bit picture for the graphical interface. A
numbered test chart shows in which order a controller plays the planes.

Source: TI's DLPC900 programmer's guide (DLPU018) and public drivers; nothing here was tried on the hardware.
"""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from acqplan.core.errors import InstrumentError
from acqplan.core.files import readable
from acqplan.core.registry import register
from acqplan.formats.export import EXPORT_AGAIN
from acqplan.modalities.dmd.formats.dlpc900_chart import chart
from acqplan.modalities.dmd.formats.dlpc900_image import COMPRESSIONS, PLANES, Composite, blob, composite_of
from acqplan.modalities.dmd.formats.dmd_display import Display, place_of
from acqplan.modalities.dmd.formats.dmd_format import DmdFormat
from acqplan.modalities.dmd.formats.dmd_frames import Packed, unpacked
from acqplan.modalities.dmd.formats.dmd_options import switch, whole
from acqplan.modalities.dmd.formats.dmd_png import frame_name, read_frame, read_image, write_frame, write_png
from acqplan.plan.plan import Plan

SEQUENCE = "dlpc900.json"
_ENTRY_BYTES = 12
_MAX_ENTRIES, _MAX_IMAGES = 400, 18
_MIN_EXPOSURE_US, _MAX_EXPOSURE_US = 105, (1 << 24) - 1
_CHART_EXPOSURE_US = 1_000_000
_ALL_LEDS = 7
_COMMANDS = {
    "mode": 0x1A1B,
    "start_stop": 0x1A24,
    "initialise_load": [0x1A2A, 0x1A2C],
    "load": [0x1A2B, 0x1A2D],
    "configure_lut": 0x1A31,
    "define_entry": 0x1A34,
}
"""USB commands; of two, the first is for the (primary) controller, the second for the secondary."""
_PICTURES = ("png", "bmp", "none")


@register("instruments", "dlpc900")
class Dlpc900(DmdFormat):
    """Images, look-up tables and pictures for a TI DLPC900, in batches of up to 400 frames.

    Parameters
    ----------
    compression
        ``auto`` (the shorter of ERLE and none), ``none``, ``rle`` or ``erle``.
    composites
        The 24-bit pictures for TI's tools: ``png``, ``bmp`` or ``none``.
    planes
        The 1-bit pictures for the graphical interface: ``png``, ``bmp`` or ``none``.
    trigger
        Whether every frame waits for the trigger input 1.
    repeats
        How often a batch is played; 0 is for ever.
    dual
        Whether two controllers drive the left and the right half; by default what is known of the device.
    settings
        Those of every `DmdFormat`.
    """

    summary = "24-plane images, look-up table and pictures for a TI DLPC900 (LightCrafter 6500, 9000)."
    default_device = "lightcrafter-6500"
    needs_picture_time = True
    picture_step_us = 1

    def __init__(
        self,
        *,
        compression: str = "auto",
        composites: str = "png",
        planes: str = "png",
        trigger: bool | str = False,
        repeats: int = 1,
        dual: bool | str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.compression = _one_of("compression", compression, ("auto", *COMPRESSIONS))
        self.composites = _one_of("composites", composites, _PICTURES)
        self.planes = _one_of("planes", planes, _PICTURES)
        self.trigger = switch("trigger", trigger)
        self.repeats = whole("repeats", repeats, 0)
        self.n_controllers = 1 + (self.device.is_dual if dual is None else switch("dual", dual))
        self.max_frames = min(self.max_frames or _MAX_ENTRIES, PLANES * _MAX_IMAGES)
        self.min_picture_time_us = self.min_picture_time_us or _MIN_EXPOSURE_US

    def check(self, plan: Plan) -> list[str]:
        problems = super().check(plan)
        time_s = self._picture_time_s(plan)
        if time_s is not None and round(1e6 * time_s) > _MAX_EXPOSURE_US:
            problems.append(
                f"The plan shows a frame for {time_s:g} s, a DLPC900 at most for {_MAX_EXPOSURE_US / 1e6:g} s: "
                f"the nearest is picture_time_us={_MAX_EXPOSURE_US}."
            )
        if self.device.width % self.n_controllers:
            problems.append(f"{self.device.width} mirrors can't be halved between two controllers.")
        return problems

    def write_frames(self, folder: Path, frames: Iterator[Packed], display: Display, plan: Plan) -> dict[str, Any]:
        placement = display.placement
        size = (placement.height, placement.width)
        stamp = {name: display.stamp[name] for name in ("plan_id", "pattern_digest")}
        details = {
            "controllers": self.n_controllers,
            "composites": self.composites,
            "planes": self.planes,
            "trigger": self.trigger,
            "repeats": self.repeats,
        }
        shown = 0
        for batch, count in enumerate(display.batches):
            for image in range(-(-count // PLANES)):
                composite = np.zeros(size, dtype=np.uint32)
                for plane, frame in enumerate(itertools.islice(frames, min(PLANES, count - image * PLANES))):
                    composite |= unpacked(frame, placement.width).astype(np.uint32) << np.uint32(plane)
                    self._write_plane(folder, shown, frame, display)
                    shown += 1
                self._write_image(folder, f"batch_{batch:03d}_image_{image:02d}", composite, stamp)
            exposure_us = _exposure_us(display)
            (folder / f"batch_{batch:03d}_lut.bin").write_bytes(lut(count, exposure_us, trigger=self.trigger))
        self._write_image(folder, "chart", chart(placement.width, placement.height), stamp)
        (folder / "chart_lut.bin").write_bytes(lut(PLANES, _CHART_EXPOSURE_US))
        (folder / SEQUENCE).write_text(_sequence(folder, display, details), encoding="utf-8")
        return details

    def _write_image(self, folder: Path, name: str, composite: Composite, stamp: dict[str, Any]) -> None:
        for part, half in zip(_parts(name, self.n_controllers), _halves(composite, self.n_controllers), strict=True):
            (folder / part).write_bytes(blob(half, self.compression))
        rows, width = _rgb_rows(composite), composite.shape[1]
        if self.composites == "png":
            write_png(folder / f"{name}.png", rows, width, "RGB", stamp)
        elif self.composites == "bmp":
            _save_bmp(folder / f"{name}.bmp", rows, width, "RGB")

    def _write_plane(self, folder: Path, number: int, frame: Packed, display: Display) -> None:
        if self.planes == "png":
            write_frame(folder / frame_name(number), frame, display)
        elif self.planes == "bmp":
            _save_bmp(folder / frame_name(number, ".bmp"), frame, display.placement.width, "1")

    def read_frames(self, folder: Path, display: Display, manifest: dict[str, Any]) -> Iterator[Packed]:
        details = _read_details(manifest, folder)
        placement, shown = display.placement, 0
        if max(display.batches) > PLANES * _MAX_IMAGES:
            raise InstrumentError(
                f"The manifest of {folder} has a batch of {max(display.batches)} frames, a DLPC900 holds "
                f"{PLANES * _MAX_IMAGES}.",
                EXPORT_AGAIN,
            )
        _check_file(folder / SEQUENCE, _sequence(folder, display, details).encode())
        _check_file(folder / "chart_lut.bin", lut(PLANES, _CHART_EXPOSURE_US))
        if not np.array_equal(
            _read_composite(folder, "chart", display, details), chart(placement.width, placement.height)
        ):
            raise InstrumentError(f"The test chart in {folder} isn't as it was written.", EXPORT_AGAIN)
        for batch, count in enumerate(display.batches):
            table = folder / f"batch_{batch:03d}_lut.bin"
            _check_file(table, lut(count, _exposure_us(display), trigger=details["trigger"]))
            with readable(table, InstrumentError, EXPORT_AGAIN):
                places = entries(table.read_bytes())
            loaded, composite = -1, np.zeros(0, dtype=np.uint32)
            for image, plane in places:
                if image != loaded:
                    name = f"batch_{batch:03d}_image_{image:02d}"
                    composite, loaded = _read_composite(folder, name, display, details), image
                frame = np.packbits((composite >> np.uint32(plane)).astype(np.uint8) & 1, axis=1)
                if details["planes"] != "none":
                    picture = folder / frame_name(shown, "." + details["planes"])
                    if not np.array_equal(read_frame(picture, display), frame):
                        raise InstrumentError(f"{picture} isn't plane {plane} of image {image}.", EXPORT_AGAIN)
                yield frame
                shown += 1

    def label(self, folder: Path, display: Display, frame: int) -> str:
        batch, number = place_of(display, frame)
        return f"Plane {number % PLANES} of {folder / f'batch_{batch:03d}_image_{number // PLANES:02d}'}"


def lut(n_frames: int, exposure_us: int, *, trigger: bool = False) -> bytes:
    """The entries of the look-up table that play n frames one after the other, 12 bytes each (command 0x1A34).

    u16 index; u24 exposure in µs; u8 options: bit 0 clear after the exposure, bits 1–3 bit depth − 1, bits 4–6 LEDs,
    bit 7 wait for the trigger; u24 dark time in µs; u8 disable trigger output 2; u16 with the image in bits 0–10 and
    the plane in bits 11–15. Little-endian.
    """
    options = 1 | _ALL_LEDS << 4 | int(trigger) << 7
    return b"".join(
        struct.pack("<H", index)
        + exposure_us.to_bytes(3, "little")
        + bytes([options, 0, 0, 0, 0])
        + struct.pack("<H", index // PLANES | index % PLANES << 11)
        for index in range(n_frames)
    )


def entries(table: bytes) -> list[tuple[int, int]]:
    """(image, plane) of each entry, in the order of their indices; `ValueError` if that isn't 0, 1, 2, …"""
    if len(table) % _ENTRY_BYTES:
        raise ValueError(f"{len(table)} bytes are no entries of {_ENTRY_BYTES}")
    found = []
    for start in range(0, len(table), _ENTRY_BYTES):
        index, place = *struct.unpack_from("<H", table, start), *struct.unpack_from("<H", table, start + 10)
        if index != start // _ENTRY_BYTES or place >> 11 >= PLANES:
            raise ValueError(f"entry {start // _ENTRY_BYTES} is {index}, plane {place >> 11}")
        found.append((place & 0x7FF, place >> 11))
    return found


def _sequence(folder: Path, display: Display, details: dict[str, Any]) -> str:
    """The text of ``dlpc900.json``; the sizes are those of the files."""
    starts = itertools.accumulate((0, *display.batches))
    controllers, repeats = details["controllers"], details["repeats"]
    batches = [
        {"first_frame": start, **_load(folder, f"batch_{batch:03d}", count, controllers, repeats)}
        for batch, (count, start) in enumerate(zip(display.batches, starts, strict=False))
    ]
    content = {
        **{name: display.stamp[name] for name in ("plan_id", "pattern_digest")},
        "exposure_us": _exposure_us(display),
        "commands": _COMMANDS,
        "entry_bytes": _ENTRY_BYTES,
        "batches": batches,
        "chart": _load(folder, "chart", PLANES, controllers, 0),
    }
    return json.dumps(content, indent=2) + "\n"


def _load(folder: Path, name: str, count: int, controllers: int, repeats: int) -> dict[str, Any]:
    """What is loaded for a batch, the images in reverse order as the controller asks for."""
    images = [name] if name == "chart" else [f"{name}_image_{image:02d}" for image in range(-(-count // PLANES))]
    load = []
    for image, stem in reversed(list(enumerate(images))):
        files = _parts(stem, controllers)
        with readable(folder / files[0], InstrumentError, EXPORT_AGAIN):
            load.append({"image": image, "files": files, "bytes": [(folder / f).stat().st_size for f in files]})
    configure = (struct.pack("<H", count) + struct.pack("<I", repeats)).hex()
    return {"frames": count, "lut": f"{name}_lut.bin", "configure_lut": configure, "images": load}


def _exposure_us(display: Display) -> int:
    """The exposure of every entry; `InstrumentError` if it doesn't fit into one."""
    exposure_us = round(1e6 * (display.picture_time_s or _MIN_EXPOSURE_US / 1e6))
    if not 0 < exposure_us <= _MAX_EXPOSURE_US:
        raise InstrumentError(f"An exposure of {exposure_us} µs doesn't fit into a look-up table.", EXPORT_AGAIN)
    return exposure_us


def _parts(name: str, n_controllers: int) -> list[str]:
    return [f"{name}.spld"] if n_controllers == 1 else [f"{name}_primary.spld", f"{name}_secondary.spld"]


def _halves(composite: Composite, n_controllers: int) -> Sequence[Composite]:
    """The left half is the primary controller's."""
    return np.split(composite, n_controllers, axis=1)


def _rgb_rows(composite: Composite) -> npt.NDArray[np.uint8]:
    """uint8[height, 3 * width] as red, green, blue: green holds planes 0 to 7, red 8 to 15, blue 16 to 23."""
    colours = np.stack([composite >> 8 & 255, composite & 255, composite >> 16], axis=-1).astype(np.uint8)
    return colours.reshape(composite.shape[0], -1)


def _save_bmp(path: Path, rows: npt.NDArray[np.uint8], width: int, mode: str) -> None:
    Image.frombytes(mode, (width, rows.shape[0]), rows.tobytes()).save(path, format="BMP")


def _read_composite(folder: Path, name: str, display: Display, details: dict[str, Any]) -> Composite:
    """An image from its blobs; the 24-bit picture beside it must show the same."""
    placement, halves = display.placement, []
    for part in _parts(name, details["controllers"]):
        with readable(folder / part, InstrumentError, EXPORT_AGAIN):
            data = (folder / part).read_bytes()
            if struct.unpack_from("<HH", data, 4) != (placement.width // details["controllers"], placement.height):
                raise ValueError("an image of another size")
            halves.append(composite_of(data))
    composite = np.concatenate(halves, axis=1)
    if details["composites"] != "none":
        path = folder / f"{name}.{details['composites']}"
        rows = read_image(path, placement.width, placement.height, "RGB", display)
        if not np.array_equal(rows, _rgb_rows(composite)):
            raise InstrumentError(f"{path} isn't the image of {folder / name}.spld.", EXPORT_AGAIN)
    return composite


def _read_details(manifest: dict[str, Any], folder: Path) -> dict[str, Any]:
    with readable(folder / SEQUENCE, InstrumentError, EXPORT_AGAIN):
        details = {
            "controllers": int(manifest["controllers"]),
            "composites": _one_of("composites", manifest["composites"], _PICTURES),
            "planes": _one_of("planes", manifest["planes"], _PICTURES),
            "trigger": bool(manifest["trigger"]),
            "repeats": whole("repeats", manifest["repeats"], 0),
        }
        if details["controllers"] not in (1, 2):
            raise ValueError("the manifest names no controllers")
    return details


def _check_file(path: Path, expected: bytes) -> None:
    with readable(path, InstrumentError, EXPORT_AGAIN):
        found = path.read_bytes()
    if found != expected:
        raise InstrumentError(f"{path} isn't as it was written, or of another export.", EXPORT_AGAIN)


def _one_of(name: str, value: Any, known: Sequence[str]) -> str:
    if value not in known:
        raise InstrumentError(f"The DLPC900 setting {name} is {value!r}.", f"Give one of: {', '.join(known)}.")
    return str(value)
