"""The way out: which format a name stands for, what it can hold, and the files, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acqplan.core.errors import OutputError
from acqplan.core.files import atomic_file, atomic_folder, check_writable
from acqplan.formats.image_files import dicom, hdf5_file, ismrmrd_images, nifti, numpy_array, png, tiff
from acqplan.formats.image_files.base import PARTS, Array, Result
from acqplan.sensing.acquisition import Geometry


@dataclass(frozen=True)
class ImageFormat:
    """A format of image files.

    ``suffixes`` are of file names; without any it is a folder. ``holds_volume``: several images;
    ``holds_complex``: complex values, ``is_whole``: and by default; ``is_stamped``: the plan's identity.
    """

    kind: str
    suffixes: tuple[str, ...]
    write: Callable[[Result, Path], None]
    holds_volume: bool = True
    holds_complex: bool = True
    is_whole: bool = False
    is_stamped: bool = True


FORMATS = {
    each.kind: each
    for each in (
        ImageFormat("nifti", (".nii.gz", ".nii"), nifti.write),
        ImageFormat("ome-tiff", (".ome.tif", ".ome.tiff"), tiff.write_ome),
        ImageFormat("tiff", (".tif", ".tiff"), tiff.write),
        ImageFormat("png", (".png",), png.write, holds_volume=False, holds_complex=False),
        ImageFormat("hdf5", (".h5", ".hdf5"), hdf5_file.write, is_whole=True),
        ImageFormat("numpy", (".npy",), numpy_array.write, is_whole=True, is_stamped=False),
        ImageFormat("ismrmrd", (".mrd", ".h5"), ismrmrd_images.write, is_whole=True),
        ImageFormat("dicom", (), dicom.write, holds_complex=False),
    )
}
"""Formats by kind; the first of several with the same suffix is the one that the suffix alone stands for."""


def format_of(path: Path, kind: str | None = None) -> ImageFormat:
    """The format to write at ``path``: ``kind``, or what the suffix says.

    Raises
    ------
    OutputError
        There is no such format, or the name isn't one of its names.
    """
    name = path.name.lower()
    if kind is None:
        for each in FORMATS.values():
            if name.endswith(each.suffixes):
                return each
        raise OutputError(
            f"{path} has no suffix of an image format that acqplan writes.",
            f"Choose one of: {', '.join(suffixes())}; or a folder, with --as dicom.",
        )
    if kind not in FORMATS:
        raise OutputError(f"There is no image format {kind!r}.", f"Choose one of: {', '.join(FORMATS)}.")
    chosen = FORMATS[kind]
    if chosen.suffixes and not name.endswith(chosen.suffixes):
        raise OutputError(
            f"The image format {kind!r} doesn't write {path}.",
            f"Choose a name that ends in {' or '.join(chosen.suffixes)}.",
        )
    if not chosen.suffixes and name.endswith(suffixes()):
        raise OutputError(f"{kind} is written into a folder, {path} is the name of a file.", "Name a folder.")
    return chosen


def suffixes() -> tuple[str, ...]:
    """All suffixes, each once."""
    return tuple(dict.fromkeys(suffix for each in FORMATS.values() for suffix in each.suffixes))


def suffix_of(path: Path) -> str:
    """The known suffix of ``path``; `OutputError` if it has none."""
    chosen = format_of(path)
    return next(suffix for suffix in chosen.suffixes if path.name.lower().endswith(suffix))


def check_output(
    path: Path,
    kind: str | None = None,
    *,
    part: str | None = None,
    n_images: int = 1,
    needs_stamp: bool = False,
    overwrite: bool = False,
) -> None:
    """Raise `OutputError` now rather than after the work if ``path`` can't hold such images, or can't be written."""
    chosen = format_of(path, kind)
    if part is not None and part not in PARTS:
        raise OutputError(f"An image has no part {part!r}.", f"Choose one of: {', '.join(PARTS)}.")
    if part == "complex" and not chosen.holds_complex:
        raise OutputError(f"The image format {chosen.kind} can't hold complex values.", _others("holds_complex"))
    if n_images > 1 and not chosen.holds_volume:
        raise OutputError(
            f"The image format {chosen.kind} holds one image, there are {n_images}.", _others("holds_volume")
        )
    if needs_stamp and not chosen.is_stamped:
        raise OutputError(
            f"{path} can't record that the plan was only assumed: {chosen.kind} has no place for it.",
            _others("is_stamped"),
        )
    if chosen.kind == "ismrmrd":
        ismrmrd_images.check_installed()
    if chosen.kind == "dicom":
        dicom.check_installed()
    check_writable(path, overwrite=overwrite)


def default_part(path: Path, kind: str | None, *, is_complex: bool) -> str:
    """The part that a format holds unless asked for another."""
    return "complex" if is_complex and format_of(path, kind).is_whole else "magnitude"


def part_of(image: Array, part: str) -> Array:
    """float32 or complex64: that part of ``image``; a real image is its own magnitude."""
    if part == "phase":
        return np.angle(image).astype(np.float32)
    if part == "complex":
        return image.astype(np.complex64)
    return (np.abs(image) if np.iscomplexobj(image) else image).astype(np.float32)


def write_images(result: Result, path: Path, kind: str | None = None, *, overwrite: bool = False) -> None:
    """Write images atomically, in the format ``kind`` or in that of the suffix.

    Raises
    ------
    OutputError
        ``path`` exists (without ``overwrite``), can't be written, or its format can't hold these images.
    """
    chosen = format_of(path, kind)
    part = "complex" if np.iscomplexobj(result.images) else None
    check_output(path, kind, part=part, n_images=len(result.images), overwrite=overwrite)
    if chosen.suffixes:
        with atomic_file(path, overwrite=overwrite) as temporary:
            chosen.write(result, temporary)
    else:
        with atomic_folder(path, overwrite=overwrite, mark=dicom.MARK) as folder:
            chosen.write(result, folder)


def write_image(
    image: Array, path: Path, stamp: dict[str, Any], geometry: Geometry | None, *, overwrite: bool = False
) -> None:
    """Write image[rows, columns] as `write_images` does, in the format of the suffix."""
    write_images(Result(image[None], stamp, geometry), path, overwrite=overwrite)


def _others(ability: str) -> str:
    names = [
        ", ".join(each.suffixes) or "a folder with --as dicom" for each in FORMATS.values() if getattr(each, ability)
    ]
    return f"Choose one of: {'; '.join(names)}."
