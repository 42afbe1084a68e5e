"""BART files: by value against BART itself, and every way in which a pair of files can be wrong."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from builders.plans import make_plan
from builders.sensing import drawn_pattern

from acqplan.core.errors import AcquisitionError, InstrumentError, OutputError, PatternMismatch
from acqplan.core.math.transforms import fft_centred
from acqplan.formats.export import export
from acqplan.formats.save import save_acquired
from acqplan.modalities.mri.formats.bart import Bart
from acqplan.modalities.mri.noise import ComplexGaussian
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.plan import Plan
from acqplan.plan.verification import verify
from acqplan.sensing.acquisition import Acquisition, Scan

ROWS, COLUMNS, COILS = 12, 8, 3  # multiples of 4: older versions of pics are off by a sign or a pixel otherwise
Complex = npt.NDArray[np.complex64]
needs_bart = pytest.mark.skipif(shutil.which("bart") is None, reason="BART isn't installed")


def bart_plan(encoding: str) -> Plan:
    sensing = CartesianMRI((ROWS, COLUMNS), encoding)
    return make_plan(sensing, drawn_pattern(sensing, 2, share=0.6, width=4, repeats=0))


def make_image() -> Complex:
    """No symmetry: a flip, a transpose or a shift shows."""
    image = np.zeros((ROWS, COLUMNS), dtype=np.complex64)
    image[2:7, 1:4] = 1
    image[3, 2] = 2j
    image[9, 7] = -1
    return image


def make_maps() -> Complex:
    rng = np.random.default_rng(3)
    maps = rng.normal(size=(COILS, ROWS, COLUMNS)) + 1j * rng.normal(size=(COILS, ROWS, COLUMNS))
    return (maps / np.sqrt((np.abs(maps) ** 2).sum(0))).astype(np.complex64)


def coil_kspace() -> Complex:
    kspace: Complex = fft_centred(torch.as_tensor(make_image() * make_maps()), (-2, -1)).numpy()
    return kspace


def sampled(plan: Plan) -> npt.NDArray[np.bool_]:
    assert isinstance(plan.sensing, CartesianMRI)
    mask = plan.pattern.mask
    return mask.reshape(ROWS, COLUMNS) if plan.sensing.encoding == "points" else np.repeat(mask[:, None], COLUMNS, 1)


def acquire(plan: Plan, maps: Complex | None) -> Acquisition:
    return plan.simulate(make_image(), noise=ComplexGaussian(0.0), coil_maps=maps)


def load_cfl(name: Path) -> Complex:
    """Written from BART's documentation, independently of acqplan's reader."""
    sizes = [int(size) for size in name.with_suffix(".hdr").read_text().split("\n")[1].split()]
    return np.fromfile(name.with_suffix(".cfl"), "<c8").reshape(sizes[::-1]).T


def as_image(values: Complex, plan: Plan) -> Complex:
    """BART's (readout, ky, kz) -> (rows, columns)."""
    assert isinstance(plan.sensing, CartesianMRI)
    return values[0, :, :, 0].squeeze() if plan.sensing.encoding == "points" else values[:, :, 0].squeeze().T


