"""What a plan meets that it wasn't trained for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from builders.plans import make_plan

from acqplan.core.errors import RecipeError
from acqplan.learning.attack import SHARE, worst_change
from acqplan.learning.stresses import scene_of, shared_stresses
from acqplan.plan.plan import Plan
from acqplan.sensing.measurement import measure
from acqplan.workflow.stress import Lesions, Row, Stressed
from acqplan.workflow.stress_limits import read_limits, violations


def stresses(plan: Plan) -> dict[str, object]:
    return {each.name: each for each in (*shared_stresses(plan), *plan.modality.stresses(plan, 0))}


@pytest.mark.parametrize("sensing", ["points", "lines", "hadamard"])
def test_readings_are_dropped_and_added_around_the_calibration(sensing: str) -> None:
    plan = make_plan(sensing)
    found = {each.name: each for each in shared_stresses(plan)}
    n = round(0.25 * plan.pattern.n_readings)
    fewer, more = found["readings-dropped"].pattern, found["readings-added"].pattern
    assert fewer is not None
    assert more is not None
    assert fewer.n_readings == plan.pattern.n_readings - n
    np.testing.assert_array_equal(fewer.calibration, plan.pattern.calibration)
    assert (fewer.counts <= plan.pattern.counts).all()
    assert more.n_readings == plan.pattern.n_readings + n
    assert (more.counts >= plan.pattern.counts).all()


def test_noise_is_that_many_times_as_strong() -> None:
    found = {each.name: each for each in shared_stresses(make_plan("points", noise={"std": 0.01}))}
    assert found["noise-4x"].noise.spec()["std"] == pytest.approx(0.04)  # type: ignore[union-attr]
    assert found["noise-0.5x"].noise.spec()["std"] == pytest.approx(0.005)  # type: ignore[union-attr]


@pytest.mark.parametrize("scheme", ["pairs", "two-detector", "dc", "s-matrix"])
def test_faults_of_a_dmd_change_the_readings_as_they_would(scheme: str) -> None:
    from acqplan.modalities.dmd.sensing import HadamardDMD

    sensing = HadamardDMD((16, 16), scheme=scheme)
    plan = make_plan(sensing, np.arange(256))
    images = torch.rand(2, 16, 16) + 0.1
    readings = sensing(images)
    found = {each.name: each for each in plan.modality.stresses(plan, 0)}
    ratio = (found["lamp-drift"].spoil(images, readings) / readings).reshape(2, 256, -1)  # type: ignore[misc]
    assert ratio[:, 1].max() == pytest.approx(1.05, abs=1e-3)
    assert ratio[:, -1].min() == pytest.approx(0.95, abs=1e-3)
    dark = found["mirrors-dark"].spoil(images, readings)  # type: ignore[misc]
    lit = found["mirrors-lit"].spoil(images, readings)  # type: ignore[misc]
    on = (..., 0) if scheme == "two-detector" else (...,)
    assert (dark[on] <= readings[on] + 1e-3).all()
    assert (lit[on] >= readings[on] - 1e-3).all()
    if scheme == "two-detector":  # no light is lost: what doesn't go one way goes the other
        torch.testing.assert_close(dark.sum(-1), readings.sum(-1))
        torch.testing.assert_close(lit.sum(-1), readings.sum(-1))
    assert not torch.equal(dark, readings)


def test_a_narrow_calibration_region_is_measured_for_coils_only() -> None:
    assert "narrow-calibration" not in stresses(make_plan("points"))


def test_a_fault_is_measured_but_not_known() -> None:
    plan = make_plan("hadamard")
    (drift, *_) = plan.modality.stresses(plan, 0)
    scene = scene_of(plan, drift)
    assert scene.spoil is not None
    images, counts = torch.rand(1, *plan.sensing.image_shape), torch.ones(1, plan.sensing.n_units)
    quiet = type(plan.noise)(photons=1e9, read_noise_e=0)  # type: ignore[call-arg]
    bright = images * 1e9
    spoiled, known = measure(bright, counts, plan.sensing, quiet, torch.Generator().manual_seed(0), spoil=scene.spoil)
    clean, _ = measure(bright, counts, plan.sensing, quiet, torch.Generator().manual_seed(0))
    assert not torch.allclose(spoiled, clean, rtol=1e-3)
    torch.testing.assert_close(known.coefficients(bright), plan.sensing.coefficients(bright))


@pytest.mark.parametrize(("sensing", "kind"), [("points", "unrolled"), ("hadamard", "unrolled"), ("points", "tv")])
def test_the_worst_change_is_small_and_worse_than_a_random_one(sensing: str, kind: str) -> None:
    plan = make_plan(sensing, reconstructor=kind)
    network, model = plan.reconstructor, plan.sensing
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(2, *model.image_shape)
    images = truth.to(model.image_dtype)
    counts = torch.from_numpy(plan.pattern.counts).float()[None]
    scale = plan.noise.image_scale
    coefficients, known = measure(images * scale, counts, model, plan.noise, generator)
    change = worst_change(network, coefficients, counts, known, images * scale, generator)

    def norms(x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(x.flatten(1), dim=1)

    torch.testing.assert_close(norms(change), SHARE * norms(coefficients))
    measured = (counts > 0).reshape(1, -1, *(1,) * (coefficients.ndim - 2))
    assert not (change * ~measured).any()
    random = torch.randn(coefficients.shape, dtype=coefficients.dtype, generator=generator) * measured
    random = random * (norms(change) / norms(random)).reshape(-1, *(1,) * (coefficients.ndim - 1))

    def error(given: torch.Tensor) -> float:
        with torch.inference_mode():
            found = network(coefficients + given, counts, known)
        return float((found.abs() - images.abs() * scale).square().mean())

    assert error(change) > error(random)


# --- limits ------------------------------------------------------------------------------------------


def stressed() -> Stressed:
    rows = [
        Row("none", "as planned", 30.0, 0.9, 28.0, 0.8),
        Row("noise-2x", "noise × 2", 27.0, 0.85, 26.0, 0.7, 3.0, 0.05, 2.0),
    ]
    return Stressed("p", make_plan("points"), rows, Lesions(4, 2, 0.6, None, 0.0, 0.5, 2.0), "tv", [], 0)


def limits_of(folder: Path, text: str) -> Path:
    path = folder / "stress.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_limits_that_are_kept_and_broken(tmp_path: Path) -> None:
    text = "[none]\nmin_psnr_db = 29\n[noise-2x]\nmax_loss_db = 2.5\nmax_loss_ssim = 0.1\n[lesions]\nmin_kept = 0.7\n"
    found = violations(stressed(), read_limits(limits_of(tmp_path, text)))
    assert found == [
        "noise-2x: loss_db is 3, at most 2.5 is asked for.",
        "lesions: kept is 0.6, at least 0.7 is asked for.",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[noise-2x]\nmax_loss = 3\n", "max_loss_db"),
        ("[noise-2x]\nmax_loss_db = 'three'\n", "noise-2x"),
        ("[lesions\n", "no TOML"),
        ("", "no limits"),
        ("noise-2x = 3\n", "noise-2x"),
    ],
)
def test_limits_that_can_not_be_read(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        read_limits(limits_of(tmp_path, text))


def test_limits_of_what_was_not_measured_are_refused(tmp_path: Path) -> None:
    limits = read_limits(limits_of(tmp_path, "[lamp-drift]\nmax_loss_db = 1\n"))
    with pytest.raises(RecipeError, match="lamp-drift"):
        violations(stressed(), limits)
    with pytest.raises(RecipeError, match="can't be read"):
        read_limits(tmp_path / "missing.toml")
