"""The plan file: one HDF5 file, no pickle, with an identity that is recomputed at every load.

This module knows the layout and the identity, and nothing of what the parts mean:

    attrs            format, format_version, plan_id, software (for the record; not part of the identity)
    /recipe          TOML text
    /sensing /noise /budget /reconstructor /evidence    JSON text
    /pattern/order, /pattern/calibration                int32
    /pattern         attribute digest
    /weights/NAME    arrays of the reconstructor
    /weights         attribute pattern_digest: the pattern that they were trained on
    /test_vector     facts (JSON text), readings, image; may be missing
    /test_vector     attribute digest: SHA-256 over plan_id, facts and arrays

``plan_id`` = SHA-256 over format version, texts and arrays in name order, without the test vector, which depends on the
machine and may be added later; its own digest binds it to the plan. Both are compared once HDF5 has read the file;
HDF5 itself can crash or hang on damaged structures, so these are written in the layout of HDF5 1.10, which carries
checksums, and with no text of variable length, which would not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from acqplan.core.errors import PlanFileError
from acqplan.core.files import atomic_file
from acqplan.core.hdf5 import dataset_of, group_of, hdf5_file, opened, set_text, text_of

FORMAT = "acqplan-plan"
FORMAT_VERSION = 1
TEXTS = ("recipe", "sensing", "noise", "budget", "reconstructor", "evidence")
VECTOR_ARRAYS = ("readings", "image")
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_MAX_BYTES = 4 << 30  # no plan is near it; a hostile file may claim any size


@dataclass(frozen=True, eq=False)
class VectorContent:
    """A test vector as a plain text and one array per name in `VECTOR_ARRAYS`."""

    facts: str
    arrays: Mapping[str, npt.NDArray[Any]]

    def digest(self, plan_id: str) -> str:
        """SHA-256 in hexadecimal over the vector and the plan that it belongs to."""
        sha = hashlib.sha256(f"{FORMAT}-test-vector:{plan_id}:".encode())
        _add(sha, "facts", self.facts.encode())
        for name in VECTOR_ARRAYS:
            _add_array(sha, name, self.arrays[name])
        return sha.hexdigest()


@dataclass(frozen=True, eq=False)
class PlanContent:
    """What a plan file holds, as plain texts and arrays.

    Parameters
    ----------
    texts
        One text per name in `TEXTS`.
    order, calibration
        int32, as in `Pattern`.
    pattern_digest
        `Pattern.digest` of the pattern that the weights were trained on.
    weights
        Arrays by parameter name.
    vector
        Of a plan that has one; it is no part of the plan's identity.
    """

    texts: Mapping[str, str]
    order: npt.NDArray[np.int32]
    calibration: npt.NDArray[np.int32]
    pattern_digest: str
    weights: Mapping[str, npt.NDArray[Any]]
    vector: VectorContent | None = None

    @property
    def plan_id(self) -> str:
        """SHA-256 in hexadecimal over everything above but the test vector."""
        sha = hashlib.sha256(f"{FORMAT}:{FORMAT_VERSION}:".encode())
        for name in TEXTS:
            _add(sha, f"text:{name}", self.texts[name].encode())
        _add(sha, "pattern_digest", self.pattern_digest.encode())
        arrays = {"order": self.order, "calibration": self.calibration}
        for name, array in [*arrays.items(), *sorted(self.weights.items())]:
            _add_array(sha, name, array)
        return sha.hexdigest()


def _add(sha: hashlib._Hash, label: str, data: bytes) -> None:
    """Add one labelled part; lengths keep neighbouring parts apart."""
    sha.update(f"{label}:{len(data)}:".encode())
    sha.update(data)


def _add_array(sha: hashlib._Hash, name: str, array: npt.NDArray[Any]) -> None:
    """Add name, type, shape and bytes of an array."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    _add(sha, f"array:{name}:{little.dtype.str}:{little.shape}", little.tobytes())


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: one value, one text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def write(content: PlanContent, path: Path, software: Mapping[str, str], *, overwrite: bool = False) -> None:
    """Write atomically. Raises `OutputError` if ``path`` exists (without ``overwrite``) or can't be written."""
    with atomic_file(path, overwrite=overwrite) as temporary, hdf5_file(temporary) as file:
        set_text(file, "format", FORMAT)
        file.attrs["format_version"] = FORMAT_VERSION
        set_text(file, "plan_id", content.plan_id)
        set_text(file, "software", canonical_json(dict(software)))
        for name in TEXTS:
            file.create_dataset(name, data=np.void(content.texts[name].encode()))
        pattern = file.create_group("pattern")
        set_text(pattern, "digest", content.pattern_digest)
        pattern.create_dataset("order", data=content.order)
        pattern.create_dataset("calibration", data=content.calibration)
        weights = file.create_group("weights")
        set_text(weights, "pattern_digest", content.pattern_digest)
        for name, array in sorted(content.weights.items()):
            weights.create_dataset(name, data=array)
        if content.vector is not None:
            vector = file.create_group("test_vector")
            set_text(vector, "digest", content.vector.digest(content.plan_id))
            vector.create_dataset("facts", data=np.void(content.vector.facts.encode()))
            for name in VECTOR_ARRAYS:
                vector.create_dataset(name, data=content.vector.arrays[name])


