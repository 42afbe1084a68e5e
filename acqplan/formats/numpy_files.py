"""Plain NumPy arrays: for scripts, and for instruments that are programmed in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core import npy
from acqplan.core.errors import AcquisitionError, ImageError, InstrumentError
from acqplan.core.files import readable
from acqplan.core.registry import register
from acqplan.formats.acquired import (
    ARRAYS,
    FRESH_COPY,
    MAX_BYTES,
    OTHER_FILE,
    TEXTS,
    acquisition_from,
    fields_of,
    first_bytes,
)
from acqplan.formats.contracts import AcquiredReader, AcquiredWriter, Exported, ImageWriter, PatternFormat, Result
from acqplan.formats.export import EXPORT_AGAIN, exported, pattern_from, read_manifest
from acqplan.images.reading import HEAD_BYTES, ImageReader, RawImages, as_stack, unreadable
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition


@register("image_readers", "numpy")
@register("image_writers", "numpy")
@register("instruments", "numpy")
class NumpyFiles(PatternFormat, AcquiredReader, AcquiredWriter, ImageReader, ImageWriter):
    """``order.npy`` int32[n], and derived from it ``counts.npy`` int32 and ``mask.npy`` bool, in the catalogue's grid.

    Acquired: ``.npz`` with readings, pattern digest, order, coil maps and geometry; or the bare readings
    as ``.npy``, which can't say which pattern they were acquired with.

    Images in: ``.npy``, and ``.npz`` with one array or one named ``images``. Out: one plain array [rows, columns] or
    [n, rows, columns] as ``.npy``, without a stamp.
    """

    summary = "NumPy arrays: mask, counts and order for scripts; acquired data as .npz or .npy."
    acquired_suffixes = (".npz", ".npy")
    title, asked = "NumPy", 1
    image_suffixes, offered = (".npy",), 5
    is_whole, is_stamped = True, False

    def check(self, plan: Plan) -> list[str]:
        return []

    def write(self, plan: Plan, folder: Path) -> dict[str, Any]:
        grid = plan.sensing.grid_shape
        npy.save_array(folder / "order.npy", plan.pattern.order)
        npy.save_array(folder / "counts.npy", plan.pattern.counts.reshape(grid))
        npy.save_array(folder / "mask.npy", plan.pattern.mask.reshape(grid))
        return {"grid_shape": list(grid)}

    def read(self, folder: Path) -> Exported:
        manifest = read_manifest(folder, self.kind)
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name in ("order", "counts", "mask"):
            path = folder / f"{name}.npy"
            with readable(path, InstrumentError, EXPORT_AGAIN):
                arrays[name] = npy.load_array(path, MAX_BYTES)
        pattern = pattern_from(arrays["order"], manifest, folder / "order.npy")
        for name, derived in (("counts", pattern.counts), ("mask", pattern.mask)):
            if not np.array_equal(arrays[name].ravel(), derived):
                raise InstrumentError(f"{folder / name}.npy contradicts order.npy.", EXPORT_AGAIN)
        return exported(pattern, manifest, folder, {"grid_shape": manifest.get("grid_shape")})

    @classmethod
    def recognises(cls, path: Path) -> bool:
        try:
            return npy.is_array(first_bytes(path, 8)) or "readings" in npy.names_of(path)
        except Exception:  # a damaged archive makes zipfile raise many kinds
            return False

    def write_acquired(self, acquisition: Acquisition, plan: Plan, path: Path) -> None:
        if path.suffix.lower() == ".npy":
            npy.save_array(path, acquisition.readings)
            return
        arrays, texts = fields_of(acquisition, plan)
        members: dict[str, Any] = {**arrays, **{name: np.array(text) for name, text in texts.items()}}
        with path.open("wb") as stream:
            np.savez(stream, **members)

    def read_acquired(self, path: Path, plan: Plan) -> Acquisition:
        head = first_bytes(path, 8)
        if not npy.is_array(head) and not npy.is_archive(head):
            raise AcquisitionError(f"{path} is neither .npy nor .npz.", OTHER_FILE)
        with readable(path, AcquisitionError, FRESH_COPY):
            if npy.is_array(head):
                arrays = {"readings": npy.load_array(path, MAX_BYTES)}
            else:
                arrays = npy.load_arrays(path, (*ARRAYS, *TEXTS), MAX_BYTES)
        texts = {}
        for name in TEXTS:
            if name in arrays:
                if arrays[name].dtype.kind != "U" or arrays[name].ndim:
                    raise AcquisitionError(f"{path} holds a {name} that is no text.", FRESH_COPY)
                texts[name] = str(arrays.pop(name))
        return acquisition_from(arrays, texts, path, plan)

    def matches(self, path: Path, head: bytes) -> bool:
        """NumPy's magic number, or a ZIP archive whose members are arrays or whose name says so."""
        if not npy.is_archive(head):
            return npy.is_array(head)
        try:
            return bool(npy.names_of(path))
        except Exception:  # a damaged archive makes zipfile raise many kinds
            return path.suffix.lower() == ".npz"  # cut off before its table of contents

    def read_images(self, path: Path) -> RawImages:
        """An image [H, W] or a stack [n, H, W], real or complex. Pickled objects are never loaded."""
        try:
            return RawImages(as_stack(_images(path), path))
        except ImageError:
            raise
        except Exception as error:
            raise unreadable(path, "a NumPy array", error) from error

    def write_images(self, result: Result, path: Path) -> None:
        npy.save_array(path, result.array)


def _images(path: Path) -> npt.NDArray[Any]:
    """The array of a ``.npy``; of a ``.npz`` the only one or that called ``images``."""
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if not npy.is_archive(head):
        return npy.load_array(path)
    names = npy.names_of(path)
    name = names[0] if len(names) == 1 else "images"
    if name not in names:
        raise ImageError(
            f"{path} holds {len(names)} arrays ({', '.join(names[:8])}) and none is called 'images'.",
            "Save the stack alone, or under the name 'images'.",
        )
    return npy.load_arrays(path, [name])[name]
