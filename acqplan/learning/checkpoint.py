"""Where an interrupted training goes on: nested tables of numbers and texts in one HDF5 file, no pickle."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from acqplan.core.errors import PlanFileError
from acqplan.core.files import atomic_file
from acqplan.core.hdf5 import group_of, hdf5_file, numbers_of, opened, set_text, text_of

FORMAT = "acqplan-checkpoint"
Tree = Mapping[str, Any]
_DEEPEST = 8  # groups in groups: those of a checkpoint are fewer, those of a group that holds itself without end


def save(tree: Tree, path: Path) -> None:
    """Write atomically. Leaves are tensors, arrays, numbers or texts; None is left out."""
    with atomic_file(path, overwrite=True) as temporary, hdf5_file(temporary) as file:
        set_text(file, "format", FORMAT)
        _write(file, tree)
        set_text(file, "digest", _digest(file))


def load(path: Path) -> dict[str, Any]:
    """Read back what `save` wrote: arrays as tensors, numbers and texts as they were.

    Raises
    ------
    PlanFileError
        Missing, no checkpoint, or damaged.
    """
    try:
        with opened(path) as file:
            if "format" not in file.attrs or text_of(file, "format") != FORMAT:
                raise PlanFileError(f"{path} is no checkpoint of acqplan.", "Start again without --resume.")
            if text_of(file, "digest") != _digest(file):
                raise ValueError("it was changed after it was written")
            tree = _read(file)
            del tree["format"], tree["digest"]
            return tree
    except FileNotFoundError as error:
        raise PlanFileError(f"There is no checkpoint {path}.", "Start without --resume.") from error
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise PlanFileError(f"The checkpoint {path} is damaged.", "Start again without --resume.") from error


def _write(group: h5py.Group, tree: Tree) -> None:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            _write(group.create_group(name), value)
        elif isinstance(value, torch.Tensor | np.ndarray):
            array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
            group.create_dataset(name, data=array)
        elif isinstance(value, str):
            set_text(group, name, value)
        elif value is not None:
            group.attrs[name] = value


def _read(group: h5py.Group, depth: int = 0) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise ValueError("its groups are nested too deeply")
    tree: dict[str, Any] = {}
    for name, value in group.attrs.items():
        if isinstance(value, bytes):
            tree[name] = value.decode()
        else:
            tree[name] = value.item() if isinstance(value, np.generic) else value
    for name in group:
        inside = group_of(group, name)
        tree[name] = torch.from_numpy(numbers_of(group, name, "fciub")) if inside is None else _read(inside, depth + 1)
    return tree


def _digest(group: h5py.Group) -> str:
    """SHA-256 of all names, types, shapes and values, but of that of the digest itself."""
    sha = hashlib.sha256()
    for name, value in sorted(group.attrs.items()):
        if name != "digest":
            sha.update(
                repr((name, str(value.dtype) if isinstance(value, np.ndarray | np.generic) else "", value)).encode()
            )
    for name in sorted(group):
        inside = group_of(group, name)
        array = None if inside is not None else numbers_of(group, name, "fciub")
        sha.update(repr((name, None if array is None else (str(array.dtype), array.shape))).encode())
        sha.update(_digest(inside).encode() if inside is not None else np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()
