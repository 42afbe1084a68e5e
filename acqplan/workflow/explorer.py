"""One acquisition, many reconstructions: turn the knobs of a plan's network, and choose a few that are worth a look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from acqplan.core.errors import RecipeError
from acqplan.plan.plan import Plan
from acqplan.reconstructors.losses import Target, loss_named
from acqplan.reconstructors.reconstructor import KnobReconstructor
from acqplan.sensing.acquisition import Acquisition
from acqplan.sensing.measurement import coefficients_of
from acqplan.sensing.noise import NoiseModel

Array = npt.NDArray[Any]

MAX_CHI2 = 1.05  # per degree of freedom
LOSS_SLACK = 0.1  # over the lowest
_OBJECTIVE = {"data-consistency": 1.0, "wavelet": 0.002, "tv": 0.005}
_POSITIONS = {1: 65, 2: 13}  # per knob, by the number of knobs
_POSITIONS_OF_MORE = 5
_SCALES = (1.0, 2.0, 4.0, 8.0)  # pixels
_BATCH = 8


@dataclass(frozen=True, eq=False)
class Candidate:
    """One reconstruction.

    Parameters
    ----------
    knob
        Position of each knob, 0 to 1.
    image
        [H, W], complex64 or float32, as `Plan.reconstruct` gives it.
    chi2
        Misfit per degree of freedom: mean over the readings of |predicted − acquired|² over the noise's variance. NaN
        for a noise model without noise.
    loss
        Objective of the classical solver ``hqs`` with its default weights, per pixel.
    """

    knob: tuple[float, ...]
    image: Array
    chi2: float
    loss: float


@dataclass(frozen=True, eq=False)
class Choice:
    """A few of the candidates.

    Parameters
    ----------
    chosen
        The anchor (the medoid of the consistent candidates) first, then each farthest from those before it.
    distances
        float64[n, n] between the chosen, in the space of `features`.
    n_candidates, n_consistent
        How many there were, and how many the bounds let pass.
    """

    chosen: list[Candidate]
    distances: Array
    n_candidates: int
    n_consistent: int


class Explorer:
    """A plan with knobs and an acquisition of it.

    Parameters
    ----------
    plan
        Its reconstructor has to be a `KnobReconstructor`.
    acquisition
        Taken with the plan's pattern.
    noise
        What χ² is measured against; None: the plan's noise.
    assume_plan
        As of `Plan.reconstruct`.

    Raises
    ------
    RecipeError
        The plan's reconstructor has no knob.
    PatternMismatch, AcquisitionError
        As of `Plan.reconstruct`.
    """

    def __init__(
        self, plan: Plan, acquisition: Acquisition, *, noise: NoiseModel | None = None, assume_plan: bool = False
    ) -> None:
        if not isinstance(plan.reconstructor, KnobReconstructor):
            plan.checked_knob(())  # says so
            raise AssertionError
        plan.check_acquisition(acquisition, assume_plan=assume_plan)
        acquisition = plan.completed(acquisition)
        self.plan, self.acquisition = plan, acquisition
        self._network: KnobReconstructor = plan.reconstructor
        self._noise = plan.noise if noise is None else noise
        self._sensing = plan.sensing.for_scan(acquisition)
        with torch.inference_mode():
            self._coefficients, self._counts = coefficients_of(acquisition, plan.pattern, self._sensing)
            self.zero_filled: Array = self._sensing.adjoint(self._coefficients)[0].numpy()

    @property
    def knobs(self) -> tuple[str, ...]:
        """Names of the knobs."""
        return self._network.knobs

    def image(self, knob: Sequence[float]) -> Array:
        """[H, W] at a knob position, complex64 or float32; `RecipeError` outside 0 to 1."""
        image: Array = self._images([self.plan.checked_knob(knob)])[0]
        return image

    def candidate(self, knob: Sequence[float]) -> Candidate:
        """The image at a knob position, judged."""
        position = self.plan.checked_knob(knob)
        return self._judged(position, self._images([position])[0])

    def candidates(self) -> list[Candidate]:
        """An even grid over all knobs."""
        n_knobs = len(self.knobs)
        steps = np.linspace(0, 1, _POSITIONS.get(n_knobs, _POSITIONS_OF_MORE))
        return self.at(list(product(steps.tolist(), repeat=n_knobs)))

    def at(self, knobs: Sequence[Sequence[float]]) -> list[Candidate]:
        """Judged images at several knob positions."""
        positions = [self.plan.checked_knob(knob) for knob in knobs]
        return [self._judged(p, image) for p, image in zip(positions, self._images(positions), strict=True)]

    def _images(self, knobs: Sequence[tuple[float, ...]]) -> Array:
        parts = []
        with torch.inference_mode():
            for some in torch.tensor(knobs, dtype=torch.float32).split(_BATCH):
                data = self._coefficients.expand(some.shape[0], *self._coefficients.shape[1:])
                parts.append(self._network(data, self._counts, self._sensing, some))
            images: Array = torch.cat(parts).numpy()
        return images

    def _judged(self, knob: tuple[float, ...], image: Array) -> Candidate:
        with torch.inference_mode():
            one = torch.from_numpy(image)[None]
            order = torch.from_numpy(self.plan.pattern.order.astype(np.int64))
            predicted = self._sensing(one)[0].index_select(0, order)
            acquired = torch.from_numpy(self.acquisition.readings).to(predicted.dtype)
            variance = self._noise.variance(predicted.real)
            misfit = (predicted - acquired).abs().square()
            chi2 = float((misfit / variance).mean()) if bool((variance > 0).all()) else float("nan")
            target = Target(self._coefficients, self._counts, self._sensing)
            loss = sum(weight * float(loss_named(kind)(one, target)) for kind, weight in _OBJECTIVE.items())
        return Candidate(knob, image, chi2, loss)


def features(image: Array) -> Array:
    """float64[n]: what tells two reconstructions apart, from fine detail to coarse shading.

    At each of four scales (σ = 1, 2, 4, 8 pixels) the band of the magnitude between that scale and the next finer one,
    and its gradient's magnitude; each is scaled so that detail and shading weigh alike, and all by the image's norm.
    """
    magnitude = np.abs(image).astype(np.float64)
    size = float(np.linalg.norm(magnitude)) or 1.0
    parts, finer = [], magnitude
    for sigma in _SCALES:
        smooth = ndimage.gaussian_filter(magnitude, sigma)
        parts += [sigma * (finer - smooth), sigma * ndimage.gaussian_gradient_magnitude(magnitude, sigma)]
        finer = smooth
    return np.concatenate([part.ravel() for part in [*parts, finer]]) / size


def distances(candidates: Sequence[Candidate]) -> Array:
    """float64[n, n]: Euclidean distances between the `features`."""
    rows = np.stack([features(candidate.image) for candidate in candidates])
    squares = (rows**2).sum(1)
    squared = np.asarray(squares[:, None] + squares[None] - 2 * rows @ rows.T)
    np.fill_diagonal(squared, 0)
    return np.asarray(np.sqrt(squared.clip(min=0)))


def consistent(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those whose χ² is at most `MAX_CHI2` and whose loss is within `LOSS_SLACK` of the lowest of them."""
    fitting = [c for c in candidates if not c.chi2 > MAX_CHI2]
    if not fitting:
        return []
    lowest = min(c.loss for c in fitting)
    return [c for c in fitting if c.loss <= (1 + LOSS_SLACK) * lowest]


