"""Ranks of a grid's places such that the first n, for any n, lie evenly but irregularly: blue noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_REACH = 1.9  # grid units: standard deviation of the Gaussian by which places feel each other
_FIRST = 0.1  # share of the places that are spread by moving, before the others are added one by one
_LARGEST = 256  # places along a side; larger grids repeat their ranks
FloatArray = npt.NDArray[np.float64]


def blue_noise(shape: tuple[int, ...], random: np.random.Generator) -> FloatArray:
    """float64[*shape] between 0 and 1: the places below any level are spread evenly, without a lattice.

    Void and cluster (Ulichney, Proc. SPIE 1913:332, 1993) on a torus: a random tenth of the places moves, one
    by one, from the tightest cluster into the largest void until nothing moves; these are ranked by taking the
    tightest away, the others by filling the largest void. Used as the threshold of a dither, the levels
    give a sample of any density with no two readings needlessly close.
    """
    sides = tuple(min(side, _LARGEST) for side in shape)
    rows, columns = (1, *sides)[-2:]
    tile = _ranks((rows, columns), random).reshape(sides)
    repeats = [-(-side // small) for side, small in zip(shape, sides, strict=True)]
    whole = np.tile(tile, repeats)[tuple(slice(side) for side in shape)]
    # Where ranks repeat, the first of equals comes first.
    order = np.argsort(whole, axis=None, kind="stable")
    levels = np.empty(whole.size)
    levels[order] = (np.arange(whole.size) + 0.5) / whole.size
    return levels.reshape(shape)


class _Crowd:
    """Occupied places of a torus, and how crowded it is around every place."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.columns = shape[1]
        distances = [np.minimum(np.arange(2 * n) % n, n - np.arange(2 * n) % n) for n in shape]
        bells = [np.exp(-0.5 * (distance / _REACH) ** 2) for distance in distances]
        self._kernel = np.multiply.outer(*bells)  # twice as large as the torus: a shift is a view
        self._shape = shape
        self.crowding = np.zeros(shape)
        self.occupied = np.zeros(shape, dtype=bool)

    def change(self, place: int, sign: int) -> None:
        """Put something at a place (+1) or take it away (−1)."""
        row, column = divmod(place, self.columns)
        rows, columns = self._shape
        top, left = (-row) % rows, (-column) % columns
        around = self._kernel[top : top + rows, left : left + columns]
        if sign > 0:
            self.crowding += around
        else:
            self.crowding -= around
        self.occupied[row, column] = sign > 0

    def tightest(self) -> int:
        """The occupied place that is most crowded."""
        return int(np.argmax(np.where(self.occupied, self.crowding, -np.inf)))

    def void(self) -> int:
        """The free place that is least crowded."""
        return int(np.argmin(np.where(self.occupied, np.inf, self.crowding)))


def _ranks(shape: tuple[int, int], random: np.random.Generator) -> npt.NDArray[np.int64]:
    n = shape[0] * shape[1]
    n_first = max(1, round(_FIRST * n))
    crowd = _Crowd(shape)
    for place in random.permutation(n)[:n_first]:
        crowd.change(int(place), 1)
    for _ in range(n):  # it ends long before; the bound is for rounding that would move in circles
        tightest = crowd.tightest()
        crowd.change(tightest, -1)
        void = crowd.void()
        crowd.change(void, 1)
        if void == tightest:
            break
    ranks = np.empty(n, dtype=np.int64)
    first, crowding = crowd.occupied.copy(), crowd.crowding.copy()
    for rank in range(n_first - 1, -1, -1):
        tightest = crowd.tightest()
        crowd.change(tightest, -1)
        ranks[tightest] = rank
    crowd.occupied, crowd.crowding = first, crowding
    for rank in range(n_first, n):
        void = crowd.void()
        crowd.change(void, 1)
        ranks[void] = rank
    return ranks
