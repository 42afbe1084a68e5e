"""Help is quick because nothing heavy is imported for it, and every command explains itself."""

import subprocess
import sys

import pytest

COMMANDS = [
    ["demo"],
    ["design", "mri"],
    ["design", "dmd"],
    ["curve", "mri"],
    ["show"],
    ["list"],
    ["export"],
    ["simulate"],
    ["verify"],
    ["reconstruct"],
    ["evaluate"],
    ["compare"],
]
HEAVY = ("torch", "numpy", "scipy", "h5py", "nibabel", "PIL", "tifffile")


def test_importing_the_command_line_imports_nothing_heavy():
    code = f"import sys, acqplan.cli; print([name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_reading_a_scan_doesnt_wait_for_what_only_a_trace_needs():
    """Every format is asked whether a file is its own: none brings SciPy's larger parts along."""
    slow = ("scipy.signal", "scipy.stats", "scipy.io")
    code = (
        "import sys; from acqplan.core import registry; registry.kinds('instruments');"
        f"import acqplan.modalities.dmd.formats.trace; print([name for name in {slow} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_help_lists_every_command(run):
    outcome = run("--help")
    assert outcome.code == 0
    for words in [*COMMANDS, ["formats"]]:
        assert words[0] in outcome.out


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_shows_worked_examples(run, words):
    outcome = run(*words, "--help")
    assert outcome.code == 0
    assert f"$ acqplan {' '.join(words)}" in outcome.out


def test_version(run):
    assert run("--version").out.startswith("acqplan ")


@pytest.mark.parametrize("words", [["nonsense"], ["design", "mri", "--nonsense"], ["show"], ["export", "x.acqplan"]])
def test_wrong_usage_is_the_users_mistake(run, words):
    outcome = run(*words)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err


def test_a_bug_keeps_its_traceback(run, monkeypatch):
    def broken(role):
        raise ZeroDivisionError

    monkeypatch.setattr("acqplan.core.registry.kinds", broken)
    with pytest.raises(ZeroDivisionError):
        run("formats")
