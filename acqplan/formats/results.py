"""Reconstructed images as files, each stamped with the plan that made it.

=============  ==================  ==============  ===============================================================
kind           names               by default      where the stamp is
=============  ==================  ==============  ===============================================================
``nifti``      .nii .nii.gz        magnitude       ``descrip`` (plan id) and a comment extension (JSON)
``tiff``       .tif .tiff          magnitude       ImageDescription of the first page (JSON)
``png``        .png                magnitude       text chunk ``acqplan`` (JSON); 16 bits from black to white
``hdf5``       .h5 .hdf5           all of it       attributes; dataset ``image``, and ``affine`` where known
``numpy``      .npy                all of it       nowhere: the format has no place for it
``ismrmrd``    .mrd, or .h5        all of it       attribute string of each image
``dicom``      a folder            magnitude       ImageComments (plan id) and a private element (JSON) of each file
=============  ==================  ==============  ===============================================================

*All of it* is complex64 for MRI and float32 for the DMD. Row 0 is the top row.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core import registry
from acqplan.core.errors import OutputError
from acqplan.core.files import atomic_file, atomic_folder, check_writable
from acqplan.formats.contracts import PARTS, ImageWriter, Result
from acqplan.sensing.acquisition import Geometry

Array = npt.NDArray[Any]


def image_writers() -> dict[str, ImageWriter]:
    """The formats by kind; the first of several with the same suffix is the one that the suffix alone stands for."""
    found: list[ImageWriter] = [cls() for cls in registry.kinds("image_writers").values()]
    return {each.kind: each for each in sorted(found, key=lambda each: each.offered)}


def format_of(path: Path, kind: str | None = None) -> ImageWriter:
    """The format to write at ``path``: ``kind``, or what the suffix says.

    Raises
    ------
    OutputError
        There is no such format, or the name isn't one of its names.
    """
    name = path.name.lower()
    if kind is None:
        for each in image_writers().values():
            if name.endswith(each.image_suffixes):
                return each
        raise OutputError(
            f"{path} has no suffix of an image format that acqplan writes.",
            f"Choose one of: {', '.join(suffixes())}; or a folder, with --as dicom.",
        )
    known = image_writers()
    if kind not in known:
        raise OutputError(f"There is no image format {kind!r}.", f"Choose one of: {', '.join(known)}.")
    chosen = known[kind]
    if chosen.image_suffixes and not name.endswith(chosen.image_suffixes):
        raise OutputError(
            f"The image format {kind!r} doesn't write {path}.",
            f"Choose a name that ends in {' or '.join(chosen.image_suffixes)}.",
        )
    if not chosen.image_suffixes and name.endswith(suffixes()):
        raise OutputError(f"{kind} is written into a folder, {path} is the name of a file.", "Name a folder.")
    return chosen


def suffixes() -> tuple[str, ...]:
    """All suffixes, each once."""
    return tuple(dict.fromkeys(suffix for each in image_writers().values() for suffix in each.image_suffixes))


def suffix_of(path: Path) -> str:
    """The known suffix of ``path``; `OutputError` if it has none."""
    chosen = format_of(path)
    return next(suffix for suffix in chosen.image_suffixes if path.name.lower().endswith(suffix))


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
    chosen.check_installed()
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
    bad = [i for i, image in enumerate(result.images) if not np.isfinite(image).all()]
    if bad:
        raise OutputError(
            f"{len(bad)} of {len(result.images)} images for {path} have NaN or infinite values; nothing is written.",
            "Reconstruct from readings that are finite and belong to each other.",
        )
    check_output(path, kind, part=part, n_images=len(result.images), overwrite=overwrite)
    if chosen.image_suffixes:
        with atomic_file(path, overwrite=overwrite) as temporary:
            chosen.write_images(result, temporary)
    else:
        with atomic_folder(path, overwrite=overwrite, mark=chosen.folder_mark) as folder:
            chosen.write_images(result, folder)


def write_image(
    image: Array, path: Path, stamp: dict[str, Any], geometry: Geometry | None, *, overwrite: bool = False
) -> None:
    """Write image[rows, columns] as `write_images` does, in the format of the suffix."""
    write_images(Result(image[None], stamp, geometry), path, overwrite=overwrite)


def _others(ability: str) -> str:
    able = [each for each in image_writers().values() if getattr(each, ability)]
    names = [", ".join(each.image_suffixes) or f"a folder with --as {each.kind}" for each in able]
    return f"Choose one of: {'; '.join(names)}."
