"""From a recipe to its parts, and every open setting decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.core.seeding import stream_seed, torch_generator
from acqplan.designers.designer import Designer, DesignProblem
from acqplan.designers.orders import Order
from acqplan.images import ImageStack, TrainingImages, load_stacks, prepare, split
from acqplan.images.split import Split
from acqplan.modalities.dmd.display_schemes import best_reference_repeats
from acqplan.modalities.dmd.exposure import typical_electrons
from acqplan.modalities.mri.coils import MIN_WIDTH
from acqplan.modalities.mri.constraints import (
    Constraints,
    checked_settings,
    constraints_of,
    has_conjugates,
    spelled_out,
)
from acqplan.modalities.mri.sensing import NO_POINTS_IN_2D
from acqplan.plan.recipe import MODALITIES, Component, Recipe, check_options, option_names
from acqplan.reconstructors.data_consistency import start_penalty
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.sensing.budget import Budget, Light, needs_images, parse_budget
from acqplan.sensing.model import SensingModel
from acqplan.sensing.noise import NoiseModel
from acqplan.sensing.pattern import Pattern

DEFAULT_MINUTES = 10.0
SCANS = ("2d", "3d")
POINTS_REMEDY = "Use --pattern lines, or acquire in 3D (--scan 3d)."
_DMD_SIZE = (64, 64)
_GOOD_FOR_MAPS = 12  # width of a calibration region whose coil maps are wrong by about 1 %
_MOST_COILS = 8  # virtual coils of raw data, unless a recipe asks for more: they hold nearly all the signal
_ENERGY_BATCHES, _ENERGY_BATCH = 16, 16
_ENERGY_BATCHES_OF_COILS = 4  # what several coils receive takes longer to compute, and is smoother


@dataclass(frozen=True, eq=False)
class Problem:
    """A resolved recipe and what it stands for."""

    recipe: Recipe
    sensing: SensingModel
    noise: NoiseModel
    design: DesignProblem
    images: TrainingImages
    notes: tuple[str, ...] = ()
    """What was decided otherwise than the words of the recipe say, in sentences."""


def resolve(recipe: Recipe) -> Problem:
    """Read the images and decide every open setting; `AcqplanError` if anything can't be.

    Cheap mistakes (unknown kinds and options, an impossible budget) are found before the images are read
    wherever they can be.
    """
    states_3d = recipe.pattern.scan == "3d"
    recipe = _with_defaults(recipe)
    assert recipe.sensing is not None
    assert recipe.noise is not None
    check_options("designers", recipe.designer)
    check_options("reconstructors", recipe.reconstructor)
    check_options("sensing", recipe.sensing)
    check_options("noise", recipe.noise)
    noise: NoiseModel = _build("noise", recipe.noise)
    if recipe.images.size is not None:
        _sensing(recipe)
        if not needs_images(recipe.budget.amount):
            _extent(recipe, _sensing(recipe), None)
    stacks = read_images(recipe)
    notes = _check_slices(recipe, stacks, states_3d=states_3d)
    if recipe.images.size is None:
        shapes = [stack.image_shape for stack in stacks]
        size = _DMD_SIZE if recipe.modality == "dmd" else tuple(int(n) for n in np.min(shapes, axis=0))
        recipe = recipe.with_settings("images", size=list(size))
    most = max(stack.n_coils for stack in stacks)
    if recipe.images.coils is None and most > 1:
        recipe = recipe.with_settings("images", coils=min(most, _MOST_COILS))
    sensing = _sensing(recipe)
    images = training_images(recipe, stacks)
    extent = _extent(recipe, sensing, typical_electrons(images, noise))
    recipe = extent.recipe
    if sensing.is_complex is False and recipe.images.binning is None:
        recipe = recipe.with_settings("images", binning=stacks[0].recommended_binning or 1)
    seed = stream_seed(recipe.seed, "design")
    energy, variance = _mean_energy(sensing, noise, images, seed)
    problem = Problem(
        recipe, sensing, noise, extent.problem(sensing, energy, variance), images, (*notes, *extent.notes)
    )
    _check_given_pattern(problem)
    return _spelled_out(problem)


def _spelled_out(problem: Problem) -> Problem:
    """The problem with every option of its components in the recipe, as the components have decided them."""
    recipe = problem.recipe
    assert recipe.sensing is not None
    assert recipe.noise is not None
    designer = vars(build_designer(problem))
    recipe = replace(
        recipe,
        sensing=_with_options("sensing", recipe.sensing, {**vars(problem.sensing), **problem.sensing.spec()}),
        noise=_with_options("noise", recipe.noise, problem.noise.spec()),
        designer=_with_options("designers", recipe.designer, designer),
        reconstructor=_with_options("reconstructors", recipe.reconstructor, build_reconstructor(problem).spec()),
        pattern=spelled_out(recipe.pattern, problem.sensing),
    )
    return replace(problem, recipe=recipe)


def _with_options(role: str, component: Component, decided: Mapping[str, Any]) -> Component:
    """The component with all its options; one that stays None, drawn from the seed, is left out."""
    options = {name: decided[name] for name in option_names(role, component.kind) if decided[name] is not None}
    return Component(component.kind, options)


def read_images(recipe: Recipe) -> list[ImageStack]:
    """The stacks that a recipe names."""
    chosen = recipe.images.slices
    if chosen is not None and len(chosen) != 2:
        raise RecipeError(f"slices is {chosen}, expected the first and the last slice.", "Give two numbers.")
    slices = None if chosen is None else (chosen[0], chosen[1] + 1)
    return load_stacks(recipe.images.paths, slices=slices, require_non_negative=recipe.modality == "dmd")


def training_images(recipe: Recipe, stacks: list[ImageStack]) -> TrainingImages:
    """Split and prepare the stacks as the recipe says."""
    settings = recipe.images
    assert settings.size is not None
    size = (settings.size[0], settings.size[1])
    is_crop = settings.fit == "crop"
    parts = split(
        stacks,
        settings.held_out,
        settings.validation,
        stream_seed(recipe.seed, "split"),
        tile_size=size if is_crop else None,
        binning=settings.binning,
    )
    return _prepare(recipe, parts, size)


def evaluation_images(recipe: Recipe, stacks: list[ImageStack], *, keep_empty: bool = False) -> TrainingImages:
    """Prepare all of the stacks as test images at the size of a plan's recipe, with ``keep_empty`` empty ones too."""
    assert recipe.images.size is not None
    size = (recipe.images.size[0], recipe.images.size[1])
    return _prepare(recipe, Split((), (), tuple(stacks)), size, keep_empty)


