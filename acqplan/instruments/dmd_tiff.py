"""Frames for a digital micromirror device: one multi-page TIFF, one bit per mirror.

Page 2k shows reading k of the pattern with the mirrors on where it is +1, page 2k + 1 where it is −1.
Row 0 of a page is the top row of mirrors, 1 (white) is on. Each pixel of the pattern is a square of
``scale`` x ``scale`` mirrors; the mirrors around the pattern stay off.

Pages are written, read and played one by one: a stack of a thousand frames fits in little memory.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch

from acqplan import registry
from acqplan.acquisition import Acquisition
from acqplan.errors import InstrumentError
from acqplan.instruments.base import (
    EXPORT_AGAIN,
    MANIFEST,
    Exported,
    Instrument,
    check_image,
    exported,
    pattern_from,
    read_manifest,
    readable,
)
from acqplan.instruments.detector_trace import read_trace, write_trace
from acqplan.instruments.dmd_frames import Bits, Placement, first_description, shown_units
from acqplan.pattern import Pattern
from acqplan.plan import Plan
from acqplan.registry import register
from acqplan.sensing.base import SensingModel
from acqplan.sensing.hadamard_dmd import HadamardDMD

FRAMES = "frames.tif"
FRAME_ORDER = "page 2k: reading k, mirrors on where the pattern is +1; page 2k + 1: where it is -1"
_ZLIB_LEVEL = 6  # a fifth of the size of level 2 for twice the time: 4 ms a frame of 1920x1080
_CLASSIC_BYTES = 3 << 30  # a classic TIFF ends at 4 GiB; above this the file is a BigTIFF
_BATCH = 64


@register("instruments", "dmd-tiff")
class DmdTiff(Instrument):
    """``frames.tif``, ready to load into a DMD's software.

    Parameters
    ----------
    device
        Mirror array, ``WIDTHxHEIGHT``.
    scale
        Mirrors per pixel of the pattern along each axis; by default the largest that fits.
    offset_x, offset_y
        Mirrors by which the pattern is moved from the middle, to the right and down.
    max_frames
        How many frames the device's memory holds; by default it isn't checked.
    min_picture_time_us
        Shortest time per frame of the device in microseconds; by default it isn't checked.
    """

    summary = "1-bit TIFF stack of ± frames for a DMD; detector traces as .csv or .npy."
    modalities = ("hadamard_dmd",)
    acquired_suffixes = (".csv", ".npy")

    def __init__(
        self,
        device: str = "1920x1080",
        scale: int | None = None,
        offset_x: int = 0,
        offset_y: int = 0,
        max_frames: int | None = None,
        min_picture_time_us: float | None = None,
    ) -> None:
        for name, value in (
            ("scale", scale),
            ("offset_x", offset_x),
            ("offset_y", offset_y),
            ("max_frames", max_frames),
        ):
            if value is not None and not isinstance(value, int):
                raise InstrumentError(f"The DMD setting {name} is {value!r}.", "Give a whole number.")
        self.width, self.height = _device_size(device)
        self.scale = scale
        self.offset_x = offset_x
        self.offset_y = offset_y
        self.max_frames = max_frames
        self.min_picture_time_us = min_picture_time_us

    def _placement(self, sensing: SensingModel) -> Placement:
        rows, columns = sensing.image_shape
        scale = self.scale
        if scale is None:
            scale = max(1, min(self.width // columns, self.height // rows))
        left = (self.width - columns * scale) // 2 + self.offset_x
        top = (self.height - rows * scale) // 2 + self.offset_y
        return Placement(self.width, self.height, rows, columns, scale, left, top)

    def check(self, plan: Plan) -> list[str]:
        problems = self._placement(plan.sensing).problems()
        n_frames = 2 * plan.pattern.n_readings
        if self.max_frames is not None and n_frames > self.max_frames:
            problems.append(f"The pattern shows {n_frames} frames, the device holds {self.max_frames}.")
        picture_time_s = _picture_time_s(plan)
        if self.min_picture_time_us is not None and picture_time_s is not None:
            picture_time_us = 1e6 * picture_time_s
            if picture_time_us < self.min_picture_time_us * (1 - 1e-9):
                problems.append(
                    f"The plan shows a frame for {picture_time_us:g} µs, "
                    f"the device needs at least {self.min_picture_time_us:g} µs."
                )
        return problems

    def write(self, plan: Plan, folder: Path) -> dict[str, Any]:
        sensing = _hadamard(plan.sensing)
        placement = self._placement(sensing)
        details = {
            "device": f"{self.width}x{self.height}",
            "scale": placement.scale,
            "left": placement.left,
            "top": placement.top,
            "border": "off",
            "frames": 2 * plan.pattern.n_readings,
            "frame_order": FRAME_ORDER,
            "picture_time_s": _picture_time_s(plan),
        }
        stamp = {"plan_id": plan.plan_id, "pattern_digest": plan.pattern.digest, **details}
        big = _estimated_bytes(plan.pattern, sensing, placement) > _CLASSIC_BYTES
        frame = np.zeros((placement.height, placement.width), dtype=np.bool_)
        inside = placement.region(frame)
        with tifffile.TiffWriter(folder / FRAMES, bigtiff=big) as writer:
            for number, unit in enumerate(plan.pattern.order.tolist()):
                for sign, pixels in enumerate(sensing.frames(unit)):
                    inside[:] = placement.enlarged(pixels)
                    writer.write(
                        frame,
                        photometric="minisblack",
                        compression="zlib",
                        compressionargs={"level": _ZLIB_LEVEL},
                        rowsperstrip=placement.height,
                        contiguous=False,
                        metadata=None,
                        description=json.dumps(stamp) if number == sign == 0 else None,
                    )
        return details

    def read(self, folder: Path) -> Exported:
        manifest = read_manifest(folder, self.kind)
        units = [unit for unit, sign, _ in _shown(folder, manifest, _sensing(manifest, folder)) if sign == 0]
        pattern = pattern_from(np.array(units, dtype=np.int64), manifest, folder / FRAMES)
        names = ("device", "scale", "left", "top", "border", "frames", "frame_order", "picture_time_s")
        return exported(pattern, manifest, folder / FRAMES, {name: manifest.get(name) for name in names})

    def play(self, folder: Path, sensing: SensingModel, image: torch.Tensor) -> torch.Tensor:
        """Expected readings float32[n, 2]: for each frame of the TIFF, the sum of the image over the mirrors on."""
        manifest = read_manifest(folder, self.kind)
        if _sensing(manifest, folder).image_shape != sensing.image_shape:
            raise InstrumentError(
                f"{folder} plays another image size than {sensing.image_shape}.",
                "Pass the folder that was exported from this plan.",
            )
        check_image(image, sensing)
        pixels = image.detach().to("cpu", torch.float64).flatten()
        sums: list[torch.Tensor] = []
        batch: list[Bits] = []
        for _, _, shown in _shown(folder, manifest, _hadamard(sensing)):
            batch.append(shown.ravel())
            if len(batch) == _BATCH:
                sums.append(torch.from_numpy(np.stack(batch).astype(np.float64)) @ pixels)
                batch = []
        if batch:
            sums.append(torch.from_numpy(np.stack(batch).astype(np.float64)) @ pixels)
        return torch.cat(sums).reshape(-1, 2).to(sensing.reading_dtype)

    def write_acquired(self, acquisition: Acquisition, plan: Plan, path: Path) -> None:
        write_trace(acquisition, plan, path)

    def read_acquired(self, path: Path, plan: Plan) -> Acquisition:
        return read_trace(path, plan)


def _device_size(device: str) -> tuple[int, int]:
    """``1920x1080`` -> (1920, 1080)."""
    match = re.fullmatch(r"\s*(\d{1,6})\s*[x×]\s*(\d{1,6})\s*", str(device))
    if match is None or not int(match[1]) or not int(match[2]):
        raise InstrumentError(f"The device is {device!r}.", "Write the mirror array as WIDTHxHEIGHT, like 1920x1080.")
    return int(match[1]), int(match[2])


def _picture_time_s(plan: Plan) -> float | None:
    time_s = plan.budget.reading_time_s
    return None if time_s is None else time_s / plan.sensing.frames_per_unit


def _hadamard(sensing: SensingModel) -> HadamardDMD:
    if not isinstance(sensing, HadamardDMD):
        raise InstrumentError(f"A DMD can't show the pattern of a {sensing.kind} plan.", "See acqplan formats.")
    return sensing


def _sensing(manifest: dict[str, Any], folder: Path) -> HadamardDMD:
    with readable(folder / MANIFEST, InstrumentError, EXPORT_AGAIN):
        arguments = dict(manifest["sensing"])
        sensing: SensingModel = registry.find("sensing", arguments.pop("kind"))(**arguments)
    return _hadamard(sensing)


def _shown(folder: Path, manifest: dict[str, Any], sensing: HadamardDMD) -> Iterator[tuple[int, int, Bits]]:
    """`shown_units` of an exported folder."""
    path = folder / FRAMES
    with readable(folder / MANIFEST, InstrumentError, EXPORT_AGAIN):
        width, height = _device_size(manifest["device"])
        scale, left, top = (int(manifest[name]) for name in ("scale", "left", "top"))
    placement = Placement(width, height, *sensing.image_shape, scale, left, top)
    if placement.problems():
        raise InstrumentError(" ".join(placement.problems()), EXPORT_AGAIN)
    _check_stamp(path, manifest)
    return shown_units(path, placement, sensing)


def _check_stamp(path: Path, manifest: dict[str, Any]) -> None:
    """A TIFF that some program wrote again may have lost its stamp; one with another plan's is refused."""
    try:
        stamp = json.loads(first_description(path))
    except ValueError:
        return
    names = ("plan_id", "pattern_digest")
    if isinstance(stamp, dict) and any(name in stamp and stamp[name] != manifest.get(name) for name in names):
        raise InstrumentError(f"{path} belongs to another plan than its manifest.", EXPORT_AGAIN)


def _estimated_bytes(pattern: Pattern, sensing: HadamardDMD, placement: Placement) -> int:
    """No less than the size of the TIFF: twice the largest of some compressed frames, for every frame."""
    some = np.unique(pattern.order)[:: max(1, pattern.n_readings // 16)]
    sizes = [len(zlib.compress(placement.packed(sensing.frames(int(unit))[0]).tobytes(), _ZLIB_LEVEL)) for unit in some]
    return 2 * pattern.n_readings * (2 * max(sizes) + 1024)
