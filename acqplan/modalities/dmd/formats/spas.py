"""Patterns for SPAS, the single-pixel acquisition software of the openspyrit project.

SPAS loads ``{prefix}_{i}.npy`` (or ``.png`` in its earlier releases) in the order of ``pattern_order.npz``: the even
i = 2 x unit shows the mirrors on where the pattern is +1, the odd i its complement. Units count as in SPAS: row
sequency x columns + column sequency. A ``.npy`` holds the pattern in its own pixels, and SPAS places it on the
mirrors; a ``.png`` holds the whole mirror array.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core import npy
from acqplan.core.errors import InstrumentError
from acqplan.core.files import readable
from acqplan.core.registry import register
from acqplan.formats.acquired import MAX_BYTES
from acqplan.formats.export import EXPORT_AGAIN
from acqplan.modalities.dmd.formats.dmd_display import Display, batch_name, place_of
from acqplan.modalities.dmd.formats.dmd_format import DmdFormat, hadamard
from acqplan.modalities.dmd.formats.dmd_frames import Packed, unpacked
from acqplan.modalities.dmd.formats.dmd_png import read_image, write_png
from acqplan.plan.plan import Plan

_FILES = ("npy", "png")
_MOST = 1 << 16  # SPAS keeps its order as uint16
_ON = np.uint8(255)


@register("instruments", "spas")
class Spas(DmdFormat):
    """``{prefix}_{i}.npy`` or ``.png`` of the patterns used, and ``pattern_order.npz``.

    Parameters
    ----------
    files
        ``npy``: uint8[rows, columns] of 0 and 255, placed by SPAS (square patterns only). ``png``: the whole mirror
        array, 8 bits a mirror.
    prefix
        By default ``Walsh_64x64`` with the pattern's own size.
    settings
        Those of every `DmdFormat`.
    """

    summary = "pattern files and their order for SPAS (openspyrit)."
    default_device = "1024x768"

    def __init__(self, *, files: str = "npy", prefix: str | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        if files not in _FILES:
            raise InstrumentError(f"The SPAS setting files is {files!r}.", "Give npy or png.")
        if prefix is not None and (not isinstance(prefix, str) or not prefix or set(prefix) & set("/\\:\0")):
            raise InstrumentError(f"The SPAS setting prefix is {prefix!r}.", "Give the beginning of a file name.")
        self.files, self.prefix = files, prefix

    def check(self, plan: Plan) -> list[str]:
        problems = super().check(plan)
        rows, columns = plan.sensing.image_shape
        most = plan.sensing.n_units * plan.sensing.frames_per_unit
        if most > _MOST:
            problems.append(f"The catalogue has {most} frames, SPAS counts them up to {_MOST}.")
        if self.files == "npy":
            if rows != columns:
                problems.append(f"SPAS places square patterns only, not {rows}x{columns}: use files=png.")
            if self.rotation or self.flip_x or self.flip_y or self.border or self.dead_mirrors:
                problems.append(
                    "SPAS places .npy patterns itself, without rotation, flips, border or dead mirrors: use files=png."
                )
        return problems

    def write_frames(self, folder: Path, frames: Iterator[Packed], display: Display, plan: Plan) -> dict[str, Any]:
        sensing, placement = hadamard(plan.sensing), display.placement
        prefix = self.prefix or f"Walsh_{placement.rows}x{placement.columns}"
        per_unit = sensing.frames_per_unit
        order = (plan.pattern.order.astype(np.int64)[:, None] * per_unit + np.arange(per_unit)).ravel()
        written: set[int] = set()
        for index, frame in zip(order.tolist(), frames, strict=True):
            if index not in written:
                written.add(index)
                path = folder / f"{prefix}_{index}.{self.files}"
                if self.files == "npy":
                    npy.save_array(path, placement.pixels(frame).astype(np.uint8) * _ON)
                else:
                    mirrors = unpacked(frame, placement.width).astype(np.uint8) * _ON
                    stamp = {name: display.stamp[name] for name in ("plan_id", "pattern_digest")}
                    write_png(path, mirrors, placement.width, "L", stamp)
        for name, batch in zip(_order_names(display), _parts(order, display.batches), strict=True):
            np.savez(folder / name, pattern_order=batch.astype(np.uint16), pos_neg=per_unit == 2)
        zoom = placement.height / (placement.rows * placement.scale)
        return {
            "prefix": prefix,
            "files": self.files,
            "spas": {"zoom": zoom, "xw_offset": placement.left, "yh_offset": placement.top},
        }

    def read_frames(self, folder: Path, display: Display, manifest: dict[str, Any]) -> Iterator[Packed]:
        prefix, files = str(manifest.get("prefix")), manifest.get("files")
        if files not in _FILES or set(prefix) & set("/\\:\0"):
            raise InstrumentError(f"The manifest of {folder} names no pattern files of SPAS.", EXPORT_AGAIN)
        for name, count in zip(_order_names(display), display.batches, strict=True):
            order = _read_order(folder / name)
            if order.size != count:
                raise InstrumentError(f"{folder / name} has {order.size} frames, expected {count}.", EXPORT_AGAIN)
            for index in order.tolist():
                path = folder / f"{prefix}_{index}.{files}"
                yield _read_npy(path, display) if files == "npy" else _read_png(path, display)

    def label(self, folder: Path, display: Display, frame: int) -> str:
        batch, number = place_of(display, frame)
        return f"Frame {number} of {folder / _order_names(display)[batch]}"


def _order_names(display: Display) -> list[str]:
    n_batches = len(display.batches)
    return [batch_name("pattern_order", batch, n_batches, ".npz") for batch in range(n_batches)]


def _parts(order: npt.NDArray[np.int64], counts: tuple[int, ...]) -> list[npt.NDArray[np.int64]]:
    return np.split(order, list(itertools.accumulate(counts))[:-1])


def _read_order(path: Path) -> npt.NDArray[np.int64]:
    with readable(path, InstrumentError, EXPORT_AGAIN):
        arrays = npy.load_arrays(path, ("pattern_order", "pos_neg"), MAX_BYTES)
        order, pairs = arrays["pattern_order"], arrays["pos_neg"]
    if order.ndim != 1 or order.dtype != np.uint16 or pairs.shape != () or pairs.dtype != np.bool_:
        raise InstrumentError(f"{path} holds no order of SPAS.", EXPORT_AGAIN)
    units: npt.NDArray[np.int64] = order.astype(np.int64)
    return units


def _read_npy(path: Path, display: Display) -> Packed:
    shape = (display.placement.rows, display.placement.columns)
    with readable(path, InstrumentError, EXPORT_AGAIN):
        values = npy.load_array(path, MAX_BYTES)
    is_pattern = (values.shape, values.dtype) == (shape, np.dtype(np.uint8))
    return display.placement.packed(_on(values if is_pattern else None, path))


def _read_png(path: Path, display: Display) -> Packed:
    placement = display.placement
    return np.packbits(_on(read_image(path, placement.width, placement.height, "L", display), path), axis=1)


def _on(values: npt.NDArray[np.uint8] | None, path: Path) -> npt.NDArray[np.bool_]:
    if values is None or not ((values == 0) | (values == _ON)).all():
        raise InstrumentError(f"{path} isn't a pattern of 0 and 255 in the size of its manifest.", EXPORT_AGAIN)
    return values > 0
