"""A plan in words and numbers: for the terminal, for a page, and for a script."""

from __future__ import annotations

from typing import Any

import numpy as np

from acqplan.core import measures, registry
from acqplan.core.statistics import Effect
from acqplan.core.verdict import HARDLY_DB, sentence
from acqplan.core.words import with_settings
from acqplan.plan.components import Component
from acqplan.plan.plan import Plan
from acqplan.sensing.noise import NoiseModel

_FIRST_UNITS = 6
_LONGEST_LIST = 60  # characters
SHORT_ID = 12  # hexadecimal digits of a digest that people compare by eye


def title(plan: Plan) -> str:
    """One line: what the plan is for."""
    rows, columns = plan.sensing.image_shape
    return f"{plan.modality.title} plan, {rows} × {columns}, {count(plan)}"


def count(plan: Plan) -> str:
    """``4096 of 16384 points, 4x``; of ± pairs also the frames, with repeats also the units."""
    budget, sensing = plan.budget, plan.sensing
    readings = str(budget.n_readings)
    if plan.pattern.counts.max() > 1:
        readings += f" readings of {int(plan.pattern.mask.sum())}"
    frames = f" ({budget.n_readings * sensing.frames_per_unit} frames)" if sensing.frames_per_unit > 1 else ""
    return (
        f"{readings} of {budget.n_units} {sensing.unit_name}s{frames}, "
        f"{budget.acceleration:.4g}x, {100 * budget.fraction:.4g} %"
    )


def facts(plan: Plan) -> list[tuple[str, str]]:
    """(name, value) of everything that a reader may want to know of a plan."""
    rows, columns = plan.sensing.image_shape
    recipe, training = plan.recipe, plan.recipe.training
    option = plan.modality.option_of(plan.sensing)
    time_s = plan.budget.acquisition_time_s
    n_calibration = plan.budget.n_calibration
    centre = plan.modality.words.calibration
    network = plan.reconstructor
    parameters = f", {network.n_parameters:,} parameters" if network.n_parameters else ", nothing to train"
    listed = [
        ("Sensing", plan.sensing.kind + (f", {option}" if option else "")),
        ("Size", f"{rows} × {columns} (rows × columns)"),
        ("Count", count(plan)),
        ("Calibration", f"{n_calibration} {plan.sensing.unit_name}s {centre}" if n_calibration else "none"),
        ("Acquisition order", order_text(plan)),
        ("Acquisition time", "the time per reading isn't known" if time_s is None else f"{time_s:.6g} s"),
        ("Noise", noise_text(plan.noise)),
        ("Designer", _component(recipe.designer)),
        ("Reconstructor", with_settings(network.kind, _without_defaults(network.spec())) + parameters),
        ("Training", f"{training.steps} steps of {training.batch_size} images, seed {recipe.seed}"),
        ("Images", ", ".join(recipe.images.paths) or "not named"),
        *([("Trained on as well", ", ".join(recipe.images.train_only))] if recipe.images.train_only else []),
        ("Plan id", plan.plan_id),
        ("Pattern digest", plan.pattern.digest),
    ]
    constraints = constraints_text(plan)
    if constraints:
        listed.insert(4, ("Constraints", constraints))
    return listed + plan.modality.facts(plan) + _evidence(plan)


def _evidence(plan: Plan) -> list[tuple[str, str]]:
    evidence = plan.evidence
    listed = []
    for name, label in (("plan", "Held out, this plan"), ("zero_filled", "Held out, zero-filled")):
        values = evidence.get("held_out", {}).get("mean", {}).get(name)
        if values is not None:
            listed.append((label, measures.text(values, plan.modality.measures)))
    if evidence.get("adapted"):
        listed.insert(0, ("Adapted", adapted_text(evidence["adapted"])))
    if evidence.get("search"):
        listed.insert(0, ("Search", search_text(evidence["search"])))
    if evidence.get("supplied"):
        listed.append(("Supplied", supplied_text(evidence["supplied"])))
    if evidence.get("usual"):
        listed.append(("Usual pattern", usual_text(evidence["usual"])))
    if "n_test" in evidence:
        listed.append(("Held out, images", f"{evidence['n_test']} (trained on {evidence['n_train']})"))
    return listed


