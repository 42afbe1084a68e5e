"""What a DMD shows of a pattern, where and for how long, and how an export's manifest says so."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acqplan.core.errors import InstrumentError
from acqplan.core.files import readable
from acqplan.formats.export import EXPORT_AGAIN, MANIFEST
from acqplan.modalities.dmd.formats.dmd_devices import find_device
from acqplan.modalities.dmd.formats.dmd_frames import Placement
from acqplan.modalities.dmd.formats.dmd_options import mirrors, positive, switch
from acqplan.modalities.dmd.sensing import HadamardDMD

DETAILS = (
    "device",
    "scale",
    "left",
    "top",
    "rotation",
    "flip_x",
    "flip_y",
    "border",
    "dead_mirrors",
    "frames",
    "frame_order",
    "batches",
    "picture_time_s",
)
"""Keys of the manifest that every DMD format writes."""
_PAIRS = "frame 2k: reading k, mirrors on where the pattern is +1; frame 2k + 1: where it is -1"
_STAMPED = ("plan_id", "pattern_digest")


@dataclass(frozen=True)
class Display:
    """What is shown: where, how many frames, in which batches, and for how long.

    Parameters
    ----------
    placement
        Where the pattern lies.
    device
        ``WIDTHxHEIGHT`` or a name of `acqplan.modalities.dmd.formats.dmd_devices.DEVICES`.
    batches
        Number of frames that are loaded together, batch by batch.
    picture_time_s
        Time per frame in seconds, or None if it isn't known.
    stamp
        JSON-ready, for files that can hold it: ``plan_id``, ``pattern_digest`` and where the pattern lies.
    """

    placement: Placement
    device: str
    batches: tuple[int, ...]
    picture_time_s: float | None
    stamp: dict[str, Any]

    @property
    def n_frames(self) -> int:
        """Number of frames over all batches."""
        return sum(self.batches)


def details_of(display: Display, sensing: HadamardDMD) -> dict[str, Any]:
    """The part of the manifest that `display_of` reads back."""
    placement, per_unit = display.placement, sensing.frames_per_unit
    several = f"frames {per_unit}k to {per_unit}k + {per_unit - 1}: those of reading k" if per_unit > 1 else ""
    values = (
        display.device,
        placement.scale,
        placement.left,
        placement.top,
        placement.rotation,
        placement.flip_x,
        placement.flip_y,
        "on" if placement.border else "off",
        [list(mirror) for mirror in placement.dead],
        display.n_frames,
        _PAIRS if per_unit == 2 else several or "frame k: reading k",
        list(display.batches),
        display.picture_time_s,
    )
    return dict(zip(DETAILS, values, strict=True))


def display_of(manifest: dict[str, Any], folder: Path) -> Display:
    with readable(folder / MANIFEST, InstrumentError, EXPORT_AGAIN):
        device = find_device(manifest["device"])
        rows, columns = (int(side) for side in manifest["sensing"]["image_shape"])
        scale, left, top = (int(manifest[name]) for name in ("scale", "left", "top"))
        rotation = int(manifest.get("rotation", 0))
        flips = bool(manifest.get("flip_x", False)), bool(manifest.get("flip_y", False))
        border = switch("border", manifest.get("border", "off"))
        dead = mirrors(list(manifest.get("dead_mirrors", [])))
        batches = tuple(int(count) for count in manifest.get("batches", [manifest["frames"]]))
        time_s = manifest.get("picture_time_s")
        picture_time_s = None if time_s is None else positive("picture_time_s", time_s)
        stamp = {name: manifest.get(name) for name in _STAMPED}
    placement = Placement(device.width, device.height, rows, columns, scale, left, top, rotation, *flips, border, dead)
    if placement.problems():
        raise InstrumentError(" ".join(placement.problems()), EXPORT_AGAIN)
    if not batches or min(batches) < 1 or len(batches) > 1_000_000:
        raise InstrumentError(f"{folder / MANIFEST} names no batches of frames.", EXPORT_AGAIN)
    return Display(placement, str(manifest["device"]), batches, picture_time_s, stamp)


def batch_name(stem: str, batch: int, n_batches: int, suffix: str) -> str:
    """``frames.tif`` of a single batch, ``frames_000.tif`` of the first of several."""
    return f"{stem}{suffix}" if n_batches == 1 else f"{stem}_{batch:03d}{suffix}"


def place_of(display: Display, frame: int) -> tuple[int, int]:
    """(batch, number in the batch) of a frame."""
    for batch, count in enumerate(display.batches):
        if frame < count:
            return batch, frame
        frame -= count
    return len(display.batches) - 1, display.batches[-1] + frame


def stamp_matches(text: str, display: Display) -> bool:
    """Whether a stamp in a file (JSON) is that of the manifest; a text that is none says nothing."""
    try:
        stamp = json.loads(text)
    except ValueError:
        return True
    if not isinstance(stamp, dict):
        return True
    return all(name not in stamp or stamp[name] == display.stamp[name] for name in _STAMPED)
