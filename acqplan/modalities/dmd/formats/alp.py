"""Frames for ViALUX ALP-4 and ALP-5 controllers: bits packed as the device keeps them, ready for ``AlpSeqPut``.

A picture is ``row_bytes`` x height bytes, top row first, the leftmost of eight mirrors in bit 7, rows padded with
zeros; a ``.bin`` file holds the pictures of one sequence one after the other. ``alp.json`` holds what the calls of the
ALP library take. The names and values of the parameters are those of the ALP-4.2 API and of alp4lib.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from acqplan.core.errors import InstrumentError
from acqplan.core.files import readable
from acqplan.core.registry import register
from acqplan.formats.export import EXPORT_AGAIN
from acqplan.modalities.dmd.formats.dmd_devices import alp_frames, alp_row_bytes
from acqplan.modalities.dmd.formats.dmd_display import Display, batch_name, place_of
from acqplan.modalities.dmd.formats.dmd_format import DmdFormat
from acqplan.modalities.dmd.formats.dmd_frames import Packed
from acqplan.modalities.dmd.formats.dmd_options import positive, whole
from acqplan.plan.plan import Plan

PARAMETERS = "alp.json"
_ALP_DATA_FORMAT, _ALP_DATA_BINARY_TOPDOWN = 2110, 2
_ALP_BIN_MODE, _ALP_BIN_UNINTERRUPTED = 2104, 2106
_MAX_PICTURE_TIME_US = 10_000_000
_BUFFER = 32  # pictures written at once


@register("instruments", "alp")
class Alp(DmdFormat):
    """``frames.bin`` (a file per sequence, where one doesn't fit into the device) and ``alp.json``.

    Parameters
    ----------
    memory_gib
        On-board memory, from which ``max_frames`` is computed; by default what is known of the device.
    row_bytes
        Bytes of a padded row; by default the next multiple of 64.
    settings
        Those of every `DmdFormat`.
    """

    summary = "packed bit planes and sequence parameters for a ViALUX ALP-4 or ALP-5."
    default_device = "alp-1080p-4gib"
    needs_picture_time = True
    picture_step_us = 1

    def __init__(self, *, memory_gib: float | None = None, row_bytes: int | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        width, height = self.device.width, self.device.height
        self.row_bytes = alp_row_bytes(width) if row_bytes is None else whole("row_bytes", row_bytes, -(-width // 8))
        if memory_gib is not None and settings.get("max_frames") is None:
            self.max_frames = alp_frames(width, height, positive("memory_gib", memory_gib), self.row_bytes)

    def check(self, plan: Plan) -> list[str]:
        problems = super().check(plan)
        time_s = self._picture_time_s(plan)
        if time_s is not None and 1e6 * time_s > _MAX_PICTURE_TIME_US:
            problems.append(
                f"The plan shows a frame for {time_s:g} s, an ALP at most for {_MAX_PICTURE_TIME_US / 1e6:g} s."
            )
        return problems

    def write_frames(self, folder: Path, frames: Iterator[Packed], display: Display, plan: Plan) -> dict[str, Any]:
        height, width = display.placement.height, display.placement.width
        buffer = np.zeros((_BUFFER, height, self.row_bytes), dtype=np.uint8)
        for name, count in zip(_names(display), display.batches, strict=True):
            with (folder / name).open("wb") as stream:
                for start in range(0, count, _BUFFER):
                    filled = min(_BUFFER, count - start)
                    for place, frame in zip(buffer, itertools.islice(frames, filled), strict=False):
                        place[:, : -(-width // 8)] = frame
                    stream.write(buffer[:filled].data)
        (folder / PARAMETERS).write_text(_parameters(display, self.row_bytes), encoding="utf-8")
        return {"row_bytes": self.row_bytes}

    def read_frames(self, folder: Path, display: Display, manifest: dict[str, Any]) -> Iterator[Packed]:
        placement = display.placement
        used = -(-placement.width // 8)
        path = folder / PARAMETERS
        with readable(path, InstrumentError, EXPORT_AGAIN):
            row_bytes = int(manifest["row_bytes"])
            text = path.read_text(encoding="utf-8")
        if not used <= row_bytes <= 1 << 16 or text != _parameters(display, row_bytes):
            raise InstrumentError(f"{path} isn't as it was written, or of another export.", EXPORT_AGAIN)
        for name, count in zip(_names(display), display.batches, strict=True):
            path, size = folder / name, placement.height * row_bytes
            with readable(path, InstrumentError, EXPORT_AGAIN), path.open("rb") as stream:
                if path.stat().st_size != count * size:
                    raise InstrumentError(f"{path} isn't {count} pictures of {size} bytes.", EXPORT_AGAIN)
                for number in range(count):
                    rows = np.frombuffer(stream.read(size), dtype=np.uint8).reshape(placement.height, row_bytes)
                    if rows[:, used:].any():
                        raise InstrumentError(f"Picture {number} of {path} isn't padded with zeros.", EXPORT_AGAIN)
                    yield rows[:, :used]

    def label(self, folder: Path, display: Display, frame: int) -> str:
        batch, number = place_of(display, frame)
        return f"Picture {number} of {folder / _names(display)[batch]}"


def _names(display: Display) -> list[str]:
    n_batches = len(display.batches)
    return [batch_name("frames", batch, n_batches, ".bin") for batch in range(n_batches)]


def _parameters(display: Display, row_bytes: int) -> str:
    """The text of ``alp.json``."""
    placement, time_s = display.placement, display.picture_time_s
    starts = itertools.accumulate((0, *display.batches))
    sequences = [
        {
            "file": name,
            "first_frame": start,
            "SeqAlloc": {"BitPlanes": 1, "PicNum": count},
            "SeqControl": [
                {"ControlType": "ALP_DATA_FORMAT", "code": _ALP_DATA_FORMAT, "value": _ALP_DATA_BINARY_TOPDOWN},
                {"ControlType": "ALP_BIN_MODE", "code": _ALP_BIN_MODE, "value": _ALP_BIN_UNINTERRUPTED},
            ],
            "SeqTiming": {"PictureTime": None if time_s is None else round(1e6 * time_s)},
            "SeqPut": {"PicOffset": 0, "PicLoad": count},
        }
        for name, count, start in zip(_names(display), display.batches, starts, strict=False)
    ]
    content = {
        **{name: display.stamp[name] for name in ("plan_id", "pattern_digest")},
        "device": {"width": placement.width, "height": placement.height},
        "row_bytes": row_bytes,
        "picture_bytes": row_bytes * placement.height,
        "sequences": sequences,
    }
    return json.dumps(content, indent=2) + "\n"
