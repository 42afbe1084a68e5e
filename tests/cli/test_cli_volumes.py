"""A volume goes through simulate and reconstruct, and lies in every format where it was."""

import json

import h5py
import nibabel as nib
import numpy as np
import pydicom
import pytest
import tifffile
import torch
from builders.images import blobs
from nibabel.eulerangles import euler2mat

from acqplan.cli import main
from acqplan.core.math.transforms import fft_centred
from acqplan.modalities.mri.coils import simulated_maps
from acqplan.modalities.mri.formats.ismrmrd import writer as ismrmrd_writer
from acqplan.modalities.mri.raw.data import RawData
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Geometry

SHAPE = (24, 20, 5)  # of the file
LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def oblique(tmp_path_factory):
    """An asymmetric phantom, turned and shifted in space, voxels of 2 × 3 × 4 mm; its last slice is empty."""
    index = np.indices(SHAPE).astype(float)
    volume = np.zeros(SHAPE)
    for centre, width, height in (((8, 6, 1), 2.0, 1.0), ((15, 12, 2), 1.5, 0.7), ((9, 13, 2.5), 1.8, 0.4)):
        distance = sum(((axis - c) / width) ** 2 for axis, c in zip(index, centre, strict=True))
        volume += height * np.exp(-distance / 2)
    volume[..., -1] = 0
    affine = np.eye(4)
    affine[:3, :3] = euler2mat(0.3, -0.2, 0.15) @ np.diag([2.0, 3.0, 4.0])
    affine[:3, 3] = (-31, 17, 44)
    path = tmp_path_factory.mktemp("oblique") / "phantom.nii.gz"
    nib.save(nib.Nifti1Image(volume.astype(np.float32), affine), path)
    return path


@pytest.fixture(scope="module")
def full(tmp_path_factory, scans):
    """A plan that measures everything, and zero-fills."""
    path = tmp_path_factory.mktemp("full") / "full.acqplan"
    words = ["design", "mri", "--images", str(scans), "--size", "16x16", "--budget", "256", "--designer", "uniform"]
    assert main([*words, "--reconstructor", "zero-filled", "--steps", "1", "-o", str(path)]) == 0
    return path


@pytest.fixture
def scan(run, full, oblique, tmp_path):
    path = tmp_path / "scan.h5"
    outcome = run("simulate", full, oblique, "--slices", "all", "--noise", 0, "-o", path, "--truth", tmp_path / "t.npy")
    assert outcome.code == 0, outcome.err
    return path


def centroid(volume, affine):
    """Centre of mass in millimetres."""
    index = np.indices(volume.shape).reshape(3, -1)
    return (affine[:3, :3] @ (index * volume.ravel()).sum(1)) / volume.sum() + affine[:3, 3]


def test_a_volume_keeps_its_place_in_space(run, full, scan, oblique, tmp_path):
    assert run("reconstruct", full, scan, "-o", tmp_path / "r.nii.gz").code == 0
    original, image = nib.load(oblique), nib.load(tmp_path / "r.nii.gz")
    assert image.shape == (16, 16, 5)
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (1, 1)
    np.testing.assert_allclose(image.get_qform(), image.affine, atol=1e-4)
    # 24 rows of 2 mm, and 20 columns of 3 mm padded to the same number, became 16.
    assert sorted(image.header.get_zooms()) == pytest.approx([3.0, 4.0, 4.5], rel=1e-5)
    volume = image.get_fdata()
    truth = np.load(tmp_path / "t.npy")
    np.testing.assert_allclose(volume, np.moveaxis(np.abs(truth), 0, 2), atol=1e-5)
    expected = centroid(original.get_fdata(), original.affine)
    np.testing.assert_allclose(centroid(volume, image.affine), expected, atol=0.05)
    # Mirrored or turned, the three blobs would be elsewhere.
    for blob in ((8, 6, 1), (15, 12, 2)):
        place = np.linalg.inv(image.affine) @ original.affine @ [*blob, 1]
        nearest = volume[tuple(np.round(place[:3]).astype(int))]
        assert nearest > 0.5 * volume.max() * (1.0 if blob == (8, 6, 1) else 0.7)


