"""The plan file: whole or absent, and what was changed after it was written is refused."""

from __future__ import annotations

import errno
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from acqplan.core.errors import OutputError, PlanFileError
from acqplan.plan import file as plan_file
from acqplan.plan.file import TEXTS, VECTOR_ARRAYS, PlanContent, VectorContent, canonical_json


def make_content(seed: int = 0) -> PlanContent:
    random_numbers = np.random.default_rng(seed)
    weights = {
        "enter.weight": random_numbers.normal(size=(2, 3)).astype(np.float32),
        "steps": np.array(7 + seed),
        "leave.bias": random_numbers.normal(size=2).astype(np.float32),
    }
    texts = {name: f"the {name}: ä → {seed}" for name in TEXTS}
    order, calibration = np.array([3, 1, 3, 0], np.int32), np.array([1, 3], np.int32)
    arrays = {"readings": random_numbers.normal(size=3).astype(np.complex64), "image": np.ones(4, np.float32)}
    vector = VectorContent(f"facts ä {seed}", arrays)
    return PlanContent(texts, order, calibration, "0123456789abcdef" * 4, weights, vector)


CONTENT = make_content()
VECTOR_DATA = {"test_vector/facts", *(f"test_vector/{name}" for name in VECTOR_ARRAYS)}
SOFTWARE = {"acqplan": "0.1.0", "torch": "2.0"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    plan_file.write(CONTENT, tmp_path / "some.acqplan", SOFTWARE)
    return tmp_path / "some.acqplan"


def test_what_is_written_is_read_back(path: Path) -> None:
    back = plan_file.read(path)
    assert back.plan_id == CONTENT.plan_id
    assert dict(back.texts) == dict(CONTENT.texts)
    assert back.pattern_digest == CONTENT.pattern_digest
    for name in ("order", "calibration"):
        assert np.array_equal(getattr(back, name), getattr(CONTENT, name))
        assert getattr(back, name).dtype == np.int32
    assert back.weights.keys() == CONTENT.weights.keys()
    for name, array in CONTENT.weights.items():
        assert back.weights[name].dtype == array.dtype
        assert back.weights[name].tobytes() == array.tobytes()
    assert back.vector is not None
    assert CONTENT.vector is not None
    assert back.vector.digest("id") == CONTENT.vector.digest("id")


def test_layout_is_the_documented_one(path: Path) -> None:
    with h5py.File(path) as file:
        members: list[str] = []
        file.visit(members.append)
        assert set(file.attrs) == {"format", "format_version", "plan_id", "software"}
        assert file["pattern"].attrs["digest"].decode() == CONTENT.pattern_digest
        assert file["weights"].attrs["pattern_digest"].decode() == CONTENT.pattern_digest
        assert bytes(file["recipe"][()]).decode() == CONTENT.texts["recipe"]
        assert set(file["test_vector"].attrs) == {"digest"}
    folders = {"pattern", "pattern/order", "pattern/calibration", "weights", "test_vector"}
    assert set(members) == {*TEXTS, *folders, *VECTOR_DATA, *(f"weights/{name}" for name in CONTENT.weights)}


def test_structures_carry_checksums(path: Path) -> None:
    """Without them HDF5 can crash or hang on one flipped byte, long before the identity is compared."""
    assert path.read_bytes()[8] >= 2  # version of the superblock; from 2 on structures are checksummed
    with h5py.File(path) as file:
        for group in (file, file["pattern"], file["weights"], file["test_vector"]):
            for name in group.attrs:  # texts of variable length are kept where there is no checksum
                assert not isinstance(group.attrs.get_id(name).get_type(), h5py.h5t.TypeVlenID)
                text = h5py.check_string_dtype(group.attrs.get_id(name).dtype)
                assert text is None or text.length is not None, name


def changed_contents() -> Iterator[tuple[str, PlanContent]]:
    """One change each, among them those that a careless hash would miss."""
    for name in TEXTS:
        yield f"text {name}", replace(CONTENT, texts={**CONTENT.texts, name: CONTENT.texts[name] + " "})
    first, second = TEXTS[:2]
    moved = {first: CONTENT.texts[first][:-1], second: CONTENT.texts[first][-1] + CONTENT.texts[second]}
    yield "a character moved to the next text", replace(CONTENT, texts={**CONTENT.texts, **moved})
    yield "order of acquisition", replace(CONTENT, order=CONTENT.order[::-1].copy())
    yield "calibration", replace(CONTENT, calibration=CONTENT.calibration[:1])
    units = np.append(CONTENT.order, CONTENT.calibration)
    yield "order runs into calibration", replace(CONTENT, order=units[:5], calibration=units[5:])
    yield "pattern digest", replace(CONTENT, pattern_digest="f" * 64)
    weight = CONTENT.weights["enter.weight"]
    others = {name: array for name, array in CONTENT.weights.items() if name != "enter.weight"}
    yield "weight missing", replace(CONTENT, weights=others)
    yield "weight renamed", replace(CONTENT, weights={**others, "enter.weights": weight})
    yield "weight reshaped", replace(CONTENT, weights={**others, "enter.weight": weight.reshape(3, 2)})
    yield "weight of another type", replace(CONTENT, weights={**others, "enter.weight": weight.view(np.int32)})
    nudged = weight.copy()
    nudged[1, 2] = np.nextafter(nudged[1, 2], np.float32(9))
    yield "last bit of a weight", replace(CONTENT, weights={**others, "enter.weight": nudged})
    negative = np.where(weight == weight[0, 0], np.float32(-0.0), weight)
    positive = np.where(weight == weight[0, 0], np.float32(0.0), weight)
    yield "−0", replace(CONTENT, weights={**others, "enter.weight": negative})
    yield "+0", replace(CONTENT, weights={**others, "enter.weight": positive})


def test_every_change_of_the_content_changes_the_identity() -> None:
    names, contents = zip(*changed_contents(), strict=True)
    identities = [CONTENT.plan_id, *(content.plan_id for content in contents)]
    assert len(set(identities)) == len(identities), dict(zip(names, identities[1:], strict=True))


def test_a_test_vector_is_no_part_of_the_identity_and_belongs_to_one_plan(path: Path) -> None:
    without = replace(CONTENT, vector=None)
    assert without.plan_id == CONTENT.plan_id == replace(CONTENT, vector=make_content(1).vector).plan_id
    plan_file.write(without, path.with_name("without.acqplan"), SOFTWARE)
    assert plan_file.read(path.with_name("without.acqplan")).vector is None
    other = path.with_name("other.acqplan")
    plan_file.write(make_content(1), other, SOFTWARE)
    with h5py.File(path, "r+") as file, h5py.File(other) as stranger:
        del file["test_vector"]
        file.copy(stranger["test_vector"], "test_vector")
    with pytest.raises(PlanFileError, match=r"was changed .* test vector"):
        plan_file.read(path)


def test_identity_ignores_byte_order_and_the_order_of_names() -> None:
    swapped = {name: array.astype(array.dtype.newbyteorder(">")) for name, array in CONTENT.weights.items()}
    assert replace(CONTENT, weights=dict(reversed(swapped.items()))).plan_id == CONTENT.plan_id


def test_software_is_for_the_record_only(path: Path) -> None:
    other = path.with_name("other.acqplan")
    plan_file.write(CONTENT, other, {"acqplan": "9.9"})
    assert plan_file.read(other).plan_id == plan_file.read(path).plan_id


def test_the_same_content_gives_the_same_bytes(path: Path) -> None:
    again = path.with_name("again.acqplan")
    plan_file.write(CONTENT, again, SOFTWARE)
    assert again.read_bytes() == path.read_bytes()


def test_canonical_json_knows_one_text_for_a_value() -> None:
    assert (
        canonical_json({"b": [1, 2.5], "a": None})
        == '{"a":null,"b":[1,2.5]}'
        == canonical_json({"a": None, "b": [1, 2.5]})
    )
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"a": float("nan")})