def search_text(found: dict[str, Any]) -> str:
    """``424 patterns tried in 54 rounds; closeness^2.5, blue noise``: what a plan's search came to."""
    text = f"{found['tries']} patterns tried in {found['rounds']} rounds"
    if "power" in found:
        return f"{text}; closeness^{found['power']:.3g}"
    for name in ("share", "shape", "times"):
        if name in found:
            return f"{text}; {name} {found[name]}"
    if "density" not in found:
        return text
    if "usual_db" in found:
        gain_db = found["quality_db"] - found["usual_db"]
        text += f"; {gain_db:+.2f} dB to the best usual pattern on its own images"
        text += ": which one hardly matters" if gain_db < HARDLY_DB else ""
    return f"{text}; {', '.join(_density_words({'norm': 0, 'times': 1, 'light': 0.0, **found['density']}))}"


def _density_words(density: dict[str, Any]) -> list[str]:
    by = "energy" if density["by_energy"] else "closeness"
    if density["light"]:
        return [f"water-filling on energy^{density['power']:.3g}", f"for {density['light']:.2g} times the light"]
    shape = {0: [], 1: ["in a triangle"], 2: ["in a disc"]}[density["norm"]]
    times = [f"each {density['times']} times"] if density["times"] > 1 else []
    if density["core"] == 1:
        return [f"largest {by}", *shape, *times]
    words = [f"{by}^{density['power']:.3g}"]
    words += [f"core {density['core']:.0%}"] if density["core"] else []
    words += [f"stretched by 2^{density['stretch']:.2g}"] if density["stretch"] else []
    return [*words, *shape, *times, "blue noise" if density["is_blue"] else "independent draws"]


def adapted_text(found: dict[str, Any]) -> str:
    """``from plan 0123456789ab by 40 steps: PSNR 30.10 to 30.90 dB, SSIM 0.9000 to 0.9100 on 12 held-out images``."""
    before, after = found["before"], found["after"]
    return (
        f"from plan {found['plan_id'][:SHORT_ID]} by {found['steps']} steps: PSNR {before['psnr_db']:.2f} to "
        f"{after['psnr_db']:.2f} dB, SSIM {before['ssim']:.4f} to {after['ssim']:.4f} on {found['n_images']} held-out "
        "images"
    )


def supplied_text(found: dict[str, Any]) -> str:
    """``3.4 % of the energy isn't in what was measured; of it 87 % is right, …``: on held-out images."""
    mean = found["mean"]
    recovered = f"{percent(mean['recovered'])} of what was missing is there"
    if mean["recovered"] < 0:
        recovered = "the image would be nearer to the truth without it"
    return (
        f"{percent(mean['supplied'])} of the image's energy isn't in what was measured (of the truth's "
        f"{percent(mean['missing'])}); of what the network supplied {percent(mean['right'])} is right, and "
        f"{recovered} ({found['n_images']} held-out images)"
    )


def percent(share: float) -> str:
    """``3.4 %``, ``0.012 %``."""
    return f"{100 * share:.2g} %" if abs(share) < 0.1 else f"{100 * share:.0f} %"


def usual_text(found: dict[str, Any]) -> str:
    """``A variable density of power 2.5 is worse than this pattern in PSNR: …``: what a plan's evidence has of one."""
    name = f"a {found['designer'].replace('-', ' ')}"
    name += f" of {found['parameter']} {found['value']}" if "parameter" in found else ""
    effects = {measure: Effect.of(each) for measure, each in found["measures"].items()}
    told = sentence(name, "this pattern", effects)
    return f"{told[0].upper()}{told[1:]} Both with the network that the search judged by."


