"""The examples of docs/python.md run as they stand there; every function of the package is in one of them."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import acqplan
from acqplan.cli.app import app

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "docs_python"}
    for found in re.finditer(r"```python\n(.*?)```", TEXT, re.DOTALL):
        line = TEXT[: found.start(1)].count("\n")
        exec(compile("\n" * line + found.group(1), str(PAGE), "exec"), names)  # a traceback names the page's line
    for written in ("learned-bart", "eve.nii.gz", "choice", "frames", "eve.tif"):
        assert (tmp_path / written).exists()
    assert capsys.readouterr().err == ""


def test_every_public_function_has_an_example() -> None:
    for name in acqplan.__all__:
        if inspect.isfunction(getattr(acqplan, name)) and name != "parse_budget":
            assert f"acqplan.{name}(" in TEXT, name


def test_the_public_names_are_found_once_and_where_type_checkers_look() -> None:
    source = ast.parse(Path(acqplan.__file__).read_text(encoding="utf-8"))
    imports = [each for each in ast.walk(source) if isinstance(each, ast.ImportFrom)]
    seen = {alias.name: each.module for each in imports for alias in each.names}
    assert sorted(acqplan.__all__) == sorted(acqplan._HOMES)
    for name, home in acqplan._HOMES.items():
        assert getattr(acqplan, name) is not None
        assert seen[name] == f"acqplan.{home}"
    assert set(acqplan.__all__) <= set(dir(acqplan))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = acqplan.nonsense  # type: ignore[attr-defined]


def test_a_command_without_a_function_is_said_to_have_none() -> None:
    without = {"demo", "show", "list", "formats"}
    other_names = {
        "test": "prove",
        "error-map": "error_map",
    }  # pytest would collect a function whose name starts with test
    commands = {other_names.get(command.name or "", command.name) for command in app.registered_commands} | {"design"}
    assert commands - without <= set(acqplan.__all__)
