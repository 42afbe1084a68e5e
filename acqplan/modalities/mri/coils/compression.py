"""Fewer, virtual coils that receive nearly all the signal."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import RecipeError


@dataclass(frozen=True, eq=False)
class PrincipalCoils:
    """Orthonormal combinations of coils, the one that receives the most first.

    Parameters
    ----------
    basis
        complex64[C, C], a combination in each column, its largest entry real and positive.
    energy
        float64[C], what each one receives of the samples, relative to all.
    """

    basis: npt.NDArray[np.complex64]
    energy: npt.NDArray[np.float64]

    def first(self, n_virtual: int | float) -> npt.NDArray[np.complex64]:
        """The first columns: so many, or, if a float up to 1.0 is given, as many as hold this share of the energy."""
        if isinstance(n_virtual, float):
            if not 0 < n_virtual <= 1:
                raise RecipeError(
                    f"Virtual coils that hold {n_virtual} of the energy are asked for.", "Give a share up to 1.0."
                )
            return self.basis[:, : 1 + int((np.cumsum(self.energy) < n_virtual - 1e-9).sum())]
        if n_virtual < 1:
            raise RecipeError(f"{n_virtual} virtual coils are asked for.", "Ask for at least one.")
        return self.basis[:, :n_virtual]


def principal_coils(samples: npt.NDArray[np.complexfloating[Any, Any]]) -> PrincipalCoils:
    """The left singular vectors of samples[C, …] as a matrix with a row for each coil.

    Noise that is white and alike in all coils stays so in virtual coils (Huang et al. 2008,
    doi 10.1016/j.mri.2007.04.010).
    """
    matrix = np.asarray(samples, dtype=np.complex128).reshape(samples.shape[0], -1)
    largest = float(np.abs(matrix).max(initial=0.0))
    matrix = matrix / largest if largest > 0 else np.eye(len(matrix), dtype=np.complex128)
    energy, vectors = np.linalg.eigh(matrix @ matrix.conj().T)
    energy, vectors = energy[::-1].clip(min=0), vectors[:, ::-1]
    entries = vectors[np.abs(vectors).argmax(0), np.arange(len(matrix))]
    basis = np.asarray(vectors * (np.abs(entries) / entries), dtype=np.complex64)
    return PrincipalCoils(basis, energy / energy.sum())


def virtual(samples: npt.NDArray[Any], basis: npt.NDArray[np.complex64], axis: int = 0) -> npt.NDArray[np.complex64]:
    """Samples whose ``axis`` is C coils as those of the virtual coils basis[C, V]: Σ conj(basis) × samples."""
    moved = np.moveaxis(np.asarray(samples), axis, -1) @ basis.conj()
    return np.ascontiguousarray(np.moveaxis(moved, -1, axis), dtype=np.complex64)


def typed_coils(value: int | float | str) -> int | float:
    """``6`` -> 6 coils; ``0.99`` or ``99%`` -> as many as hold this share of the energy; a number is itself."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(%?)\s*", str(value))
    number = float(match[1]) if match else 0.0
    if match and not match[2] and match[1].isdigit() and number:
        return int(match[1])
    share = number / 100 if match and match[2] else number
    if not 0 < share <= 1:
        raise RecipeError(
            f"The virtual coils are {value!r}.", "Write a number of them, like 6, or a share of the energy, like 99%."
        )
    return share
