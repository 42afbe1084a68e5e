"""A plan in words and numbers: for the terminal, for a page, and for a script."""

from __future__ import annotations

import math
from typing import Any

from acqplan.exposure import exposure
from acqplan.noise.base import NoiseModel
from acqplan.plan import Plan
from acqplan.recipe import Component

METRIC_NAMES = {"psnr_db": "PSNR / dB", "ssim": "SSIM", "nrmse": "NRMSE"}
SHORT_ID = 12  # hexadecimal digits of a digest that people compare by eye


def title(plan: Plan) -> str:
    """One line: what the plan is for."""
    rows, columns = plan.sensing.image_shape
    what = "MRI" if plan.sensing.is_complex else "DMD"
    return f"{what} plan, {rows} × {columns}, {count(plan)}"


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
    encoding = plan.sensing.spec().get("encoding")
    time_s = plan.budget.acquisition_time_s
    n_calibration = plan.budget.n_calibration
    centre = "in the centre" if plan.sensing.is_complex else "of the lowest sequencies"
    network = plan.reconstructor
    parameters = f", {network.n_parameters:,} parameters" if network.n_parameters else ", nothing to train"
    listed = [
        ("Sensing", plan.sensing.kind + (f", {encoding}" if encoding else "")),
        ("Size", f"{rows} × {columns} (rows × columns)"),
        ("Count", count(plan)),
        ("Calibration", f"{n_calibration} {plan.sensing.unit_name}s {centre}" if n_calibration else "none"),
        ("Acquisition time", "the time per reading isn't known" if time_s is None else f"{time_s:.6g} s"),
        ("Noise", noise_text(plan.noise)),
        ("Designer", _component(recipe.designer)),
        ("Reconstructor", _arguments(network.kind, _without_defaults(network.spec())) + parameters),
        ("Training", f"{training.steps} steps of {training.batch_size} images, seed {recipe.seed}"),
        ("Images", ", ".join(recipe.images.paths) or "not named"),
        ("Plan id", plan.plan_id),
        ("Pattern digest", plan.pattern.digest),
    ]
    scheme = plan.sensing.spec().get("scheme")
    if scheme is not None:
        listed[0] = ("Sensing", f"{plan.sensing.kind}, {scheme}")
    return listed + light(plan) + _evidence(plan)


def light(plan: Plan) -> list[tuple[str, str]]:
    """What a scan costs the sample in light, and which display scheme suits; empty where nothing is lit."""
    cost = plan.evidence.get("exposure") or exposure(plan.sensing, plan.budget, plan.pattern)
    if not cost:
        return []
    listed = [
        (
            "Light on, DMD before the sample",
            f"{_seconds(cost['light_on_s'])}each pixel is on in {cost['light_frames']:g} of {cost['frames']} frames",
        ),
        ("Light on, DMD behind the sample", f"{_seconds(cost['scan_s'])}all {cost['frames']} frames"),
    ]
    if cost.get("photo_electrons") is not None:
        listed.append(("Photo-electrons", f"{cost['photo_electrons']:.4g} of a typical image over the scan"))
    if cost.get("energy_j") is not None:
        listed.append(("Dose", f"{cost['energy_j']:.4g} J on the sample, at {cost['power_w']:g} W with all mirrors on"))
    if "scheme" in plan.evidence:
        listed.append(("Display scheme", plan.evidence["scheme"]["why"]))
    return listed


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.4g} s: "


def _evidence(plan: Plan) -> list[tuple[str, str]]:
    evidence = plan.evidence
    listed = []
    for name, label in (("plan", "Held out, this plan"), ("zero_filled", "Held out, zero-filled")):
        values = evidence.get("held_out", {}).get("mean", {}).get(name)
        if values is not None:
            listed.append((label, metrics_text(values)))
    if "n_test" in evidence:
        listed.append(("Held out, images", f"{evidence['n_test']} (trained on {evidence['n_train']})"))
    return listed


def warnings(plan: Plan) -> list[str]:
    """What the evidence isn't."""
    return [str(warning) for warning in plan.evidence.get("warnings", [])]


def noise_text(noise: NoiseModel) -> str:
    """``complex_gaussian (std 0.005)``."""
    return _arguments(noise.kind, noise.spec())


def metrics_text(values: dict[str, float]) -> str:
    """``PSNR 31.20 dB, SSIM 0.9100, NRMSE 0.0500``."""
    return f"PSNR {values['psnr_db']:.2f} dB, SSIM {values['ssim']:.4f}, NRMSE {values['nrmse']:.4f}"


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
        "acquisition_time_s": budget.acquisition_time_s,
        "exposure": plan.evidence.get("exposure") or exposure(plan.sensing, budget, plan.pattern),
        "noise": {"kind": plan.noise.kind, **plan.noise.spec()},
        "designer": {"kind": plan.recipe.designer.kind, **plan.recipe.designer.options},
        "reconstructor": {"kind": plan.reconstructor.kind, **plan.reconstructor.spec()},
        "n_parameters": plan.reconstructor.n_parameters,
        "steps": plan.recipe.training.steps,
        "seed": plan.recipe.seed,
        "images": plan.recipe.images.paths,
        "evidence": plan.evidence,
    }


def json_ready(value: Any) -> Any:
    """``value`` with numbers that JSON can't hold (a PSNR of equal images is infinite) as None."""
    if isinstance(value, dict):
        return {str(key): json_ready(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _component(component: Component) -> str:
    return _arguments(component.kind, component.options)


def _arguments(kind: str, arguments: dict[str, Any]) -> str:
    listed = ", ".join(f"{name} {_value(value)}" for name, value in arguments.items())
    return f"{kind} ({listed})" if listed else kind


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _without_defaults(arguments: dict[str, Any]) -> dict[str, Any]:
    """Without what the sensing model says already."""
    return {name: value for name, value in arguments.items() if name != "is_complex"}