def _prepare(recipe: Recipe, parts: Split, size: tuple[int, int], keep_empty: bool = False) -> TrainingImages:
    how: Any = recipe.images.fit
    return prepare(
        parts,
        size,
        how=how,
        is_complex=recipe.modality == "mri",
        binning=recipe.images.binning,
        seed=stream_seed(recipe.seed, "images"),
        keep_empty=keep_empty,
        n_coils=recipe.images.coils or 1,
    )


def build_designer(problem: Problem) -> Designer:
    """The recipe's designer, at its start."""
    component = problem.recipe.designer
    designer: Designer = registry.find("designers", component.kind)(problem.design, **component.options)
    return designer


def build_reconstructor(problem: Problem) -> Reconstructor:
    """The recipe's reconstructor with seeded initial weights; the global random state is left as it was."""
    component = problem.recipe.reconstructor
    cls = registry.find("reconstructors", component.kind)
    given: dict[str, Any] = {"is_complex": problem.sensing.is_complex} if cls.is_trained else {}
    if problem.images.n_coils > 1 and cls.is_trained and "penalty" in option_names("reconstructors", component.kind):
        given["penalty"] = start_penalty(problem.sensing.is_complex, problem.images.n_coils)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(problem.recipe.seed, "weights"))
        reconstructor: Reconstructor = _call(cls, {**given, **component.options})
    return reconstructor