def bart(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["bart", *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(params=["lines", "points"])
def plan(request: pytest.FixtureRequest) -> Plan:
    return bart_plan(request.param)


@needs_bart
def test_bart_shows_the_sizes(plan: Plan, tmp_path: Path) -> None:
    export(plan, Bart(), tmp_path / "out")
    assert isinstance(plan.sensing, CartesianMRI)
    sizes = [COLUMNS, ROWS, 1] if plan.sensing.encoding == "lines" else [1, ROWS, COLUMNS]
    shown = bart(tmp_path / "out", "show", "-m", "pattern")
    assert f"AoD:\t{chr(9).join(map(str, [*sizes, *[1] * 13]))}" in shown


@needs_bart
def test_bart_finds_our_pattern_in_our_kspace(plan: Plan, tmp_path: Path) -> None:
    export(plan, Bart(), tmp_path / "out")
    save_acquired(Bart(), acquire(plan, make_maps()), plan, tmp_path / "out" / "scan.cfl")
    bart(tmp_path / "out", "pattern", "scan", "found")
    assert np.array_equal(load_cfl(tmp_path / "out" / "found"), load_cfl(tmp_path / "out" / "pattern"))


@needs_bart
def test_bart_fft_of_our_kspace_is_our_zero_filled_image(plan: Plan, tmp_path: Path) -> None:
    acquisition = acquire(plan, None)
    save_acquired(Bart(), acquisition, plan, tmp_path / "scan.cfl")
    bart(tmp_path, "fft", "-u", "-i", "7", "scan", "image")
    image = as_image(load_cfl(tmp_path / "image"), plan)
    assert np.allclose(image, plan.reconstruct(acquisition), atol=1e-5)


@needs_bart
def test_bart_pics_solves_the_problem_that_the_plan_poses(plan: Plan, tmp_path: Path) -> None:
    """Against the least-squares solution with a dense matrix: positions, maps and orientation all count."""
    export(plan, Bart(), tmp_path / "out")
    save_acquired(Bart(), acquire(plan, make_maps()), plan, tmp_path / "out" / "scan.cfl")
    regularisation = 0.01
    bart(
        tmp_path / "out",
        *f"pics -S -l2 -r {regularisation} -i 200 -p pattern scan scan_maps image".split(),
    )
    basis = np.eye(ROWS * COLUMNS, dtype=np.complex64).reshape(-1, 1, ROWS, COLUMNS)
    encoded = fft_centred(torch.as_tensor(basis * make_maps()), (-2, -1)).numpy() * sampled(plan)
    matrix = encoded.reshape(ROWS * COLUMNS, -1).T
    data = (coil_kspace() * sampled(plan)).ravel()
    normal = matrix.conj().T @ matrix + regularisation * np.eye(ROWS * COLUMNS)
    expected = np.linalg.solve(normal, matrix.conj().T @ data).reshape(ROWS, COLUMNS)
    image = as_image(load_cfl(tmp_path / "out" / "image"), plan)
    assert np.linalg.norm(image - expected) < 1e-3 * np.linalg.norm(expected)
    assert np.linalg.norm(image - make_image()) < 0.3 * np.linalg.norm(image)


@needs_bart
def test_kspace_that_bart_wrote_is_read(plan: Plan, tmp_path: Path) -> None:
    export(plan, Bart(), tmp_path / "out")
    full = coil_kspace()
    assert isinstance(plan.sensing, CartesianMRI)
    values = full.transpose(2, 1, 0)[:, :, None] if plan.sensing.encoding == "lines" else full.transpose(1, 2, 0)[None]
    write_cfl(tmp_path / "out" / "full.cfl", values)
    bart(tmp_path / "out", "fmac", "full", "pattern", "scan")
    back = Bart().read_acquired(tmp_path / "out" / "scan.cfl", plan)
    plan.check_acquisition(back)
    assert np.allclose(back.readings, acquire(plan, make_maps()).readings, atol=1e-6)


def write_cfl(path: Path, values: npt.NDArray[Any]) -> None:
    path.write_bytes(values.astype("<c8").T.tobytes())
    path.with_suffix(".hdr").write_text(f"# Dimensions\n{' '.join(map(str, values.shape))}\n# Creator\nBART\n")


def test_coil_maps_come_back(plan: Plan, tmp_path: Path) -> None:
    acquisition = acquire(plan, make_maps())
    save_acquired(Bart(), acquisition, plan, tmp_path / "scan.cfl")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "scan.cfl",
        "scan.hdr",
        "scan_maps.cfl",
        "scan_maps.hdr",
    ]
    back = Bart().read_acquired(tmp_path / "scan.cfl", plan)
    assert np.array_equal(back.readings, acquisition.readings)
    assert back.coil_maps is not None
    assert np.array_equal(back.coil_maps, make_maps())
    assert np.allclose(plan.reconstruct(back), plan.reconstruct(acquisition))


def test_replacing_removes_maps_that_are_not_true_any_more(plan: Plan, tmp_path: Path) -> None:
    save_acquired(Bart(), acquire(plan, make_maps()), plan, tmp_path / "scan.cfl")
    save_acquired(Bart(), acquire(plan, None), plan, tmp_path / "scan.cfl", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scan.cfl", "scan.hdr"]
    assert Bart().read_acquired(tmp_path / "scan.cfl", plan).coil_maps is None


def test_a_companion_of_other_data_is_not_overwritten(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "scan.hdr").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        save_acquired(Bart(), acquire(plan, None), plan, tmp_path / "scan.cfl")
    assert [path.name for path in tmp_path.iterdir()] == ["scan.hdr"]


def test_repeats_are_averaged(tmp_path: Path) -> None:
    sensing = CartesianMRI((4, 6), "lines")
    plan = make_plan(sensing, [2, 1, 2])
    readings = np.arange(18, dtype=np.complex64).reshape(3, 1, 6)
    save_acquired(Bart(), Acquisition(readings, None, "test"), plan, tmp_path / "scan.cfl")
    back = Bart().read_acquired(tmp_path / "scan.cfl", plan).readings
    assert np.array_equal(back[1], readings[1])
    assert np.array_equal(back[0], (readings[0] + readings[2]) / 2)
    assert np.array_equal(back[2], back[0])


def test_measured_zeros_keep_their_positions(plan: Plan, tmp_path: Path) -> None:
    acquisition = acquire(plan, None)
    acquisition.readings[:2] = 0
    save_acquired(Bart(), acquisition, plan, tmp_path / "scan.cfl")
    back = Bart().read_acquired(tmp_path / "scan.cfl", plan)
    assert np.allclose(back.readings, acquisition.readings, rtol=0, atol=1e-37)


def test_positions_that_differ_are_a_mismatch(plan: Plan, tmp_path: Path) -> None:
    save_acquired(Bart(), acquire(plan, None), plan, tmp_path / "scan.cfl")
    values = load_cfl(tmp_path / "scan")
    unmeasured = tuple(np.argwhere(values == 0)[0])
    extra = values.copy()
    extra[unmeasured] = 1e-20
    write_cfl(tmp_path / "extra.cfl", extra)
    held = Bart().read_acquired(tmp_path / "extra.cfl", plan)
    assert np.array_equal(held.order[:-1], plan.pattern.order)
    assert not plan.pattern.mask[held.order[-1]]
    assert [each.subject for each in verify(plan, Scan([held], "scan")) if each.severity == "error"] == ["extra"]
    with pytest.raises(PatternMismatch, match=f"1 aren't in the plan .{held.order[-1]}., and 0 of"):
        plan.reconstruct(held)
    chosen = plan.planned_only(held)
    assert np.array_equal(chosen.readings, Bart().read_acquired(tmp_path / "scan.cfl", plan).readings)
    missing = values.copy()
    column = tuple(np.argwhere(values != 0)[0])
    assert isinstance(plan.sensing, CartesianMRI)
    missing[(slice(None), *column[1:])] = 0
    write_cfl(tmp_path / "missing.cfl", missing)
    held = Bart().read_acquired(tmp_path / "missing.cfl", plan)
    assert np.unique(held.order).size == int(plan.pattern.mask.sum()) - 1
    write_cfl(tmp_path / "zeros.cfl", 0 * values)
    with pytest.raises(AcquisitionError, match="nothing but zeros"):
        Bart().read_acquired(tmp_path / "zeros.cfl", plan)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("", "no sizes below a line '# Dimensions'"),
        ("# Dimensions\n", "no sizes below a line '# Dimensions'"),
        ("# Dimensions\n\n", "its sizes are '', whole numbers"),
        ("# Dimensions\n8 twelve 1\n", "its sizes are '8 twelve 1', whole numbers"),
        ("# Dimensions\n8 x 1\n", "its sizes are '8 x 1', whole numbers"),
        ("# Dimensions\n8 -12 1\n", "sizes"),
        ("# Dimensions\n8 12 0\n", "sizes"),
        (f"# Dimensions\n{'9' * 5000}\n", "its sizes are '9999"),
        (f"# Dimensions\n{'9' * 4000} {'9' * 4000}\n", "its sizes are '9999"),
        ("# Dimensions\n" + "2 " * 17, "sizes"),
        ("# Dimensions\n8 12 1 2\n", "768 bytes, its header asks for 1536"),
        ("# Dimensions\n999999999 999999999 999999999\n", "asks for"),
        ("# Dimensions\n12 8 1\n", "sizes 12x8x1, expected 8x12x1xcoils"),
        ("# Dimensions\n8 1 12\n", "sizes 8x1x12, expected 8x12x1xcoils"),
    ],
)
def test_wrong_headers(header: str, says: str, tmp_path: Path) -> None:
    plan = bart_plan("lines")
    save_acquired(Bart(), acquire(plan, None), plan, tmp_path / "scan.cfl")
    (tmp_path / "scan.hdr").write_text(header)
    with pytest.raises(AcquisitionError, match=says):
        Bart().read_acquired(tmp_path / "scan.cfl", plan)


