"""From paths to checked image stacks: which files, which subject, and what is wrong with them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from acqplan.core.errors import ImageError
from acqplan.core.following import Follower, unfollowed
from acqplan.images import crimes, reading, samples
from acqplan.images.reading import SeriesReader
from acqplan.images.stack import ImageStack, Pixels

SIDECAR_SUFFIXES = frozenset(
    {".json", ".txt", ".md", ".rst", ".csv", ".tsv", ".xml", ".yaml", ".yml", ".toml"}
    | {".bval", ".bvec", ".log", ".pdf", ".html", ".ini", ".db"}
)
SIDECAR_NAMES = frozenset({"README", "LICENSE", "LICENCE", "CHANGES", "dataset_description", "DICOMDIR"})

MAX_EXAMINED = 50  # files in which data crimes are looked for, evenly over all

_AT_MOST = 20  # problems named in one error


def load_stacks(
    paths: Sequence[str | Path],
    *,
    slices: tuple[int, int] | None = None,
    require_non_negative: bool = False,
    progress: Follower = unfollowed,
) -> list[ImageStack]:
    """Every image of ``paths``, one stack a file, checked.

    Parameters
    ----------
    paths
        Files, folders (searched recursively, in alphabetical order) and samples
        (``sample:brain``, ``sample:cells``). A file is one subject; so is each file directly in
        a folder; all files below one sub-folder of the folder are one subject. Files with the
        same pixels are one subject too. Hidden files and companions (``.json``, ``.txt``,
        ``.csv``, README, …) of a folder are passed over.
    slices
        Use only the images start to stop (exclusive) of each stack, counted from 0.
    require_non_negative
        Refuse negative values: set for intensities (microscopy). Without it a real stack with
        negative values isn't taken for a magnitude.
    progress
        Told how many files are read.

    Raises
    ------
    ImageError
        For a path that is missing or holds no image, and, all in one error, for every file
        that isn't a sound image: nothing is left out silently.
    """
    if not paths:
        raise ImageError("No images were given.", "Name a file, a folder or a sample such as sample:brain.")
    found = _with_series(_once_each([item for given in paths for item in _found_at(given)]))
    stacks: list[ImageStack] = []
    faults: list[ImageError] = []
    look_every = -(-len(found) // MAX_EXAMINED)
    for i, item in enumerate(found):
        progress("reading images", i, len(found))
        try:
            stacks.append(_load(item, slices, require_non_negative, examine=i % look_every == 0))
        except ImageError as error:
            faults.append(error)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        more = f" … and {len(faults) - _AT_MOST} more." if len(faults) > _AT_MOST else ""
        listing = " ".join(fault.problem for fault in faults[:_AT_MOST])
        raise ImageError(
            f"{len(faults)} of {len(found)} files can't be used: {listing}{more}",
            "Repair them, or move them out of the folder.",
        )
    return _merge_duplicates(stacks)


@dataclass(frozen=True)
class _Found:
    """A file to read, its subject, the file or folder that is the subject, and the sample that it is.

    ``series``: all the files of the series that ``path`` is the first of, or nothing; ``reader``: what reads them.
    """

    path: Path
    subject: str
    root: Path
    sample: samples.Sample | None = None
    series: tuple[Path, ...] = ()
    reader: SeriesReader | None = None


def _found_at(given: str | Path) -> list[_Found]:
    """The files of one path that the user named."""
    if samples.is_sample(str(given)):
        sample, path = samples.find(str(given))
        return [_Found(path, str(given), path, sample)]
    path = Path(given)
    try:
        is_there, is_file = path.exists(), path.is_file()
    except OSError as error:  # no name that a file can have
        raise ImageError(f"{str(path)[:80]}… can't be a file: {error}.", "Check the path.") from error
    if is_file:
        return [_Found(path, path.name, path)]
    if not is_there:
        raise ImageError(f"{path} doesn't exist.", "Check the path.")
    if not path.is_dir():
        raise ImageError(f"{path} is neither a file nor a folder.", "Name a file, a folder or a sample.")
    inside = sorted(p for p in _files_below(path) if p.is_file() and not _hidden(p.relative_to(path)))
    images = [p for p in inside if not _is_sidecar(p)]
    if not images:
        what = "holds no image files" if inside else "is an empty folder"
        raise ImageError(f"{path} {what}.", f"Put images into it: {reading.titles()}.")
    subjects = [p.relative_to(path).parts[0] for p in images]
    return [_Found(p, subject, path / subject) for p, subject in zip(images, subjects, strict=True)]


def _files_below(folder: Path) -> Iterator[Path]:
    """Everything in a folder that is no folder; `ImageError` for a folder that can't be read, rather than as empty."""

    def refuse(error: OSError) -> None:
        raise ImageError(
            f"{error.filename} can't be read: {error.strerror}.", "Mend its permissions, or name another folder."
        ) from error

    for place, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(place) / name for name in names)


def _hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def _is_sidecar(path: Path) -> bool:
    if path.suffix.lower() == ".hdr" and path.with_suffix(".cfl").is_file():
        return True
    return path.suffix.lower() in SIDECAR_SUFFIXES or path.name in SIDECAR_NAMES


def _once_each(found: list[_Found]) -> list[_Found]:
    """Each file once; subjects of the same name from different folders are told apart by their folder."""
    first: dict[Path, _Found] = {}
    for item in found:
        first.setdefault(item.path.resolve(), item)
    roots: dict[str, set[Path]] = {}
    for item in first.values():
        roots.setdefault(item.subject, set()).add(item.root)
    return [item if len(roots[item.subject]) == 1 else replace(item, subject=str(item.root)) for item in first.values()]


