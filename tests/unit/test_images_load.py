"""Which files are read, which subject they belong to, and how bad ones are named."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from acqplan.core.errors import ImageError
from acqplan.images import load_stacks, samples

RNG = np.random.default_rng(0)


def save(path: Path, array: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, RNG.random((3, 8, 9)).astype(np.float32) if array is None else array)
    return path


def test_a_file_is_one_stack_in_single_precision(tmp_path):
    (stack,) = load_stacks([save(tmp_path / "a.npy", RNG.integers(0, 9, (3, 8, 9)))])
    assert (stack.images.dtype, stack.images.shape) == (np.float32, (3, 8, 9))
    assert (stack.subject, stack.source) == ("a.npy", str(tmp_path / "a.npy"))
    assert stack.is_magnitude
    (stack,) = load_stacks([str(save(tmp_path / "b.npy", RNG.random((8, 9)) + 1j * RNG.random((8, 9))))])
    assert (stack.images.dtype, stack.images.shape) == (np.complex64, (1, 8, 9))
    assert not stack.is_magnitude


def test_subjects_of_a_folder_are_its_files_and_its_sub_folders(tmp_path):
    for name in ("b.npy", "a.npy", "one/2.npy", "one/deeper/1.npy", "two/1.npy", ".hidden.npy", ".git/x.npy"):
        save(tmp_path / name)
    for name in ("README", "notes.txt", "one/scan.json", "list.csv", "one/.DS_Store"):
        (tmp_path / name).write_text("x")
    stacks = load_stacks([tmp_path])
    found = [(s.subject, str(Path(s.source).relative_to(tmp_path))) for s in stacks]
    assert found == [
        ("a.npy", "a.npy"),
        ("b.npy", "b.npy"),
        ("one", "one/2.npy"),
        ("one", "one/deeper/1.npy"),
        ("two", "two/1.npy"),
    ]


def test_subjects_of_the_same_name_in_two_folders_are_told_apart(tmp_path):
    for name in ("x/1.npy", "y/1.npy", "x/s/1.npy", "y/s/1.npy", "y/s/s/2.npy"):
        save(tmp_path / name)
    subjects = [s.subject for s in load_stacks([tmp_path / "x", tmp_path / "y"])]
    assert subjects == [str(tmp_path / p) for p in ("x/1.npy", "x/s", "y/1.npy", "y/s", "y/s")]


def test_a_file_named_twice_is_read_once_and_copies_are_one_subject(tmp_path):
    a, b = save(tmp_path / "a.npy"), save(tmp_path / "b.npy")
    assert len(load_stacks([a, tmp_path, tmp_path / "." / "b.npy"])) == 2
    (tmp_path / "copy.npy").write_bytes(a.read_bytes())
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "1.npy").write_bytes(b.read_bytes())
    (tmp_path / "sub" / "2.npy").write_bytes(a.read_bytes())
    stacks = load_stacks([tmp_path])
    assert {s.subject for s in stacks} == {"a.npy"}  # sub joins a with b
    assert any("the same pixels as" in w for s in stacks for w in s.warnings)


def test_slices_are_chosen_and_remember_their_number(tmp_path):
    path = save(tmp_path / "a.npy")
    (stack,) = load_stacks([path], slices=(1, 9))
    assert (stack.n_slices, stack.first_slice) == (2, 1)
    for nothing in ((3, 5), (1, 1), (-1, 2)):
        with pytest.raises(ImageError, match="0 to 2"):
            load_stacks([path], slices=nothing)
    save(path, np.arange(3)[:, None, None] * np.ones((3, 8, 9)))
    with pytest.raises(ImageError, match="zero in all the slices 0:1"):
        load_stacks([path], slices=(0, 1))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((2, 8, 8), np.nan), "128 pixels that are NaN or infinite"),
        (np.where(np.eye(8) > 0, np.inf, 1.0), "8 pixels that are NaN"),
        (np.full((8, 8), 1e300), "64 pixels that are NaN or infinite"),
        (np.zeros((2, 8, 8)), "zero everywhere"),
        (np.zeros((0, 8, 8)), "holds no image"),
    ],
)
def test_unusable_pixels_are_refused(tmp_path, array, words):
    with pytest.raises(ImageError, match=words) as caught:
        load_stacks([save(tmp_path / "bad.npy", array)])
    assert "bad.npy" in caught.value.problem


def test_negative_values_are_no_magnitude_and_no_intensity(tmp_path):
    path = save(tmp_path / "a.npy", RNG.standard_normal((2, 8, 8)))
    (stack,) = load_stacks([path])
    assert not stack.is_magnitude
    assert "negative" in stack.warnings[0]
    with pytest.raises(ImageError, match="negative values"):
        load_stacks([path], require_non_negative=True)
    with pytest.raises(ImageError, match="complex values"):
        load_stacks(
            [save(tmp_path / "b.npy", RNG.random((8, 8)) * np.exp(1j * RNG.random((8, 8))))], require_non_negative=True
        )


def test_all_bad_files_are_named_in_one_error(tmp_path):
    save(tmp_path / "good.npy")
    save(tmp_path / "nan.npy", np.full((8, 8), np.nan))
    (tmp_path / "picture.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    (tmp_path / "unknown.bin").write_bytes(b"?")
    truncated = save(tmp_path / "truncated.npy")
    truncated.write_bytes(truncated.read_bytes()[:200])
    with pytest.raises(ImageError) as caught:
        load_stacks([tmp_path])
    assert caught.value.problem.startswith("4 of 5 files can't be used")
    for name in ("nan.npy", "picture.jpg", "unknown.bin", "truncated.npy"):
        assert name in caught.value.problem
    assert "good.npy" not in caught.value.problem


def test_a_side_file_is_an_error_where_it_is_named_itself(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ImageError, match="no image file"):
        load_stacks([tmp_path / "a.txt"])


def test_missing_and_empty_places(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("x")
    for path, words in {"nowhere": "doesn't exist", "empty": "empty folder", "notes": "holds no image files"}.items():
        with pytest.raises(ImageError, match=words):
            load_stacks([tmp_path / path])
    with pytest.raises(ImageError, match="No images were given"):
        load_stacks([])


def test_unknown_and_missing_samples_say_what_to_do(monkeypatch):
    with pytest.raises(ImageError, match="Known: sample:brain, sample:cells"):
        load_stacks(["sample:liver"])
    monkeypatch.setitem(samples.SAMPLES, "moved", samples.Sample("numpy", "no/such.png", ""))
    monkeypatch.setitem(samples.SAMPLES, "absent", samples.Sample("no_such_package", "a.png", ""))
    for name in ("sample:moved", "sample:absent"):
        with pytest.raises(ImageError, match=r'pip install "acqplan\[samples\]"'):
            load_stacks([name])


def test_colour_warnings_name_the_file(tmp_path):
    Image.fromarray(RNG.integers(0, 255, (8, 9, 3)).astype("u1")).save(tmp_path / "rgb.png")
    (stack,) = load_stacks([tmp_path])
    assert stack.warnings == ("rgb.png: a colour image: its luminance is used, which no detector measured.",)


def test_a_folder_that_cannot_be_read_is_not_called_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scans" / "closed").mkdir(parents=True)
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ImageError, match="closed can't be read: Permission denied"):
        load_stacks([tmp_path / "scans"])


def test_what_can_be_no_name_of_a_file_is_refused() -> None:
    with pytest.raises(ImageError, match="can't be a file"):
        load_stacks(["x" * 5000])
