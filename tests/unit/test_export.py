"""An export is read back and compared before it gets its name: a format that writes or reads wrongly leaves nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from builders.plans import make_plan
from builders.sensing import dmd

from acqplan.core.errors import InstrumentError
from acqplan.core.registry import find
from acqplan.formats.contracts import Exported, PatternFormat
from acqplan.formats.export import MANIFEST, export
from acqplan.formats.hdf5_files import Hdf5Files
from acqplan.plan.plan import Plan
from acqplan.sensing.pattern import Pattern

PLAN = make_plan("points")


class Plain(PatternFormat):
    """Whatever is written is read, and nothing but `export` compares it with the plan."""

    kind = "plain"
    summary = "a pattern as JSON"

    def check(self, plan: Plan) -> list[str]:
        return []

    def content(self, plan: Plan) -> dict[str, Any]:
        pattern = plan.pattern
        return {
            "order": pattern.order.tolist(),
            "n_units": pattern.n_units,
            "calibration": pattern.calibration.tolist(),
            "plan_id": plan.plan_id,
        }

    def write(self, plan: Plan, folder: Path) -> dict[str, Any]:
        (folder / "pattern.json").write_text(json.dumps(self.content(plan)))
        return {}

    def read(self, folder: Path) -> Exported:
        content = json.loads((folder / "pattern.json").read_text())
        return Exported(Pattern(content["order"], content["n_units"], content["calibration"]), content["plan_id"])


def swapped(order: list[int]) -> list[int]:
    return [*order[:-2], order[-1], order[-2]]


def extra_unit(order: list[int]) -> list[int]:
    return [*order, int(np.flatnonzero(~PLAN.pattern.mask)[0])]


FAULTS = {
    "two readings change places": ("order", swapped),
    "a repeat is lost": ("order", lambda order: list(dict.fromkeys(order))),
    "a unit is added": ("order", extra_unit),
    "the catalogue is another": ("n_units", lambda n: n + 1),
    "the calibration region is lost": ("calibration", lambda units: []),
    "a unit of the calibration region is lost": ("calibration", lambda units: units[1:]),
    "the plan is another": ("plan_id", lambda plan_id: plan_id[::-1]),
}


@pytest.mark.parametrize("n_units", [10**9, 10**12, 10**20])
@pytest.mark.parametrize("kind", ["numpy", "png"])
def test_a_catalogue_that_cannot_be_is_refused_before_it_costs_memory(kind: str, n_units: int, tmp_path: Path) -> None:
    form = find("instruments", kind)()
    export(make_plan(dmd(4, 4)), form, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    (tmp_path / "out" / MANIFEST).write_text(json.dumps({**manifest, "n_units": n_units}))
    with pytest.raises(InstrumentError, match=f"doesn't fit its manifest: its catalogue of {n_units} units claims"):
        form.read(tmp_path / "out")


def test_a_catalogue_that_a_file_states_is_refused_too(tmp_path: Path) -> None:
    export(PLAN, Hdf5Files(), tmp_path / "out")
    with h5py.File(tmp_path / "out" / "pattern.h5", "r+") as file:
        file.attrs["n_units"] = 10**12
    with pytest.raises(InstrumentError, match="its catalogue of 1000000000000 units claims"):
        Hdf5Files().read(tmp_path / "out")


def test_what_reads_back_as_the_plan_gets_its_name(tmp_path: Path) -> None:
    export(PLAN, Plain(), tmp_path / "out")
    assert Plain().read(tmp_path / "out").pattern == PLAN.pattern
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_read_back_as_the_plan_leaves_nothing(fault: str, tmp_path: Path) -> None:
    part, change = FAULTS[fault]

    class Faulty(Plain):
        def content(self, plan: Plan) -> dict[str, Any]:
            content = super().content(plan)
            return content | {part: change(content[part])}

    with pytest.raises(InstrumentError, match="don't read back as the plan's pattern"):
        export(PLAN, Faulty(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_export_stays_when_the_new_one_does_not_read_back(tmp_path: Path) -> None:
    class Forgetful(Plain):
        def read(self, folder: Path) -> Exported:
            return replace(super().read(folder), pattern=make_plan("points", seed=1).pattern)

    export(PLAN, Plain(), tmp_path / "out")
    before = (tmp_path / "out" / "pattern.json").read_bytes()
    with pytest.raises(InstrumentError, match="don't read back"):
        export(make_plan("points", seed=2), Forgetful(), tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "pattern.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
