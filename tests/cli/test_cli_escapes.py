"""Nothing that comes from elsewhere moves the terminal: names, evidence, recipes and JSON are printed escaped."""

import json
import os
import tomllib
from dataclasses import replace

import pytest
from rich.text import Text

from acqplan.cli import console
from acqplan.cli.escapes import printable
from acqplan.plan.plan import Plan

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\u202egnp"


def harmless(outcome):
    return not any(text != printable(text) for text in (outcome.out, outcome.err))


def test_what_a_terminal_obeys_is_spelled_out_and_everything_else_left():
    assert printable("\x1b[31mred\x1b[0m") == r"\u001b[31mred\u001b[0m"
    assert printable(os.fsdecode(b"\xff.h5")) == r"\udcff.h5"
    assert printable("ky–kz × 2 µm\tκόσμε\n📷") == "ky–kz × 2 µm\tκόσμε\n📷"
    assert json.loads(f'"{printable(HOSTILE)}"') == HOSTILE
    assert tomllib.loads(f'name = "{printable(HOSTILE)}"')["name"] == HOSTILE


def test_a_file_name_with_escapes_is_shown_in_errors_notes_and_usage_errors(run, points, scans, tmp_path):
    name = HOSTILE.replace("/", "")
    missing = run("show", tmp_path / f"{name}.acqplan")
    assert missing.code == 2
    assert harmless(missing)
    assert r"\u001b]0;owned" in missing.err
    written = run("show", points, "--png", tmp_path / f"{name}.png")
    assert written.code == 0
    assert harmless(written)
    assert r"\u001b]0;owned" in written.err
    assert (tmp_path / f"{name}.png").is_file()
    for words in (
        ("show", points, f"--{name}"),
        (name,),
        ("show", points, name),
        ("explore", points, name, "--port", name),
    ):
        mistyped = run(*words)
        assert mistyped.code == 2
        assert harmless(mistyped)


def test_acquired_data_named_with_escapes_are_verified_and_listed_harmlessly(run, points, scans, tmp_path):
    acquired = tmp_path / f"{HOSTILE}.h5"
    assert run("simulate", points, scans / "subject0.nii.gz", "-o", acquired).code == 0
    for words in ((), ("--json",)):
        found = run("verify", points, acquired, *words)
        assert found.code == 0
        assert harmless(found)


@pytest.fixture
def hostile_plan(points, tmp_path):
    plan = Plan.load(points)
    images = replace(plan.recipe.images, paths=[f"scans/{HOSTILE}.nii.gz"])
    told = {**plan.evidence, "warnings": [f"see {HOSTILE} and beware"]}
    path = tmp_path / "hostile.acqplan"
    replace(plan, recipe=replace(plan.recipe, images=images), evidence=told).save(path)
    return path


def test_a_plan_with_escapes_in_its_warnings_and_recipe_is_shown_harmlessly(run, hostile_plan):
    shown = run("show", hostile_plan)
    assert shown.code == 0
    assert harmless(shown)
    assert r"\u001b]0;owned" in shown.out + shown.err


def test_json_and_toml_are_harmless_and_hold_what_the_plan_holds(run, hostile_plan):
    as_json, as_toml = run("show", hostile_plan, "--json"), run("show", hostile_plan, "--recipe")
    assert harmless(as_json)
    assert harmless(as_toml)
    assert HOSTILE in json.loads(as_json.out)["evidence"]["warnings"][0]
    assert HOSTILE in tomllib.loads(as_toml.out)["images"]["paths"][0]


def test_names_are_no_markup(capsys, tmp_path):
    console.note("[bold]no markup[/bold]")
    assert "[bold]no markup[/bold]" in capsys.readouterr().err


def test_colours_of_our_own_stay(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    console.warn([f"a file {HOSTILE}"])
    shown = capsys.readouterr().err
    assert "\x1b[" in shown
    assert "owned" in shown
    assert "\x1b]0" not in shown
    assert "\x07" not in shown


def test_a_name_in_the_status_line_is_no_markup(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with console.working("writing a[/b].h5"):
        pass
    assert Text("writing").plain in capsys.readouterr().err
