"""Frames for Micro-Manager's spatial light modulator devices: a TIFF stack of 8 bits a mirror, 0 or 255.

`setSLMImage` takes one such page, width x height bytes, row by row from the top left.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from acqplan.core.registry import register
from acqplan.modalities.dmd.formats.dmd_display import Display
from acqplan.modalities.dmd.formats.dmd_format import DmdFormat
from acqplan.modalities.dmd.formats.dmd_frames import Packed
from acqplan.modalities.dmd.formats.dmd_pages import page_label, read_stacks, write_stacks
from acqplan.plan.plan import Plan


@register("instruments", "micromanager")
class MicroManager(DmdFormat):
    """``frames.tif``, a page per frame; ``frames_000.tif`` and so on where memory is short."""

    summary = "8-bit TIFF stack (0 and 255) of frames for a DMD driven by Micro-Manager."

    def write_frames(self, folder: Path, frames: Iterator[Packed], display: Display, plan: Plan) -> dict[str, Any]:
        write_stacks(folder, frames, display, bits=8)
        return {}

    def read_frames(self, folder: Path, display: Display, manifest: dict[str, Any]) -> Iterator[Packed]:
        return read_stacks(folder, display, bits=8)

    def label(self, folder: Path, display: Display, frame: int) -> str:
        return page_label(folder, display, frame)
