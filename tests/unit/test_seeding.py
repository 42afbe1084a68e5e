"""One seed gives many streams of random numbers that have nothing to do with each other."""

from __future__ import annotations

import ast
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

import acqplan
from acqplan.core.seeding import numpy_from, numpy_generator, stream_seed, torch_generator

ROOT = Path(acqplan.__file__).parent
NAMES = ["batches", "noise", "designer", "designer:uniform", "weights", "split", "", "1"]
SHARED = {
    "design": "all of it makes one DesignProblem",
    "designer": "a pattern drawn again is the one that training froze",
    "simulate": "a virtual instrument adds the noise that a simulation adds",
    "split": "two ways to split, one of which is taken; their seed is a stream of its own",
    "designer:{}": "each kind of designer draws once; random numbers of torch or of NumPy",
}
"""Names of streams that several places ask for, and why they may."""


def test_every_seed_and_name_has_a_seed_of_its_own() -> None:
    seeds = {stream_seed(seed, name) for seed in range(-3, 50) for name in NAMES}
    assert len(seeds) == 53 * len(NAMES)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert stream_seed(1, "1:1") != stream_seed(11, ":1")
    assert stream_seed(0, "noise") == 2717792704144625354  # plans and acquired noise stay as they are


def test_streams_are_not_correlated() -> None:
    drawn = [numpy_generator(seed, name).standard_normal(4096) for seed in (0, 1) for name in NAMES]
    drawn += [torch.randn(4096, generator=torch_generator(seed, name)).numpy() for seed in (0, 1) for name in NAMES]
    for first, second in combinations(drawn, 2):
        assert abs(np.corrcoef(first, second)[0, 1]) < 6 / np.sqrt(4096)


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_starts_anew_for_each_who_asks_and_the_global_state_stays(name: str) -> None:
    torch_state, numpy_state = torch.get_rng_state(), repr(np.random.get_state(legacy=False))  # noqa: NPY002
    assert np.array_equal(numpy_generator(7, name).random(5), numpy_generator(7, name).random(5))
    first, second = (torch.rand(5, generator=torch_generator(7, name)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state(legacy=False)) == numpy_state  # noqa: NPY002


def test_no_two_places_draw_from_one_stream() -> None:
    """In the source text: whoever draws, names a stream that nobody else does."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted(set(ROOT.rglob("*.py")) - {ROOT / "core" / "seeding.py"}):
        for call in _calls(path):
            called = ast.unparse(call.func).split(".")[-1]
            where = f"{path.name}:{call.lineno}"
            if called in ("stream_seed", "torch_generator", "numpy_generator"):
                for name in _names(call.args[1], path):
                    places[name].append(where)
            elif called in ("default_rng", "manual_seed", "Generator", "seed"):
                # A seed of its own would be the same in several places.
                assert "stream_seed" in ast.unparse(call), f"{where} draws from no named stream"
    assert len(places) > 20
    assert {name for name, found in places.items() if len(found) > 1} == set(SHARED), dict(places)


def _calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]


def _names(argument: ast.expr, path: Path) -> list[str]:
    """What a stream may be called: {} stands for what is filled in; a variable for what it is set to or runs over."""
    if isinstance(argument, ast.Constant):
        return [str(argument.value)]
    if isinstance(argument, ast.JoinedStr):
        return ["".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in argument.values)]
    assert isinstance(argument, ast.Name), ast.unparse(argument)
    tree, found = ast.parse(path.read_text(encoding="utf-8")), []
    for node in ast.walk(tree):
        if isinstance(node, ast.comprehension) and ast.unparse(node.target) == argument.id:
            source = node.iter
            if isinstance(source, ast.Name):
                source = next(
                    each.value
                    for each in ast.walk(tree)
                    if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == source.id
                )
            assert isinstance(source, ast.Tuple)
            found += [name for element in source.elts for name in _names(element, path)]
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == argument.id:
            found += _names(node.value, path)
    assert found, f"{path.name}: {argument.id}"
    return found


def test_a_numpy_generator_from_torch_moves_it_on() -> None:
    generator = torch_generator(0, "designer")
    first, second = numpy_from(generator).random(4), numpy_from(generator).random(4)
    assert not np.array_equal(first, second)
    again = torch_generator(0, "designer")
    assert np.array_equal(numpy_from(again).random(4), first)
    other = torch_generator(0, "designer")
    torch.randint(2**62, (1,), generator=other)  # it moves on by one number
    assert torch.equal(again.get_state(), other.get_state())