def _with_loss(recipe: Recipe) -> Recipe:
    """The loss decided and checked: which there are, and which designers it allows."""
    component = recipe.reconstructor
    if recipe.training.loss is None:
        loss = registry.find("reconstructors", component.kind).loss_for(component.options)
        recipe = recipe.with_settings("training", loss=loss)
    weights = recipe.training.loss
    assert weights is not None
    if "losses" in option_names("reconstructors", component.kind):
        component = Component(component.kind, {"losses": list(weights), **component.options})
        recipe = replace(recipe, reconstructor=component)
        if component.options["losses"] != list(weights):
            raise RecipeError(
                f"The {component.kind} trades {component.options['losses']}, the recipe's losses are {list(weights)}.",
                "Name the same losses in both, in the same order.",
            )
    losses = {kind: registry.find("losses", kind) for kind in weights}
    for kind, weight in weights.items():
        if weight < 0:
            raise RecipeError(f"The loss {kind} has the weight {weight}.", "Give a number of at least 0.")
    if not any(weights.values()):
        raise RecipeError("No loss has a weight above 0.", "Name one, for example --loss mse.")
    if not 0 < recipe.training.hold_back < 1:
        raise RecipeError(
            f"The training setting hold_back is {recipe.training.hold_back}.", "Give a number between 0 and 1."
        )
    sees_truth = any(losses[kind].needs_truth for kind, weight in weights.items() if weight)
    if not sees_truth and registry.find("designers", recipe.designer.kind).is_learned:
        raise RecipeError(
            f"The designer {recipe.designer.kind} learns from fully sampled images, the losses "
            f"({', '.join(weights)}) don't see them.",
            "Choose a fixed designer such as variable-density, or --pattern-from with a plan.",
        )
    return recipe


def _check_slices(recipe: Recipe, stacks: list[ImageStack], *, states_3d: bool) -> tuple[str, ...]:
    """Raw data of slices say how they were acquired: a pattern of points isn't for them.

    Where the recipe itself states a 3D scan, the images are only examples of what will be seen: a note.
    """
    slices = [stack.source for stack in stacks if stack.is_2d_scan]
    if not slices or not _is_of_points(recipe):
        return ()
    which = slices[0] if len(slices) == 1 else f"{slices[0]} and {len(slices) - 1} more"
    if not states_3d:
        raise RecipeError(
            f"The pattern is one of points, and {which} was acquired in 2D slices. {NO_POINTS_IN_2D}", POINTS_REMEDY
        )
    return (f"{which} was acquired in 2D slices; a scan with this pattern of points has to be a 3D one.",)


def _check_given_pattern(problem: Problem) -> None:
    """The pattern of another plan is taken as it is: `RecipeError` if it has both of a conjugate pair and mustn't."""
    recipe, design = problem.recipe, problem.design
    if recipe.designer.kind != "from-plan" or not recipe.pattern.one_of_conjugates:
        return
    pattern = build_designer(problem).freeze(torch_generator(0, "given"))
    if has_conjugates(pattern.order, design.fixed_readings, design.sensing):
        raise RecipeError(
            "The other plan's pattern measures both k and -k somewhere, and one_of_conjugates is set.",
            "Leave it out, or design another pattern.",
        )


def _with_pattern(recipe: Recipe) -> Recipe:
    """The section ``[pattern]`` decided: constraints, and the order of acquisition with its settings."""
    is_mri = recipe.modality == "mri"
    recipe = replace(recipe, pattern=checked_settings(recipe.pattern, is_mri=is_mri))
    if is_mri:
        recipe = _with_scan(recipe)
    settings = recipe.pattern
    is_given = recipe.designer.kind == "from-plan"
    if settings.order is None:
        usual = "given" if is_given else "segmented" if (settings.echo_train or 1) > 1 else "linear"
        recipe = recipe.with_settings("pattern", order=usual)
    elif is_given and settings.order != "given":
        raise RecipeError(
            f"The order is {settings.order}, the designer from-plan keeps the other plan's, bit for bit.",
            "Leave out the order, or choose another designer.",
        )
    order = build_order(recipe)
    options = set(option_names("orders", order.kind))
    for name in ("effective_echo", "interleaves"):
        if getattr(settings, name) is not None and name not in options:
            owners = [kind for kind in registry.kinds("orders") if name in option_names("orders", kind)]
            raise RecipeError(
                f"The pattern setting {name} is given, which the order {order.kind} doesn't have.",
                f"Leave it out, or choose the order {' or '.join(owners)}.",
            )
    return recipe.with_settings("pattern", **{name: vars(order)[name] for name in options})


