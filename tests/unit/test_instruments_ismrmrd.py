"""ISMRMRD as an instrument: what is exported and acquired, read by independent tools and read back."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

pytest.importorskip("ismrmrd")

import ismrmrd
from builders.acquisitions import make_acquisition
from builders.ismrmrd_files import acquisition, coil_images, header, images_of, kspace_of, oversampled, write
from builders.plans import make_plan

from acqplan.core.errors import AcquisitionError, InstrumentError
from acqplan.core.registry import find
from acqplan.formats.export import export
from acqplan.formats.save import save_acquired
from acqplan.modalities.mri.formats.ismrmrd import FILE, Ismrmrd
from acqplan.modalities.mri.formats.ismrmrd import writer as ismrmrd_writer
from acqplan.modalities.mri.formats.ismrmrd.reader import read
from acqplan.modalities.mri.raw.acquisitions import raw_of
from acqplan.plan.verification import verify
from acqplan.sensing.acquisition import Acquisition, Geometry, Scan

RECON = "ismrmrd_recon_cartesian_2d"


def test_exported_table_holds_the_plan_for_others(tmp_path: Path) -> None:
    """Read with the package ismrmrd: header, order, counters and flags."""
    plan = make_plan("lines")
    options: dict[str, Any] = {"channels": 3, "slices": 2, "oversampling": 2}
    export(plan, Ismrmrd(**options, read_fov_mm=200, phase_fov_mm=240, slice_mm=4), tmp_path / "out")
    with ismrmrd.Dataset(str(tmp_path / "out" / FILE), mode="r") as dataset:
        xml = ismrmrd.xsd.CreateFromDocument(dataset.read_xml_header())
        acquisitions = [dataset.read_acquisition(i) for i in range(dataset.number_of_acquisitions())]
    encoding = xml.encoding[0]
    assert (encoding.encodedSpace.matrixSize.x, encoding.encodedSpace.matrixSize.y) == (20, 12)
    assert (encoding.reconSpace.matrixSize.x, encoding.reconSpace.matrixSize.y) == (10, 12)
    assert encoding.encodedSpace.fieldOfView_mm.x == 400
    limits = encoding.encodingLimits.kspace_encoding_step_1
    assert (limits.minimum, limits.maximum, limits.center) == (0, 11, 6)
    assert encoding.trajectory.value == "cartesian"
    texts = {each.name: each.value for each in xml.userParameters.userParameterString}
    assert texts["plan_id"] == plan.plan_id
    assert texts["pattern_digest"] == plan.pattern.digest
    numbers = {each.name: each.value for each in xml.userParameters.userParameterDouble}
    assert numbers["acceleration"] == pytest.approx(12 / plan.pattern.n_readings)
    assert [each.idx.kspace_encode_step_1 for each in acquisitions[::2]] == plan.pattern.order.tolist()
    assert [each.idx.slice for each in acquisitions[:4]] == [0, 1, 0, 1]
    assert all(each.data.shape == (3, 20) and not each.data.any() for each in acquisitions)
    marked = {each.idx.kspace_encode_step_1 for each in acquisitions if each.isFlagSet(21)}
    assert marked == set(plan.pattern.calibration.tolist())
    assert not any(each.isFlagSet(20) for each in acquisitions)
    assert acquisitions[-1].isFlagSet(ismrmrd.ACQ_LAST_IN_MEASUREMENT)
    assert [each.isFlagSet(ismrmrd.ACQ_FIRST_IN_SLICE) for each in acquisitions[:3]] == [True, True, False]
    assert [each.isFlagSet(ismrmrd.ACQ_LAST_IN_SLICE) for each in acquisitions[-3:]] == [False, True, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 70000}, "16 bits"),
        ({"slices": 70000, "channels": 1}, "16 bits"),
        ({"oversampling": 3}, "3-fold"),
        ({"channels": 0}, "0 channels"),
        ({"read_fov_mm": 200}, "together"),
        ({"read_fov_mm": -1, "phase_fov_mm": 1, "slice_mm": 1}, "positive"),
        ({"slices": 60000, "channels": 60000}, "GiB"),
    ],
)
def test_every_problem_is_told(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InstrumentError, match=message):
        export(make_plan("lines"), Ismrmrd(**options), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_points_have_one_slab_and_any_readout(tmp_path: Path) -> None:
    plan = make_plan("points")
    assert "one slab" in Ismrmrd(slices=2).check(plan)[0]
    assert "16 bits" in Ismrmrd(readout=70000).check(plan)[0]
    export(plan, Ismrmrd(readout=5), tmp_path / "out")
    assert read(tmp_path / "out" / FILE).matrix == (5, 8, 6)


def test_altered_counter_is_refused(tmp_path: Path) -> None:
    export(make_plan("lines"), Ismrmrd(), tmp_path / "out")
    with h5py.File(tmp_path / "out" / FILE, "r+") as file:
        row = file["dataset/data"][0]
        row["head"]["idx"]["kspace_encode_step_1"] = (row["head"]["idx"]["kspace_encode_step_1"] + 1) % 12
        file["dataset/data"][0] = row
    with pytest.raises(InstrumentError, match="changed"):
        Ismrmrd().read(tmp_path / "out")


@pytest.mark.parametrize("case", ["lines", "points"])
def test_geometry_maps_and_order_come_back(case: str, tmp_path: Path) -> None:
    plan = make_plan(case)
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = turn * [1.5, 2.0, 3.0]
    affine[:3, 3] = rng.standard_normal(3) * 50
    maps = coil_images(3, *plan.sensing.image_shape)
    image = coil_images(1, *plan.sensing.image_shape, seed=5)[0]
    acquired = plan.simulate(image, coil_maps=maps, geometry=Geometry(affine))
    save_acquired(Ismrmrd(), acquired, plan, tmp_path / "a.mrd")
    back = Ismrmrd().read_acquired(tmp_path / "a.mrd", plan)
    assert np.array_equal(back.readings, acquired.readings)
    assert back.order is not None
    assert np.array_equal(back.order, plan.pattern.order)
    assert back.pattern_digest == plan.pattern.digest
    assert back.geometry is not None
    assert np.allclose(back.geometry.affine, affine, atol=1e-4)
    assert back.coil_maps is not None
    assert np.array_equal(back.coil_maps, maps)
    assert back.record["plan_id"] == plan.plan_id


def test_slices_of_a_scanner_are_reconstructed_one_by_one(tmp_path: Path) -> None:
    """Fully simulated raw data: oversampled, several slices, a noise scan; missing lines are told by verify."""
    plan = make_plan("lines")
    rows, columns = plan.sensing.image_shape
    images = [coil_images(1, rows, columns, seed) for seed in range(3)]
    lines = [acquisition(np.random.default_rng(0).standard_normal((1, 512)) + 0j, flags=[19])]
    for ky in plan.pattern.order:
        lines += [
            acquisition(
                oversampled(images[i])[:, ky],
                ky=int(ky),
                slice=i,
                position=(0, 0, 3.0 * i),
                read_dir=(1, 0, 0),
                phase_dir=(0, 1, 0),
                slice_dir=(0, 0, 1),
            )
            for i in range(3)
        ]
    xml = header((2 * columns, rows, 1), (columns, rows, 1))
    scan = Ismrmrd().read_scan(write(tmp_path / "a.h5", xml, lines), plan)
    assert len(scan.acquisitions) == 3
    assert scan.facts.matrix == (columns, rows, 1)
    assert scan.facts.channels == 1
    assert scan.facts.noise_std == 1
    assert scan.facts.field_of_view_mm == pytest.approx([240, 200, 5])
    assert [each for each in verify(plan, scan) if each.severity == "error"] == []
    assert scan.geometry is not None
    assert scan.geometry.affine[:3, 2] == pytest.approx([0, 0, 3])
    for i, acquired in enumerate(scan.acquisitions):
        expected = kspace_of(images[i])[0, plan.pattern.order]
        scale = np.vdot(expected, acquired.readings) / np.vdot(expected, expected)  # of the prewhitening
        assert scale == pytest.approx(1, rel=0.1)
        assert np.abs(acquired.readings[:, 0] / scale - expected).max() < 1e-5 * np.abs(expected).max()
        assert acquired.geometry is not None
        assert acquired.geometry.affine[2, 3] == pytest.approx(3 * i, abs=1e-5)
    with pytest.raises(AcquisitionError, match="3 images"):
        Ismrmrd().read_acquired(tmp_path / "a.h5", plan)
    fewer = [each for each in lines if each.idx.kspace_encode_step_1 != plan.pattern.order[0]]
    missing = Ismrmrd().read_scan(write(tmp_path / "b.h5", xml, fewer), plan)
    assert any(each.subject in ("missing", "pattern") for each in verify(plan, missing))


def test_points_come_from_a_3d_scan(tmp_path: Path) -> None:
    plan = make_plan("points")
    n_ky, n_kz = plan.sensing.image_shape
    rng = np.random.default_rng(2)
    volume = rng.standard_normal((2, 7, n_ky, n_kz)) + 1j * rng.standard_normal((2, 7, n_ky, n_kz))
    kspace = kspace_of(volume, (1, 2, 3))  # coil, readout, ky, kz
    lines = [
        acquisition(
            kspace[:, :, ky, kz],
            ky=int(ky),
            kz=int(kz),
            position=(1, 2, 3),
            read_dir=(0, 0, 1),
            phase_dir=(1, 0, 0),
            slice_dir=(0, 1, 0),
        )
        for ky, kz in (divmod(int(unit), n_kz) for unit in plan.pattern.order)
    ]
    path = write(tmp_path / "a.h5", header((7, n_ky, n_kz), (7, n_ky, n_kz), fov=(70, 80, 60)), lines)
    scan = Ismrmrd().read_scan(path, plan)
    assert len(scan.acquisitions) == 7
    for i in (0, 6):
        wanted = kspace_of(volume[:, i]).reshape(2, -1)[:, plan.pattern.order].T
        assert np.abs(scan.acquisitions[i].readings - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert scan.acquisitions[-1].source.endswith("image 6")
    assert scan.geometry is not None  # rows are ky, columns kz, slices the readout: voxels of 10 mm
    assert scan.geometry.affine @ [n_ky // 2, n_kz // 2, 7 // 2, 1] == pytest.approx([-1, -2, 3, 1])
    assert scan.geometry.affine[:3, :3] == pytest.approx(np.array([[-10, 0, 0], [0, -10, 0], [0, 0, 10]]))


@pytest.mark.parametrize(
    ("case", "matrix", "message"),
    [
        ("lines", (10, 12, 4), "3D scan of 4 partitions"),
        ("lines", (10, 14, 1), "10x14x1.*plan is for 10x12x1"),
        ("points", (10, 8, 1), "2D scan; the plan measures"),
        ("points", (10, 8, 8), "10x8x8.*plan is for 10x8x6"),
    ],
)
def test_other_matrices_are_refused(case: str, matrix: tuple[int, int, int], message: str, tmp_path: Path) -> None:
    lines = [acquisition(np.ones((1, matrix[0]), np.complex64))]
    path = write(tmp_path / "a.h5", header(matrix, matrix), lines)
    with pytest.raises(AcquisitionError, match=message):
        Ismrmrd().read_scan(path, make_plan(case))


def test_counters_that_overflow_are_not_written(tmp_path: Path) -> None:
    plan = make_plan("lines")
    raw = raw_of(Scan([make_acquisition(plan)], "test"), plan)
    with pytest.raises(AcquisitionError, match="70001 repetitions are too many"):
        ismrmrd_writer.write(replace(raw, repetition=raw.repetition + 70000), tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []


def test_noise_scan_is_written_and_used(tmp_path: Path) -> None:
    plan = make_plan("lines")
    raw = raw_of(Scan([make_acquisition(plan)], "test"), plan)
    rng = np.random.default_rng(0)
    noise = (3 * (rng.standard_normal((4, 1, 400)) + 1j * rng.standard_normal((4, 1, 400)))).astype(np.complex64)
    ismrmrd_writer.write(raw, tmp_path / "a.h5", noise=noise)
    back = read(tmp_path / "a.h5")
    assert back.noise_std == 1
    scale = np.abs(raw.lines).max() / np.abs(back.lines).max()
    assert scale == pytest.approx(3 * np.sqrt(2), rel=0.05)


@pytest.mark.skipif(shutil.which(RECON) is None, reason="ismrmrd-tools isn't installed")
@pytest.mark.parametrize("oversampling", [1, 2])
def test_their_reconstruction_reads_what_is_written(oversampling: int, tmp_path: Path) -> None:
    """A fully sampled plan's data, with the readout oversampled or not: their image is the truth's magnitude."""
    rows, columns = 24, 20
    images = coil_images(2, rows, columns)
    images[:, :, :5] = 0  # no symmetry: a flip would show
    images[:, 18:] *= 3
    kspace = oversampled(images, oversampling)
    sensing = find("sensing", "cartesian_mri")(image_shape=(rows, columns), encoding="lines")
    plan = make_plan("lines")
    plan = replace(
        plan,
        sensing=sensing,
        pattern=type(plan.pattern)(np.random.default_rng(0).permutation(rows), rows),
        budget=type(plan.budget)(rows, rows, 0),
    )
    readings = np.moveaxis(kspace_of(images), 1, 0)[plan.pattern.order]
    raw = raw_of(Scan([Acquisition(readings, None, "test", plan.pattern.order)], "test"), plan)
    raw = replace(raw, lines=np.ascontiguousarray(np.moveaxis(kspace, 1, 0)[plan.pattern.order]))
    path = tmp_path / "a.h5"
    ismrmrd_writer.write(raw, path)
    ours = read(path)
    assert np.allclose(images_of(ours.kspace()[0][:, 0]), images, atol=1e-4)
    subprocess.run([RECON, path], check=True, capture_output=True)
    with h5py.File(path) as file:
        theirs = np.asarray(file["dataset/cpp/data"]).squeeze()
    truth = np.sqrt((np.abs(images) ** 2).sum(0))
    assert theirs.shape == truth.shape
    assert np.corrcoef(theirs.ravel(), truth.ravel())[0, 1] > 0.99999
