"""Checkpoints: whatever training holds comes back bit for bit, and nothing else is taken for one."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from acqplan.core.errors import PlanFileError
from acqplan.learning import checkpoint


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    return type(a) is type(b) and bool(a == b)


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(3)
    tree: dict[str, Any] = {
        "step": 7,
        "seconds_left": 1.25,
        "recipe_digest": "ä – digest",
        "nothing": None,
        "order": np.array([3, 1], np.int32),
        "weights": {"denoisers.0.weight": torch.randn(2, 3, generator=generator), "half": torch.ones(2).half()},
        "optimisers": {"network": {"0": {"step": torch.tensor(4.0), "exp_avg": torch.zeros(2, 3)}}, "designer": {}},
        "generator": generator.get_state(),
    }
    checkpoint.save(tree, tmp_path / "run.checkpoint")
    back = checkpoint.load(tmp_path / "run.checkpoint")
    expected = {**tree, "order": torch.from_numpy(tree["order"])}
    del expected["nothing"]
    assert equal(back, expected)


def test_training_goes_on_from_what_comes_back(tmp_path: Path) -> None:
    """The use that it is made for: a network and its optimiser, continued in two ways."""

    def made() -> tuple[nn.Module, torch.optim.Optimizer, torch.Generator]:
        network = nn.Linear(3, 2)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(0.5)
        return network, torch.optim.Adam(network.parameters()), torch.Generator().manual_seed(0)

    def train(network: nn.Module, optimiser: torch.optim.Optimizer, generator: torch.Generator) -> None:
        for _ in range(3):
            optimiser.zero_grad()
            network(torch.randn(4, 3, generator=generator)).square().mean().backward()
            optimiser.step()

    network, optimiser, generator = made()
    train(network, optimiser, generator)
    state = optimiser.state_dict()["state"]
    tree = {
        "network": network.state_dict(),
        "optimiser": {str(i): values for i, values in state.items()},
        "generator": generator.get_state(),
    }
    checkpoint.save(tree, tmp_path / "run.checkpoint")
    train(network, optimiser, generator)

    other, other_optimiser, other_generator = made()
    back = checkpoint.load(tmp_path / "run.checkpoint")
    other.load_state_dict(back["network"])
    restored = {int(i): values for i, values in back["optimiser"].items()}
    other_optimiser.load_state_dict({**other_optimiser.state_dict(), "state": restored})
    other_generator.set_state(back["generator"])
    train(other, other_optimiser, other_generator)
    for a, b in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_later_checkpoint_replaces_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    for step in (1, 2):
        checkpoint.save({"step": step}, path)
    assert checkpoint.load(path) == {"step": 2}
    assert list(tmp_path.iterdir()) == [path]


def test_saving_changes_nothing(tmp_path: Path) -> None:
    weight = torch.ones(2, requires_grad=True)
    checkpoint.save({"weight": weight}, tmp_path / "run.checkpoint")
    assert weight.requires_grad
    back = checkpoint.load(tmp_path / "run.checkpoint")["weight"]
    back += 1  # the loaded tensor is writable and on its own
    assert weight.tolist() == [1, 1]


def foreign(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["step"] = 3


def truncated(path: Path) -> None:
    checkpoint.save({"weight": torch.zeros(5000)}, path)
    path.write_bytes(path.read_bytes()[:9000])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "There is no checkpoint"),
        (foreign, "is no checkpoint of acqplan"),
        (truncated, "is damaged"),
        (lambda path: path.write_bytes(pickle.dumps([1])), "is damaged"),
        (lambda path: path.write_bytes(b""), "is damaged"),
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    path = tmp_path / "run.checkpoint"
    make(path)
    with pytest.raises(PlanFileError, match=message) as caught:
        checkpoint.load(path)
    assert "--resume" in caught.value.remedy


def test_a_checkpoint_that_was_changed_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    tree = {"step": 7, "weights": {"a": torch.ones(2, 3)}, "pace": np.zeros(0, np.int64)}

    def change_a_weight(file: h5py.File) -> None:
        file["weights/a"][0, 0] = 2

    def change_a_number(file: h5py.File) -> None:
        file.attrs["step"] = 8

    def rename(file: h5py.File) -> None:
        file.move("weights/a", "weights/b")

    for change in (change_a_weight, change_a_number, rename):
        checkpoint.save(tree, path)
        checkpoint.load(path)
        with h5py.File(path, "r+") as file:
            change(file)
        with pytest.raises(PlanFileError, match="damaged"):
            checkpoint.load(path)