def beside_the_plan(plan: Plan) -> dict[str, str]:
    """What stands beside the plan's network in the held-out table: its name in the evidence, and the words for it."""
    before = {}
    if plan.evidence.get("adapted"):
        before["base"] = f"before it was adapted (plan {plan.evidence['adapted']['plan_id'][:SHORT_ID]})"
    return before | {"zero_filled": "the same pattern, zero-filled"}


def warnings(plan: Plan) -> list[str]:
    """What the evidence isn't."""
    return [str(warning) for warning in plan.evidence.get("warnings", [])]


def order_text(plan: Plan) -> str:
    """``segmented, 16 trains of 8 echoes: ky 4, 36, 68, …``: how the plan's units follow each other."""
    order, budget = plan.recipe.pattern.order, plan.budget
    named = order.kind
    if budget.readings_per_shot > 1:
        named += f", {budget.n_shots} trains of {budget.readings_per_shot} echoes"
    words = registry.find("orders", order.kind).option_words(order.options)
    named += f", {words}" if words else ""
    first = np.stack(np.unravel_index(plan.pattern.order[:_FIRST_UNITS], plan.sensing.grid_shape), axis=-1)
    listed = ", ".join(":".join(map(str, position)) for position in first.tolist())
    axes = plan.modality.words.order_axes.get(first.shape[1], plan.sensing.unit_name)
    return f"{named}; {axes} {listed}{', …' if plan.pattern.n_readings > _FIRST_UNITS else ''}"


def constraints_text(plan: Plan) -> str:
    """What the pattern had to obey, or nothing."""
    settings, name = plan.recipe.pattern, plan.sensing.unit_name
    parts = plan.modality.constraint_words(plan.recipe)
    for what, text in (("never", settings.forbidden), ("always", settings.required)):
        if text:
            parts.append(f"{what} {name} {text if len(text) <= _LONGEST_LIST else text[:_LONGEST_LIST] + '…'}")
    return ", ".join(parts)


def notes(plan: Plan) -> list[str]:
    """What was decided otherwise than the words of the recipe say."""
    return [str(note) for note in plan.evidence.get("notes", [])]


def noise_text(noise: NoiseModel) -> str:
    """``complex_gaussian (std 0.005)``."""
    return with_settings(noise.kind, noise.spec())


def summary(plan: Plan) -> dict[str, Any]:
    """The same for scripts, JSON-ready."""
    budget = plan.budget
    return {
        "plan_id": plan.plan_id,
        "pattern_digest": plan.pattern.digest,
        "sensing": {"kind": plan.sensing.kind, **plan.sensing.spec()},
        "unit": plan.sensing.unit_name,
        "count": budget.n_readings,
        "n_units": budget.n_units,
        "n_calibration": budget.n_calibration,
        "frames": budget.n_readings * plan.sensing.frames_per_unit,
        "acceleration": budget.acceleration,
        "order": plan.recipe.pattern.order.kind,
        "shots": budget.n_shots,
        "acquisition_time_s": budget.acquisition_time_s,
        "exposure": plan.modality.light_cost(plan),
        "noise": {"kind": plan.noise.kind, **plan.noise.spec()},
        "designer": {"kind": plan.recipe.designer.kind, **plan.recipe.designer.options},
        "reconstructor": {"kind": plan.reconstructor.kind, **plan.reconstructor.spec()},
        "n_parameters": plan.reconstructor.n_parameters,
        "steps": plan.recipe.training.steps,
        "seed": plan.recipe.seed,
        "images": plan.recipe.images.paths,
        "evidence": plan.evidence,
    }


def _component(component: Component) -> str:
    return with_settings(component.kind, component.options)


def _without_defaults(arguments: dict[str, Any]) -> dict[str, Any]:
    """Without what the sensing model says already."""
    return {name: value for name, value in arguments.items() if name != "is_complex"}
