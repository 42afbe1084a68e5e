"""Laws that every registered format of images obeys, and the order in which readers and suffixes are asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acqplan.core.registry import kinds
from acqplan.formats.contracts import ImageWriter, Result
from acqplan.formats.results import format_of, image_writers, part_of, write_images
from acqplan.images import reading
from acqplan.images.reading import HEAD_BYTES, ImageReader

STAMP = {"plan_id": "ab" * 32, "pattern_digest": "cd" * 32, "part": "magnitude"}
FOREIGN = (b"", b"\0" * 600, b"no images at all\n", b"PK\x03\x04", b"\x93NUMPY", b"\x89HDF\r\n\x1a\n", b"\x1f\x8b\x08")


def test_readers_are_asked_in_this_order() -> None:
    """Those with a magic number of their own first; fastMRI's, which takes any HDF5, after ISMRMRD's."""
    assert reading.titles() == "NIfTI, NumPy, TIFF, PNG, DICOM, ISMRMRD, fastMRI HDF5, BART .cfl, twix"


@pytest.mark.parametrize("kind", kinds("image_readers"))
def test_what_isnt_an_image_is_never_an_exception_when_asked(kind: str, tmp_path: Path) -> None:
    reader: ImageReader = kinds("image_readers")[kind]()
    for content in (*FOREIGN, np.random.default_rng(0).bytes(700)):
        path = tmp_path / "file.cfl"
        path.write_bytes(content)
        assert reader.matches(path, content[:HEAD_BYTES]) in (True, False)


@pytest.mark.parametrize("kind", kinds("image_writers"))
def test_what_is_written_is_read_as_the_same_values(kind: str, tmp_path: Path) -> None:
    """Where the format that was written is one that is read too."""
    writer: ImageWriter = kinds("image_writers")[kind]()
    image = np.random.default_rng(0).random((5, 7)).astype(np.float32)
    path = tmp_path / f"image{writer.image_suffixes[0]}" if writer.image_suffixes else tmp_path / "images"
    write_images(Result(part_of(image[None], "magnitude"), STAMP), path, kind)
    if kind in ("hdf5", "ismrmrd"):
        return  # images in these are results, not what is trained on
    raw = reading.read(path if path.is_file() else path / "0000.dcm").images.astype(np.float64)
    assert raw.shape == (1, 5, 7) or kind == "nifti"
    levels = np.sort(raw.ravel()) / raw.max()
    assert np.allclose(levels, np.sort(image.ravel()) / image.max(), atol=1e-4)


def test_of_formats_with_one_suffix_the_first_is_taken() -> None:
    assert list(image_writers()) == ["nifti", "ome-tiff", "tiff", "png", "hdf5", "numpy", "ismrmrd", "dicom"]
    assert [format_of(Path(name)).kind for name in ("a.ome.tif", "a.tif", "a.h5", "a.mrd")] == [
        *("ome-tiff", "tiff", "hdf5", "ismrmrd")
    ]
