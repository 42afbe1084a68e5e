"""Where each unit of a Hadamard catalogue stands in the orders that people know.

Units are those of `HadamardDMD`: ``u * columns + v`` is outer(W[u], W[v]) with u and v sign changes. N pixels in
row-major sequence make every pattern also a row of the N × N Walsh–Hadamard matrix. With bit reversal over log₂ N bits
and gray(s) = s ^ (s >> 1): natural row i of `scipy.linalg.hadamard`, Paley (dyadic) p = bitrev(i), 1D sequency s with
i = bitrev(gray(s)), which has s sign changes along the N pixels.

Every function takes grid_shape (rows, columns) and gives int64[K]; low means early. Ties are left to the unit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acqplan.core.math.transforms import sequency_order

Ranks = npt.NDArray[np.int64]


def natural(grid_shape: tuple[int, ...]) -> Ranks:
    """Row of the N × N matrix of `scipy.linalg.hadamard`, the Kronecker product of those of both sides."""
    rows, columns = grid_shape
    return np.add.outer(sequency_order(rows) * columns, sequency_order(columns)).ravel()


def paley(grid_shape: tuple[int, ...]) -> Ranks:
    """Paley's dyadic order of the N pixels: the natural row with its bits reversed."""
    return _reversed_bits(natural(grid_shape))


def sequency(grid_shape: tuple[int, ...]) -> Ranks:
    """Sign changes along all N pixels in row-major sequence. On a square of side L it isn't u L + v but
    v L + (u where v is even, else L − 1 − u)."""
    gray = paley(grid_shape)
    shift = 1
    while shift < gray.size:
        gray = gray ^ (gray >> shift)  # the inverse of Gray coding is a prefix XOR
        shift *= 2
    return gray


def sequency_2d(grid_shape: tuple[int, ...]) -> Ranks:
    """Sign changes between neighbours over the whole pattern: u per column and v per row.

    On a square it ranks as u + v, and as the anisotropic total variation, 2L(u + v).
    """
    rows, columns = grid_shape
    return np.add.outer(np.arange(rows) * columns, np.arange(columns) * rows).ravel()


def cake_cutting(grid_shape: tuple[int, ...]) -> Ranks:
    """Connected regions of one sign (4-connected), (u + 1)(v + 1) (Yu, Sensors 19:4122, 2019)."""
    rows, columns = grid_shape
    return np.multiply.outer(np.arange(1, rows + 1), np.arange(1, columns + 1)).ravel()


def _reversed_bits(numbers: Ranks) -> Ranks:
    result = np.zeros_like(numbers)
    for bit in range(numbers.size.bit_length() - 1):
        result = (result << 1) | ((numbers >> bit) & 1)
    return result