@pytest.mark.parametrize("encoding", ["lines", "points"])
def test_a_single_number_is_told_by_its_sizes(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "scan.cfl").write_bytes(np.ones(1, "<c8").tobytes())
    (tmp_path / "scan.hdr").write_text("# Dimensions\n1\n")
    with pytest.raises(AcquisitionError, match="has the sizes 1x1x1, expected"):
        Bart().read_acquired(tmp_path / "scan.cfl", bart_plan(encoding))


def test_sizes_may_be_left_out_or_be_more_ones(tmp_path: Path) -> None:
    plan = bart_plan("lines")
    acquisition = acquire(plan, None)
    save_acquired(Bart(), acquisition, plan, tmp_path / "scan.cfl")
    for sizes in ("8 12", "8 12 1 1" + " 1" * 20):
        (tmp_path / "scan.hdr").write_text(f"# Command\nfft\n# Dimensions\n{sizes}\n# Creator\nBART\n")
        assert np.array_equal(Bart().read_acquired(tmp_path / "scan.cfl", plan).readings, acquisition.readings)


def test_slices_and_sets_of_maps_are_refused(tmp_path: Path) -> None:
    plan = bart_plan("lines")
    write_cfl(tmp_path / "scan.cfl", np.ones((COLUMNS, ROWS, 1, 2, 2)))
    with pytest.raises(AcquisitionError, match="8x12x1x2x2"):
        Bart().read_acquired(tmp_path / "scan.cfl", plan)


