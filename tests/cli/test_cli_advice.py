"""Every command and flag that a message or a help text names is there to be used."""

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest
import typer

import acqplan
from acqplan.cli.app import app
from acqplan.core import registry
from acqplan.modalities.dmd.microscope import Microscope
from acqplan.modalities.dmd.traces.settings import TraceSettings

ROOT = Path(acqplan.__file__).parent
GROUP = typer.main.get_command(app)
FLAG = r"(?<![\w-])(--[a-z][a-z-]*[a-z])(?!-?\w)"
COMMAND = re.compile(r"\bacqplan ([a-z]+)\b([^.;,()]*)")
ADVISED = re.compile(r"\b(?:[Uu]se|[Ss]ee|[Ss]tart|[Rr]un|with|by|or|has) ?:? acqplan ([a-z]+)\b")
OPTION = re.compile(r"--option ([a-z_]+)=")
_FOREIGN = {"cli/explore_view.py", "report/page.py"}  # style sheets, whose variables begin with -- too


def texts_of(path):
    """(line, text) of every string but docstrings; ``{}`` stands for what is filled in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in ast.walk(node)}
    inner -= {id(node) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)}
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in inner | bare:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield node.lineno, "".join(map(str, parts))


TEXTS = {
    f"{path.relative_to(ROOT).as_posix()}:{line}": text
    for path in sorted(ROOT.rglob("*.py"))
    if path.relative_to(ROOT).as_posix() not in _FOREIGN
    for line, text in texts_of(path)
    if " " in text or "=" in text
}


def flags_of(command):
    """Flags of a command and of those below it."""
    found = {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)} | {"--help"}
    for below in getattr(command, "commands", {}).values():
        found |= flags_of(below)
    return found


def faults_of(text):
    """What a text advises that isn't there."""
    known = flags_of(GROUP)
    yield from (f"{flag} is no flag" for flag in re.findall(FLAG, text) if flag not in known)
    yield from (f"{word} is no command" for word in ADVISED.findall(text) if word not in GROUP.commands)
    for word, rest in COMMAND.findall(text):
        if word in GROUP.commands:
            own = flags_of(GROUP.commands[word])
            yield from (f"{word} has no {flag}" for flag in re.findall(FLAG, rest) if flag not in own)
    yield from (
        f"there is no option {name}" for name in re.findall(r"--option ([a-z_]+)=", text) if name not in OPTIONS
    )


def options():
    """Names of all that ``--option`` may say: how files are written and read, and what a virtual instrument does."""
    classes = [*registry.kinds("instruments").values(), TraceSettings, Microscope]
    settings = {field.name for each in (TraceSettings, Microscope) for field in fields(each)}
    return settings | {name for each in classes for name in inspect.signature(each).parameters}


OPTIONS = options()


def test_every_command_and_flag_that_a_text_names_is_there():
    found = {where: list(faults_of(text)) for where, text in TEXTS.items()}
    assert {where: faults for where, faults in found.items() if faults} == {}
    assert sum("--" in text for text in TEXTS.values()) > 100  # they were found at all


@pytest.mark.parametrize(
    "text",
    [
        "Pass --assume-plans.",
        "Make one with acqplan calibrat, or mend the key.",
        "Use acqplan evaluate --html FILE.",
        "Correct it: --option drifts=pairs.",
    ],
)
def test_advice_that_cant_be_followed_is_noticed(text):
    assert list(faults_of(text))