def _is_of_points(recipe: Recipe) -> bool:
    assert recipe.sensing is not None
    is_cartesian = recipe.sensing.kind == MODALITIES["mri"]
    return is_cartesian and recipe.sensing.options.get("encoding", "points") == "points"


def _with_scan(recipe: Recipe) -> Recipe:
    """Whether it is a scan of slices or of a volume; `RecipeError` where points are asked of slices."""
    if recipe.pattern.scan is None:
        return recipe.with_settings("pattern", scan="3d" if _is_of_points(recipe) else "2d")
    if recipe.pattern.scan not in SCANS:
        raise RecipeError(f"The scan is {recipe.pattern.scan!r}.", f"Choose {' or '.join(SCANS)}.")
    if recipe.pattern.scan == "2d" and _is_of_points(recipe):
        raise RecipeError(f"A pattern of points is asked of a 2D scan. {NO_POINTS_IN_2D}", POINTS_REMEDY)
    if recipe.pattern.scan == "3d" and not _is_of_points(recipe):
        raise RecipeError(
            "A pattern of lines is asked of a 3D scan; lines are planned, exported and read as 2D slices.",
            "Use --pattern points, or acquire in 2D (--scan 2d).",
        )
    return recipe


def build_order(recipe: Recipe) -> Order:
    """The recipe's order of acquisition, decided before; `RecipeError` if it isn't one for its sensing model."""
    assert recipe.sensing is not None
    assert recipe.pattern.order is not None
    cls = registry.find("orders", recipe.pattern.order)
    if recipe.sensing.kind not in cls.modalities:
        fitting = [kind for kind, each in registry.kinds("orders").items() if recipe.sensing.kind in each.modalities]
        raise RecipeError(
            f"The order {cls.kind} isn't one for {recipe.modality}.", f"Choose one of: {', '.join(fitting)}."
        )
    settings = {name: getattr(recipe.pattern, name) for name in option_names("orders", cls.kind)}
    order: Order = _call(cls, {name: value for name, value in settings.items() if value is not None})
    return order


def arranged(pattern: Pattern, problem: Problem) -> Pattern:
    """The pattern with its units in the recipe's order of acquisition."""
    design, order = problem.design, build_order(problem.recipe)
    seed = stream_seed(problem.recipe.seed, "order")
    units = order.arrange(pattern.order, design.sensing, energy=design.energy, seed=seed)
    assert np.array_equal(np.sort(units), np.sort(pattern.order)), "an order changed the pattern"
    return Pattern(units, pattern.n_units, pattern.calibration)


