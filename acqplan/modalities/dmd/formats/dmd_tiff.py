"""Frames for a digital micromirror device: multi-page TIFFs, one bit per mirror.

Page 2k shows reading k of the pattern with the mirrors on where it is +1, page 2k + 1 where it is −1.
Row 0 of a page is the top row of mirrors, 1 (white) is on. Each pixel of the pattern is a square of
``scale`` x ``scale`` mirrors; `DmdFormat` says where they lie.

Pages are written, read and played one by one: a stack of a thousand frames fits in little memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from acqplan.core.registry import register
from acqplan.formats.contracts import AcquiredReader, AcquiredWriter
from acqplan.modalities.dmd.formats.dmd_display import Display
from acqplan.modalities.dmd.formats.dmd_format import DmdFormat
from acqplan.modalities.dmd.formats.dmd_frames import Packed
from acqplan.modalities.dmd.formats.dmd_pages import page_label, read_stacks, write_stacks
from acqplan.modalities.dmd.formats.trace import read_trace, write_trace
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition


@register("instruments", "dmd-tiff")
class DmdTiff(DmdFormat, AcquiredReader, AcquiredWriter):
    """``frames.tif``, ready to load into a DMD's software; ``frames_000.tif`` and so on where memory is short."""

    summary = "1-bit TIFF stack of frames for a DMD; detector traces as .csv or .npy."
    acquired_suffixes = (".csv", ".npy")

    def write_frames(self, folder: Path, frames: Iterator[Packed], display: Display, plan: Plan) -> dict[str, Any]:
        write_stacks(folder, frames, display, bits=1)
        return {}

    def read_frames(self, folder: Path, display: Display, manifest: dict[str, Any]) -> Iterator[Packed]:
        return read_stacks(folder, display, bits=1)

    def label(self, folder: Path, display: Display, frame: int) -> str:
        return page_label(folder, display, frame)

    def write_acquired(self, acquisition: Acquisition, plan: Plan, path: Path) -> None:
        write_trace(acquisition, plan, path)

    def read_acquired(self, path: Path, plan: Plan) -> Acquisition:
        return read_trace(path, plan)
