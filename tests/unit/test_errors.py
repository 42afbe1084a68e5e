"""Every error says what is wrong and what to do, and the tree in the docstring is the tree."""

from __future__ import annotations

import inspect
import re

import pytest

from acqplan.core import errors
from acqplan.core.errors import AcqplanError

CLASSES = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if cls.__module__ == errors.__name__]


@pytest.mark.parametrize("cls", CLASSES)
def test_problem_and_remedy_are_kept_apart_and_shown_together(cls: type[AcqplanError]) -> None:
    error = cls("The file has 60 readings, expected 64.", "Pass the right plan.")
    assert error.problem == "The file has 60 readings, expected 64."
    assert error.remedy == "Pass the right plan."
    assert str(error) == "The file has 60 readings, expected 64. Pass the right plan."
    assert issubclass(cls, AcqplanError)
    assert cls.__doc__


def test_the_docstring_draws_every_class_below_its_parent() -> None:
    assert errors.__doc__ is not None
    drawn: dict[str, str] = {}
    parents: dict[int, str] = {}
    for line in errors.__doc__.splitlines():
        if match := re.match(r"^( {4}[ │├└─]*)([A-Z]\w+)\b", line):
            depth = len(match[1])
            above = [name for other, name in sorted(parents.items()) if other < depth]
            drawn[match[2]] = above[-1] if above else "Exception"
            parents = {other: name for other, name in parents.items() if other < depth} | {depth: match[2]}
    assert drawn == {cls.__name__: cls.__base__.__name__ for cls in CLASSES if cls.__base__ is not None}


def test_a_bug_is_no_acqplan_error() -> None:
    assert not issubclass(AcqplanError, ValueError | OSError | RuntimeError)