def test_every_slice_is_that_of_its_own_simulation_but_for_the_noise(run, full, scan, oblique, tmp_path):
    assert run("reconstruct", full, scan, "-o", tmp_path / "all.npy").code == 0
    assert run("simulate", full, oblique, "--slices", "1-2", "--noise", 0, "-o", tmp_path / "two.h5").code == 0
    assert run("reconstruct", full, tmp_path / "two.h5", "-o", tmp_path / "two.npy").code == 0
    assert run("reconstruct", full, tmp_path / "two.h5", "-o", tmp_path / "two.nii").code == 0
    assert run("simulate", full, oblique, "--slice", 1, "--noise", 0, "-o", tmp_path / "one.h5").code == 0
    assert run("reconstruct", full, tmp_path / "one.h5", "-o", tmp_path / "one.nii").code == 0
    both = np.load(tmp_path / "all.npy")
    assert both.shape == (5, 16, 16)
    np.testing.assert_allclose(np.load(tmp_path / "two.npy"), both[1:3], atol=1e-6)
    two, one = nib.load(tmp_path / "two.nii"), nib.load(tmp_path / "one.nii")
    np.testing.assert_allclose(two.affine, one.affine, atol=1e-5)
    np.testing.assert_allclose(two.get_fdata()[..., 0], one.get_fdata()[..., 0], atol=1e-6)


def test_noise_differs_from_slice_to_slice_and_not_from_run_to_run(run, full, oblique, tmp_path):
    for name, slices in (("a", "all"), ("b", "3-4")):
        words = ("--slices", slices, "--noise", 0.1, "-o", tmp_path / f"{name}.h5")
        assert run("simulate", full, oblique, *words).code == 0
    with h5py.File(tmp_path / "a.h5") as a, h5py.File(tmp_path / "b.h5") as b:
        assert np.array_equal(a["readings"][3:], b["readings"])
        assert not np.array_equal(a["readings"][3] - a["readings"][4], np.zeros_like(a["readings"][4]))


def test_numpy_hdf5_and_tiff_hold_a_stack(run, full, scan, tmp_path):
    for name in ("r.npy", "r.h5", "r.tif", "m.nii"):
        assert run("reconstruct", full, scan, "-o", tmp_path / name).code == 0
    stack = np.load(tmp_path / "r.npy")
    with h5py.File(tmp_path / "r.h5") as file:
        np.testing.assert_allclose(file["image"][()], stack)
        np.testing.assert_allclose(file["affine"][()], nib.load(tmp_path / "m.nii").affine, atol=1e-5)
    with tifffile.TiffFile(tmp_path / "r.tif") as tiff:
        assert len(tiff.pages) == 5
        np.testing.assert_allclose(tiff.asarray(), np.abs(stack), atol=1e-6)
        assert json.loads(tiff.pages[0].description)["plan_id"] == Plan.load(full).plan_id


def test_dicom_lies_where_nifti_does(run, full, scan, tmp_path):
    assert run("reconstruct", full, scan, "--as", "dicom", "-o", tmp_path / "slices").code == 0
    assert run("reconstruct", full, scan, "-o", tmp_path / "r.nii").code == 0
    nifti = nib.load(tmp_path / "r.nii")
    volume, to_lps = nifti.get_fdata(), LPS_OF_RAS @ nifti.affine
    files = [pydicom.dcmread(path) for path in sorted((tmp_path / "slices").glob("*.dcm"))]
    assert [each.InstanceNumber for each in files] == [1, 2, 3, 4, 5]
    assert len({each.SOPInstanceUID for each in files}) == 5
    assert len({(each.SeriesInstanceUID, each.FrameOfReferenceUID) for each in files}) == 1
    for k, each in enumerate(files):
        assert each.SOPClassUID == pydicom.uid.MRImageStorage
        corner = np.array(each.ImagePositionPatient, float)
        right, down = np.array(each.ImageOrientationPatient, float).reshape(2, 3)
        row_mm, column_mm = map(float, each.PixelSpacing)
        for row, column in ((0, 0), (15, 0), (0, 15), (3, 11)):
            expected = (to_lps @ [row, column, k, 1])[:3]
            np.testing.assert_allclose(corner + row * row_mm * down + column * column_mm * right, expected, atol=1e-3)
        values = each.pixel_array * float(each.RescaleSlope) + float(each.RescaleIntercept)
        np.testing.assert_allclose(values, volume[..., k], atol=volume.max() / 65535)
        assert each.ImageComments == f"acqplan {Plan.load(full).plan_id}"
        stamp = json.loads(each.private_block(0x0099, "acqplan")[0x01].value)
        assert stamp["pattern_digest"] == Plan.load(full).pattern.digest
    assert float(files[0].SpacingBetweenSlices) == pytest.approx(4)


