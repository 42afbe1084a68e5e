"""Formats that no instrument owns take the plans of any, also of one that acqplan doesn't know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from builders.plans import make_plan

from acqplan.core import registry
from acqplan.core.errors import AcquisitionError, InstrumentError
from acqplan.formats.contracts import AcquiredReader, AcquiredWriter, PatternFormat
from acqplan.formats.export import export
from acqplan.formats.save import save_acquired
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition
from acqplan.sensing.model import SensingModel


class PointDetector(SensingModel):
    """A detector that is moved from pixel to pixel."""

    kind = "point_detector"

    def __init__(self, image_shape: tuple[int, int] | list[int]) -> None:
        super().__init__()
        rows, columns = image_shape
        self.image_shape = self.grid_shape = (rows, columns)
        self.unit_name = "pixel"
        self.reading_shape = self.coefficient_shape = ()
        self.is_complex, self.is_isometry, self.is_unitary = False, True, True

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.flatten(1)

    def decode(self, readings: torch.Tensor) -> torch.Tensor:
        return readings

    def adjoint(self, coefficients: torch.Tensor) -> torch.Tensor:
        return coefficients.unflatten(-1, self.image_shape)

    def coordinates(self) -> npt.NDArray[np.float64]:
        return np.stack(np.unravel_index(np.arange(self.n_units), self.grid_shape), axis=-1).astype(np.float64)

    def distance(self) -> npt.NDArray[np.float64]:
        return np.asarray(self.coordinates().sum(-1))

    def calibration_units(self, width: int) -> npt.NDArray[np.int32]:
        return np.arange(width, dtype=np.int32)

    def spec(self) -> dict[str, Any]:
        return {"image_shape": list(self.image_shape)}


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Plan:
    registry.kinds("sensing")
    monkeypatch.setitem(registry._classes["sensing"], "point_detector", PointDetector)
    foreign = make_plan("hadamard").recipe  # what it was made from doesn't matter here
    return make_plan(PointDetector((4, 6)), [5, 0, 23, 5, 7], [0], recipe=foreign)


def test_they_are_these() -> None:
    assert [kind for kind, cls in registry.kinds("instruments").items() if cls.modalities is None] == [
        *("hdf5", "numpy", "table")
    ]


@pytest.mark.parametrize("kind", ["hdf5", "numpy", "table"])
def test_a_pattern_goes_out_and_comes_back(plan: Plan, kind: str, tmp_path: Path) -> None:
    form: PatternFormat = registry.find("instruments", kind)()
    assert "point_detector" in form.sensing_kinds()
    export(plan, form, tmp_path / "out")
    assert form.read(tmp_path / "out").pattern == plan.pattern
    image = torch.arange(24.0).reshape(4, 6)
    assert form.play(tmp_path / "out", plan.sensing, image).tolist() == [5, 0, 23, 5, 7]


@pytest.mark.parametrize(("kind", "suffix"), [("hdf5", ".h5"), ("numpy", ".npz"), ("numpy", ".npy")])
def test_acquired_data_go_out_and_come_back(plan: Plan, kind: str, suffix: str, tmp_path: Path) -> None:
    form = registry.find("instruments", kind)()
    assert isinstance(form, AcquiredReader)
    assert isinstance(form, AcquiredWriter)
    readings = np.array([5, 0, 23, 5, 7], np.float32)
    path = tmp_path / f"acquired{suffix}"
    save_acquired(form, Acquisition(readings, plan.pattern.digest, "test", plan.pattern.order), plan, path)
    assert np.array_equal(form.read_acquired(path, plan).readings, readings)


def test_the_words_of_a_table_are_the_models_own_or_plain(plan: Plan, tmp_path: Path) -> None:
    export(plan, registry.find("instruments", "table")(), tmp_path / "out")
    lines = (tmp_path / "out" / "table.csv").read_text().splitlines()
    assert "reading,axis_0,axis_1,calibration,repeat" in lines
    assert lines[-5:] == ["0,0,5,0,0", "1,0,0,1,0", "2,3,5,0,0", "3,0,5,0,1", "4,1,1,0,0"]


def test_a_table_of_readings_needs_an_instrument_that_has_one(plan: Plan, tmp_path: Path) -> None:
    table = registry.find("instruments", "table")()
    acquisition = Acquisition(np.zeros(5, np.float32), plan.pattern.digest, "test")
    with pytest.raises(InstrumentError, match="not the readings of a point_detector plan"):
        save_acquired(table, acquisition, plan, tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("1\n2\n3\n4\n5\n")
    with pytest.raises(AcquisitionError, match="not the readings of a point_detector plan"):
        table.read_acquired(tmp_path / "b.csv", plan)
