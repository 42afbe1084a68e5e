"""Echo trains: readings after one excitation, one position of k-space per echo."""

from __future__ import annotations

import numpy as np

from acqplan.core.errors import RecipeError
from acqplan.designers.orders.base import IntArray


def checked_train(echo_train: int) -> int:
    """The number of echoes in a train; `RecipeError` if it is less than 1."""
    if echo_train < 1:
        raise RecipeError(f"The echo train has {echo_train} echoes.", "Give a whole number of at least 1.")
    return echo_train


def dealt_to_trains(units: IntArray, echo_train: int) -> IntArray:
    """int32[n]: train after train, each with ``echo_train`` of the units, which keep their sequence within it.

    The units are cut into as many consecutive bands as there are echoes; echo e of every train takes one unit of band
    e, so that each echo, with its T2 weighting, covers one contiguous band. Where n is no multiple, the last
    train is shorter and takes units evenly from all of the bands.
    """
    n, n_last = units.size, units.size % echo_train
    evenly = (2 * np.arange(n_last) + 1) * n // max(1, 2 * n_last)
    whole = np.delete(units, evenly).reshape(echo_train, -1)
    return np.concatenate([whole.T.ravel(), units[evenly]]).astype(np.int32)
