"""Classical rivals of plans: solvers with a tuned weight, on the plan's samples and on patterns tuned for each solver.

MRI: acqplan's ``tv`` and ``wavelet``, and BART's ``pics`` with either regulariser. A rival pattern is a Poisson disc of
points or a variable density of lines, whose power is tuned for that solver. DMD: ``tv`` on the best fixed order. All of
it is tuned by mean PSNR on images of the training folder, or of raw scans on images that aren't tested.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from bart_pics import Pics, is_installed
from measured_images import Images

from acqplan.core import registry
from acqplan.core.seeding import torch_generator
from acqplan.learning.problem import Problem
from acqplan.learning.resolve import resolve
from acqplan.plan.components import Component
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import Recipe, TrainingSettings, reopened
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.reconstructors.tv import TV
from acqplan.reconstructors.wavelet import Wavelet
from acqplan.sensing.pattern import Pattern

POWERS = (0.7, 1.0, 1.5, 2.0, 2.5, 3.5, 5.0, 7.0)
USUAL = POWERS.index(2.5)
STEPS = 8  # of a factor of 2 below and above a solver's first weight
ORDERS = ("zigzag", "low-sequency", "half-half", "cake-cutting", "variance-ordered", "low-pass")


@dataclass(frozen=True)
class Solver:
    """A classical reconstruction with one weight, and where the climb to its best begins."""

    name: str
    made: Callable[[float], Reconstructor]
    first: float


@dataclass(frozen=True)
class Rival:
    """A solver with its weight on a pattern, by words."""

    name: str
    network: Reconstructor
    patterns: list[Pattern]


def solvers(modality: str, *, estimates_maps: bool) -> list[Solver]:
    """Those that are there."""
    if modality != "mri":
        return [Solver("tv", TV, 0.02)]
    found = [Solver("tv", TV, 0.01), Solver("wavelet", Wavelet, 0.005)]
    if not is_installed():
        print("BART isn't on the path: pics is left out.")
        return found
    for kind, letter in (("wavelet", "W"), ("tv", "T")):
        made = lambda w, kind=kind: Pics(kind, w, estimates_maps=estimates_maps)  # noqa: E731
        found.append(Solver(f"pics {letter}", made, 0.002))
    return found


class Contest:
    """What rivals are tuned and drawn with: the measurement of a plan at some budget, and images to tune on."""

    def __init__(self, plan: Plan, train: str, budget: str, tuning: Images) -> None:
        self.sensing, self.modality, self._tuning = plan.sensing, plan.recipe.modality, tuning
        self.design = _problem(plan, train, budget).design

    def rivals(self, solver: Solver, plans: dict[str, Pattern], seeds: Sequence[int]) -> Iterator[Rival]:
        """The solver on each plan's own samples, and on the pattern that is tuned for it."""
        for name, pattern in plans.items():
            weight = self._weight(solver, pattern)
            yield Rival(f"{solver.name} {weight:.2g}, samples of {name}", solver.made(weight), [pattern])
        yield self._mri(solver, seeds) if self.modality == "mri" else self._dmd(solver)

    def _mri(self, solver: Solver, seeds: Sequence[int]) -> Rival:
        kind = "poisson-disc" if self.sensing.grid_shape[1:] else "variable-density"
        weight = self._weight(solver, self._drawn(kind, 0, power=POWERS[USUAL]))

        def quality(power: float) -> float:
            return self._quality(solver.made(weight), self._drawn(kind, 0, power=power))

        power = climb(quality, POWERS, USUAL)
        weight = self._weight(solver, self._drawn(kind, 0, power=power), weight)
        drawn = [self._drawn(kind, seed, power=power) for seed in seeds]
        return Rival(f"{solver.name} {weight:.2g}, {kind}^{power:g}", solver.made(weight), drawn)

    def _dmd(self, solver: Solver) -> Rival:
        found = []
        for kind in ORDERS:
            if kind not in registry.kinds("designers"):
                continue
            pattern = self._drawn(kind, 0)
            weight = self._weight(solver, pattern)
            found.append((self._quality(solver.made(weight), pattern), kind, weight, pattern))
        _, kind, weight, pattern = max(found, key=lambda each: each[0])
        return Rival(f"{solver.name} {weight:.2g}, {kind}", solver.made(weight), [pattern])

    def _drawn(self, kind: str, seed: int, **options: Any) -> Pattern:
        designer = registry.find("designers", kind)(replace(self.design, seed=seed), **options)
        pattern: Pattern = designer.freeze(torch_generator(seed, "benchmark"))
        return pattern

    def _weight(self, solver: Solver, pattern: Pattern, start: float | None = None) -> float:
        weights = [solver.first * 2.0**i for i in range(-STEPS, STEPS + 1)]
        quality = lambda weight: self._quality(solver.made(weight), pattern)  # noqa: E731
        return climb(quality, weights, STEPS if start is None else weights.index(start))

    def _quality(self, network: Reconstructor, pattern: Pattern) -> float:
        return float(np.mean([row["psnr_db"] for row in self._tuning.rows(network, pattern)]))


def climb(quality: Callable[[float], float], values: Sequence[float], start: int) -> float:
    """The value of the highest quality that neighbours lead to from the one at ``start``."""
    known: dict[int, float] = {}

    def at(i: int) -> float:
        if not 0 <= i < len(values):
            return -math.inf
        if i not in known:
            known[i] = quality(values[i])
        return known[i]

    best = start
    while True:
        better = max((best, best - 1, best + 1), key=at)
        if better == best:
            return values[best]
        best = better


def _problem(plan: Plan, train: str, budget: str) -> Problem:
    """The plan's measurement at another budget, with the images of ``train``."""
    recipe: Recipe = replace(
        reopened(plan.recipe), designer=Component("low-pass"), training=TrainingSettings(steps=1)
    ).with_settings("pattern", order=None)
    settings = {"amount": budget} if budget == plan.recipe.budget.amount else {"amount": budget, "calibration": None}
    return resolve(recipe.with_settings("images", paths=[train], slices=None).with_settings("budget", **settings))
