"""Random loops: design, export, simulate, reconstruct. The image is the plan's of what was measured."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from builders.instruments import SMALL as OPTIONS
from builders.trainings import SMALL as NETWORKS
from builders.trainings import make_recipe, write_scans

import acqplan
from acqplan.core.registry import kinds
from acqplan.formats.contracts import AcquiredReader, AcquiredWriter, PatternFormat
from acqplan.formats.lookup import for_acquired
from acqplan.plan.components import Component, option_names
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import Recipe

_SIZE = 16
_CLOSE = 1e-4  # of the largest value: files hold 32-bit numbers
_ROUNDS = 2  # of a search: all of them, with a network that solves to convergence, take minutes
Random = np.random.Generator


@dataclass
class Soak:
    """What became of the loops."""

    loops: int = 0
    refused: int = 0
    formats: set[str] = field(default_factory=set)
    networks: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def text(self) -> str:
        """One line."""
        return (
            f"{self.loops} loops through {len(self.formats)} formats and {len(self.networks)} networks: "
            f"{self.refused} refused, {len(self.faults)} faults"
        )


def soak(folder: Path, loops: int, seed: int = 0, follow: Callable[[Soak], None] = lambda done: None) -> Soak:
    """Run random loops in an empty folder; an error of acqplan is a refusal, and all else that differs a fault."""
    done = Soak()
    scans = write_scans(folder / "scans")
    for number in range(loops):
        random = np.random.default_rng((seed, number))
        own = folder / f"loop{number}"
        own.mkdir()
        told = f"loop {number}"
        try:
            recipe = random_recipe(scans, random)
            told = f"loop {number}, {recipe.modality} {recipe.designer.kind} {recipe.reconstructor.kind}"
            _loop(acqplan.design(recipe), own, random, done)
        except acqplan.AcqplanError as error:
            done.refused += 1
            done.faults += [] if _is_expected(error) else [f"{told}: {error}"]
        except Exception:
            done.faults.append(f"{told}: {traceback.format_exc()}")
        done.loops += 1
        follow(done)
    return done


def random_recipe(scans: Path, random: Random) -> Recipe:
    """Any designer and network of an instrument that a recipe can name by itself, trained for two steps."""

    def one(of: Any) -> Any:
        choices = list(of)
        return choices[int(random.integers(len(choices)))]

    modality = one(kinds("modalities"))
    designer = one(kind for kind in kinds("designers") if kind != "from-plan")
    network = one(kind for kind in kinds("reconstructors") if kind in {*NETWORKS, "zero-filled", "tv"})
    encoding = one(("lines", "points"))
    recipe = make_recipe(
        scans,
        modality=modality,
        designer=designer,
        reconstructor=network,
        encoding=encoding,
        budget=one(("2x", "3x", "4x", "40%", "30%")),
        seed=int(random.integers(1000)),
        steps=2,
    )
    if "rounds" in option_names("designers", designer):
        recipe = replace(recipe, designer=Component(designer, {"rounds": _ROUNDS}))
    sizes = [[16, 16], [8, 16], [16, 8]] if modality == "dmd" else [[16, 16], [12, 17], [15, 10]]
    return recipe.with_settings("images", size=one(sizes))


def _loop(plan: Plan, folder: Path, random: Random, done: Soak) -> None:
    plan.save(folder / "plan.acqplan")
    loaded = Plan.load(folder / "plan.acqplan")
    assert loaded.plan_id == plan.plan_id
    exported = _export(plan, folder, random, done)
    image = folder / "image.npy"
    np.save(image, _picture(random))
    quiet: dict[str, float] = {"std": 0.0} if plan.sensing.is_complex else {"photons": 1e6}
    acquired = folder / f"acquired{_suffix(plan, random)}"
    made = acqplan.simulate(
        loaded,
        image,
        acquired,
        noise=quiet,
        exported=exported,
        truth=folder / "truth.npy",
        seed=int(random.integers(9)),
    )
    done.formats.add(for_acquired(acquired).kind)
    done.networks.add(plan.reconstructor.kind)
    assert made.scan is not None
    acquisition = made.scan.acquisitions[0]
    _measured_what_the_pattern_says(plan, made.truth[0], acquisition.readings)
    direct = loaded.reconstruct(acquisition)
    found = acqplan.reconstruct(folder / "plan.acqplan", acquired, folder / "image.h5", assume_plan=True)
    _same(found.images[0], direct, "the image from the file and the one from memory")
    _another_plan_is_refused(plan, acquisition)


def _export(plan: Plan, folder: Path, random: Random, done: Soak) -> Path:
    """The plan's files in a format that can hold them, read back."""
    formats = [
        (kind, cls)
        for kind, cls in kinds("instruments").items()
        if issubclass(cls, PatternFormat) and plan.sensing.kind in cls.sensing_kinds()
    ]
    for place in random.permutation(len(formats)):
        kind, cls = formats[int(place)]
        options = OPTIONS.get(kind, {})
        if not cls(**options).check(plan):
            acqplan.export(plan, kind, folder / "exported", options=options)
            assert cls().read(folder / "exported").pattern == plan.pattern
            done.formats.add(kind)
            return folder / "exported"
    raise AssertionError("no format takes the plan")


