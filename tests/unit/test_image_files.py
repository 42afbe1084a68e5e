"""Image files hold the values, the stamp and the place of what was reconstructed, or refuse to."""

import json
import sys

import nibabel as nib
import numpy as np
import pytest
import tifffile

from acqplan.core.errors import OutputError
from acqplan.formats.contracts import Result
from acqplan.formats.orientation import placed
from acqplan.formats.results import (
    check_output,
    default_part,
    format_of,
    image_writers,
    part_of,
    write_images,
)
from acqplan.sensing.acquisition import Geometry

STAMP = {"plan_id": "ab" * 32, "pattern_digest": "cd" * 32, "software": "acqplan 0"}
FORMATS = image_writers()
NAMES = {"ismrmrd": "r.mrd", "dicom": "slices"}


def result(part="magnitude", n=3, geometry=None):
    random = np.random.default_rng(0)
    image = random.normal(size=(n, 5, 7)) + 1j * random.normal(size=(n, 5, 7))
    return Result(part_of(image, part), {**STAMP, "part": part}, geometry)


def name_of(kind):
    return NAMES.get(kind, f"r{FORMATS[kind].image_suffixes[0]}" if FORMATS[kind].image_suffixes else kind)


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_is_overwritten_by_itself(kind, tmp_path):
    path, one = tmp_path / name_of(kind), result(n=1)
    write_images(one, path, kind)
    with pytest.raises(OutputError, match="exists already"):
        write_images(one, path, kind)
    write_images(one, path, kind, overwrite=True)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_failure_leaves_nothing(kind, tmp_path, monkeypatch):
    path = tmp_path / name_of(kind)

    def fails(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("acqplan.core.files._sync", fails)
    with pytest.raises(OutputError, match="No space left"):
        write_images(result(n=1), path, kind)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    (tmp_path / "slices").mkdir()
    (tmp_path / "slices/patient.dcm").write_text("a scanner's")
    with pytest.raises(OutputError, match="no acqplan export"):
        write_images(result(), tmp_path / "slices", "dicom", overwrite=True)
    assert (tmp_path / "slices/patient.dcm").read_text() == "a scanner's"


def test_phase_in_whole_numbers(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    phase = result("phase")
    write_images(phase, tmp_path / "slices", "dicom")
    for i, path in enumerate(sorted((tmp_path / "slices").glob("*.dcm"))):
        ds = pydicom.dcmread(path)
        values = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        np.testing.assert_allclose(values, phase.images[i], atol=2 * np.pi / 65535)
        assert ds.ImageType[-1] == "P"


def test_without_a_place_dicom_is_a_secondary_capture(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    write_images(result(), tmp_path / "slices", "dicom")
    ds = pydicom.dcmread(tmp_path / "slices" / "0001.dcm")
    assert ds.SOPClassUID == pydicom.uid.SecondaryCaptureImageStorage
    assert "ImagePositionPatient" not in ds
    assert ds.PatientName == ""
    assert json.loads((tmp_path / "slices/acqplan.json").read_text())["plan_id"] == STAMP["plan_id"]


def test_the_same_reconstruction_gets_the_same_identifiers(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    found = []
    for name, made in (("a", result()), ("b", result()), ("c", result("phase"))):
        write_images(made, tmp_path / name, "dicom")
        found.append(pydicom.dcmread(tmp_path / name / "0000.dcm").SeriesInstanceUID)
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("handed", [1.0, -1.0])
def test_placement_is_that_of_the_affine(handed):
    affine = np.array([[0, 2.0, 0.3, 5], [3.0, 0, 0, -6], [0, 0, 4 * handed, 7], [0, 0, 0, 1]])
    place = placed(Geometry(affine))
    for row, column, i in ((0, 0, 0), (2, 3, 1), (4, 0, 5)):
        expected = np.diag([-1, -1, 1]) @ (affine @ [row, column, i, 1])[:3]
        found = place.corner(i) + row * place.row_mm * place.along_rows + column * place.column_mm * place.along_columns
        np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(place.middle(5, 9, 7), np.diag([-1, -1, 1]) @ (affine @ [4, 3, 5, 1])[:3])
    assert place.slice_mm == pytest.approx(4)


@pytest.mark.parametrize("kind", ["dicom", "ismrmrd"])
def test_what_cant_be_placed_is_refused(kind, tmp_path):
    sheared, flat = np.eye(4), np.eye(4)
    sheared[0, 1], flat[:, 0] = 0.3, 0
    for affine in (sheared, flat):
        with pytest.raises(OutputError, match=r"right angles|without length"):
            write_images(result(geometry=Geometry(affine)), tmp_path / name_of(kind), kind)
    assert list(tmp_path.iterdir()) == []
    write_images(result(geometry=Geometry(sheared)), tmp_path / "r.nii")
    np.testing.assert_allclose(nib.load(tmp_path / "r.nii").affine, sheared)


@pytest.mark.parametrize(("kind", "package", "extra"), [("dicom", "pydicom", "dicom"), ("ismrmrd", "ismrmrd", "mri")])
def test_a_missing_package_names_the_extra(kind, package, extra, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(OutputError, match=package) as caught:
        check_output(tmp_path / name_of(kind), kind)
    assert f'pip install "acqplan[{extra}]"' in caught.value.remedy


def test_names_and_parts():
    assert {format_of(tmp).kind for tmp in map(_path, ("a.nii", "a.nii.gz", "A.NII.GZ"))} == {"nifti"}
    assert format_of(_path("a.h5")).kind == "hdf5"
    assert format_of(_path("a.h5"), "ismrmrd").kind == "ismrmrd"
    assert default_part(_path("a.mrd"), None, is_complex=True) == "complex"
    assert default_part(_path("a.nii"), None, is_complex=True) == "magnitude"
    assert default_part(_path("a.h5"), None, is_complex=False) == "magnitude"


def test_a_complex_stack_of_pages(tmp_path):
    whole = result("complex")
    write_images(whole, tmp_path / "r.tif")
    assert np.array_equal(tifffile.imread(tmp_path / "r.tif"), whole.images)


def _path(name):
    from pathlib import Path

    return Path(name)
