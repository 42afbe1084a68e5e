"""Each reader returns what was written, chooses itself by content, and names what it refuses."""

import gzip
import itertools
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from acqplan.core.errors import ImageError
from acqplan.core.math.transforms import fft_centred
from acqplan.images import reading

RNG = np.random.default_rng(0)


def save_nifti(path: Path, volume: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.Nifti1Image(volume, np.eye(4) if affine is None else affine).to_filename(path)
    return path


def save_fastmri(path: Path, **datasets: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for name, data in datasets.items():
            file[name] = data
    return path


def kspace_of(images: np.ndarray) -> np.ndarray:
    return fft_centred(torch.from_numpy(images), (-2, -1)).numpy().astype(np.complex64)


# NIfTI


@pytest.mark.parametrize("codes", ["".join(c) for c in itertools.product("RL", "AP", "SI")] + ["ASR", "LSP", "SLA"])
def test_nifti_geometry_stays_true_for_every_orientation(tmp_path, codes):
    volume = RNG.integers(0, 1000, (5, 6, 7)).astype(np.int16)
    affine = np.eye(4)
    affine[:3, 3] = [-12.0, 7.0, 3.0]
    affine[:3, :3] = nib.orientations.inv_ornt_aff(nib.orientations.axcodes2ornt(codes), volume.shape)[:3, :3]
    affine[:3, :3] *= [1.0, 2.0, 3.0]
    raw = reading.read(save_nifti(tmp_path / "v.nii.gz", volume, affine))
    assert raw.images.shape[0] == 7  # the file's last axis
    back = np.linalg.inv(affine) @ raw.geometry.affine  # (row, column, slice) to the file's voxel index
    for index in RNG.integers(0, 5, (10, 3)):
        voxel = np.rint(back @ [*index, 1])[:3].astype(int)
        assert raw.images[index[2], index[0], index[1]] == volume[tuple(voxel)]


def test_nifti_axial_slices_are_shown_as_a_radiologist_views_them(tmp_path):
    volume = np.zeros((4, 6, 3), np.float32)  # right, anterior, superior with the identity as affine
    volume[:, 5, :] = 1  # anterior
    volume[3, :, :] += 2  # right
    images = reading.read(save_nifti(tmp_path / "v.nii", volume)).images
    assert images.shape == (3, 6, 4)
    assert (images[:, 0, 1:] == 1).all()  # anterior at the top
    assert (images[:, 1:, 0] == 2).all()  # the patient's right on the left


@pytest.mark.parametrize(("codes", "top", "left"), [("RSA", "S", "R"), ("ASR", "S", "A"), ("RAS", "A", "R")])
def test_nifti_rows_and_columns_start_where_expected(tmp_path, codes, top, left):
    ornt = nib.orientations.axcodes2ornt(codes)
    affine = nib.orientations.inv_ornt_aff(ornt, (4, 4, 4))
    affine = np.linalg.inv(affine)
    assert nib.aff2axcodes(affine) == tuple(codes)
    raw = reading.read(save_nifti(tmp_path / "v.nii", np.ones((4, 4, 4), np.float32), affine))
    opposite = dict(zip("RLAPSI", "LRPAIS", strict=True))
    rows, columns, _ = nib.aff2axcodes(raw.geometry.affine)
    assert (opposite[rows], opposite[columns]) == (top, left)


def test_nifti_is_found_by_content_packed_or_not_and_stays_complex(tmp_path):
    volume = (RNG.standard_normal((4, 5, 6)) + 1j * RNG.standard_normal((4, 5, 6))).astype(np.complex64)
    plain = save_nifti(tmp_path / "a.nii", volume)
    packed = tmp_path / "b.dat"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    nib.Nifti2Image(volume, np.eye(4)).to_filename(tmp_path / "c.nii")
    expected = reading.read(plain).images
    assert expected.dtype.kind == "c"
    assert np.sort_complex(expected.ravel()).tolist() == np.sort_complex(volume.ravel()).tolist()
    for other in (packed, tmp_path / "c.nii"):
        assert np.array_equal(reading.read(other).images, expected)


def test_nifti_scale_factors_singletons_and_two_axes(tmp_path):
    image = nib.Nifti1Image(np.full((4, 5), 3, np.int16), np.eye(4))
    image.header.set_slope_inter(2.0, 1.0)
    image.to_filename(tmp_path / "flat.nii")
    flat = reading.read(tmp_path / "flat.nii").images
    assert flat.shape == (1, 5, 4)
    assert (flat == 7).all()
    assert reading.read(save_nifti(tmp_path / "s.nii", np.ones((4, 5, 6, 1), np.float32))).images.shape == (6, 5, 4)


def test_nifti_refuses_series_and_colours_and_warns_without_a_position(tmp_path):
    with pytest.raises(ImageError, match=r"t\.nii has the shape \(4, 5, 6, 2\)"):
        reading.read(save_nifti(tmp_path / "t.nii", np.ones((4, 5, 6, 2), np.float32)))
    colours = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(ImageError, match="holds colours"):
        reading.read(save_nifti(tmp_path / "rgb.nii", colours))
    nowhere = nib.Nifti1Image(np.ones((4, 4, 4), np.float32), None)
    nowhere.to_filename(tmp_path / "n.nii")
    assert "no position" in reading.read(tmp_path / "n.nii").warnings[0]


# NumPy


def test_numpy_arrays_of_two_and_three_axes_real_and_complex(tmp_path):
    stack = (RNG.standard_normal((3, 4, 5)) + 1j).astype(np.complex64)
    np.save(tmp_path / "a.npy", stack)
    np.save(tmp_path / "b.npy", stack[0].real)
    np.savez(tmp_path / "c.npz", stack)
    np.savez_compressed(tmp_path / "d.npz", images=stack, other=np.zeros(3))
    (tmp_path / "e.bin").write_bytes((tmp_path / "c.npz").read_bytes())
    assert np.array_equal(reading.read(tmp_path / "b.npy").images, stack[:1].real)
    for name in ("a.npy", "c.npz", "d.npz", "e.bin"):
        assert np.array_equal(reading.read(tmp_path / name).images, stack)


def test_numpy_refuses_objects_ambiguity_and_odd_shapes(tmp_path):
    np.save(tmp_path / "pickle.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "two.npz", a=np.zeros((2, 2)), b=np.zeros((2, 2)))
    np.save(tmp_path / "four.npy", np.zeros((2, 2, 2, 2)))
    np.save(tmp_path / "text.npy", np.array([["a", "b"]]))
    for name, words in {
        "pickle": "can't be read as a NumPy array",
        "two": "2 arrays",
        "four": "shape",
        "text": "not numbers",
    }.items():
        (path,) = tmp_path.glob(f"{name}.*")
        with pytest.raises(ImageError, match=words) as caught:
            reading.read(path)
        assert str(path) in caught.value.problem


# TIFF and PNG


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_tiff_pages_come_back(tmp_path, dtype, compression):
    stack = (RNG.random((3, 20, 30)) * 200).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", compression=compression)
    tifffile.imwrite(tmp_path / "b.ome.tif", stack, ome=True, photometric="minisblack", metadata={"axes": "ZYX"})
    tifffile.imwrite(tmp_path / "c.tif", stack[0], bigtiff=True)
    assert np.array_equal(reading.read(tmp_path / "a.tif").images, stack)
    assert np.array_equal(reading.read(tmp_path / "b.ome.tif").images, stack)
    assert np.array_equal(reading.read(tmp_path / "c.tif").images, stack[:1])


def test_tiff_packed_with_lzw_is_read(tmp_path):
    pages = [Image.fromarray((RNG.random((20, 30)) * 200).astype("u1")) for _ in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    assert np.array_equal(reading.read(tmp_path / "a.tif").images, np.stack([np.asarray(p) for p in pages]))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_colour_becomes_luminance_with_a_warning(tmp_path, suffix):
    colour = RNG.integers(0, 255, (8, 9, 3)).astype("u1")
    path = tmp_path / f"rgb.{suffix}"
    Image.fromarray(colour).save(path)
    raw = reading.read(path)
    assert np.allclose(raw.images[0], colour @ [0.299, 0.587, 0.114])
    assert "luminance" in raw.warnings[0]

    green = colour * np.array([0, 1, 0], "u1")
    Image.fromarray(green).save(path)
    raw = reading.read(path)
    assert np.array_equal(raw.images[0], green[..., 1])
    assert "green channel" in raw.warnings[0]

    Image.fromarray(np.repeat(colour[..., :1], 3, axis=-1)).save(path)
    raw = reading.read(path)
    assert np.array_equal(raw.images[0], colour[..., 0])
    assert raw.warnings == ()


def test_tiff_colour_planes_stored_apart(tmp_path):
    planes = RNG.integers(0, 255, (3, 20, 30)).astype("u1")
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    assert np.allclose(reading.read(tmp_path / "a.tif").images[0], np.moveaxis(planes, 0, -1) @ [0.299, 0.587, 0.114])


def test_tiff_refuses_channels_series_and_inverted_grey(tmp_path):
    tifffile.imwrite(tmp_path / "channels.tif", np.zeros((2, 2, 20, 30), "u2"), ome=True, metadata={"axes": "TCYX"})
    with tifffile.TiffWriter(tmp_path / "series.tif") as writer:
        writer.write(np.zeros((20, 30), "u2"))
        writer.write(np.zeros((20, 31), "u2"))
    tifffile.imwrite(tmp_path / "inverted.tif", np.zeros((20, 30), "u1"), photometric="miniswhite")
    for name, words in {"channels": "2 channels", "series": "2 image series", "inverted": "miniswhite"}.items():
        with pytest.raises(ImageError, match=words):
            reading.read(tmp_path / f"{name}.tif")


@pytest.mark.parametrize(("dtype", "peak"), [("u1", 255), ("u2", 65535)])
def test_png_keeps_grey_values(tmp_path, dtype, peak):
    grey = (RNG.random((8, 9)) * peak).astype(dtype)
    Image.fromarray(grey).save(tmp_path / "a.png")
    assert np.array_equal(reading.read(tmp_path / "a.png").images[0], grey)


def test_png_palette_and_alpha(tmp_path):
    grey = RNG.integers(0, 255, (8, 9)).astype("u1")
    Image.fromarray(grey).convert("P").save(tmp_path / "p.png")
    assert np.array_equal(reading.read(tmp_path / "p.png").images[0], grey)
    Image.fromarray(np.dstack([grey, grey]), "LA").save(tmp_path / "la.png")
    raw = reading.read(tmp_path / "la.png")
    assert np.array_equal(raw.images[0], grey)
    assert "alpha" in raw.warnings[0]


# fastMRI


def turned(images: np.ndarray) -> np.ndarray:
    """fastMRI's phase encoding runs along W: it becomes the rows."""
    return np.swapaxes(images, -1, -2)


def test_fastmri_single_coil_is_the_centred_inverse_transform(tmp_path):
    images = (RNG.standard_normal((3, 16, 12)) + 1j * RNG.standard_normal((3, 16, 12))).astype(np.complex64)
    raw = reading.read(save_fastmri(tmp_path / "a.h5", kspace=kspace_of(images)))
    assert raw.images.dtype == np.complex64
    assert np.allclose(raw.images, turned(images), atol=1e-5)
    assert raw.coil_images is None


def test_fastmri_is_cropped_to_the_reconstructed_matrix(tmp_path):
    images = (RNG.standard_normal((2, 16, 12)) + 0j).astype(np.complex64)
    target = np.abs(images[:, 4:12, 2:10])
    path = save_fastmri(tmp_path / "a.h5", kspace=kspace_of(images), reconstruction_esc=target)
    assert np.allclose(np.abs(reading.read(path).images), turned(target), atol=1e-5)
    header = (
        "<ismrmrdHeader><encoding><reconSpace> <matrixSize> <x>8</x> <y>8</y> <z>1</z> </matrixSize>"
        "</reconSpace></encoding></ismrmrdHeader>"
    )
    path = save_fastmri(tmp_path / "b.h5", kspace=kspace_of(images), ismrmrd_header=header)
    assert np.allclose(np.abs(reading.read(path).images), turned(target), atol=1e-5)


def test_fastmri_coils_are_combined_with_a_warning(tmp_path):
    coils = (RNG.standard_normal((2, 3, 8, 8)) + 1j * RNG.standard_normal((2, 3, 8, 8))).astype(np.complex64)
    raw = reading.read(save_fastmri(tmp_path / "a.h5", kspace=kspace_of(coils)))
    assert np.allclose(raw.images, turned(np.linalg.norm(coils, axis=1)), atol=1e-5)
    assert np.allclose(raw.coil_images, turned(coils), atol=1e-5)


def test_fastmri_reconstruction_alone_and_foreign_or_undersampled_files(tmp_path):
    target = RNG.random((2, 8, 8)).astype(np.float32)
    assert np.array_equal(
        reading.read(save_fastmri(tmp_path / "a.h5", reconstruction_rss=target)).images, turned(target)
    )
    with pytest.raises(ImageError, match=r"it holds: group/volume \(2, 8, 8\)"):
        reading.read(save_fastmri(tmp_path / "b.h5", **{"group/volume": target}))
    with pytest.raises(ImageError, match="undersampled"):
        reading.read(save_fastmri(tmp_path / "c.h5", kspace=kspace_of(target + 0j), mask=np.ones(8)))
    with pytest.raises(ImageError, match="'kspace' of type float32"):
        reading.read(save_fastmri(tmp_path / "d.h5", kspace=target))


# every format


def sound_files(folder: Path) -> dict[str, Path]:
    """A file of each format, large enough that cutting it off hurts."""
    stack = RNG.integers(1, 250, (4, 64, 64)).astype("u1")
    np.save(folder / "a.npy", stack)
    np.savez(folder / "a.npz", stack)
    tifffile.imwrite(folder / "a.tif", stack, photometric="minisblack")
    tifffile.imwrite(folder / "z.tif", stack, photometric="minisblack", compression="zlib")
    Image.fromarray(stack[0]).save(folder / "a.png")
    save_nifti(folder / "a.nii", stack)
    save_nifti(folder / "a.nii.gz", stack)
    save_fastmri(folder / "a.h5", kspace=kspace_of(stack.astype(np.complex64)))
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_truncated_files_are_named_and_never_read_in_part(tmp_path, share):
    for name, path in sound_files(tmp_path).items():
        assert reading.read(path).images.any()
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(ImageError) as caught:
            reading.read(path)
        assert name in caught.value.problem
        assert caught.value.remedy


def test_pages_without_a_pixel_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 8), "u2"))
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.pages[0].tags["ImageWidth"].overwrite(0)
    with pytest.raises(ImageError, match=r"a\.tif can't be read as TIFF"):
        reading.read(tmp_path / "a.tif")


def test_the_content_decides_not_the_name(tmp_path):
    for path in list(sound_files(tmp_path).values()):
        renamed = path.with_name(f"{path.name.replace('.', '_')}.xyz")
        renamed.write_bytes(path.read_bytes())
        assert np.array_equal(reading.read(renamed).images, reading.read(path).images)
    png_called_tif = tmp_path / "png.tif"
    png_called_tif.write_bytes((tmp_path / "a.png").read_bytes())
    assert reading.read(png_called_tif).images.shape == (1, 64, 64)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (bytes(128) + b"DICM", "DICOM"),
        (bytes(344) + b"ni1\0", "half of a NIfTI pair"),
        (b"hello", "no image file that acqplan reads"),
        (b"PK\x03\x04", "no image file that acqplan reads"),
        (b"", "empty"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path, head, words):
    (tmp_path / "f.bin").write_bytes(head)
    with pytest.raises(ImageError, match=words):
        reading.read(tmp_path / "f.bin")
