"""The examples in docs/formats.md run on exported files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from builders.plans import make_plan
from builders.sensing import dmd, mri

from acqplan.core.registry import find, kinds
from acqplan.formats.export import export
from acqplan.plan.plan import Plan

FORMATS = Path(__file__).parents[2] / "docs" / "formats.md"


def plan_for(kind: str) -> Plan:
    """A plan of the kind of instrument that the example of the format ``kind`` is for."""
    if kind in ("dmd-tiff", "png", "alp", "dlpc900", "micromanager", "spas"):
        sensing = dmd(4, 4)
    else:
        sensing = mri("lines" if kind in ("table", "bart") else "points", 6, 4)
    return make_plan(sensing, [5, 2, 3], [3])


def example(kind: str) -> str:
    section = FORMATS.read_text(encoding="utf-8").split(f"\n## `{kind}`\n")[1].split("\n## ")[0]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found.group(1)


def measure(frame: npt.NDArray[np.bool_]) -> float:
    return float(frame.sum())


@pytest.mark.parametrize(
    "kind",
    [
        "numpy",
        "table",
        "bart",
        "pulseq",
        "ismrmrd",
        "hdf5",
        "dmd-tiff",
        "png",
        "alp",
        "dlpc900",
        "micromanager",
        "spas",
    ],
)
def test_example_runs(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_for(kind)
    instrument = find("instruments", kind)()
    export(plan, instrument, tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    names: dict[str, Any] = {"measure": measure}
    exec(example(kind), names)
    if kind == "numpy":
        assert plan.reconstruct(instrument.read_acquired(Path("acquired.npz"), plan)).shape == (6, 4)
    elif kind == "table":
        assert names["lines"] == [5, 2, 3]
    elif kind == "bart":
        assert np.array_equal(names["mask"], np.repeat(plan.pattern.mask[:, None], 4, axis=1))
    elif kind == "pulseq":
        assert names["places"] == [(1, 1), (0, 2), (0, 3)]
    elif kind == "ismrmrd":
        acquired = instrument.read_scan(Path("acquisitions.h5"), plan).acquisitions[3]  # the centre of the readout
        assert acquired.order is not None
        assert acquired.order.tolist() == [5, 2, 3]
        assert acquired.readings.any()
    elif kind == "hdf5":
        assert names["mask"].sum() == 3
    elif kind == "dmd-tiff":
        back = instrument.read_acquired(Path("trace.csv"), plan)
        assert np.array_equal(back.readings.sum(1), np.full(3, 1080.0**2))
    else:
        n_pixels = 16 if kind == "spas" else 1080.0**2
        assert np.array_equal(np.reshape(names["trace"], (3, 2)).sum(1), np.full(3, n_pixels))


def test_every_format_is_described() -> None:
    text = FORMATS.read_text(encoding="utf-8")
    for kind, cls in kinds("instruments").items():
        if cls.__module__.startswith("acqplan."):
            assert f"\n## `{kind}`\n" in text, kind
