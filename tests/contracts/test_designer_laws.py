"""Laws that every registered designer obeys, on at least 1,000 random configurations."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

from acqplan.core import registry
from acqplan.core.errors import BudgetError, RecipeError
from acqplan.core.seeding import numpy_generator
from acqplan.designers.designer import Designer, DesignProblem, FixedDesigner
from acqplan.designers.searching import SearchingDesigner
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.modalities.mri.constraints import has_conjugates, left_out, without_conjugates
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.modalities.mri.settings import MRISettings
from acqplan.plan.components import option_names
from acqplan.sensing.budget import Budget
from acqplan.sensing.constraints import constraints_of
from acqplan.sensing.model import SensingModel
from acqplan.sensing.pattern import Pattern

KINDS = [kind for kind in registry.kinds("designers") if kind != "from-plan"]  # which takes the pattern of a file
PER_KIND = -(-1000 // len(KINDS))
CONSTRAINTS = {
    "lines": ["none", "drawn", "partial", "pairs"],
    "points": ["none", "drawn", "partial", "ellipse", "pairs"],
    "hadamard": ["none", "drawn"],
}


@dataclass(frozen=True)
class Configuration:
    """What decides one design problem; small enough to read in a failure message."""

    model: str
    image_shape: tuple[int, int]
    width: int
    n_readings: int
    energy: str
    seed: int
    repeats: bool = False
    constraint: str = "none"

    @property
    def sensing(self) -> SensingModel:
        if self.model == "hadamard":
            return HadamardDMD(self.image_shape)
        return CartesianMRI(self.image_shape, self.model)

    def problem(self) -> DesignProblem:
        sensing = self.sensing
        calibration = sensing.calibration_units(self.width)
        budget = Budget(self.n_readings, sensing.n_units, calibration.size, allows_repeats=self.repeats)
        drawn = numpy_generator(self.seed, "energy").random(sensing.n_units) ** 4
        energy = {"distinct": drawn, "tied": np.round(2 * drawn), "zero": 0 * drawn}[self.energy]
        variance = None if self.seed % 3 == 0 else 0.1 * numpy_generator(self.seed, "noise").random(sensing.n_units)
        allowed, required = self.constraints()
        return DesignProblem(sensing, budget, calibration, energy, self.seed, variance, allowed, required)

    def counts(self) -> tuple[int, int]:
        """The least and the most readings that fixed and allowed units make."""
        allowed, required = self.constraints()
        fixed = np.union1d(self.sensing.calibration_units(self.width), required)
        most = self.sensing.n_units if allowed is None else int(allowed.sum())
        return max(1, fixed.size), most

    def constraints(self) -> tuple[npt.NDArray[np.bool_] | None, npt.NDArray[np.int32]]:
        """(allowed, required): nothing, MRI's own constraints, or a drawn mask and drawn units."""
        sensing = self.sensing
        calibration = sensing.calibration_units(self.width)
        draw = numpy_generator(self.seed, "constraints")
        if self.constraint == "none":
            return None, np.zeros(0, dtype=np.int32)
        if self.constraint == "drawn":
            allowed = draw.random(sensing.n_units) < draw.choice([0.1, 0.5, 0.9])
            required = np.flatnonzero(draw.random(sensing.n_units) < draw.choice([0.0, 0.05, 0.3])).astype(np.int32)
            allowed[calibration] = allowed[required] = allowed[-1] = True
            return allowed, required
        settings = {
            "partial": MRISettings(partial_fourier=0.75, partial_fourier_side=str(draw.choice(["low", "high"]))),
            "ellipse": MRISettings(shutter="elliptical"),
            "pairs": MRISettings(one_of_conjugates=True),
        }[self.constraint]
        found = constraints_of(None, None, left_out(settings, sensing), sensing)
        if self.constraint == "pairs":
            found = without_conjugates(found, calibration, sensing, self.seed)
        found.allowed[calibration] = True  # a recipe refuses a region that reaches outside
        return found.allowed, found.required