def _with_defaults(recipe: Recipe) -> Recipe:
    is_mri = recipe.modality == "mri"
    if recipe.sensing is None:
        options = {"encoding": "points"} if is_mri else {}
        recipe = replace(recipe, sensing=Component(MODALITIES[recipe.modality], options))
    if recipe.noise is None:
        noise = Component("complex_gaussian", {"std": 0.005}) if is_mri else Component("poisson_gaussian")
        recipe = replace(recipe, noise=noise)
    if recipe.images.fit is None:
        recipe = recipe.with_settings("images", fit="resample" if is_mri else "crop")
    if recipe.images.fit not in ("resample", "crop"):
        raise RecipeError(f"The image setting fit is {recipe.images.fit!r}.", "Choose resample or crop.")
    coils = recipe.images.coils
    if coils is not None and not 1 <= coils <= (64 if is_mri else 1):
        raise RecipeError(
            f"The image setting coils is {coils}.", "Give 1 to 64." if is_mri else "A DMD has none: leave it out."
        )
    if recipe.images.size is not None and len(recipe.images.size) != 2:
        raise RecipeError(f"The size is {recipe.images.size}.", "Give rows and columns, as in 128x128.")
    if recipe.training.batch_size is None:
        recipe = recipe.with_settings("training", batch_size=2 if is_mri else 8)
    training = recipe.training
    if training.minutes is not None and training.steps is not None:
        raise RecipeError("Both minutes and steps are given.", "Give one of them.")
    if training.minutes is None and training.steps is None:
        recipe = recipe.with_settings("training", minutes=DEFAULT_MINUTES)
    for name, value in (("minutes", training.minutes), ("steps", training.steps), ("batch_size", training.batch_size)):
        if value is not None and not value > 0:
            raise RecipeError(f"The training setting {name} is {value}.", "Give a positive number.")
    if not 0 <= training.joint_share <= 1:
        raise RecipeError(f"The training setting joint_share is {training.joint_share}.", "Give a number from 0 to 1.")
    recipe = _with_pattern(_with_loss(recipe))
    if not recipe.budget.amount:
        raise RecipeError("No budget is given.", "Pass --budget, for example 4x, 25% or '64 lines'.")
    return recipe


def _sensing(recipe: Recipe) -> SensingModel:
    assert recipe.sensing is not None
    assert recipe.images.size is not None
    sensing: SensingModel = _build("sensing", recipe.sensing, image_shape=tuple(recipe.images.size))
    return sensing


@dataclass(frozen=True, eq=False)
class _Extent:
    """How much is measured, and where it may be: the recipe with its calibration decided, and what follows."""

    recipe: Recipe
    budget: Budget
    calibration: npt.NDArray[np.int32]
    constraints: Constraints
    notes: tuple[str, ...] = ()

    def problem(
        self, sensing: SensingModel, energy: npt.NDArray[np.float64], variance: npt.NDArray[np.float64] | None = None
    ) -> DesignProblem:
        """The design problem; `BudgetError` if more has to be measured than the budget has."""
        seed = stream_seed(self.recipe.seed, "design")
        allowed, required = self.constraints.allowed, self.constraints.required
        return DesignProblem(sensing, self.budget, self.calibration, energy, seed, variance, allowed, required)


