"""``acqplan design MODALITY``: from images and a budget to a plan."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from acqplan.cli import console
from acqplan.cli.arguments import SeveralValues, examples
from acqplan.cli.design_flags import OF_A_RUN, OF_A_TARGET, command
from acqplan.cli.interruption import StopBetweenSteps, given_command
from acqplan.core import measures, registry
from acqplan.core.errors import OutputError, RecipeError
from acqplan.plan.modality import Modality

if TYPE_CHECKING:
    from acqplan.learning.problem import Problem
    from acqplan.plan.plan import Plan
    from acqplan.plan.recipe import Recipe
    from acqplan.reconstructors.reconstructor import Reconstructor
    from acqplan.workflow.target import SmallestBudget

_COPIES = 4  # of each weight in training: itself, its gradient, and two of the optimiser

app = typer.Typer(help="Learn a plan from images, or train a network for a usual pattern.", no_args_is_help=True)


def design_plan(
    modality: type[Modality],
    ctx: typer.Context,
    typed: dict[str, Any],
    *,
    output: Path | None,
    overwrite: bool,
    resume: bool,
    keep: bool,
    dry_run: bool,
    target: str | None = None,
    confidence: float | None = None,
    test_images: list[str] | None = None,
) -> None:
    """Make the plan that the flags say, or print its recipe."""
    from acqplan.cli.design_recipe import recipe_from

    recipe = recipe_from(modality, typed)
    device = recipe.training.device
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise RecipeError(f"There is no device {device!r}.", "Use --device cpu or --device cuda.")
    if target is None and (confidence is not None or test_images):
        raise RecipeError("--confidence or --test-images is given without --target.", "Add --target, or leave it out.")
    if target is not None and (typed["adapt_from"] or typed["pattern_from"]):
        raise RecipeError("--target is given with another plan's pattern.", "Leave one of them out.")
    if dry_run:
        if target is not None:
            recipe = _smallest(recipe, target, confidence, test_images, None).recipe
        _dry_run(recipe)
        return
    from acqplan.core.files import check_writable

    if output is None:
        raise RecipeError("No output is named.", "Add -o FILE.acqplan, or --dry-run to see the recipe only.")
    if output.is_dir():
        raise OutputError(f"{output} is a folder, expected a file name.", "Choose another name.")
    check_writable(output, overwrite=overwrite)
    checkpoint = output.with_name(f"{output.name}.checkpoint")
    if checkpoint.exists() and not (resume or keep):
        how = "--resume goes on from it, --keep takes it as it is"
        console.note(f"{checkpoint} of an interrupted training will be overwritten ({how}).")
    from acqplan.cli.training_display import TrainingDisplay
    from acqplan.learning.resolve import designer_for
    from acqplan.learning.training import design

    found = None
    if target is not None:
        found = _smallest(recipe, target, confidence, test_images, output)
        recipe = found.recipe
    designer = registry.find("designers", designer_for(recipe).kind)
    learns = designer.is_learned or designer.searches
    stopping = StopBetweenSteps(checkpoint, given_command(ctx.obj))
    with stopping as stop, TrainingDisplay(learns_pattern=learns) as display:

        def follow(progress: Any) -> None:
            display(progress)
            stop.after_step()

        plan = design(
            recipe,
            progress=follow,
            preparing=display.prepare,
            warn=lambda warning: console.warn([warning]),
            checkpoint=checkpoint,
            resume=resume,
            keep=keep,
        )
    plan.save(output, overwrite=overwrite)
    checkpoint.unlink(missing_ok=True)
    _report(plan, output)
    if found is not None:
        with console.working("measuring"):
            stated = found.stated(plan)
        console.stdout().print(stated.text, markup=False)


def _smallest(
    recipe: Recipe, target: str, confidence: float | None, test_images: list[str] | None, output: Path | None
) -> SmallestBudget:
    """The budget that reaches the target, and what was tried on the way to it."""
    import acqplan
    from acqplan.core.files import check_writable

    given = {} if confidence is None else {"confidence": confidence}
    base_file = None if output is None else output.with_suffix(".acqbase")
    if recipe.training.base is None and base_file is not None:
        check_writable(base_file, overwrite=False)
    with console.following() as follow:
        found = acqplan.smallest_budget(
            recipe, target, test_images=test_images or (), base_file=base_file, preparing=follow, **given
        )
    console.warn(found.warnings)
    rows = [[str(each.count), found.target.text(each.mean), found.target.text(each.bound)] for each in found.trials]
    console.table(["tried", "mean", f"at worst ({found.confidence:.0%})"], rows)
    for note in (found.text, *found.notes):
        console.note(note)
    return found


for _kind, _modality in registry.kinds("modalities").items():
    app.command(_kind, cls=SeveralValues, epilog=examples(*_modality.examples))(
        command(_modality, design_plan, own={**OF_A_RUN, **OF_A_TARGET})
    )


def _dry_run(recipe: Recipe) -> None:
    """Print the recipe with all that is decided before training; the images are read and checked."""
    from acqplan.learning.problem import build_designer, build_reconstructor
    from acqplan.learning.resolve import resolve
    from acqplan.plan.recipe_text import to_toml

    with console.working("reading images"):
        problem = resolve(recipe)
        build_designer(problem)
        network = build_reconstructor(problem)
    console.warn(problem.images.warnings)
    for note in (*problem.modality.advice(problem.sensing, problem.design.budget, problem.noise, problem.images),):
        console.note(note)
    for note in (*problem.notes, *_costs(problem, network)):
        console.note(note)
    console.output(to_toml(problem.recipe))


def _costs(problem: Problem, network: Reconstructor) -> list[str]:
    """What the plan will cost: the count, shots and time of its scan, the time and memory of its training."""
    budget, sensing, images = problem.design.budget, problem.sensing, problem.images
    frames = f" ({budget.n_readings * sensing.frames_per_unit} frames)" if sensing.frames_per_unit > 1 else ""
    seconds, training = budget.acquisition_time_s, problem.recipe.training
    time = "unknown without the time of a shot" if seconds is None else f"{seconds:.4g} s"
    records = (*images.train, *images.validation, *images.test)
    maps = sum(record.coil_maps.nbytes for record in records if record.coil_maps is not None)
    held = sum(record.array.nbytes for record in records) + maps
    weights = _COPIES * sum(weight.nbytes for weight in network.parameters())
    length = f"{training.steps} steps" if training.steps is not None else f"{training.minutes:g} minutes"
    return [
        f"Count: {budget.n_readings} of {budget.n_units} {sensing.unit_name}s{frames}, {budget.acceleration:.4g}x.",
        f"Shots: {budget.n_shots}; time of the scan: {time}.",
        f"Training: {length}; memory: {held / 2**20:.3g} MiB of {len(records)} images, {weights / 2**20:.3g} MiB of "
        f"the network and its optimiser, and what a step of {training.batch_size} images takes.",
    ]


def _report(plan: Plan, output: Path) -> None:
    from acqplan.report import facts

    console.warn(facts.warnings(plan))
    for note in (*plan.modality.remarks(plan), *facts.notes(plan)):
        console.note(note)
    means, names = plan.evidence["held_out"]["mean"], plan.modality.measures
    labels = {"plan": f"this plan ({plan.recipe.designer.kind}, {plan.reconstructor.kind})"}
    labels |= facts.beside_the_plan(plan)
    rows = [[label, *measures.cells(means[name], names)] for name, label in labels.items()]
    console.table([f"{plan.evidence['n_test']} held-out images", *measures.columns(names)], rows)
    if plan.evidence.get("usual"):
        console.stdout().print(facts.usual_text(plan.evidence["usual"]), markup=False)
    console.facts([("Count", facts.count(plan)), ("Plan id", plan.plan_id), ("Written", str(output))])