def test_ismrmrd_reads_the_images(run, full, scan, tmp_path):
    ismrmrd = pytest.importorskip("ismrmrd")
    for words in (("r.mrd",), ("magnitude.h5", "--as", "ismrmrd", "--part", "magnitude"), ("r.nii",), ("r.npy",)):
        assert run("reconstruct", full, scan, "-o", tmp_path / words[0], *words[1:]).code == 0
    nifti, stack = nib.load(tmp_path / "r.nii"), np.load(tmp_path / "r.npy")
    centre = LPS_OF_RAS @ nifti.affine @ np.array([8, 8, 2, 1])
    with ismrmrd.Dataset(str(tmp_path / "r.mrd"), mode="r") as data:
        assert data.number_of_images("image_0") == 5
        image = data.read_image("image_0", 2)
        assert image.data.shape == (1, 1, 16, 16)
        np.testing.assert_allclose(image.data[0, 0], stack[2], atol=1e-6)
        assert image.image_type == ismrmrd.IMTYPE_COMPLEX
        np.testing.assert_allclose(list(image.position), centre[:3], atol=1e-3)
        np.testing.assert_allclose(sorted(image.field_of_view), sorted([48, 72, 4]), rtol=1e-4)
        right = LPS_OF_RAS[:3, :3] @ nifti.affine[:3, 1]
        np.testing.assert_allclose(list(image.read_dir), right / np.linalg.norm(right), atol=1e-5)
    with ismrmrd.Dataset(str(tmp_path / "magnitude.h5"), mode="r") as data:
        image = data.read_image("image_0", 2)
        np.testing.assert_allclose(image.data[0, 0], np.abs(stack[2]), atol=1e-6)
        text = image.attribute_string
        meta = ismrmrd.Meta.deserialize(text.decode() if isinstance(text, bytes) else text)
        assert meta["plan_id"] == Plan.load(full).plan_id


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("-o", "r.png"), "holds one image"),
        (("-o", "slices", "--as", "dicom", "--part", "complex"), "complex"),
        (("-o", "r.nii", "--as", "dicom"), "folder"),
        (("-o", "r.nii", "--as", "tiff"), "doesn't write"),
        (("-o", "r.nii", "--as", "jpeg"), "no image format"),
        (("-o", "slices"), "no suffix"),
    ],
    ids=["png", "complex dicom", "dicom file", "other suffix", "unknown", "folder"],
)
def test_outputs_that_cant_hold_a_volume(refused, full, scan, tmp_path, words, named):
    filled = [tmp_path / word if word in ("r.png", "r.nii", "slices") else word for word in words]
    assert named in refused("reconstruct", full, scan, *filled).err


def test_formats_of_one_image_refuse_a_volume(refused, full, oblique, tmp_path):
    words = ("simulate", full, oblique, "--slices", "all", "-o")
    assert "holds one image" in refused(*words, tmp_path / "a.npz").err
    assert "--slice" in refused(*words, tmp_path / "a.h5", "--slice", 1).err
    assert "3-9" in refused("simulate", full, oblique, "--slices", "3-9", "-o", tmp_path / "a.h5").err


@pytest.fixture
def spoilt(scan, tmp_path):
    """The scan with one change."""

    def spoil(change):
        with h5py.File(scan, "r+") as file:
            change(file)
        return scan

    return spoil


def replaced(name, change):
    def do(file):
        array = change(file[name][()])
        del file[name]
        file[name] = array

    return do


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (replaced("readings", lambda a: a[:3]), "5 images"),
        (replaced("readings", lambda a: a[:, :200]), "order of shape"),
        (replaced("readings", lambda a: a[0]), "5 images"),
        (replaced("readings", lambda a: np.where(np.arange(5)[:, None, None] == 2, np.nan, a)), "in 1 of 5 images (2)"),
        (replaced("readings", lambda a: 0 * a), "zero everywhere"),
        (lambda file: file.attrs.modify("n_images", -1), "-1 images"),
        (lambda file: file.attrs.modify("format_version", 9), "version is 9"),
        (lambda file: file.create_dataset("coil_maps", data=np.ones((4, 1, 16, 16), np.complex64)), "coil maps of 4"),
    ],
    ids=["fewer images", "fewer readings", "no image axis", "nan", "zero", "negative", "newer", "maps"],
)
def test_scans_that_cant_be_right(refused, full, spoilt, tmp_path, change, named):
    assert named in refused("reconstruct", full, spoilt(change), "-o", tmp_path / "r.nii").err


def test_several_coils_without_a_calibration_region(run, refused, points, oblique, tmp_path):
    scan = tmp_path / "scan.h5"
    assert run("simulate", points, oblique, "--slices", "1-3", "-o", scan).code == 0
    with h5py.File(scan, "r+") as file:
        readings = file["readings"][()]
        del file["readings"]
        file["readings"] = readings[..., [0, 0]]
    error = refused("reconstruct", points, scan, "-o", tmp_path / "r.nii").err
    assert "2 channels without coil maps" in error
    assert "--calibration" in error


