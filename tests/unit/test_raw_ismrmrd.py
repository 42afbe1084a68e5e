"""Reading ISMRMRD: every case of Cartesian acquisition lands where NumPy's own transform says."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("ismrmrd")

from builders.ismrmrd_files import acquisition, coil_images, header, images_of, kspace_of, oversampled, write

from acqplan.core.errors import AcquisitionError
from acqplan.modalities.mri.formats.ismrmrd.reader import read, recognises

ROWS, COLUMNS, COILS = 12, 10, 3
TOOLS = ("ismrmrd_generate_cartesian_shepp_logan", "ismrmrd_recon_cartesian_2d")
with_tools = pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason="ismrmrd-tools isn't installed")


def full_header(**others: Any) -> Any:
    return header((2 * COLUMNS, ROWS, 1), (COLUMNS, ROWS, 1), **others)


def close(have: npt.NDArray[Any], want: npt.NDArray[Any]) -> None:
    assert have.shape == want.shape
    assert np.abs(have - want).max() <= 1e-5 * np.abs(want).max()


def test_shuffled_lines_with_oversampling_give_the_images(tmp_path: Path) -> None:
    images = coil_images(COILS, ROWS, COLUMNS)
    kspace = oversampled(images)
    order = np.random.default_rng(1).permutation(ROWS)
    path = write(tmp_path / "a.h5", full_header(), [acquisition(kspace[:, ky], ky=ky) for ky in order])
    scan = read(path)
    assert scan.ky.tolist() == order.tolist()
    assert scan.matrix == (COLUMNS, ROWS, 1)
    assert scan.field_of_view_mm == pytest.approx((240, 200, 5))
    assert scan.lines.shape == (ROWS, COILS, COLUMNS)
    assert scan.is_fully_sampled
    assert scan.noise_std is None
    grid, counts = scan.kspace()
    assert counts.tolist() == [[1] * ROWS]
    close(images_of(grid[:, 0]), images)


def test_partial_fourier_and_asymmetric_echo_land_at_the_centre(tmp_path: Path) -> None:
    images = coil_images(COILS, ROWS, COLUMNS)
    kspace = kspace_of(images)
    first_line, first_sample = 3, 2  # neither the first three lines nor the first two samples are acquired
    xml = header(
        (COLUMNS, ROWS, 1),
        (COLUMNS, ROWS, 1),
        limits={1: (0, ROWS - 1 - first_line, ROWS // 2 - first_line)},
    )
    lines = [
        acquisition(kspace[:, ky, first_sample:], ky=ky - first_line, centre=COLUMNS // 2 - first_sample)
        for ky in range(first_line, ROWS)
    ]
    scan = read(write(tmp_path / "a.h5", xml, lines))
    expected = kspace.copy()
    expected[:, :first_line] = 0
    expected[..., :first_sample] = 0
    grid, counts = scan.kspace()
    close(grid[:, 0], expected)
    assert (counts[0] > 0).tolist() == [False] * first_line + [True] * (ROWS - first_line)
    assert not scan.is_fully_sampled


def test_odd_sides_keep_their_centre(tmp_path: Path) -> None:
    images = coil_images(2, 7, 9)
    kspace = kspace_of(images)
    xml = header((9, 7, 1), (9, 7, 1), limits={1: (0, 6, 3)})
    scan = read(write(tmp_path / "a.h5", xml, [acquisition(kspace[:, ky], ky=ky) for ky in range(7)]))
    close(images_of(scan.kspace()[0][:, 0]), images)


def test_reversed_and_discarded_samples(tmp_path: Path) -> None:
    kspace = kspace_of(coil_images(COILS, ROWS, COLUMNS))
    padded = np.concatenate([np.full((COILS, ROWS, 2), 99), kspace, np.full((COILS, ROWS, 1), 99)], axis=-1)
    lines = []
    for ky in range(ROWS):
        if ky % 2:  # stored backwards: what is to be discarded first comes last in k-space
            data, pre, post = padded[:, ky, ::-1], 1, 2
        else:
            data, pre, post = padded[:, ky], 2, 1
        lines.append(
            acquisition(
                data,
                ky=ky,
                flags=[22] if ky % 2 else [],
                centre=COLUMNS // 2 + 2,
                discard_pre=pre,
                discard_post=post,
            )
        )
    scan = read(write(tmp_path / "a.h5", header((COLUMNS, ROWS, 1), (COLUMNS, ROWS, 1)), lines))
    close(scan.kspace()[0][:, 0], kspace)


def test_averages_repetitions_and_slices(tmp_path: Path) -> None:
    kspace = np.stack([kspace_of(coil_images(COILS, ROWS, COLUMNS, seed)) for seed in (1, 2)])
    lines = []
    for ky in range(ROWS):
        for slice in (1, 0):
            for repeat in (0, 1, 2):
                wrong = (repeat - 1) * 0.5 * kspace[slice, :, ky]  # averages out
                lines.append(
                    acquisition(
                        kspace[slice, :, ky] + wrong, ky=ky, slice=slice, average=repeat % 2, repetition=repeat // 2
                    )
                )
    scan = read(write(tmp_path / "a.h5", header((COLUMNS, ROWS, 1), (COLUMNS, ROWS, 1)), lines))
    assert scan.n_slices == 2
    assert (scan.counts() == 3).all()
    for slice in (0, 1):
        close(scan.kspace(slice)[0][:, 0], kspace[slice])
    assert set(scan.average.tolist()) == {0, 1} == set(scan.repetition.tolist())


def test_three_dimensional_scan(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    volume = rng.standard_normal((2, 4, 6, 8)) + 1j * rng.standard_normal((2, 4, 6, 8))  # coil, kz, ky, readout
    kspace = kspace_of(volume, (-3, -2, -1))
    places = rng.permutation([(kz, ky) for kz in range(4) for ky in range(6)])
    lines = [acquisition(kspace[:, kz, ky], ky=ky, kz=kz) for kz, ky in places]
    scan = read(write(tmp_path / "a.h5", header((8, 6, 4), (8, 6, 4)), lines))
    assert scan.is_3d
    assert scan.is_fully_sampled
    close(scan.kspace()[0], kspace)


@pytest.mark.parametrize("mode", ["embedded", "separate", None])
def test_calibration_flags_and_what_is_no_line(mode: str | None, tmp_path: Path) -> None:
    kspace = kspace_of(coil_images(COILS, ROWS, COLUMNS))
    flags = {5: [20], 6: [21]}
    lines = [acquisition(kspace[:, ky], ky=ky, flags=flags.get(ky, [])) for ky in range(ROWS)]
    junk = [acquisition(kspace[:, 0] + 99, ky=0, flags=[flag]) for flag in (23, 24, 26, 27, 28, 29, 30, 31)]
    xml = header((COLUMNS, ROWS, 1), (COLUMNS, ROWS, 1), calibration_mode=mode)
    scan = read(write(tmp_path / "a.h5", xml, [*junk, *lines]))
    assert len(scan.lines) == ROWS
    assert np.flatnonzero(scan.is_calibration).tolist() == [5, 6]
    alone = mode == "separate"
    assert np.flatnonzero(~scan.is_imaging).tolist() == ([5] if alone else [])
    assert scan.is_fully_sampled is not alone


def test_noise_scan_whitens_the_data(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    mixing = rng.standard_normal((COILS, COILS)) + 1j * rng.standard_normal((COILS, COILS))

    def noise(n: int, dwell_us: float) -> npt.NDArray[np.complex64]:
        white = rng.standard_normal((2, COILS, n))
        return (7 * mixing @ (white[0] + 1j * white[1]) / np.sqrt(dwell_us)).astype(np.complex64)

    n_lines, n_samples = 64, 64
    scans = [acquisition(noise(4096, 10.0), flags=[19], sample_time_us=10.0, centre=0)]
    scans += [acquisition(noise(n_samples, 5.0), ky=ky, sample_time_us=5.0) for ky in range(n_lines)]
    scan = read(write(tmp_path / "a.h5", header((n_samples, n_lines, 1), (n_samples // 2, n_lines, 1)), scans))
    assert scan.noise_std == 1
    samples = np.moveaxis(scan.lines, 1, 0).reshape(COILS, -1)
    covariance = samples @ samples.conj().T / samples.shape[1]
    assert np.abs(covariance - np.eye(COILS)).max() < 0.1


def test_geometry_of_unordered_slices(tmp_path: Path) -> None:
    """Slices ascend in space; the voxel at the centre of k-space's image lies at the stated position."""
    kspace = kspace_of(coil_images(COILS, ROWS, COLUMNS))
    read_dir, phase_dir, slice_dir = np.eye(3)[[1, 0, 2]]
    heights = (12.0, 2.0, 7.0)
    lines = [
        acquisition(
            (slice + 1) * kspace[:, ky],
            ky=ky,
            slice=slice,
            position=(10, -20, heights[slice]),
            read_dir=read_dir,
            phase_dir=phase_dir,
            slice_dir=slice_dir,
        )
        for slice in range(3)
        for ky in range(ROWS)
    ]
    scan = read(write(tmp_path / "a.h5", full_header_of(COLUMNS), lines))
    close(scan.kspace(0)[0][:, 0], 2 * kspace)
    close(scan.kspace(2)[0][:, 0], 1 * kspace)
    assert scan.geometry is not None
    centre = scan.geometry.affine @ [COLUMNS // 2, ROWS // 2, 0, 1]
    assert centre[:3] == pytest.approx([-10, 20, 2])
    along = scan.geometry.affine[:3, :3] * np.array([[-1], [-1], [1]])
    assert along == pytest.approx(
        np.stack([read_dir * 240 / COLUMNS, phase_dir * 200 / ROWS, slice_dir * 5], axis=1), abs=1e-6
    )


def full_header_of(columns: int) -> Any:
    return header((columns, ROWS, 1), (columns, ROWS, 1))


def test_clipped_readouts_are_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kspace = (rng.standard_normal((ROWS, COILS, 40)) + 1j * rng.standard_normal((ROWS, COILS, 40))) / 3
    kspace[6] *= 4
    clipped = np.clip(kspace.real, -1.5, 1.5) + 1j * np.clip(kspace.imag, -1.5, 1.5)
    for data, expected in ((clipped, (6,)), (kspace, ())):
        lines = [acquisition(data[ky], ky=ky) for ky in range(ROWS)]
        scan = read(write(tmp_path / "a.h5", header((40, ROWS, 1), (40, ROWS, 1)), lines))
        assert scan.saturated == expected


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("noise channels", "noise scan of 2 channels and data of 3"),
        ("noise nan", "noise scan with NaN"),
        ("noise short", "too few"),
        ("no header", "no header"),
        ("broken header", "header that can't be read"),
        ("entities", "document type"),
        ("overflow", "16 bits"),
        ("counter", "outside its matrix"),
        ("samples", "don't fit the encoded matrix"),
        ("channels", r"readouts of 2, 3 channels"),
        ("length", "16-bit counter overflowed"),
        ("radial", "trajectory that is radial"),
        ("contrasts", "holds 2 images of every slice"),
        ("space", "encoding space 1"),
        ("only noise", "no imaging readouts"),
        ("cut", "can't be read"),
        ("empty", "is empty"),
        ("text", "no HDF5 file"),
        ("missing", "can't be opened"),
        ("other", "no ISMRMRD file"),
        ("linked", "holds no acquisitions"),
    ],
)
def test_what_is_refused(case: str, message: str, tmp_path: Path) -> None:
    kspace = kspace_of(coil_images(COILS, ROWS, COLUMNS))
    lines = [acquisition(kspace[:, ky], ky=ky) for ky in range(ROWS)]
    xml: Any = full_header_of(COLUMNS)
    path = tmp_path / "a.h5"
    match case:
        case "noise channels":
            lines.insert(0, acquisition(kspace[:2, 0], flags=[19]))
        case "noise nan":
            lines.insert(0, acquisition(np.full((COILS, 99), np.nan), flags=[19]))
        case "noise short":
            lines.insert(0, acquisition(kspace[:, 0, :4], flags=[19]))
        case "no header":
            xml = None
        case "broken header":
            xml = b"<ismrmrdHeader"
        case "entities":
            xml = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><ismrmrdHeader/>'
        case "overflow":
            xml = header((COLUMNS, 70000, 1), (COLUMNS, 70000, 1))
        case "counter":
            lines[3] = acquisition(kspace[:, 0], ky=ROWS)
        case "samples":
            lines[3] = acquisition(kspace[:, 0], ky=3, centre=0)
        case "channels":
            lines[3] = acquisition(kspace[:2, 0], ky=3)
        case "radial":
            xml = header((COLUMNS, ROWS, 1), (COLUMNS, ROWS, 1), trajectory="radial")
        case "contrasts":
            lines[3] = acquisition(kspace[:, 0], ky=3, contrast=1)
        case "space":
            lines = [acquisition(kspace[:, ky], ky=ky, encoding_space_ref=1) for ky in range(ROWS)]
        case "only noise":
            lines = [acquisition(kspace[:, 0], flags=[19])]
    write(path, xml, lines)
    match case:
        case "length":
            with h5py.File(path, "r+") as file:
                row = file["dataset/data"][2]
                row["head"]["number_of_samples"] = 4
                file["dataset/data"][2] = row
        case "cut":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("hello, this is no data")
        case "missing":
            path.unlink()
        case "other":
            with h5py.File(path, "w") as file:
                file["kspace"] = kspace
        case "linked":
            other = tmp_path / "b.h5"
            path.rename(other)
            with h5py.File(path, "w") as file, h5py.File(other) as source:
                source.copy("dataset/xml", file.create_group("dataset"))
                file["dataset/data"] = h5py.ExternalLink("b.h5", "dataset/data")
    if case == "linked":
        message = "no ISMRMRD file"
    with pytest.raises(AcquisitionError, match=message):
        read(path)


