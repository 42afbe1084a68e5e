"""A plan file that isn't what it was: every command that takes one refuses it and writes nothing."""

import pickle

import h5py
import pytest

PLAN_COMMANDS = {
    "show": ("show", "PLAN"),
    "export": ("export", "PLAN", "--to", "numpy", "-o", "OUT"),
    "simulate": ("simulate", "PLAN", "IMAGE", "-o", "OUT.h5"),
    "reconstruct": ("reconstruct", "PLAN", "ACQUIRED", "-o", "OUT.npy"),
    "evaluate": ("evaluate", "PLAN", "--images", "IMAGE", "--json", "OUT.json"),
    "compare": ("compare", "PLAN", "GOOD", "--images", "IMAGE", "--json", "OUT.json"),
}


@pytest.fixture
def broken(points, tmp_path):
    """A copy of a plan to spoil."""
    path = tmp_path / "broken.acqplan"
    path.write_bytes(points.read_bytes())
    return path


@pytest.fixture
def refuses(refused, broken, points, scans, tmp_path):
    """Check that a command refuses the spoilt plan, and name why."""

    def check(command="show"):
        words = {"PLAN": broken, "GOOD": points, "IMAGE": scans / "subject0.nii.gz", "ACQUIRED": scans}
        outputs = {f"OUT{end}": tmp_path / f"out{end}" for end in ("", ".h5", ".npy", ".json")}
        error = refused(*((words | outputs).get(word, word) for word in PLAN_COMMANDS[command])).err
        assert "broken.acqplan" in error
        return error

    return check


def flip(path, dataset):
    """Flip one bit in the stored values of a dataset."""
    with h5py.File(path, "r") as file:
        offset, size = file[dataset].id.get_offset(), file[dataset].id.get_storage_size()
    data = bytearray(path.read_bytes())
    data[offset + size // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("command", PLAN_COMMANDS)
def test_a_flipped_byte_in_the_pattern(refuses, broken, command):
    flip(broken, "pattern/order")
    assert "changed after it was written" in refuses(command)


def test_a_flipped_byte_in_the_weights(refuses, broken):
    with h5py.File(broken, "r") as file:
        largest = max(file["weights"], key=lambda name: file["weights"][name].size)
    flip(broken, f"weights/{largest}")
    assert "changed after it was written" in refuses()


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file(refuses, broken, part):
    data = broken.read_bytes()
    broken.write_bytes(data[: int(part * len(data))])
    refuses()


def test_a_newer_format(refuses, broken):
    with h5py.File(broken, "r+") as file:
        file.attrs["format_version"] = 99
    error = refuses()
    assert "plan format 99" in error
    assert "Upgrade" in error


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_never_opened(refuses, broken, protocol):
    broken.write_bytes(pickle.dumps({"weights": [1.0]}, protocol=protocol))
    refuses()


def test_a_torch_checkpoint_is_never_opened(refuses, broken):
    torch = pytest.importorskip("torch")
    torch.save({"weights": torch.zeros(3)}, broken)
    assert "pickle" in refuses()


def test_another_hdf5_file(refuses, broken):
    with h5py.File(broken, "w") as file:
        file["kspace"] = [1.0, 2.0]
    assert "no acqplan plan" in refuses()


def test_a_missing_file(refuses, broken):
    broken.unlink()
    assert "can't be read" in refuses()


def test_a_folder(refuses, broken):
    broken.unlink()
    broken.mkdir()
    refuses()