def choose(candidates: Sequence[Candidate], count: int) -> Choice:
    """A few diverse candidates among the `consistent` ones: the medoid, then the farthest, then exchanges that spread.

    Raises
    ------
    RecipeError
        ``count`` is less than 1, or too few candidates agree with the data.
    """
    fitting = consistent(candidates)
    if count < 1 or len(fitting) < count:
        lowest = min((c.chi2 for c in candidates), default=float("nan"))
        raise RecipeError(
            f"{count} reconstructions are asked for; {len(fitting)} of {len(candidates)} candidates agree with the "
            f"data (lowest χ² per degree of freedom {lowest:.3g}, at most {MAX_CHI2} allowed).",
            "Ask for fewer, or check the noise level that χ² is measured against.",
        )
    between = distances(fitting)
    chosen = [int(between.sum(1).argmin())]
    while len(chosen) < count:
        chosen.append(int(between[chosen].min(0).argmax()))
    chosen = _spread(chosen, between)
    return Choice([fitting[i] for i in chosen], between[np.ix_(chosen, chosen)], len(candidates), len(fitting))


def _spread(chosen: list[int], between: Array) -> list[int]:
    """Exchange all but the anchor, one at a time, as long as each gets farther from the others."""
    improved = True
    while improved:
        improved = False
        for place in range(1, len(chosen)):
            others = chosen[:place] + chosen[place + 1 :]
            nearest = between[others].min(0)
            best = int(nearest.argmax())
            if nearest[best] > nearest[chosen[place]] * (1 + 1e-9):
                chosen[place], improved = best, True
    return chosen