def _with_series(found: list[_Found]) -> list[_Found]:
    """The files of one series in one folder as one item, where the first of them was.

    Series of one patient that lie directly in the folder given are one subject.
    """
    items: list[_Found | None] = []
    groups: dict[tuple[Path, str], list[_Found]] = {}
    places: dict[tuple[Path, str], tuple[int, str]] = {}
    reader_of: dict[tuple[Path, str], SeriesReader] = {}
    for item in found:
        reader = reading.series_reader(item.path)
        if reader is None:
            items.append(item)
            continue
        try:
            series, patient = reader.series_of(item.path)
        except ImageError:
            items.append(item)  # its reader says what is wrong with it
            continue
        key = (item.path.parent, series or str(item.path))
        if key not in groups:
            places[key] = (len(items), patient)
            reader_of[key] = reader
            items.append(None)
        groups.setdefault(key, []).append(item)
    for key, members in groups.items():
        place, patient = places[key]
        first = members[0]
        if first.root == first.path and len(members) > 1 and patient:
            first = replace(first, subject=patient, root=first.path.parent / patient)
        items[place] = replace(first, series=tuple(member.path for member in members), reader=reader_of[key])
    return [item for item in items if item is not None]


def _load(item: _Found, slices: tuple[int, int] | None, require_non_negative: bool, examine: bool) -> ImageStack:
    """Read and check one file; look for data crimes if ``examine``."""
    path = item.path
    raw = item.reader.read_series(item.series) if item.reader else reading.read(path)
    if raw.coil_images is not None and require_non_negative:
        raise ImageError(f"{path} holds raw data of several coils; intensities are expected.", "Leave it out.")
    images: Pixels
    coil_images = raw.coil_images
    with np.errstate(over="ignore"):  # what overflows is infinite, and refused below
        images = raw.images.astype(np.complex64) if raw.images.dtype.kind == "c" else raw.images.astype(np.float32)
    if images.size == 0:
        raise ImageError(f"{path} holds no image: its shape is {images.shape}.", "Leave it out, or export it again.")
    n_bad = images.size - int(np.isfinite(images).sum())
    if n_bad:
        raise ImageError(f"{path} has {n_bad} pixels that are NaN or infinite.", "Replace them, or leave the file out.")
    if not images.any():
        raise ImageError(f"{path} is zero everywhere.", "Leave it out, or export it again.")
    notes = list(raw.warnings)
    real = crimes.real_saved_as_complex(images) if np.iscomplexobj(images) else None
    if real is not None:
        images = real
        notes.append(crimes.REAL_AS_COMPLEX)
    lowest = 0.0 if np.iscomplexobj(images) else float(images.min())
    if require_non_negative and (np.iscomplexobj(images) or lowest < 0):
        what = f"negative values (down to {lowest:.4g})" if lowest < 0 else "complex values"
        raise ImageError(f"{path} has {what}; intensities are expected.", "Save the detector's own values.")
    if lowest < 0:
        notes.append("it has negative values and is taken as a real image, not as a magnitude")
    if examine:
        notes += crimes.found_in(images if coil_images is None else coil_images[:, 0])
    name = item.subject if item.sample else path.name
    stack = ImageStack(
        images=images,
        subject=item.subject,
        source=item.subject if item.sample else str(path),
        is_magnitude=coil_images is None and not np.iscomplexobj(images) and lowest >= 0,
        geometry=raw.geometry,
        warnings=tuple(f"{name}: {note}." for note in notes),
        recommended_binning=item.sample.recommended_binning if item.sample else None,
        is_2d_scan=raw.is_2d_scan,
        coil_images=coil_images,
    )
    return stack if slices is None else _chosen(stack, slices)


def _chosen(stack: ImageStack, slices: tuple[int, int]) -> ImageStack:
    start, stop = slices
    if not 0 <= start < min(stop, stack.n_slices):
        raise ImageError(
            f"{stack.source} has the slices 0 to {stack.n_slices - 1}; {start}:{stop} takes none of them.",
            "Choose other slices.",
        )
    part = stack.slices(start, min(stop, stack.n_slices))
    if not part.images.any():
        raise ImageError(f"{stack.source} is zero in all the slices {start}:{stop}.", "Choose other slices.")
    return part


def _merge_duplicates(stacks: list[ImageStack]) -> list[ImageStack]:
    """Stacks with the same pixels become one subject: a copy in the test set would be a leak."""
    first: dict[bytes, ImageStack] = {}
    same_as: dict[str, str] = {}
    notes: list[tuple[str, ...]] = []

    def merged(subject: str) -> str:
        while subject in same_as:
            subject = same_as[subject]
        return subject

    for stack in stacks:
        pixels = np.ascontiguousarray(stack.images)
        digest = hashlib.sha256(f"{pixels.dtype}{pixels.shape}".encode() + pixels.tobytes()).digest()
        original = first.setdefault(digest, stack)
        here, there = merged(stack.subject), merged(original.subject)
        if here == there:
            notes.append(())
            continue
        same_as[here] = there
        notes.append((f"{stack.source}: the same pixels as {original.source}; both count as one subject.",))
    return [
        replace(stack, subject=merged(stack.subject), warnings=stack.warnings + note)
        for stack, note in zip(stacks, notes, strict=True)
    ]
