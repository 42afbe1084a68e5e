"""Outside `acqplan.modalities` no code names an instrument: read from the syntax tree, not from what happens to run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import acqplan
from acqplan.core import registry

PACKAGE = Path(acqplan.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "modalities" not in path.relative_to(PACKAGE).parts)
OWNED = ("modalities", "sensing", "noise")  # roles whose kinds belong to one instrument each

# Where is_complex is what it says: the type of images and readings.
TYPES_OF_NUMBERS = {
    "core/math/total_variation.py",
    "core/math/transforms.py",
    "core/registry.py",
    "formats/results.py",
    "images/preparation.py",
    "learning/problem.py",
    "learning/undersampled.py",
    "plan/vector.py",
    "sensing/measurement.py",
    "sensing/model.py",
    "workflow/catalogue.py",
    "workflow/reconstruct.py",
}


def kinds_of_instruments() -> set[str]:
    return {kind for role in OWNED for kind in registry.kinds(role)}


def classes_of_instruments() -> set[str]:
    """Names of the classes that are registered from a modality's folder."""
    found = {cls for role in registry.ROLES for cls in registry.kinds(role).values()}
    return {cls.__name__ for cls in found if cls.__module__.startswith("acqplan.modalities.")}


def documentation(tree: ast.AST) -> set[ast.AST]:
    """Strings that are statements of their own: docstrings of modules, classes, functions and attributes."""
    return {
        each.value for each in ast.walk(tree) if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)
    }


def faults(source: str, name: str) -> Iterator[str]:
    tree = ast.parse(source)
    kinds, classes, told = kinds_of_instruments(), classes_of_instruments(), documentation(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node not in told and node.value in kinds:
            yield f"{name}:{node.lineno} names {node.value!r}"
        if isinstance(node, ast.Name | ast.Attribute):
            identifier = node.id if isinstance(node, ast.Name) else node.attr
            if identifier in classes:
                yield f"{name}:{node.lineno} uses {identifier}"
            if identifier == "is_complex" and name not in TYPES_OF_NUMBERS and not name.startswith("reconstructors/"):
                yield f"{name}:{node.lineno} takes is_complex for an instrument"
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("acqplan.modalities"):
            yield f"{name}:{node.lineno} imports {node.module}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_instrument_is_named(path: Path) -> None:
    assert not list(faults(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE).as_posix()))


@pytest.mark.parametrize(
    "source",
    [
        'if recipe.modality == "mri": pass',
        'kind = {"hadamard_dmd": 1}',
        "isinstance(sensing, CartesianMRI)",
        "unit = 'e' if plan.sensing.is_complex else 'a'",
        "def f():\n    from acqplan.modalities.mri.coils import virtual",
    ],
)
def test_each_way_of_naming_one_is_seen(source: str) -> None:
    assert list(faults(source, "workflow/some.py"))


def test_words_in_documentation_are_no_code() -> None:
    assert not list(faults('"""mri"""\nx = 1\n"""cartesian_mri"""', "workflow/some.py"))