def test_maps_of_other_sizes_are_refused(tmp_path: Path) -> None:
    plan = bart_plan("lines")
    save_acquired(Bart(), acquire(plan, make_maps()), plan, tmp_path / "scan.cfl")
    write_cfl(tmp_path / "scan_maps.cfl", np.ones((COLUMNS, ROWS, 1, COILS + 1)))
    with pytest.raises(AcquisitionError, match="4 coils"):
        Bart().read_acquired(tmp_path / "scan.cfl", plan)
    (tmp_path / "scan_maps.hdr").unlink()
    with pytest.raises(AcquisitionError, match=r"scan_maps\.hdr can't be read"):
        Bart().read_acquired(tmp_path / "scan.cfl", plan)


def test_any_changed_sample_of_the_pattern_is_noticed(plan: Plan, tmp_path: Path) -> None:
    export(plan, Bart(), tmp_path / "out")
    path = tmp_path / "out" / "pattern.cfl"
    values = np.fromfile(path, "<c8")
    for sample in range(values.size):
        changed = values.copy()
        changed[sample] = 1 - changed[sample]
        changed.tofile(path)
        with pytest.raises(InstrumentError, match="doesn't play the positions"):
            Bart().read(tmp_path / "out")


@pytest.mark.parametrize("encoding", ["lines", "points"])
def test_a_whole_scan_in_one_file(encoding: str, tmp_path: Path) -> None:
    """Slices of lines along axis 13; points with their readout still in k-space."""
    plan = bart_plan(encoding)
    rng = np.random.default_rng(0)
    n = 5
    shape = (COILS, n, ROWS, COLUMNS)
    images = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
    axes = (2, 3) if encoding == "lines" else (1, 2, 3)
    kspace = fft_centred(torch.from_numpy(images), axes).numpy()
    mask = plan.pattern.mask.reshape(plan.sensing.grid_shape)
    kspace = kspace * (mask[:, None] if encoding == "lines" else mask)
    if encoding == "lines":
        values = kspace.transpose(3, 2, 0, 1).reshape(COLUMNS, ROWS, 1, COILS, *[1] * 9, n, 1, 1)
    else:
        values = kspace.transpose(1, 2, 3, 0)  # readout, ky, kz, coil
    path = tmp_path / "scan.cfl"
    values.astype("<c8").ravel(order="F").tofile(path)
    path.with_suffix(".hdr").write_text(f"# Dimensions\n{' '.join(map(str, values.shape))}\n")
    scan = Bart().read_scan(path, plan)
    assert len(scan.acquisitions) == n
    sensing = plan.sensing
    assert isinstance(sensing, CartesianMRI)
    for i, acquired in enumerate(scan.acquisitions):
        plan.check_acquisition(acquired)
        assert acquired.order is not None
        assert np.array_equal(acquired.order, plan.pattern.order)
        wanted = sensing.from_grid(fft_centred(torch.from_numpy(images[None, :, i]), (-2, -1)))[0].numpy()
        assert np.abs(acquired.readings - wanted[plan.pattern.order]).max() < 1e-5 * np.abs(wanted).max()
