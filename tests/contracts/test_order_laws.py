"""Laws that every registered order obeys."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields

import numpy as np
import pytest
import torch

from acqplan.core import registry
from acqplan.core.seeding import numpy_generator
from acqplan.designers.orders import IntArray, Order
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.components import option_names
from acqplan.plan.recipe import PatternSettings
from acqplan.sensing.model import SensingModel

KINDS = list(registry.kinds("orders"))
CATALOGUES: dict[str, list[SensingModel]] = {
    "cartesian_mri": [CartesianMRI((31, 2), "lines"), CartesianMRI((32, 2), "lines"), CartesianMRI((7, 10), "points")],
    "hadamard_dmd": [HadamardDMD((8, 8)), HadamardDMD((4, 16))],
}


def orders(kind: str) -> Iterator[Order]:
    """The order by default, and with a few values of each option that it has."""
    cls = registry.find("orders", kind)
    yield cls()
    names = option_names("orders", kind)
    if "echo_train" in names:
        yield from (cls(echo_train=n) for n in (2, 5, 200))
    if "effective_echo" in names:
        yield from (cls(echo_train=4, effective_echo=n) for n in (1, 3, 4))
    if "interleaves" in names:
        yield from (cls(interleaves=n) for n in (3, 100))


def cases(kind: str) -> Iterator[tuple[Order, SensingModel, IntArray]]:
    """Every order on every catalogue that it is for: one unit, all units, subsets and repeats, in any sequence."""
    random = numpy_generator(0, f"orders:{kind}")
    for order in orders(kind):
        for modality in order.modalities or CATALOGUES:
            for sensing in CATALOGUES[modality]:
                n = sensing.n_units
                yield order, sensing, np.array([n // 2], dtype=np.int32)
                yield order, sensing, random.permutation(n).astype(np.int32)
                yield order, sensing, random.choice(n, n // 3, replace=False).astype(np.int32)
                yield order, sensing, random.choice(n, n, replace=True).astype(np.int32)


@pytest.mark.parametrize("kind", KINDS)
def test_it_permutes_what_it_is_given(kind: str) -> None:
    for order, sensing, units in cases(kind):
        case = (vars(order), sensing.spec(), units.tolist())
        before, energy = units.copy(), numpy_generator(1, "energy").random(sensing.n_units)
        arranged = order.arrange(units, sensing, energy=energy, seed=5)
        assert arranged.dtype == np.int32, case
        assert arranged.shape == units.shape, case
        assert np.array_equal(np.sort(arranged), np.sort(units)), case
        assert np.array_equal(units, before), case
        assert arranged is not units, case
        again = registry.find("orders", kind)(**vars(order)).arrange(units.copy(), sensing, energy=energy, seed=5)
        assert np.array_equal(again, arranged), case


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"given"}))
def test_the_sequence_of_what_it_is_given_does_not_matter(kind: str) -> None:
    """So ties are broken by the units themselves."""
    for order, sensing, units in cases(kind):
        energy = np.ones(sensing.n_units)  # all tied
        shuffled = numpy_generator(2, "shuffle").permutation(units)
        first = order.arrange(units, sensing, energy=energy, seed=5)
        assert np.array_equal(order.arrange(shuffled, sensing, energy=energy, seed=5), first), (vars(order), units)


@pytest.mark.parametrize("kind", KINDS)
def test_global_random_state_is_untouched(kind: str) -> None:
    state = torch.get_rng_state()
    with np.printoptions(threshold=1000):
        numpy_state = repr(np.random.get_state(legacy=False))  # noqa: NPY002
        for order, sensing, units in cases(kind):
            order.arrange(units, sensing, energy=np.ones(sensing.n_units), seed=5)
        assert repr(np.random.get_state(legacy=False)) == numpy_state  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", KINDS)
def test_its_options_are_settings_of_the_pattern_and_kept(kind: str) -> None:
    cls = registry.find("orders", kind)
    # They stand among the settings of the pattern, of which none may have the same name.
    assert not set(option_names("orders", kind)) & {field.name for field in fields(PatternSettings)}
    assert all(p.default is not p.empty for p in inspect.signature(cls).parameters.values())
    for order in orders(kind):
        assert set(vars(order)) == set(option_names("orders", kind))


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_line_can_list_it(kind: str) -> None:
    cls = registry.find("orders", kind)
    assert cls.kind == kind
    assert cls.modalities is None or set(cls.modalities) <= set(registry.kinds("sensing"))
    assert cls.modalities != ()
    assert cls.summary.strip()
    assert "\n" not in cls.summary
    assert len(cls.summary) <= 100
