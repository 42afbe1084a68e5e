"""Training images from raw data and DICOM: the right images in the right place, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("ismrmrd")
pytest.importorskip("pydicom")

import pydicom
from builders.ismrmrd_files import acquisition, header, kspace_of, oversampled, smooth, write
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from acqplan.core.errors import ImageError
from acqplan.images import load_stacks, reading

ROWS, COLUMNS, COILS = 16, 12, 3
DIRECTIONS: dict[str, Any] = {"read_dir": (0, 1, 0), "phase_dir": (1, 0, 0), "slice_dir": (0, 0, 1)}


def raw_file(path: Path, images: npt.NDArray[np.complex64], skip: tuple[int, ...] = (), **fields: Any) -> Path:
    """ISMRMRD of images[slices, coils, rows, columns], lines shuffled, oversampled; without the lines in ``skip``."""
    n_slices, _, rows, columns = images.shape
    kspace = oversampled(images)
    places = np.random.default_rng(0).permutation([(s, ky) for s in range(n_slices) for ky in range(rows)])
    lines = [
        acquisition(kspace[s, :, ky], ky=ky, slice=s, position=(0, 0, 4 * s), **DIRECTIONS, **fields)
        for s, ky in places
        if ky not in skip
    ]
    return write(path, header((2 * columns, rows, 1), (columns, rows, 1), fov=(2 * columns, 3 * rows, 5)), lines)


def cfl(path: Path, kspace: npt.NDArray[np.complex64], sizes: tuple[int, ...]) -> Path:
    """BART's pair, written by hand: sizes in BART's order, first axis fastest."""
    kspace.astype("<c8").reshape(sizes, order="F").ravel(order="F").tofile(path)
    path.with_suffix(".hdr").write_text(f"# Dimensions\n{' '.join(map(str, sizes))}\n# Command\nfft\n")
    return path


def close(have: npt.NDArray[Any], want: npt.NDArray[Any]) -> None:
    assert have.shape == want.shape
    assert np.abs(have - want).max() <= 2e-5 * np.abs(want).max()


def test_ismrmrd_coil_images_and_geometry(tmp_path: Path) -> None:
    images = smooth(2, COILS, ROWS, COLUMNS)
    raw = reading.read(raw_file(tmp_path / "scan", images))
    assert raw.coil_images is not None
    close(raw.coil_images, images)
    close(raw.images, np.sqrt((np.abs(images) ** 2).sum(1)))
    assert raw.geometry is not None  # rows along phase (x, 3 mm), columns along read (y, 2 mm), slices 4 mm apart
    assert raw.geometry.affine[:3, :3] == pytest.approx(np.array([[-3, 0, 0], [0, -2, 0], [0, 0, 4]]))


def test_ismrmrd_single_coil_stays_complex_and_loads(tmp_path: Path) -> None:
    images = smooth(3, 1, ROWS, COLUMNS)
    stack = load_stacks([raw_file(tmp_path / "a.h5", images)])[0]
    close(stack.images, images[:, 0])
    assert not stack.is_magnitude
    assert stack.geometry is not None


def test_three_dimensional_scan_gives_images_across_the_readout(tmp_path: Path) -> None:
    volume = smooth(2, 6, 8, 10)  # coil, kz, ky, readout
    kspace = kspace_of(volume, (1, 2, 3))
    lines = [acquisition(kspace[:, kz, ky], ky=ky, kz=kz) for kz in range(6) for ky in range(8)]
    raw = reading.read(write(tmp_path / "a.h5", header((10, 8, 6), (10, 8, 6)), lines))
    assert raw.coil_images is not None
    close(raw.coil_images, volume.transpose(3, 0, 2, 1))


@pytest.mark.parametrize("n_slices", [1, 2])
def test_cfl_of_several_coils_and_slices(n_slices: int, tmp_path: Path) -> None:
    images = smooth(n_slices, COILS, ROWS, COLUMNS)
    values = kspace_of(images).transpose(3, 2, 1, 0).reshape(COLUMNS, ROWS, 1, COILS, *[1] * 9, n_slices, 1, 1)
    raw = reading.read(cfl(tmp_path / "scan.cfl", values, values.shape))
    assert raw.coil_images is not None
    close(raw.coil_images, images)
    assert len(load_stacks([tmp_path])) == 1  # the header isn't taken for an image


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("undersampled", r"undersampled: 28 of 32"),
        ("nan", "1 readouts with NaN"),
        ("cut", "can't be read"),
        ("cfl undersampled", r"undersampled: 14 of 16"),
        ("cfl image", "is no k-space"),
        ("cfl echoes", "one echo"),
        ("cfl cut", "no image file"),
    ],
)
def test_raw_files_that_are_refused(case: str, message: str, tmp_path: Path) -> None:
    images = smooth(2, COILS, ROWS, COLUMNS)
    path = tmp_path / "scan.cfl"
    kspace = kspace_of(images[0]).transpose(2, 1, 0)[:, :, None]
    match case:
        case "undersampled":
            raw_file(path, images, skip=(1, 4))
        case "nan":
            lines = [acquisition(np.full((1, 8), np.nan if ky == 3 else 1), ky=ky) for ky in range(8)]
            write(path, header((8, 8, 1), (8, 8, 1)), lines)
        case "cut":
            raw_file(path, images)
            path.write_bytes(path.read_bytes()[:-3000])
        case "cfl undersampled":
            kspace[:, [2, 5]] = 0
            cfl(path, kspace, kspace.shape)
        case "cfl image":
            cfl(path, images[0].transpose(2, 1, 0)[:, :, None], kspace.shape)
        case "cfl echoes":
            cfl(path, np.stack([kspace, kspace], -1), (*kspace.shape, 1, 2))
        case "cfl cut":
            cfl(path, kspace, kspace.shape)
            path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ImageError, match=message):
        reading.read(path)


# DICOM


def dicom_file(path: Path, pixels: npt.NDArray[np.uint16], series: str, **fields: Any) -> Path:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.SeriesInstanceUID, data.Modality = series, "MR"
    data.ImageOrientationPatient, data.PixelSpacing, data.SliceThickness = [0, 1, 0, 0, 0, -1], [2.0, 1.5], 3.0
    for name, value in fields.items():
        setattr(data, name, value)
    data.set_pixel_data(pixels, fields.get("PhotometricInterpretation", "MONOCHROME2"), 12)
    data.save_as(path, enforce_file_format=True)
    return path


def dicom_series(folder: Path, volume: npt.NDArray[np.uint16], **fields: Any) -> None:
    """Sagittal slices, named in another order than they lie in space."""
    folder.mkdir(parents=True, exist_ok=True)
    series = generate_uid()
    for i, image in enumerate(volume):
        name = f"{(7 * i) % len(volume)}.dcm"
        dicom_file(folder / name, image, series, ImagePositionPatient=[-10 - 4.0 * i, 20, 30], **fields)


def test_dicom_series_is_one_volume_with_geometry(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).integers(1, 4000, (5, 8, 6)).astype(np.uint16)
    dicom_series(tmp_path / "patient", volume, RescaleSlope=2, RescaleIntercept=-1, PatientID="Jane Doe")
    (tmp_path / "patient" / "DICOMDIR").write_bytes(b"index")
    stacks = load_stacks([tmp_path])
    assert len(stacks) == 1
    assert stacks[0].subject == "patient"
    assert np.array_equal(stacks[0].images, 2 * volume.astype(np.float32) - 1)  # the normal points to -x: as written
    assert stacks[0].is_magnitude
    geometry = stacks[0].geometry
    assert geometry is not None
    # LPS: columns +y 1.5 mm, rows -z 2 mm, slices -x 4 mm, from (-10, 20, 30); then x and y change sign.
    expected = [[0, 0, 4, 10], [0, -1.5, 0, -20], [-2, 0, 0, 30], [0, 0, 0, 1]]
    assert geometry.affine == pytest.approx(np.array(expected, float))


def test_series_beside_each_other_are_told_apart_and_patients_are_not_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for patient in ("Jane", "Jane", "John"):
        part = tmp_path / f"part{rng.integers(1 << 30)}"
        dicom_series(part, rng.integers(1, 99, (3, 8, 6)).astype(np.uint16), PatientID=patient)
        for file in part.iterdir():
            file.rename(tmp_path / f"{part.name}-{file.name}")
        part.rmdir()
    stacks = load_stacks([tmp_path])
    assert [stack.n_slices for stack in stacks] == [3, 3, 3]
    assert len({stack.subject for stack in stacks}) == 2
    assert not any("Jane" in stack.subject or "John" in stack.subject for stack in stacks)


def test_single_dicom_file_and_inverted_grey(tmp_path: Path) -> None:
    pixels = np.arange(48, dtype=np.uint16).reshape(8, 6)
    path = dicom_file(tmp_path / "a", pixels, generate_uid(), PhotometricInterpretation="MONOCHROME1")
    raw = reading.read(path)
    assert np.array_equal(raw.images[0], 4095 - pixels.astype(np.float32))
    assert raw.geometry is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "phase image"),
        ({"LossyImageCompression": "01"}, "with losses"),
    ],
)
def test_dicom_that_is_refused(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = dicom_file(tmp_path / "a.dcm", np.ones((8, 6), np.uint16), generate_uid(), **fields)
    with pytest.raises(ImageError, match=message):
        reading.read(path)


@pytest.mark.parametrize("case", ["sizes", "orientations", "same place", "uneven"])
def test_series_that_are_no_volume(case: str, tmp_path: Path) -> None:
    series = generate_uid()
    at = [0.0, 3.0, 6.0, 20.0 if case == "uneven" else 9.0]
    for i in range(4):
        fields: dict[str, Any] = {"ImagePositionPatient": [at[i], 0, 0]}
        pixels = np.full((8, 6), i + 1, np.uint16)
        if case == "sizes" and i == 2:
            pixels = np.ones((6, 6), np.uint16)
        if case == "orientations" and i == 2:
            fields["ImageOrientationPatient"] = [1, 0, 0, 0, 1, 0]
        if case == "same place" and i == 2:
            fields["ImagePositionPatient"] = [at[1], 0, 0]
        dicom_file(tmp_path / f"{i}.dcm", pixels, series, **fields)
    if case == "uneven":
        stack = load_stacks([tmp_path])[0]
        assert stack.geometry is None
        assert "evenly spaced" in stack.warnings[0]
        return
    with pytest.raises(ImageError, match={"sizes": "sizes", "orientations": "orientations"}.get(case, "one place")):
        load_stacks([tmp_path])


def test_cut_dicom_and_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dicom_file(tmp_path / "a.dcm", np.ones((8, 6), np.uint16), generate_uid())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ImageError, match="can't be read as DICOM"):
        reading.read(path)
    with pytest.raises(ImageError, match="can't be read as DICOM"):
        load_stacks([tmp_path])
    raw = raw_file(tmp_path / "scan.h5", smooth(1, 1, 4, 4))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    monkeypatch.setitem(sys.modules, "ismrmrd.xsd", None)
    for file, extra in ((path, "dicom"), (raw, "mri")):
        with pytest.raises(ImageError, match=rf'isn\'t installed.*pip install "acqplan\[{extra}\]"'):
            reading.read(file)
    with pytest.raises(ImageError, match=r"acqplan\[dicom\]"):
        load_stacks([path])


def test_frames_of_an_enhanced_file_are_a_volume(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(1, 99, (3, 8, 6)).astype(np.uint16)
    path = dicom_file(tmp_path / "a.dcm", frames, generate_uid())
    data = pydicom.dcmread(path)
    del data.ImageOrientationPatient
    per_frame = []
    for i in (2, 0, 1):
        place, plane = pydicom.Dataset(), pydicom.Dataset()
        place.ImagePositionPatient = [0, 0, 5.0 * i]
        plane.PlanePositionSequence = [place]
        per_frame.append(plane)
    shared, orientation = pydicom.Dataset(), pydicom.Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PlaneOrientationSequence = [orientation]
    data.PerFrameFunctionalGroupsSequence, data.SharedFunctionalGroupsSequence = per_frame, [shared]
    data.save_as(path)
    raw = reading.read(path)
    assert np.array_equal(raw.images, frames[[1, 2, 0]])
    assert raw.geometry is not None
    assert raw.geometry.affine[:3, 2] == pytest.approx([0, 0, 5])