def configurations(kind: str) -> Iterator[Configuration]:
    """``PER_KIND`` random configurations: the edges of the budget are as likely as its middle."""
    draw = numpy_generator(0, f"configurations:{kind}")
    for seed in range(PER_KIND):
        model = str(draw.choice(["lines", "points", "hadamard"]))
        if model == "hadamard":
            rows, columns = (2 ** int(draw.integers(1, 5)) for _ in range(2))
        elif model == "lines":
            rows, columns = int(draw.integers(2, 130)), int(draw.integers(2, 6))
        else:
            rows, columns = (int(draw.integers(2, 24)) for _ in range(2))
        most = registry.find("designers", kind).most_units
        if most is not None and model != "lines":
            columns = min(columns, most // rows)
        widest = rows if model == "lines" else min(rows, columns)
        width = int(draw.choice([0, draw.integers(0, widest // 3 + 1), draw.integers(0, widest + 1), widest]))
        energy = str(draw.choice(["distinct", "tied", "zero"]))
        constraint = str(draw.choice(CONSTRAINTS[model]))
        catalogue = Configuration(model, (rows, columns), 0, 0, "", 0).sensing
        repeats = registry.find("designers", kind).may_repeat(catalogue)
        whole = Configuration(model, (rows, columns), width, 0, energy, seed, repeats, constraint)
        least, most = whole.counts()
        n_readings = int(draw.choice([least, min(least + 1, most), draw.integers(least, most + 1), most]))
        if repeats and draw.random() < 0.4:  # beyond the catalogue
            n_readings = most + int(draw.integers(0, 2 * (most - least) + 1))
        yield replace(whole, n_readings=n_readings)


def designer_of(kind: str, configuration: Configuration) -> Designer:
    designer = registry.find("designers", kind)(configuration.problem())
    assert isinstance(designer, Designer)
    return designer


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def legacy_state() -> str:
    """NumPy's global random state."""
    with np.printoptions(threshold=1000):
        return repr(np.random.get_state(legacy=False))  # noqa: NPY002


def check_pattern(pattern: Pattern, problem: DesignProblem, case: object) -> None:
    assert pattern.n_units == problem.sensing.n_units, case
    assert pattern.n_readings == problem.budget.n_readings, case
    assert pattern.calibration.tolist() == problem.calibration.tolist(), case
    assert (pattern.counts >= problem.fixed_counts).all(), case
    if not problem.budget.allows_repeats:
        assert (pattern.counts <= 1).all(), case
    if problem.allowed is not None:
        assert problem.allowed[pattern.order].all(), case


def check_relaxed(counts: torch.Tensor, problem: DesignProblem, case: object) -> None:
    assert counts.dtype == torch.float32, case
    assert counts.shape == (problem.sensing.n_units,), case
    values = counts.detach()
    assert torch.isfinite(values).all(), case
    assert (values >= 0).all(), case
    fixed = values[torch.from_numpy(problem.fixed_readings)]
    assert (fixed >= 1).all(), case
    if not problem.budget.allows_repeats:
        assert (fixed == 1).all(), case
    if problem.allowed is not None:
        assert (values[torch.from_numpy(~problem.allowed)] == 0).all(), case


def check_gradient(counts: torch.Tensor, designer: Designer, case: object) -> None:
    """A loss that falls with the counts reaches every parameter wherever the budget leaves a choice."""
    parameters = list(designer.parameters())
    assert bool(parameters) == (designer.is_learned and not designer.learns_from_errors), case
    if not parameters:
        assert not counts.requires_grad, case
        return
    n_free, n_left_out = designer.problem.n_free, designer.problem.free_units.size - designer.problem.n_free
    if not counts.requires_grad:
        assert n_free == 0 or n_left_out == 0, case
        return
    worth = torch.rand(counts.shape, generator=generator(1))
    gradients = torch.autograd.grad(-(counts * worth).sum(), parameters)
    assert all(torch.isfinite(gradient).all() for gradient in gradients), case
    if n_free > 0 and n_left_out > 2:
        assert all((gradient != 0).any() for gradient in gradients), case


@pytest.mark.parametrize("kind", KINDS)
def test_every_designer_meets_every_budget(kind: str) -> None:
    checked = 0
    for configuration in configurations(kind):
        case = (kind, configuration)
        designer = designer_of(kind, configuration)
        problem = designer.problem
        counts = designer.relaxed(generator(2))
        check_relaxed(counts, problem, case)
        check_gradient(counts, designer, case)
        pattern = designer.freeze(generator(3))
        check_pattern(pattern, problem, case)
        if isinstance(designer, FixedDesigner):
            assert counts.tolist() == pattern.counts.tolist(), case
        # The same seed again, with a designer made anew and one asked again.
        again = designer_of(kind, configuration)
        assert torch.equal(again.relaxed(generator(2)), counts), case
        assert again.freeze(generator(3)) == pattern, case
        assert designer.freeze(generator(3)) == pattern, case
        checked += 1
    assert checked == PER_KIND


@pytest.mark.parametrize("kind", [kind for kind in KINDS if registry.find("designers", kind).learns_from_errors])
def test_what_learns_from_errors_stays_on_budget(kind: str) -> None:
    """Whole counts on the exact budget in every step, whatever the errors are; the same steps, the same pattern."""
    for configuration in list(configurations(kind))[::5]:
        results = []
        for _ in range(2):
            designer, random_errors = designer_of(kind, configuration), numpy_generator(configuration.seed, "errors")
            problem = designer.problem
            for step in range(6):
                designer.set_progress(step / 5)
                counts = designer.relaxed(generator(step))
                check_relaxed(counts, problem, configuration)
                assert counts.sum() == problem.budget.n_readings, configuration
                assert (counts == counts.round()).all(), configuration
                if designer.wants_errors():
                    errors = random_errors.random(problem.sensing.n_units) * problem.energy
                    designer.learn(counts, torch.from_numpy(errors).float())
            results.append(designer.freeze(generator(0)))
            check_pattern(results[-1], problem, configuration)
        assert results[0] == results[1], configuration


class MadeUpCritic:
    """Likes some units more than others, on the guard's images nearly the same ones."""

    def __init__(self, n_units: int) -> None:
        self.liking = numpy_generator(0, "liking").random(n_units)

    def quality(self, counts: npt.NDArray[np.int64], n_images: int | None = None) -> npt.NDArray[np.float64]:
        return np.asarray(np.minimum(counts, 3) @ self.liking)

    def guard(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return np.asarray(np.minimum(counts, 3) @ (self.liking + 1e-3))

    def guard_measures(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return np.repeat(self.guard(counts)[:, None], 2, axis=1)

    def worth(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return self.liking


def searched(designer: SearchingDesigner, rounds: int | None = None) -> int:
    """Take the rounds of a search, at most so many; how many there were."""
    critic = MadeUpCritic(designer.problem.sensing.n_units)
    while designer.rounds_taken != rounds and designer.search_round(critic):
        pass
    return designer.rounds_taken


SEARCHING = [kind for kind in KINDS if registry.find("designers", kind).searches]


@pytest.mark.parametrize("kind", SEARCHING)
def test_a_search_keeps_to_budget_and_constraints_and_gains(kind: str) -> None:
    gains = []
    for configuration in list(configurations(kind))[::4]:
        designer = designer_of(kind, configuration)
        assert isinstance(designer, SearchingDesigner)
        critic, before = MadeUpCritic(designer.problem.sensing.n_units), designer.freeze(generator(0))
        n_rounds = searched(designer)
        pattern = designer.freeze(generator(0))
        check_pattern(pattern, designer.problem, configuration)
        assert not designer.search_round(critic), configuration
        before_db, after_db = critic.quality(np.stack([before.counts, pattern.counts]))
        gains.append(after_db - before_db)
        # Interrupted, stored and gone on with: the same pattern.
        half = designer_of(kind, configuration)
        assert isinstance(half, SearchingDesigner)
        searched(half, n_rounds // 2)
        again = designer_of(kind, configuration)
        assert isinstance(again, SearchingDesigner)
        again.load_state_dict(half.state_dict())
        assert searched(again) == n_rounds, configuration
        assert again.freeze(generator(0)) == pattern, configuration
    assert np.mean(gains) > 0
    assert np.mean(np.array(gains) >= 0) > 0.9


@pytest.mark.parametrize("kind", SEARCHING)
def test_a_search_of_so_many_rounds_is_the_start_of_a_longer_one(kind: str) -> None:
    sensing = CartesianMRI((64, 4), "lines")
    problem = DesignProblem(sensing, Budget(20, 64, 8), sensing.calibration_units(8), sensing.distance() + 0.1)
    cls = registry.find("designers", kind)
    short, long = cls(problem, rounds=6), cls(problem)
    assert searched(short) == min(6, long.n_rounds)
    searched(long, 6)
    assert short.freeze(generator(0)) == long.freeze(generator(0))
    with pytest.raises(RecipeError, match="rounds"):
        cls(problem, rounds=-1)


@pytest.mark.parametrize("kind", KINDS)
def test_more_readings_than_units_are_refused_unless_they_repeat(kind: str) -> None:
    sensing = HadamardDMD((4, 4))
    budget = Budget(20, 16, 4, allows_repeats=True)
    problem = DesignProblem(sensing, budget, sensing.calibration_units(2), np.ones(16))
    cls = registry.find("designers", kind)
    if cls.may_repeat(sensing):
        assert cls(problem).freeze(generator(0)).n_readings == 20
        return
    with pytest.raises(BudgetError, match=rf"{kind} measures a unit once.*16 readings are left for 12"):
        cls(problem)


def test_at_least_a_thousand_configurations() -> None:
    drawn = [configuration for kind in KINDS for configuration in configurations(kind)]
    assert len(drawn) == PER_KIND * len(KINDS) >= 1000
    assert len(set(drawn)) >= 950  # small catalogues may repeat
    problems = [configuration.problem() for configuration in drawn]
    assert min(Counter(configuration.model for configuration in drawn).values()) > 200
    assert sum(problem.n_free == 0 for problem in problems) > 50
    assert sum(problem.n_free == problem.free_units.size > 0 for problem in problems) > 100
    assert sum(0 < problem.n_free < problem.free_units.size for problem in problems) > 400
    assert sum(problem.free_units.size == 0 for problem in problems) > 50
    assert sum(problem.calibration.size > 0 for problem in problems) > 400
    assert min(Counter(configuration.constraint for configuration in drawn).values()) > 40
    assert sum(problem.required.size > 0 for problem in problems) > 50
    assert sum(problem.allowed is not None and not problem.allowed.all() for problem in problems) > 400


@pytest.mark.parametrize("kind", KINDS)
def test_at_most_one_of_a_conjugate_pair(kind: str) -> None:
    for configuration in configurations(kind):
        if configuration.constraint == "pairs":
            designer = designer_of(kind, configuration)
            pattern, fixed = designer.freeze(generator(3)), designer.problem.fixed_readings
            assert not has_conjugates(pattern.order, fixed, configuration.sensing), (kind, configuration)


@pytest.mark.parametrize("kind", KINDS)
def test_global_random_state_is_untouched(kind: str) -> None:
    configuration = Configuration("points", (12, 14), 4, 50, "distinct", 3)
    torch_state, numpy_state, python_state = torch.get_rng_state(), legacy_state(), random.getstate()
    designer = designer_of(kind, configuration)
    designer.set_progress(0.5)
    designer.relaxed(generator(0))
    designer.freeze(generator(0))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert legacy_state() == numpy_state
    assert random.getstate() == python_state


@pytest.mark.parametrize("kind", KINDS)
def test_the_global_random_state_does_not_matter(kind: str) -> None:
    configuration = Configuration("hadamard", (8, 16), 2, 40, "distinct", 4)
    results = []
    for seed in (10, 11):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            designer = designer_of(kind, configuration)
            results.append((designer.relaxed(generator(0)).tolist(), designer.freeze(generator(0))))
    assert results[0] == results[1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_problem_is_left_as_it_was(kind: str) -> None:
    configuration = Configuration("lines", (40, 3), 6, 15, "distinct", 5)
    problem, untouched = configuration.problem(), configuration.problem()
    designer = registry.find("designers", kind)(problem)
    designer.relaxed(generator(0))
    designer.freeze(generator(0))
    assert np.array_equal(problem.calibration, untouched.calibration)
    assert np.array_equal(problem.energy, untouched.energy)


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_is_kept_as_it_was_decided(kind: str) -> None:
    designer = designer_of(kind, Configuration("points", (12, 14), 4, 50, "distinct", 3))
    for name in option_names("designers", kind):
        decided = vars(designer)[name]
        assert decided is None or isinstance(decided, bool | int | float | str)
        again = registry.find("designers", kind)(designer.problem, **{name: decided})
        assert again.freeze(generator(0)) == designer.freeze(generator(0))


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_line_can_list_it(kind: str) -> None:
    cls = registry.find("designers", kind)
    assert cls.kind == kind
    assert isinstance(cls.is_learned, bool)
    for text in (cls.summary, cls.reference):
        assert text.strip()
        assert "\n" not in text
    assert len(cls.summary) <= 80
