"""What every format for a DMD has in common: its options, `check`, and reading back frame by frame.

A format adds two functions, of a few lines each: `DmdFormat.write_frames` and `DmdFormat.read_frames`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from acqplan.core import registry
from acqplan.core.errors import InstrumentError
from acqplan.core.files import readable
from acqplan.formats.contracts import Exported, PatternFormat, check_image
from acqplan.formats.export import EXPORT_AGAIN, MANIFEST, exported, pattern_from, read_manifest
from acqplan.modalities.dmd.formats.dmd_devices import find_device
from acqplan.modalities.dmd.formats.dmd_display import DETAILS, Display, details_of, display_of
from acqplan.modalities.dmd.formats.dmd_frames import Bits, Packed, Placement, frames_of, shown_units, unpacked
from acqplan.modalities.dmd.formats.dmd_options import mirrors, number, positive, switch, whole
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.plan.plan import Plan
from acqplan.sensing.model import SensingModel

_BATCH = 64


class DmdFormat(PatternFormat):
    """A format of frames for a digital micromirror device.

    Parameters
    ----------
    device
        Mirror array, ``WIDTHxHEIGHT``, or a device's name (`acqplan.modalities.dmd.formats.dmd_devices`).
    scale
        Mirrors per pixel of the pattern along each axis; by default the largest that fits.
    offset_x, offset_y
        Mirrors by which the pattern is moved from the middle, to the right and down.
    rotation
        0, 90, 180 or 270 degrees, counter-clockwise.
    flip_x, flip_y
        Exchange left and right, top and bottom; after the rotation.
    border
        ``off`` or ``on``: the mirrors around the pattern.
    dead_mirrors
        [column, row] of mirrors that are forced off, or the name of a text file with ``column,row`` lines.
    max_frames
        How many frames the device's memory holds; by default what is known of the device.
    split
        Whether more frames are split into batches that fit.
    picture_time_us
        Time per frame in microseconds; by default the plan's.
    min_picture_time_us
        Shortest time per frame; by default what is known of the device.
    max_rate_hz
        Frames per second at most; by default what is known of the device.
    """

    modalities = ("hadamard_dmd",)
    default_device: ClassVar[str] = "1920x1080"
    needs_picture_time: ClassVar[bool] = False
    """Whether the files hold the time per frame; without one, the device's shortest is taken."""
    picture_step_us: ClassVar[int | None] = None
    """The device's unit of time in microseconds, to which the time per frame is rounded up."""

    def __init__(
        self,
        device: str | None = None,
        scale: float | None = None,
        offset_x: int = 0,
        offset_y: int = 0,
        rotation: int = 0,
        flip_x: bool | str = False,
        flip_y: bool | str = False,
        border: bool | str = "off",
        dead_mirrors: Sequence[Sequence[int]] | str = (),
        max_frames: int | None = None,
        split: bool | str = True,
        picture_time_us: float | None = None,
        min_picture_time_us: float | None = None,
        max_rate_hz: float | None = None,
    ) -> None:
        self.device = find_device(self.default_device if device is None else device)
        self.scale = None if scale is None else number("scale", scale)
        self.offset_x, self.offset_y = whole("offset_x", offset_x), whole("offset_y", offset_y)
        self.rotation = whole("rotation", rotation)
        self.flip_x, self.flip_y = switch("flip_x", flip_x), switch("flip_y", flip_y)
        self.border = switch("border", border)
        self.dead_mirrors = mirrors(dead_mirrors)
        self.max_frames = self.device.max_frames if max_frames is None else whole("max_frames", max_frames, 1)
        self.split = switch("split", split)
        self.picture_time_us = None if picture_time_us is None else positive("picture_time_us", picture_time_us)
        self.min_picture_time_us = (
            self.device.min_exposure_us
            if min_picture_time_us is None
            else positive("min_picture_time_us", min_picture_time_us)
        )
        self.max_rate_hz = self.device.max_rate_hz if max_rate_hz is None else positive("max_rate_hz", max_rate_hz)

    @abstractmethod
    def write_frames(self, folder: Path, frames: Iterator[Packed], display: Display, plan: Plan) -> dict[str, Any]:
        """Write all frames; return JSON-ready details of the format for the manifest."""

    @abstractmethod
    def read_frames(self, folder: Path, display: Display, manifest: dict[str, Any]) -> Iterator[Packed]:
        """The frames in the order in which they are shown, from the files that hardware loads, one by one.

        Raises
        ------
        InstrumentError
            A file is missing, can't be read, or isn't as it was written.
        """

    def label(self, folder: Path, display: Display, frame: int) -> str:
        """What an error calls the frame."""
        return f"Frame {frame} of {folder}"

    def placement(self, shape: tuple[int, int]) -> Placement:
        """Where a pattern of that many rows and columns lies; the middle of the array, moved by the offsets.

        A scale that is no whole number is rounded down (`check` refuses it).
        """
        device, (rows, columns) = self.device, shape
        shown_rows, shown_columns = (columns, rows) if self.rotation in (90, 270) else (rows, columns)
        if self.scale is None:
            scale = max(1, min(device.width // shown_columns, device.height // shown_rows))
        else:
            scale = math.floor(self.scale)
        return Placement(
            device.width,
            device.height,
            rows,
            columns,
            scale,
            (device.width - shown_columns * scale) // 2 + self.offset_x,
            (device.height - shown_rows * scale) // 2 + self.offset_y,
            self.rotation,
            self.flip_x,
            self.flip_y,
            self.border,
            self.dead_mirrors,
        )

    def check(self, plan: Plan) -> list[str]:
        problems = []
        if self.scale is not None and self.scale != math.floor(self.scale):
            near = max(1, math.floor(self.scale))
            problems.append(
                f"A scale of {self.scale:g} mirrors per pixel is no whole number: "
                f"the nearest are {near} and {near + 1}."
            )
        problems += self.placement(plan.sensing.image_shape).problems()
        return problems + self._memory_problems(plan) + self._time_problems(plan)

    def remarks(self, plan: Plan) -> list[str]:
        placement = self.placement(plan.sensing.image_shape)
        if placement.problems():
            return []
        found = []
        if placement.dead:
            touched, dark = int((placement.working < 1).sum()), int((placement.working == 0).sum())
            found.append(
                f"{len(placement.dead)} dead mirrors touch {touched} pixels of the pattern; "
                f"{dark} of them have no working mirror."
            )
        wanted_us, time_s = self._wanted_time_us(plan), self._picture_time_s(plan)
        if wanted_us is not None and time_s is not None and abs(1e6 * time_s - wanted_us) > 1e-5 * wanted_us:
            found.append(f"The time per frame, {wanted_us:g} µs, is rounded up to {1e6 * time_s:g} µs.")
        if self.needs_picture_time and time_s is None:
            found.append(
                "The time per frame isn't known: give picture_time_us, or set it in the program that plays it."
            )
        batches = self._batches(plan)
        if len(batches) > 1:
            found.append(
                f"The pattern shows {sum(batches)} frames, the device holds {self.max_frames}: "
                f"there are {len(batches)} batches of up to {batches[0]} frames to load one after the other."
            )
        return found

    def _memory_problems(self, plan: Plan) -> list[str]:
        n_frames, per_unit = _n_frames(plan), plan.sensing.frames_per_unit
        if self.max_frames is None or n_frames <= self.max_frames:
            return []
        if self.max_frames < per_unit:
            return [f"The device holds {self.max_frames} frames, one {plan.sensing.unit_name} shows {per_unit}."]
        if self.split:
            return []
        size = self.max_frames // per_unit * per_unit
        return [
            f"The pattern shows {n_frames} frames, the device holds {self.max_frames}: "
            f"with split=on there are {-(-n_frames // size)} batches."
        ]

    def _time_problems(self, plan: Plan) -> list[str]:
        time_s = self._picture_time_s(plan)
        if time_s is None:
            return []
        problems, time_us = [], 1e6 * time_s
        least_us, rate_hz = self.min_picture_time_us, self.max_rate_hz
        if least_us is not None and time_us < least_us * (1 - 1e-9):
            problems.append(
                f"The plan shows a frame for {time_us:g} µs, the device needs at least {least_us:g} µs: "
                f"the nearest is picture_time_us={least_us:g}."
            )
        if rate_hz is not None and 1 / time_s > rate_hz * (1 + 1e-9):
            problems.append(
                f"The plan shows {1 / time_s:g} frames per second, the device at most {rate_hz:g}: "
                f"the nearest is picture_time_us={math.ceil(1e8 / rate_hz) / 100:g}."
            )
        return problems

    def _wanted_time_us(self, plan: Plan) -> float | None:
        """Time per frame in microseconds: given, else the plan's, else where it is needed the device's shortest."""
        if self.picture_time_us is not None:
            return self.picture_time_us
        time_s = plan.budget.reading_time_s
        if time_s is not None:
            return 1e6 * time_s / plan.sensing.frames_per_unit
        least = [self.min_picture_time_us, None if self.max_rate_hz is None else 1e6 / self.max_rate_hz]
        known = [time for time in least if time is not None]
        return max(known) if known and self.needs_picture_time else None

    def _picture_time_s(self, plan: Plan) -> float | None:
        wanted_us, step_us = self._wanted_time_us(plan), self.picture_step_us
        if wanted_us is None:
            return None
        return (wanted_us if step_us is None else step_us * math.ceil(wanted_us / step_us - 1e-6)) / 1e6

    def _batches(self, plan: Plan) -> tuple[int, ...]:
        """Frames per batch: whole units, as many as fit."""
        n_frames, per_unit = _n_frames(plan), plan.sensing.frames_per_unit
        if self.max_frames is None or n_frames <= self.max_frames:
            return (n_frames,)
        size = self.max_frames // per_unit * per_unit
        return tuple(min(size, n_frames - start) for start in range(0, n_frames, size))

    def write(self, plan: Plan, folder: Path) -> dict[str, Any]:
        sensing = hadamard(plan.sensing)
        placement = self.placement(sensing.image_shape)
        display = Display(placement, self.device.name, self._batches(plan), self._picture_time_s(plan), {})
        details = details_of(display, sensing)
        stamp = {"plan_id": plan.plan_id, "pattern_digest": plan.pattern.digest, **details}
        display = replace(display, stamp=stamp)
        frames = frames_of(plan.pattern.order.tolist(), sensing, placement)
        return {**details, **self.write_frames(folder, frames, display, plan)}

    def read(self, folder: Path) -> Exported:
        manifest = read_manifest(folder, self.kind)
        sensing, display = _sensing(manifest, folder), display_of(manifest, folder)
        shown = self._shown(folder, manifest, display, sensing)
        units = [unit for unit, number, _ in shown if number == 0]
        pattern = pattern_from(np.array(units, dtype=np.int64), manifest, folder)
        return exported(pattern, manifest, folder, {name: manifest.get(name) for name in DETAILS})

    def frames(self, folder: Path) -> Iterator[Bits]:
        """What the DMD shows when the exported files are played: bool[height, width], True is on, frame by frame.

        Raises `InstrumentError` if the files can't be read.
        """
        manifest = read_manifest(folder, self.kind)
        display = display_of(manifest, folder)
        for frame in self.read_frames(folder, display, manifest):
            yield unpacked(frame, display.placement.width)

    def exported_placement(self, folder: Path) -> Placement:
        """Where the pattern of an exported folder lies on the mirrors."""
        return display_of(read_manifest(folder, self.kind), folder).placement

    def play(self, folder: Path, sensing: SensingModel, image: torch.Tensor) -> torch.Tensor:
        """Expected readings[n, *reading_shape]: for each frame of the files, the sum of the image over the mirrors on.

        Every mirror of a pixel gets the same share of its light; what dead mirrors get goes where mirrors are off.
        """
        manifest = read_manifest(folder, self.kind)
        if _sensing(manifest, folder).image_shape != sensing.image_shape:
            raise InstrumentError(
                f"{folder} plays another image size than {sensing.image_shape}.",
                "Pass the folder that was exported from this plan.",
            )
        check_image(image, sensing)
        display = display_of(manifest, folder)
        light = image.detach().to("cpu", torch.float64)
        pixels = light * torch.from_numpy(display.placement.working)
        sums: list[torch.Tensor] = []
        batch: list[Bits] = []
        for _, _, shown in self._shown(folder, manifest, display, hadamard(sensing)):
            batch.append(shown.ravel())
            if len(batch) == _BATCH:
                sums.append(torch.from_numpy(np.stack(batch).astype(np.float64)) @ pixels.flatten())
                batch = []
        if batch:
            sums.append(torch.from_numpy(np.stack(batch).astype(np.float64)) @ pixels.flatten())
        on = torch.cat(sums).reshape(-1, sensing.frames_per_unit)
        return hadamard(sensing).readings_seen(on, light.sum()).to(sensing.reading_dtype)

    def _shown(
        self, folder: Path, manifest: dict[str, Any], display: Display, sensing: HadamardDMD
    ) -> Iterator[tuple[int, int, Bits]]:
        frames = self.read_frames(folder, display, manifest)
        return shown_units(frames, display.placement, sensing, lambda frame: self.label(folder, display, frame))


def hadamard(sensing: SensingModel) -> HadamardDMD:
    """The model as one that a DMD can show; `InstrumentError` if it isn't."""
    if not isinstance(sensing, HadamardDMD):
        raise InstrumentError(f"A DMD can't show the pattern of a {sensing.kind} plan.", "See acqplan formats.")
    return sensing


def _n_frames(plan: Plan) -> int:
    return plan.pattern.n_readings * plan.sensing.frames_per_unit


def _sensing(manifest: dict[str, Any], folder: Path) -> HadamardDMD:
    with readable(folder / MANIFEST, InstrumentError, EXPORT_AGAIN):
        arguments = dict(manifest["sensing"])
        sensing: SensingModel = registry.find("sensing", arguments.pop("kind"))(**arguments)
    return hadamard(sensing)
