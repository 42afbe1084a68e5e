"""Acquired fastMRI: columns of the mask are lines, readout oversampling is removed, limits are respected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("ismrmrd")

from builders.acquisitions import make_acquisition
from builders.ismrmrd_files import header as ismrmrd_header
from builders.ismrmrd_files import kspace_of, oversampled
from builders.plans import make_plan
from ismrmrd import xsd as ismrmrd_xsd

from acqplan.core.errors import AcquisitionError, InstrumentError
from acqplan.formats.lookup import for_acquired
from acqplan.formats.save import save_acquired
from acqplan.modalities.mri.formats.fastmri import FastMRI, read, recognises
from acqplan.plan.verification import verify

ROWS, COLUMNS, COILS = 12, 10, 3


def smooth(*shape: int) -> npt.NDArray[np.complex64]:
    values = np.random.default_rng(0).standard_normal((2, *shape))
    return (values[0] + 1j * values[1] + 2).astype(np.complex64)


def save(path: Path, **datasets: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, data in datasets.items():
            file[name] = data
    return path


@pytest.mark.parametrize("coils", [COILS, None])
def test_masked_columns_are_the_plans_lines(coils: int | None, tmp_path: Path) -> None:
    plan = make_plan("lines")  # 12 lines of 10 samples
    images = smooth(2, coils or 1, ROWS, COLUMNS)
    kspace = oversampled(images).swapaxes(-1, -2)  # slices, coils, H = readout, W = ky
    kspace = np.where(plan.pattern.mask, kspace, 0)
    xml = ismrmrd_xsd.ToXML(ismrmrd_header((2 * COLUMNS, ROWS, 1), (COLUMNS, ROWS, 1)), encoding="utf-8")
    stored = kspace if coils else kspace[:, 0]
    path = save(tmp_path / "file.h5", kspace=stored, mask=plan.pattern.mask, ismrmrd_header=xml)
    assert recognises(path)
    assert isinstance(for_acquired(path), FastMRI)
    scan = FastMRI().read_scan(path, plan)
    assert len(scan.acquisitions) == 2
    assert scan.facts.matrix == (COLUMNS, ROWS, 1)
    assert scan.facts.field_of_view_mm == pytest.approx([240, 200, 5])
    found = [each.subject for each in verify(plan, scan) if each.severity != "note"]
    # That plan was made for one channel, and its centre is too narrow for coil maps.
    assert found == (["calibration", "more channels"] if coils else [])
    for i, acquired in enumerate(scan.acquisitions):
        assert acquired.order is not None
        wanted = kspace_of(images[i])[:, acquired.order].swapaxes(0, 1)
        assert np.abs(acquired.readings - wanted).max() < 1e-5 * np.abs(wanted).max()
        assert acquired.order.tolist() == list(dict.fromkeys(plan.pattern.order.tolist()))  # the file states no order


def test_columns_outside_the_limits_were_not_measured(tmp_path: Path) -> None:
    kspace = kspace_of(smooth(1, ROWS, COLUMNS)).swapaxes(-1, -2)
    xml = ismrmrd_xsd.ToXML(
        ismrmrd_header((COLUMNS, ROWS, 1), (COLUMNS, ROWS, 1), limits={1: (0, ROWS - 4, ROWS // 2 - 2)}),
        encoding="utf-8",
    )
    scan = read(save(tmp_path / "a.h5", kspace=kspace, ismrmrd_header=xml))
    assert scan.ky.tolist() == list(range(2, ROWS - 1))


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("mask", r"mask of shape \(5,\) for 12"),
        ("empty mask", "measures nothing"),
        ("real", "type float32 and shape .*Save it as complex numbers"),
        ("header", "ismrmrd_header that can't be read"),
        ("cut", "can't be read"),
        ("matrix", r"10x12x1.*plan is for"),
        ("points", "2D scan"),
    ],
)
def test_what_is_refused(case: str, message: str, tmp_path: Path) -> None:
    kspace = kspace_of(smooth(2, ROWS, COLUMNS)).swapaxes(-1, -2)
    datasets: dict[str, Any] = {"kspace": kspace}
    match case:
        case "mask":
            datasets["mask"] = np.ones(5)
        case "empty mask":
            datasets["mask"] = np.zeros(ROWS)
        case "real":
            datasets["kspace"] = np.abs(kspace)
        case "header":
            datasets["ismrmrd_header"] = "<ismrmrdHeader"
    path = save(tmp_path / "a.h5", **datasets)
    if case == "cut":
        path.write_bytes(path.read_bytes()[:2500])
    plan = make_plan({"matrix": "lines-odd", "points": "points"}.get(case, "lines"))
    with pytest.raises(AcquisitionError, match=message):
        FastMRI().read_scan(path, plan)


def test_only_read(tmp_path: Path) -> None:
    plan = make_plan("lines")
    with pytest.raises(InstrumentError, match="only read"):
        save_acquired(FastMRI(), make_acquisition(plan), plan, tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []
