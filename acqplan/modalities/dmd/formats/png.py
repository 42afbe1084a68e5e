"""Frames for any DMD whose software loads pictures: one PNG of 1 bit a mirror per frame, numbered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from acqplan.core.registry import register
from acqplan.modalities.dmd.formats.dmd_display import Display
from acqplan.modalities.dmd.formats.dmd_format import DmdFormat
from acqplan.modalities.dmd.formats.dmd_frames import Packed
from acqplan.modalities.dmd.formats.dmd_png import frame_name, read_frame, write_frame
from acqplan.plan.plan import Plan


@register("instruments", "png")
class PngFrames(DmdFormat):
    """``frame_000000.png`` and so on, in the order in which they are shown; white is on."""

    summary = "one numbered 1-bit PNG per frame for a DMD."

    def write_frames(self, folder: Path, frames: Iterator[Packed], display: Display, plan: Plan) -> dict[str, Any]:
        for number, frame in enumerate(frames):
            write_frame(folder / frame_name(number), frame, display)
        return {}

    def read_frames(self, folder: Path, display: Display, manifest: dict[str, Any]) -> Iterator[Packed]:
        for number in range(display.n_frames):
            yield read_frame(folder / frame_name(number), display)

    def label(self, folder: Path, display: Display, frame: int) -> str:
        return str(folder / frame_name(frame))
