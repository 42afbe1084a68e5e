"""Orders of Hadamard patterns against `scipy.linalg.hadamard`, counted sign changes and connected regions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage
from scipy.linalg import hadamard

from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.designers.designer import DesignProblem
from acqplan.modalities.dmd import hadamard_orders
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.sensing.budget import Budget

SHAPES = [(4, 4), (8, 8), (16, 16), (4, 8), (16, 2)]


def patterns(shape: tuple[int, int]) -> npt.NDArray[np.int64]:
    """±1 [K, rows, columns], as the DMD shows them."""
    sensing = HadamardDMD(shape)
    return np.stack([np.where(sensing.frames(unit)[0], 1, -1) for unit in range(sensing.n_units)])


def arranged(kind: str, shape: tuple[int, int], energy: npt.NDArray[np.float64] | None = None) -> list[int]:
    sensing = HadamardDMD(shape)
    units = np.random.default_rng(0).permutation(sensing.n_units).astype(np.int32)
    order = registry.find("orders", kind)()
    return list(order.arrange(units, sensing, energy=energy, seed=0).tolist())


@pytest.mark.parametrize("shape", SHAPES)
def test_natural_is_scipys_matrix(shape: tuple[int, int]) -> None:
    shown = patterns(shape).reshape(shape[0] * shape[1], -1)
    np.testing.assert_array_equal(shown[arranged("natural", shape)], hadamard(shown.shape[0]))


@pytest.mark.parametrize("shape", SHAPES)
def test_paley_reverses_the_bits_of_natural(shape: tuple[int, int]) -> None:
    n = shape[0] * shape[1]
    bits = n.bit_length() - 1
    reversal = [int(f"{i:0{bits}b}"[::-1], 2) for i in range(n)]
    shown = patterns(shape).reshape(n, -1)
    np.testing.assert_array_equal(shown[arranged("paley", shape)], hadamard(n)[reversal])


@pytest.mark.parametrize("shape", SHAPES)
def test_sequency_counts_sign_changes_along_the_pixels(shape: tuple[int, int]) -> None:
    n = shape[0] * shape[1]
    shown = patterns(shape).reshape(n, -1)[arranged("sequency", shape)]
    assert (shown[:, 1:] != shown[:, :-1]).sum(1).tolist() == list(range(n))


def test_known_orders_of_eight() -> None:
    """Sign changes of the rows in natural and Paley order; Walsh rows as natural ones."""
    shown = patterns((2, 4)).reshape(8, -1)
    changes = (shown[:, 1:] != shown[:, :-1]).sum(1)
    assert changes[arranged("natural", (2, 4))].tolist() == [0, 7, 3, 4, 1, 6, 2, 5]
    assert changes[arranged("paley", (2, 4))].tolist() == [0, 1, 3, 2, 7, 6, 4, 5]
    natural = arranged("natural", (2, 4))
    assert [natural.index(unit) for unit in arranged("sequency", (2, 4))] == [0, 4, 6, 2, 3, 7, 5, 1]


def test_1d_sequency_is_not_the_unit() -> None:
    side = 8
    u, v = np.divmod(np.arange(side * side), side)
    expected = v * side + np.where(v % 2 == 0, u, side - 1 - u)
    np.testing.assert_array_equal(hadamard_orders.sequency((side, side)), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_2d_sequency_ranks_as_total_variation(shape: tuple[int, int]) -> None:
    shown = patterns(shape)
    variation = np.abs(np.diff(shown, axis=1)).sum((1, 2)) + np.abs(np.diff(shown, axis=2)).sum((1, 2))
    np.testing.assert_array_equal(variation, 2 * hadamard_orders.sequency_2d(shape))
    assert (np.diff(variation[arranged("sequency-2d", shape)]) >= 0).all()


@pytest.mark.parametrize("shape", [(4, 4), (8, 8), (4, 8)])
def test_cake_cutting_counts_connected_regions(shape: tuple[int, int]) -> None:
    regions = [ndimage.label(shown > 0)[1] + ndimage.label(shown < 0)[1] for shown in patterns(shape)]
    assert hadamard_orders.cake_cutting(shape).tolist() == regions
    assert (np.diff(np.array(regions)[arranged("cake-cutting", shape)]) >= 0).all()


def test_variance_descends_in_energy() -> None:
    energy = np.array([5.0, 1, 7, 7, 0, 2, 5, 1])
    assert arranged("variance", (2, 4), energy) == [2, 3, 0, 6, 5, 1, 7, 4]
    with pytest.raises(RecipeError, match="needs the energy"):
        arranged("variance", (2, 4))


@pytest.mark.parametrize("kind", ["sequency-2d", "cake-cutting"])
def test_ties_are_in_the_order_of_units(kind: str) -> None:
    order, rank = arranged(kind, (8, 8)), getattr(hadamard_orders, kind.replace("-", "_"))((8, 8))
    for one, other in pairwise(order):
        assert (rank[one], one) < (rank[other], other)


@pytest.mark.parametrize("kind", ["low-sequency", "low-pass", "cake-cutting", "zigzag", "half-half"])
@pytest.mark.parametrize("n", [16, 100])
def test_the_first_coefficients_kept_are_the_lowest_sequencies(kind: str, n: int) -> None:
    """And not the highest, as where a rank is taken for an order: sign changes are counted in the shown frames."""
    sensing = HadamardDMD((16, 16))
    problem = DesignProblem(sensing, Budget(n, 256), sensing.calibration_units(0), np.ones(256))
    kept = registry.find("designers", kind)(problem).pattern
    shown = patterns((16, 16))
    u = (shown[:, 1:, 0] != shown[:, :-1, 0]).sum(1)
    v = (shown[:, 0, 1:] != shown[:, 0, :-1]).sum(1)
    score = {"cake-cutting": (u + 1) * (v + 1), "zigzag": u + v}.get(kind, np.maximum(u, v))
    n_lowest = n if kind != "half-half" else n // 2
    lowest = np.sort(score)[:n_lowest]
    assert np.sort(score[kept.mask])[:n_lowest].tolist() == lowest.tolist()
    assert kept.mask[0]
    assert kept.n_readings == n


@pytest.mark.parametrize("kind", ["sequency", "sequency-2d", "cake-cutting"])
def test_a_scan_that_is_stopped_early_has_seen_the_lowest_sequencies(kind: str) -> None:
    shown = patterns((8, 8))[arranged(kind, (8, 8))]
    changes = (shown[:, 1:] != shown[:, :-1]).sum((1, 2)) + (shown[:, :, 1:] != shown[:, :, :-1]).sum((1, 2))
    assert changes[0] == 0
    assert changes[:16].mean() < changes[-16:].mean()