def test_a_fully_sampled_scan_gives_what_was_planned(run, refused, points, full, scan, tmp_path):
    words = ("reconstruct", points, scan, "-o", tmp_path / "r.h5")
    error = refused(*words).err
    assert "192 points that the plan doesn't measure" in error
    assert "--use-planned" in error
    assert run("verify", points, scan).code == 2
    assert run("verify", points, scan, "--use-planned").code == 0
    assert run(*words, "--use-planned").code == 0
    with h5py.File(tmp_path / "r.h5") as file:
        assert (file.attrs["readings_held"], file.attrs["readings_used"]) == (256, 64)
        assert file["image"].shape == (5, 16, 16)


def test_a_full_disk_leaves_no_dicom_folder(run, full, scan, tmp_path, monkeypatch):
    def full_disk(self, *arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pydicom.Dataset, "save_as", full_disk)
    before = sorted(tmp_path.iterdir())
    outcome = run("reconstruct", full, scan, "--as", "dicom", "-o", tmp_path / "slices")
    assert outcome.code == 2
    assert "No space left" in outcome.err
    assert sorted(tmp_path.iterdir()) == before


def test_explore_needs_to_know_which_image(run, refused, knob_plan, oblique, tmp_path):
    plan, scan = knob_plan / "hyper.acqplan", tmp_path / "scan.h5"
    assert run("simulate", plan, oblique, "--slices", "1-2", "-o", scan).code == 0
    words = ("explore", plan, scan, "--count", 2, "-o", tmp_path / "choice")
    assert "--image" in refused(*words).err
    assert "no image 2" in refused(*words, "--image", 2).err
    outcome = run(*words, "--image", 1)
    assert outcome.code == 0 or "agree with the data" in outcome.err  # an untrained network's images need not


def test_warnings_are_printed_and_dont_stop(run, full, oblique, tmp_path):
    scan = tmp_path / "noisy.h5"
    assert run("simulate", full, oblique, "--slices", "all", "-o", scan).code == 0
    with h5py.File(scan, "r+") as file:
        kept = np.arange(256) != 7
        for name in ("readings", "order"):
            array = file[name][()]
            del file[name]
            file[name] = array[:, kept] if name == "readings" else array[kept]
        del file.attrs["pattern_digest"]
    outcome = run("reconstruct", full, scan, "-o", tmp_path / "r.nii")
    assert outcome.code == 0
    assert "Warning: " in outcome.err
    assert "lacks 1 of the 256 planned points" in outcome.err
    assert outcome.err.count("lacks") == 1  # not once for each image


def test_a_3d_raw_scan_of_several_coils_becomes_a_volume_in_its_place(run, full, tmp_path):
    pytest.importorskip("ismrmrd")
    random = np.random.default_rng(0)
    phantom = np.stack([blobs(10 + x, (16, 16)) for x in range(6)]).astype(np.complex64)  # [readout, ky, kz]
    maps = simulated_maps(3, (16, 16), torch.Generator().manual_seed(0))
    kspace = fft_centred(torch.from_numpy(phantom)[:, None] * maps, (0, 2, 3)).numpy()  # [readout, coils, ky, kz]
    lines = np.ascontiguousarray(kspace.reshape(6, 3, 256).transpose(2, 1, 0))
    order = random.permutation(256)
    affine = np.eye(4)
    affine[:3, :3] = euler2mat(-0.2, 0.1, 0.4) @ np.diag([2.0, 1.5, 3.0])
    affine[:3, 3] = (10, -20, 30)
    zeros = np.zeros(256, np.int32)
    raw = RawData(
        lines=lines[order],
        ky=(order // 16).astype(np.int32),
        kz=(order % 16).astype(np.int32),
        slice=zeros,
        repetition=zeros,
        average=zeros,
        is_calibration=zeros.astype(bool),
        is_imaging=~zeros.astype(bool),
        matrix=(6, 16, 16),
        source="phantom",
        field_of_view_mm=(12.0, 24.0, 48.0),
        geometry=Geometry(affine),
    )
    ismrmrd_writer.write(raw, tmp_path / "raw.mrd")
    assert run("reconstruct", full, tmp_path / "raw.mrd", "-o", tmp_path / "r.nii").code == 0
    image = nib.load(tmp_path / "r.nii")
    expected = np.abs(np.moveaxis(phantom, 0, 2))  # rows ky, columns kz, images along the readout
    assert np.abs(image.get_fdata() - expected).max() < 0.05 * expected.max()  # the maps are estimates
    np.testing.assert_allclose(image.affine, affine[:, [1, 2, 0, 3]], atol=1e-3)