def test_damaged_files_end_in_an_error_or_are_read(tmp_path: Path) -> None:
    kspace = kspace_of(coil_images(2, 6, 8))
    lines = [acquisition(kspace[:, ky], ky=ky) for ky in range(6)]
    path = write(tmp_path / "a.h5", header((8, 6, 1), (8, 6, 1)), lines)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for i in range(150):
        data = bytearray(content)
        for place in rng.integers(len(data), size=int(rng.integers(1, 6))):
            data[place] = int(rng.integers(256))
        path.write_bytes(bytes(data[: len(data) - (i % 3) * 100]))
        recognises(path)
        try:
            read(path)
        except AcquisitionError:
            continue


def test_recognised_by_content(tmp_path: Path) -> None:
    lines = [acquisition(kspace_of(coil_images(1, 2, 2))[:, 0])]
    assert recognises(write(tmp_path / "scan.dat", header((2, 2, 1), (2, 2, 1)), lines))
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["kspace"] = 1
    assert not recognises(tmp_path / "scan.h5")
    assert not recognises(tmp_path / "none.h5")


def test_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.h5", header((2, 2, 1), (2, 2, 1)), [acquisition(np.ones((1, 2), np.complex64))])
    monkeypatch.setitem(__import__("sys").modules, "ismrmrd.xsd", None)
    with pytest.raises(AcquisitionError, match=r'ismrmrd, which.*pip install "acqplan\[mri\]"'):
        read(path)


@with_tools
@pytest.mark.parametrize("options", [[], ["-a", "2", "-w", "8"], ["-C"]])
def test_generated_phantom_reconstructs_to_the_image_of_the_tools(options: list[str], tmp_path: Path) -> None:
    """Their reconstruction takes neither noise scans nor accelerated frames: it gets the same phantom without."""
    path, theirs = tmp_path / "a.h5", tmp_path / "b.h5"
    make = [TOOLS[0], "-m", "64", "-c", "4", "-n", "0.005"]
    subprocess.run([*make, *options, "-o", path], check=True, capture_output=True)
    subprocess.run([*make, "-o", theirs], check=True, capture_output=True)
    subprocess.run([TOOLS[1], theirs], check=True, capture_output=True)
    with h5py.File(theirs) as file:
        reference = np.asarray(file["dataset/cpp/data"]).squeeze()
    scan = read(path)
    grid, _ = scan.kspace()
    image = np.sqrt((np.abs(images_of(grid[:, 0])) ** 2).sum(0))
    assert scan.is_fully_sampled
    assert reference.shape == image.shape
    assert np.corrcoef(image.ravel(), reference.ravel())[0, 1] > 0.999