def read(path: Path) -> PlanContent:
    """Read and verify.

    Raises
    ------
    PlanFileError
        No such file, not an acqplan plan, a newer format version, truncated, or changed after it was written.
    """
    _check_magic(path)
    damaged = PlanFileError(f"{path} is damaged: it can't be read completely.", "Get a fresh copy of it.")
    try:
        with opened(path) as file:
            if "format" not in file.attrs or text_of(file, "format") != FORMAT:
                raise PlanFileError(
                    f"{path} is an HDF5 file, but no acqplan plan.", "Pass a file made by acqplan design."
                )
            version = int(file.attrs["format_version"])
            if version > FORMAT_VERSION:
                raise PlanFileError(
                    f"{path} has plan format {version}, this acqplan knows up to {FORMAT_VERSION}.", "Upgrade acqplan."
                )
            content, stored_id = _content(file), text_of(file, "plan_id")
            vector_digest = text_of(file["test_vector"], "digest") if content.vector is not None else None
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise damaged from error
    if content.plan_id != stored_id:
        raise PlanFileError(
            f"{path} was changed after it was written: its content doesn't give its plan id.", "Get a fresh copy of it."
        )
    if content.vector is not None and content.vector.digest(stored_id) != vector_digest:
        raise PlanFileError(
            f"{path} was changed after it was written: its test vector isn't the one that was made for this plan.",
            "Get a fresh copy of it.",
        )
    return content


def _check_magic(path: Path) -> None:
    try:
        with path.open("rb") as stream:
            head = stream.read(len(_HDF5_MAGIC))
    except OSError as error:
        raise PlanFileError(f"{path} can't be read: {error.strerror}.", "Check the name.") from error
    if head != _HDF5_MAGIC:
        pickled = head[:1] == b"\x80" or head[:2] == b"PK"
        kind = " (it looks like a pickle or a zip file, which acqplan never opens)" if pickled else ""
        raise PlanFileError(f"{path} is no plan file{kind}.", "Pass a file made by acqplan design.")


def _content(file: h5py.File) -> PlanContent:
    left = _MAX_BYTES
    for name in ("pattern", "weights"):
        if group_of(file, name) is None:
            raise ValueError(f"{name} is a link or missing")

    def dataset(name: str) -> h5py.Dataset:
        nonlocal left
        found = dataset_of(file, name, left)
        if found is None:
            raise ValueError(f"{name} is a link, missing or no dataset")
        left -= found.size * found.dtype.itemsize
        return found

    def text(name: str) -> str:
        return bytes(dataset(name)[()].tobytes()).decode()

    texts = {name: text(name) for name in TEXTS}
    names = sorted(file["weights"])
    weights = {name: np.asarray(dataset(f"weights/{name}")[()]) for name in names}
    if any(array.dtype.kind not in "fiub" for array in weights.values()):
        raise ValueError("weights must be plain numbers")
    digest = text_of(file["weights"], "pattern_digest")
    if text_of(file["pattern"], "digest") != digest:
        raise ValueError("the weights belong to another pattern")
    vector = None
    if "test_vector" in file:
        arrays = {name: np.asarray(dataset(f"test_vector/{name}")[()]) for name in VECTOR_ARRAYS}
        if any(array.dtype.kind not in "fc" for array in arrays.values()):
            raise ValueError("a test vector must be plain numbers")
        vector = VectorContent(text("test_vector/facts"), arrays)
    return PlanContent(
        texts,
        np.asarray(dataset("pattern/order")[()], dtype=np.int32),
        np.asarray(dataset("pattern/calibration")[()], dtype=np.int32),
        digest,
        weights,
        vector,
    )