# --- damage ---------------------------------------------------------------------------------


def data_bytes(path: Path) -> list[tuple[str, int]]:
    """(data set, offset in the file) of every stored byte of texts, pattern and weights."""
    found: list[tuple[str, int]] = []

    def add(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            start, size = item.id.get_offset(), item.id.get_storage_size()
            assert start is not None, f"{name} isn't in one piece"
            found.extend((name, start + i) for i in range(size))

    with h5py.File(path) as file:
        file.visititems(add)
    return found


def test_every_flipped_byte_of_the_content_is_refused(path: Path) -> None:
    places = data_bytes(path)
    assert {name for name, _ in places} == {
        *TEXTS,
        "pattern/order",
        "pattern/calibration",
        *VECTOR_DATA,
        *(f"weights/{name}" for name in CONTENT.weights),
    }
    for i, (name, offset) in enumerate(places):
        with path.open("r+b") as stream:
            stream.seek(offset)
            (byte,) = stream.read(1)
            stream.seek(offset)
            stream.write(bytes([byte ^ (1 << i % 8)]))
        with pytest.raises(PlanFileError, match=r"damaged|was changed|no acqplan plan") as caught:
            plan_file.read(path)
        assert str(path) in caught.value.problem, (name, offset)
        with path.open("r+b") as stream:
            stream.seek(offset)
            stream.write(bytes([byte]))
    assert plan_file.read(path).plan_id == CONTENT.plan_id


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("flipped") / "some.acqplan"
    plan_file.write(CONTENT, path, SOFTWARE)
    return path, path.read_bytes()


@settings(max_examples=250, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
def test_any_flipped_byte_is_refused_or_changes_nothing(whole: tuple[Path, bytes], place: float, mask: int) -> None:
    path, content = whole
    damaged = bytearray(content)
    damaged[int(place * len(content))] ^= mask
    path.write_bytes(damaged)
    try:
        identity = plan_file.read(path).plan_id
    except PlanFileError:
        return
    assert identity == CONTENT.plan_id


def test_truncated_files_are_refused(path: Path) -> None:
    content = path.read_bytes()
    for length in [*range(16), *range(16, len(content), 61), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(PlanFileError):
            plan_file.read(path)


def test_a_newer_format_asks_for_an_upgrade(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = plan_file.FORMAT_VERSION + 1
    with pytest.raises(PlanFileError, match=r"format 2, this acqplan knows up to 1\. Upgrade acqplan\."):
        plan_file.read(path)


def test_another_plans_identity_is_refused(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["plan_id"] = np.bytes_(make_content(1).plan_id)
    with pytest.raises(PlanFileError, match="was changed after it was written"):
        plan_file.read(path)


def test_weights_of_another_pattern_are_refused(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["weights"].attrs["pattern_digest"] = np.bytes_("f" * 64)
    with pytest.raises(PlanFileError):
        plan_file.read(path)


@pytest.mark.parametrize(
    ("save", "message"),
    [
        (lambda path: path.write_bytes(pickle.dumps({"weights": [1.0]})), "pickle or a zip"),
        (lambda path: torch.save({"weights": torch.ones(2)}, path), "pickle or a zip"),
        (lambda path: path.write_text("recipe"), "is no plan file"),
        (lambda path: path.write_bytes(b""), "is no plan file"),
        (lambda path: path.mkdir(), "can't be read"),
        (lambda path: None, "can't be read: No such file"),
        (lambda path: h5py.File(path, "w").close(), "no acqplan plan"),
    ],
    ids=["pickle", "torch.save", "text", "empty", "folder", "missing", "foreign HDF5"],
)
def test_what_is_no_plan_file_is_named(tmp_path: Path, save: Callable[[Path], object], message: str) -> None:
    path = tmp_path / "some.acqplan"
    save(path)
    with pytest.raises(PlanFileError, match=message) as caught:
        plan_file.read(path)
    assert str(path) in caught.value.problem
    assert caught.value.remedy


class _Bomb:
    """Unpickling it leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.trace),))


def test_pickles_are_never_run(tmp_path: Path) -> None:
    path = tmp_path / "some.acqplan"
    path.write_bytes(pickle.dumps(_Bomb(tmp_path / "trace")))
    with pytest.raises(PlanFileError):
        plan_file.read(path)
    assert not (tmp_path / "trace").exists()


# --- what could read other files ---------------------------------------------------------------


def _relink(path: Path, name: str, link: Callable[[str, str], object]) -> None:
    """Replace ``name`` by a link to the same content elsewhere: nothing but the link gives it away."""
    elsewhere = path.with_name("elsewhere.h5")
    elsewhere.write_bytes(path.read_bytes())
    with h5py.File(path, "r+") as file:
        file.move(name, "moved")
        file[name] = link(elsewhere.name, name)


@pytest.mark.parametrize("name", ["recipe", "pattern/order", "weights/enter.weight", "pattern", "weights"])
@pytest.mark.parametrize(
    "link",
    [lambda file, name: h5py.ExternalLink(file, f"/{name}"), lambda file, name: h5py.SoftLink("/moved")],
    ids=["external", "soft"],
)
def test_links_are_not_followed(path: Path, name: str, link: Callable[[str, str], object]) -> None:
    _relink(path, name, link)
    with h5py.File(path) as file:
        assert file[name] is not None  # the link works
    with pytest.raises(PlanFileError, match="damaged") as caught:
        plan_file.read(path)
    assert "is a link" in str(caught.value.__cause__)


def test_virtual_and_external_data_are_not_read(path: Path, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(CONTENT.order.astype("<i4").tobytes())
    content = path.read_bytes()

    def external(file: h5py.File) -> None:
        file.create_dataset("pattern/order", (4,), "<i4", external=[(str(tmp_path / "raw"), 0, 16)])

    def virtual(file: h5py.File) -> None:
        with h5py.File(tmp_path / "source.h5", "w") as source:
            source["order"] = CONTENT.order
        layout = h5py.VirtualLayout((4,), np.int32)
        layout[:] = h5py.VirtualSource(tmp_path / "source.h5", "order", (4,))
        file.create_virtual_dataset("pattern/order", layout)

    for replace_order in (external, virtual):
        path.write_bytes(content)
        with h5py.File(path, "r+") as file:
            del file["pattern/order"]
            replace_order(file)
        with h5py.File(path) as file:
            assert np.array_equal(file["pattern/order"][()], CONTENT.order)
        with pytest.raises(PlanFileError) as caught:
            plan_file.read(path)
        assert "isn't stored in the file" in str(caught.value.__cause__)


def test_a_file_that_claims_to_be_huge_is_refused(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.create_dataset("weights/huge", (1 << 40,), np.float32, chunks=(1024,))
    with pytest.raises(PlanFileError) as caught:
        plan_file.read(path)
    assert "claims" in str(caught.value.__cause__)


@pytest.mark.parametrize("array", [np.bytes_(b"cos\nsystem"), np.ones(2, np.complex64), np.void(b"\x80")])
def test_weights_are_plain_numbers(path: Path, array: np.generic) -> None:
    with h5py.File(path, "r+") as file:
        file.create_dataset("weights/odd", data=array)
    with pytest.raises(PlanFileError) as caught:
        plan_file.read(path)
    assert "plain numbers" in str(caught.value.__cause__)


# --- atomic ---------------------------------------------------------------------------------


def test_an_existing_file_needs_overwrite(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        plan_file.write(make_content(1), path, SOFTWARE)
    assert path.read_bytes() == before
    plan_file.write(make_content(1), path, SOFTWARE, overwrite=True)
    assert plan_file.read(path).plan_id == make_content(1).plan_id
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fails(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, step, fails)
        for target in (path, path.with_name("new.acqplan")):
            with pytest.raises(OutputError, match="No space left on device"):
                plan_file.write(make_content(1), target, SOFTWARE, overwrite=True)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


_LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from acqplan.plan import file as plan_file
from acqplan.core.errors import OutputError
folder = Path(sys.argv[1])
content = plan_file.read(folder / "some.acqplan")
content.weights["large"] = np.zeros(1_000_000, np.float32)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
for name in ("some.acqplan", "new.acqplan"):
    try:
        plan_file.write(content, folder / name, {}, overwrite=True)
    except OutputError as error:
        print(error.problem)
"""


def test_a_disk_that_refuses_to_take_more_leaves_the_old_file(path: Path) -> None:
    """The system's own refusal, half-way through a file, rather than a stand-in for it."""
    pytest.importorskip("resource")
    before = path.read_bytes()
    result = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(path.parent)], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("can't be written") == 2
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


_SAVING = """
import itertools, sys
from pathlib import Path
import numpy as np
from acqplan.plan import file as plan_file
path = Path(sys.argv[1])
content = plan_file.read(path)
for i in itertools.count():
    content.weights["large"] = np.full(300_000, i, np.float32)
    plan_file.write(content, path, {}, overwrite=True)
    print(i, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills with a POSIX signal")
def test_a_kill_at_any_moment_leaves_a_whole_file(path: Path) -> None:
    moments = random.Random(0)
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", _SAVING, str(path)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline()  # it is saving
            time.sleep(moments.uniform(0, 0.05))
            child.send_signal(signal.SIGKILL)
        back = plan_file.read(path)
        assert np.unique(back.weights["large"]).size == 1
