"""The plug-in that docs/architecture.md shows works as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from acqplan.core import registry
from acqplan.core.errors import PlanFileError
from acqplan.plan.plan import Plan

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"

_USE = """
import sys
import numpy as np
import acqplan
from acqplan.cli import main
from acqplan.sensing.measurement import coefficients_of
from acqplan.plan.components import Component
from acqplan.plan.recipe import BudgetSettings, ImageSettings, TrainingSettings

recipe = acqplan.Recipe(
    "mri",
    images=ImageSettings([sys.argv[1]], [16, 16]),
    budget=BudgetSettings("2x"),
    designer=Component("uniform"),
    reconstructor=Component("mirror"),
    training=TrainingSettings(steps=1, threads=1),
)
acqplan.design(recipe).save(sys.argv[2])
plan = acqplan.Plan.load(sys.argv[2])
acquisition = plan.simulate(np.eye(16, dtype=np.complex64))
coefficients, _ = coefficients_of(acquisition, plan.pattern, plan.sensing)
zero_filled = plan.sensing.adjoint(coefficients)[0].numpy()
assert np.array_equal(plan.reconstruct(acquisition), zero_filled[:, ::-1])
main(["list", "reconstructors"])
"""


def block(language: str) -> str:
    section = PAGE.read_text(encoding="utf-8").split("\n## Adding your own\n")[1]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found.group(1)


def install(site: Path) -> None:
    """What pip makes of a package with that entry point: its module, and a folder that describes it."""
    groups = tomllib.loads(block("toml"))["project"]["entry-points"]
    ((group, entries),) = groups.items()
    ((name, module),) = entries.items()
    path = site.joinpath(*module.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True)
    path.write_text(block("python"), encoding="utf-8")
    described = site / "our_lab-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: our-lab\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")


def run_with(site: Path, program: str, *arguments: str) -> str:
    """What the program prints in a fresh interpreter that finds the packages in ``site``."""
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-c", program, *arguments]
    environment = {**os.environ, "PYTHONPATH": path}
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_plug_in_is_found_listed_used_and_missed(tmp_path: Path) -> None:
    install(tmp_path / "site")
    (tmp_path / "scans").mkdir()
    for i in range(3):
        np.save(tmp_path / "scans" / f"{i}.npy", np.random.default_rng(i).random((2, 16, 16)))
    path = tmp_path / "mirror.acqplan"
    listed = run_with(tmp_path / "site", _USE, str(tmp_path / "scans"), str(path))
    assert "mirror" in listed
    # Here it isn't installed: the plan says so.
    assert "mirror" not in registry.kinds("reconstructors")
    with pytest.raises(PlanFileError, match=r"no reconstructor kind 'mirror'.*Install the package that defines them"):
        Plan.load(path)


def test_every_role_and_layer_is_described() -> None:
    text = PAGE.read_text(encoding="utf-8")
    section = text.split("\n## Adding your own\n")[1]
    for role in registry.ROLES:
        assert f"| `{role}` |" in section
    drawn = text.split("\n## Layers\n")[1].split("```")[1]
    for module in (PAGE.parents[1] / "acqplan").iterdir():
        if not module.name.startswith(("_", ".", "py.typed")):
            assert re.search(rf"\b{module.stem}\b", drawn), module.stem
