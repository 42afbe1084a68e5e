"""A virtual scanner: MRzeroCore plays the exported .seq on a phantom; its signal, as ISMRMRD, is reconstructed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from builders.plans import make_plan
from builders.sensing import mri

from acqplan.core.errors import AcquisitionError
from acqplan.core.registry import find
from acqplan.formats.export import export
from acqplan.formats.lookup import for_acquired
from acqplan.modalities.mri.formats.ismrmrd import writer as ismrmrd_writer
from acqplan.modalities.mri.formats.pulseq import Pulseq
from acqplan.plan.plan import Plan
from acqplan.plan.verification import verify


def central_plan(
    encoding: str, side: int, share: float, reconstructor: str = "zero-filled", calibration: int = 4, repeats: int = 0
) -> Plan:
    """Units drawn at random around a measured centre, in random order."""
    sensing = mri(encoding, side, side)
    centre, rng = sensing.calibration_units(calibration), np.random.default_rng(0)
    away = sensing.distance() + 0.3 * rng.random(sensing.n_units)
    away[centre] = -1
    units = np.argsort(away)[: round(share * sensing.n_units)]
    order = rng.permutation(np.concatenate([units, units[:repeats]]))
    made = find("reconstructors", reconstructor)()
    return make_plan(sensing, order, centre, reading_time_s=None, reconstructor=made)


pytest.importorskip("pypulseq")
pytest.importorskip("ismrmrd")

Array = npt.NDArray[Any]


def phantom(matrix: tuple[int, int, int]) -> Array:
    """Proton density [readout, ky, kz] that no rotation, reflection or shift brings to itself."""
    sides = [(np.arange(n) - n // 2) / (n / 2) if n > 1 else np.zeros(1) for n in matrix]
    x, y, z = np.meshgrid(*sides, indexing="ij")
    body = ((x / 0.8) ** 2 + (y / 0.65) ** 2 + (z / 0.9) ** 2 < 1) * (0.6 + 0.2 * x - 0.15 * z)
    body = np.where(((x - 0.3) / 0.25) ** 2 + ((y - 0.2) / 0.2) ** 2 < 1, 0.25 * (body > 0), body)
    return np.asarray(np.where(((x + 0.35) / 0.2) ** 2 + ((y + 0.15) / 0.35) ** 2 + z**2 < 0.8, 1.0 * (body > 0), body))


def played(path: Path, density: Array, fov_mm: list[float]) -> Array:
    """complex64[samples, 1] that MRzeroCore measures of a grid of voxels."""
    mr0 = pytest.importorskip("MRzeroCore")
    voxel = np.array(fov_mm) / density.shape
    affine = np.column_stack([np.diag(voxel), -voxel * (np.array(density.shape) // 2)])
    pd = torch.from_numpy(density.astype(np.float32))
    times = [torch.full_like(pd, seconds) for seconds in (0.8, 0.08, 0.05)]  # T1, T2, T2'
    unit = torch.ones((1, *density.shape), dtype=torch.complex64)
    grid = torch.from_numpy(affine.astype(np.float32))
    data = mr0.VoxelGridPhantom(pd, *times, 0 * pd, 0 * pd, unit, unit, grid).build()
    sequence = mr0.Sequence.import_file(str(path))
    graph = mr0.compute_graph(sequence, data, 200, 1e-4)
    return np.asarray(mr0.execute_graph(graph, sequence, data, print_progress=False).numpy())


# Measured: 0.9999, 0.9998 and 0.9980.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], float]] = {
    "2D": ({"encoding": "lines", "side": 24, "share": 1}, {}, 0.9995),
    "2D-half": (
        {"encoding": "lines", "side": 32, "share": 0.5, "reconstructor": "tv", "repeats": 3},
        {"version": "1.4", "fov_mm": [200, 160]},
        0.999,
    ),
    "3D-half": (
        {"encoding": "points", "side": 16, "share": 0.5, "reconstructor": "tv"},
        {"readout": 16, "dummies": 80},
        0.995,
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES)
def test_the_phantom_comes_back_from_the_played_sequence(case: str, tmp_path: Path) -> None:
    parts, options, at_least = CASES[case]
    plan = central_plan(**parts)
    instrument = Pulseq(noise_readouts=2, **options)
    export(plan, instrument, tmp_path / "out")
    details = instrument.read(tmp_path / "out").details
    matrix = tuple(details["matrix"])
    density = phantom(matrix)
    signal = played(tmp_path / "out" / "sequence.seq", density, details["field_of_view_mm"])
    raw, noise = instrument.raw_scan(tmp_path / "out", signal)
    assert noise is None  # the simulator skips readouts before the first pulse
    ismrmrd_writer.write(raw, tmp_path / "acquired.h5")

    scan = for_acquired(tmp_path / "acquired.h5").read_scan(tmp_path / "acquired.h5", plan)
    assert [f for f in verify(plan, scan) if f.severity != "note"] == []
    images = np.stack([np.abs(plan.reconstruct(each)) for each in scan.acquisitions])
    truth = density[:, :, 0].T[None] if matrix[2] == 1 else density
    correlation = np.corrcoef(images.ravel(), truth.ravel())[0, 1]
    assert correlation > at_least
    for axis in (1, 2):
        for shift in (-1, 1):
            assert np.corrcoef(np.roll(images, shift, axis).ravel(), truth.ravel())[0, 1] < correlation - 0.01


def test_signal_becomes_a_raw_scan_with_noise_and_slices(tmp_path: Path) -> None:
    """Each readout of a made-up signal holds its own number, so that any mix-up shows."""
    plan = central_plan("lines", 8, 0.5, calibration=2, repeats=2)
    instrument = Pulseq(noise_readouts=3, dummies=1, slices=3)
    export(plan, instrument, tmp_path / "out")
    n = 3 * plan.pattern.n_readings
    signal = np.repeat(np.arange(-3, n), 16)[:, None] * np.array([1, 1j])
    raw, noise = instrument.raw_scan(tmp_path / "out", signal)
    assert noise is not None
    assert np.array_equal(noise[:, 0, 0], [-3, -2, -1])
    assert np.array_equal(raw.lines[:, 1, 5], 1j * np.arange(n))
    assert np.array_equal(raw.slice[:6], [0, 2, 1, 0, 2, 1])
    assert np.array_equal(raw.ky, np.repeat(plan.pattern.order, 3))
    assert raw.average.max() == 1
    assert raw.average.sum() == 6
    assert np.array_equal(raw.is_calibration, np.isin(raw.ky, plan.pattern.calibration))
    without, none = instrument.raw_scan(tmp_path / "out", signal[3 * 16 :])
    assert none is None
    assert np.array_equal(without.lines, raw.lines)
    with pytest.raises(AcquisitionError, match="takes 21 readouts of 16 samples"):
        instrument.raw_scan(tmp_path / "out", signal[1:])
