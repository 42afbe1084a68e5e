"""acqplan design: flags, recipes, and going on after an interruption."""

import shlex
import signal

import pytest

from acqplan.cli.training_display import TrainingDisplay
from acqplan.learning.progress import Progress
from acqplan.learning.training import design
from acqplan.plan.plan import Plan
from acqplan.plan.recipe_text import from_toml

MRI = ("--size", "16x16", "--budget", "4x", "--threads", 1)


def test_an_mri_plan_says_what_it_is_worth(run, scans, tmp_path):
    outcome = run("design", "mri", "--images", scans, *MRI, "--steps", 2, "-o", tmp_path / "a.acqplan")
    assert outcome.code == 0
    plan = Plan.load(tmp_path / "a.acqplan")
    assert plan.pattern.n_readings == 64
    assert plan.plan_id in outcome.out
    assert "64 of 256 points, 4x" in outcome.out
    assert f"{plan.evidence['held_out']['mean']['plan']['psnr_db']:.2f}" in outcome.out
    assert "Warning: Magnitude images" in outcome.err
    assert not (tmp_path / "a.acqplan.checkpoint").exists()


def test_minutes_become_steps(run, scans, tmp_path):
    assert run("design", "mri", "--images", scans, *MRI, "--minutes", 0.002, "-o", tmp_path / "a.acqplan").code == 0
    training = Plan.load(tmp_path / "a.acqplan").recipe.training
    assert training.minutes is None
    assert training.steps >= 2


def test_several_images_after_one_flag(run, scans, tmp_path):
    files = sorted(scans.iterdir())
    outcome = run("design", "mri", "--images", *files[:2], "--images", files[2], *MRI, "--dry-run")
    assert from_toml(outcome.out).images.paths == [str(path) for path in files[:3]]


def test_flags_override_the_recipe(run, scans, tmp_path):
    first = run(
        *("design", "mri", "--images", scans, *MRI, "--steps", 2, "--pattern", "lines", "--noise", 0.02),
        *("--designer", "poisson-disc", "--reconstructor", "unet", "--calibration", 2, "--seed", 3),
        *("--tr", "8ms", "--slices", "1-4", "--held-out", 0.3, "--dry-run"),
    )
    assert first.code == 0, first.err
    recipe = from_toml(first.out)
    assert recipe.sensing.options == {"encoding": "lines"}
    assert recipe.noise.options == {"std": 0.02}
    assert (recipe.designer.kind, recipe.reconstructor.kind) == ("poisson-disc", "unet")
    assert (recipe.budget.calibration, recipe.budget.frame_time_s) == (2, 0.008)
    assert (recipe.images.slices, recipe.images.held_out, recipe.seed) == ([1, 4], 0.3, 3)
    (tmp_path / "r.toml").write_text(first.out)
    again = run("design", "mri", "--recipe", tmp_path / "r.toml", "--dry-run")
    assert again.out == first.out
    changed = run("design", "mri", "--recipe", tmp_path / "r.toml", "--budget", "2x", "--minutes", 1, "--dry-run")
    recipe = from_toml(changed.out)
    assert recipe.budget.amount == "2x"
    assert (recipe.training.minutes, recipe.training.steps) == (1.0, None)
    assert recipe.noise.options == {"std": 0.02}


def test_dmd_flags(run, cells):
    outcome = run(
        *("design", "dmd", "--images", cells, "--size", "16x16", "--budget", "64 frames", "--photons", 200),
        *("--read-noise", 1, "--dark", 0.5, "--binning", 2, "--picture-time", "50us", "--dry-run"),
    )
    recipe = from_toml(outcome.out)
    assert recipe.noise.options == {"photons": 200.0, "read_noise_e": 1.0, "dark_e": 0.5}
    assert recipe.images.binning == 2
    assert recipe.budget.frame_time_s == pytest.approx(50e-6)


def test_a_budget_in_time(run, scans, tmp_path):
    out = tmp_path / "a.acqplan"
    words = ("--size", "16x16", "--budget", "1s", "--tr", "20ms", "--steps", 2, "--threads", 1)
    assert run("design", "mri", "--images", scans, *words, "-o", out).code == 0
    assert Plan.load(out).budget.n_readings == 50


def test_a_dry_run_writes_and_trains_nothing(run, scans, tmp_path, monkeypatch):
    monkeypatch.setattr("acqplan.learning.training.design", lambda *a, **k: pytest.fail("trained"))
    outcome = run("design", "mri", "--images", scans, *MRI, "--dry-run", "-o", tmp_path / "a.acqplan")
    assert outcome.code == 0
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def interrupted_at(monkeypatch):
    """Send this process a signal while a step is shown, as Ctrl-C would."""

    def arrange(step, number=signal.SIGINT):
        def show(self, progress):
            if progress.step == step and progress.phase != "search":  # whose rounds are counted, too
                signal.raise_signal(number)

        monkeypatch.setattr(TrainingDisplay, "__call__", show)

    return arrange


@pytest.mark.parametrize("step", [2, 5])
def test_an_interrupted_training_goes_on_as_if_nothing_had_been(run, scans, tmp_path, interrupted_at, step):
    words = ("design", "mri", "--images", scans, *MRI, "--steps", 6, "-o")
    assert run(*words, tmp_path / "whole.acqplan").code == 0
    interrupted_at(step)
    outcome = run(*words, tmp_path / "a.acqplan")
    assert outcome.code == 130
    assert not (tmp_path / "a.acqplan").exists()
    assert (tmp_path / "a.acqplan.checkpoint").is_file()
    command = shlex.split(outcome.err.splitlines()[-1])
    assert command[0] == "acqplan"
    assert command[-1] == "--resume"
    interrupted_at(None)
    assert run(*command[1:]).code == 0
    assert not (tmp_path / "a.acqplan.checkpoint").exists()
    assert Plan.load(tmp_path / "a.acqplan").plan_id == Plan.load(tmp_path / "whole.acqplan").plan_id


@pytest.mark.parametrize("step", [2, 5])
def test_an_interrupted_training_can_be_kept_as_it_is(run, scans, tmp_path, interrupted_at, step):
    interrupted_at(step)
    outcome = run("design", "mri", "--images", scans, *MRI, "--steps", 6, "-o", tmp_path / "a.acqplan")
    (command,) = [shlex.split(line) for line in outcome.err.splitlines() if line.endswith("--keep")]
    interrupted_at(None)
    outcome = run(*command[1:])
    assert outcome.code == 0
    assert f"interrupted and kept as it was: it took {step} steps" in outcome.err
    assert "HARDLY TRAINED" in outcome.err
    assert not (tmp_path / "a.acqplan.checkpoint").exists()
    kept = Plan.load(tmp_path / "a.acqplan")
    assert kept.recipe.training.stop_at == step
    assert design(kept.recipe).plan_id == kept.plan_id


def test_a_termination_signal_saves_too(run, scans, tmp_path, interrupted_at):
    before = signal.getsignal(signal.SIGTERM)
    interrupted_at(1, signal.SIGTERM)
    assert run("design", "mri", "--images", scans, *MRI, "--steps", 4, "-o", tmp_path / "a.acqplan").code == 143
    assert (tmp_path / "a.acqplan.checkpoint").is_file()
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interruption_before_the_first_step_leaves_nothing(run, scans, tmp_path, monkeypatch):
    def read(recipe, preparing):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("acqplan.learning.training.resolve", read)
    outcome = run("design", "mri", "--images", scans, *MRI, "-o", tmp_path / "a.acqplan")
    assert outcome.code == 130
    assert "nothing was written" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_an_old_checkpoint_is_mentioned(run, scans, tmp_path):
    (tmp_path / "a.acqplan.checkpoint").write_text("old")
    outcome = run("design", "mri", "--images", scans, *MRI, "--steps", 2, "-o", tmp_path / "a.acqplan")
    assert outcome.code == 0
    assert "--resume" in outcome.err.splitlines()[0]


def test_a_dry_run_tells_what_the_plan_costs_beside_the_recipe(run, scans):
    words = ("design", "mri", "--images", scans, "--size", "16x16", "--pattern", "lines", "--echo-train", 4)
    outcome = run(*words, "--budget", "8 lines", "--tr", "500ms", "--calibration", 2, "--steps", 7, "--dry-run")
    assert outcome.code == 0, outcome.err
    assert from_toml(outcome.out).budget.amount == "8 lines"  # stdout stays the recipe
    assert "Count: 8 of 16 lines, 2x." in outcome.err
    assert "Shots: 2; time of the scan: 1 s." in outcome.err
    assert "Training: 7 steps; memory: " in outcome.err


def test_a_plain_line_is_told_once_a_tenth_however_the_length_changes(capsys):
    with TrainingDisplay() as display:
        for step, n_steps in ((1, 100), (10, 100), (11, 150), (12, 100), (20, 100)):
            display(Progress("joint", step, n_steps, 1e-3, None, 9.0))
        display(Progress("search", 1, 4, None, 30.0, 9.0))
    told = [line.split("  ")[0] for line in capsys.readouterr().err.splitlines()]
    assert told == [
        *(f"pattern and network: step {step} of 100" for step in (1, 10, 20)),
        "search for the pattern: round 1 of 4",
    ]


def test_a_range_of_coils_is_two_settings_and_one_flag(run, scans, tmp_path):
    words = ("design", "mri", "--images", scans, *MRI, "--steps", 2, "--dry-run")
    ranged = from_toml(run(*words, "--coils", "1-4").out).instrument
    assert (ranged.coils, ranged.fewest_coils) == (4, 1)
    (tmp_path / "r.toml").write_text(run(*words, "--coils", "1-4").out)
    single = from_toml(
        run("design", "mri", "--recipe", tmp_path / "r.toml", "--coils", "3", "--dry-run").out
    ).instrument
    assert (single.coils, single.fewest_coils) == (3, None)
    for wrong in ("4-1", "many", "0"):
        assert run(*words, "--coils", wrong).code == 2