def _extent(recipe: Recipe, sensing: SensingModel, electrons: float | None) -> _Extent:
    """The calibration, the exact count and the constraints.

    ``electrons``: of a typical image during one frame, None where the images aren't known yet.
    """
    settings = recipe.budget
    constraints = constraints_of(recipe.pattern, sensing)
    echo_train = recipe.pattern.echo_train or 1

    def parse(n_calibration: int, n_reference: int, readings_per_shot: int = echo_train) -> Budget:
        lit = sensing.light_frames
        return parse_budget(
            settings.amount,
            n_units=sensing.n_units,
            n_calibration=n_calibration,
            unit_name=sensing.unit_name,
            frames_per_unit=sensing.frames_per_unit,
            frame_time_s=None
            if settings.frame_time_s is None
            else settings.frame_time_s * readings_per_shot / echo_train,
            allows_repeats=n_reference > 1 or bool(registry.find("designers", recipe.designer.kind).repeats),
            light=None if lit is None else Light(lit, n_reference, electrons, settings.power_w),
            readings_per_shot=readings_per_shot,
            n_allowed=int(constraints.allowed.sum()) + echo_train - readings_per_shot,
        )

    at_first = parse(0, 0).n_readings
    width = settings.calibration
    if width is None:
        width = _default_calibration(sensing, at_first, constraints.allowed, recipe.images.coils or 1)
    repeats = settings.reference_repeats
    if sensing.reference_unit is None:
        if repeats is not None:
            raise RecipeError(
                f"reference_repeats is {repeats}, and no reading decodes all the others.", "Leave it out."
            )
    elif repeats is None:
        repeats = min(best_reference_repeats(at_first), max(1, at_first // 4))
    elif repeats < 1:
        raise RecipeError(f"reference_repeats is {repeats}.", "Give a number of at least 1.")
    calibration = sensing.calibration_units(width)
    if repeats is not None:
        reference = np.full(repeats, sensing.reference_unit)
        calibration = np.sort(np.concatenate([np.setdiff1d(calibration, reference), reference])).astype(np.int32)
    constraints.check(calibration, f"The calibration region of width {width}", "Give a smaller --calibration.")
    if recipe.pattern.one_of_conjugates and recipe.designer.kind != "from-plan":
        fixed = np.union1d(calibration, constraints.required)
        constraints = constraints.without_conjugates(fixed, sensing, stream_seed(recipe.seed, "design"))
    budget = parse(calibration.size, repeats or 0)
    notes = []
    if echo_train > 1 and (asked := parse(calibration.size, repeats or 0, 1).n_readings) != budget.n_readings:
        notes.append(
            f"The budget {settings.amount} is {asked} {sensing.unit_name}s, rounded down to {budget.n_readings}: "
            f"{budget.n_shots} whole trains of {echo_train} echoes."
        )
    recipe = recipe.with_settings("budget", calibration=width, reference_repeats=repeats)
    extent = _Extent(recipe, budget, calibration, constraints, tuple(notes))
    extent.problem(sensing, np.zeros(sensing.n_units))
    return extent


def _default_calibration(sensing: SensingModel, n_readings: int, allowed: npt.NDArray[np.bool_], n_coils: int) -> int:
    """The widest even region up to a tenth of the side (DMD: 4) that may be measured and takes a third at most.

    With several coils up to at least 12, and no less than what their maps need if that is at most half of the budget.
    """
    smallest = min(sensing.grid_shape)
    widest = max(smallest // 10, 1) if sensing.is_complex else min(4, smallest)
    needed = MIN_WIDTH if n_coils > 1 else 0
    if needed:
        widest = min(smallest, max(widest, _GOOD_FOR_MAPS))
    for width in range(widest - widest % 2, 0, -2):
        units = sensing.calibration_units(width)
        is_affordable = 3 * units.size <= n_readings or (width == needed and 2 * units.size <= n_readings)
        if is_affordable and allowed[units].all():
            return width
    return 0


def _mean_energy(
    sensing: SensingModel, noise: NoiseModel, images: TrainingImages, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Of each unit: mean |coefficient|² of images as training sees them (turned and cropped: held-out ones may lie any
    way round), in units of full scale; and, in the same units, the noise variance of one reading, decoded."""
    generator = torch_generator(seed, "energy")
    energy = torch.zeros(sensing.n_units, dtype=torch.float64)
    variance = torch.zeros(sensing.n_units, dtype=torch.float64)
    n_batches = _ENERGY_BATCHES if images.n_coils == 1 else _ENERGY_BATCHES_OF_COILS
    for _ in range(n_batches):
        batch, maps = images.coil_batch(_ENERGY_BATCH, generator)
        each = sensing.with_coil_maps(maps).coefficients(batch).abs().square()
        energy += (each.flatten(2).sum(2) if each.ndim > 2 else each).double().mean(0)
        noisy = noise.variance(sensing(batch * noise.image_scale)).double().mean(0, keepdim=True)
        variance += _own_variance(sensing, noisy) / noise.image_scale**2
    return (energy / n_batches).numpy(), (variance / n_batches).numpy()


def _own_variance(sensing: SensingModel, readings: torch.Tensor) -> torch.Tensor:
    """Variances of readings [1, K, …] -> of each decoded unit [K], as far as its own reading is to blame."""
    whole = sensing.decoded_variance(readings)[0]
    reference = sensing.reference_unit
    if reference is None:
        return whole
    own = readings.clone()
    own[:, reference] = 0
    alone = sensing.decoded_variance(own)[0]
    alone[reference] = whole[reference]
    return alone


def _build(role: str, component: Component, **given: Any) -> Any:
    return _call(registry.find(role, component.kind), {**given, **component.options})


def _call(cls: Any, arguments: dict[str, Any]) -> Any:
    try:
        return cls(**arguments)
    except TypeError as error:
        raise RecipeError(f"{cls.kind} can't be made from {arguments}: {error}.", "Check its options.") from error
