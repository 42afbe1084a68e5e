"""TIFF and OME-TIFF: one page for each image, with the size of a pixel where it is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tifffile

from acqplan.formats.image_files.base import Result

PIXEL_SIZE = "pixel_size_um"
"""Entry of the stamp: side of a pixel in micrometres."""


def write(result: Result, path: Path) -> None:
    """The stamp is the description of the first page."""
    tifffile.imwrite(
        path,
        result.array,
        photometric="minisblack",
        description=json.dumps(result.stamp),
        metadata=None,
        **_resolution(result),
    )


def write_ome(result: Result, path: Path) -> None:
    """The stamp is the description of the OME image, as JSON; its pixel size is stated in OME's terms besides."""
    array = result.array
    size: dict[str, Any] = {}
    if PIXEL_SIZE in result.stamp:
        for axis in "XY":
            size |= {f"PhysicalSize{axis}": result.stamp[PIXEL_SIZE], f"PhysicalSize{axis}Unit": "µm"}
    metadata = {
        "axes": "YX" if array.ndim == 2 else "ZYX",
        "Name": f"acqplan {result.stamp['plan_id'][:12]}",
        "Description": json.dumps(result.stamp),
        **size,
    }
    tifffile.imwrite(path, array, ome=True, photometric="minisblack", metadata=metadata, **_resolution(result))


def _resolution(result: Result) -> dict[str, Any]:
    """Pixels per centimetre, as TIFF states it."""
    if PIXEL_SIZE not in result.stamp:
        return {}
    per_cm = 1e4 / result.stamp[PIXEL_SIZE]
    return {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