def _suffix(plan: Plan, random: Random) -> str:
    """Of a file of acquired data that says which pattern it was acquired with."""
    suffixes = sorted(
        {
            suffix
            for cls in kinds("instruments").values()
            if issubclass(cls, AcquiredWriter)
            and issubclass(cls, AcquiredReader)
            and plan.sensing.kind in cls.acquired_kinds()
            for suffix in cls.acquired_suffixes
        }
    )
    return suffixes[int(random.integers(len(suffixes)))]


def _picture(random: Random) -> npt.NDArray[np.float32]:
    y, x = np.mgrid[-1 : 1 : _SIZE * 1j, -1 : 1 : _SIZE * 1j]
    image = 0.2 * (np.hypot(x, y) < 0.9)
    for cy, cx, radius in random.uniform([-0.5, -0.5, 0.1], [0.5, 0.5, 0.4], (4, 3)):
        image = image + (np.hypot(x - cx, y - cy) < radius) * random.uniform(0.2, 1)
    return (100 * image).astype(np.float32)


def _measured_what_the_pattern_says(plan: Plan, truth: npt.NDArray[Any], readings: npt.NDArray[Any]) -> None:
    """The readings are those of the true image in the plan's order: nothing of the export is used here."""
    expected = plan.sensing(torch.from_numpy(truth[None]).to(plan.sensing.image_dtype))[0].numpy()[plan.pattern.order]
    if plan.sensing.is_complex:
        _same(readings, expected, "the readings and those of the plan's units")
    else:  # photons are drawn
        share = float(np.linalg.norm(readings - expected) / np.linalg.norm(expected))
        assert share < 0.02, f"the readings are {share:.1%} off those of the plan's units"


def _another_plan_is_refused(plan: Plan, acquisition: acqplan.Acquisition) -> None:
    """A plan of as many other units doesn't take the data."""
    order = plan.pattern.order[::-1].copy()
    if np.array_equal(order, plan.pattern.order):
        return
    other = replace(plan, pattern=acqplan.Pattern(order, plan.pattern.n_units, plan.pattern.calibration))
    try:
        other.reconstruct(acquisition)
    except acqplan.AcqplanError:
        return
    raise AssertionError("the data were taken as measured in another order")


def _same(have: npt.NDArray[Any], want: npt.NDArray[Any], what: str) -> None:
    assert have.shape == want.shape, f"{what} have shapes {have.shape} and {want.shape}"
    largest = float(np.abs(want).max())
    off = float(np.abs(have - want).max())
    assert np.isfinite(have).all(), f"{what} aren't finite"
    assert off <= _CLOSE * largest, f"{what} differ by {off:.3g} of {largest:.3g}"


def _is_expected(error: acqplan.AcqplanError) -> bool:
    """A random recipe that can't be: a designer without what it needs, an instrument that another designer is for."""
    return isinstance(error, acqplan.RecipeError | acqplan.BudgetError)
