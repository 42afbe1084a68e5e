"""Files of acquired data: what comes back, what is recognised, and one clear error for everything else."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from builders.plans import make_plan
from builders.sensing import dmd, mri

from acqplan.core.errors import AcquisitionError, InstrumentError, OutputError, PatternMismatch, RecipeError
from acqplan.core.registry import kinds
from acqplan.formats.contracts import AcquiredReader, FileFormat, PatternFormat
from acqplan.formats.export import export
from acqplan.formats.hdf5_files import Hdf5Files
from acqplan.formats.lookup import for_acquired
from acqplan.formats.numpy_files import NumpyFiles
from acqplan.formats.save import save_acquired
from acqplan.formats.table import Table
from acqplan.modalities.dmd.formats.dmd_tiff import DmdTiff
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition, Geometry
from acqplan.sensing.model import SensingModel

LINES, POINTS, HADAMARD = mri("lines", 6, 4), mri("points", 6, 4), dmd(4, 4)
N = 6


def small_plan(sensing: SensingModel) -> Plan:
    return make_plan(sensing, [5, 3, 2, 5, 0, 1], [2])


def make_readings(plan: Plan, coils: int = 1) -> npt.NDArray[Any]:
    rng = np.random.default_rng(0)
    shape = (N, *plan.sensing.reading_shape)
    if not plan.sensing.is_complex:
        return (rng.random(shape) * 1e4).astype(np.float32)
    shape = (N, coils, *plan.sensing.reading_shape[1:])
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


@pytest.fixture
def dmd() -> Plan:
    return small_plan(HADAMARD)


@pytest.mark.parametrize("sensing", [LINES, POINTS], ids=["lines", "points"])
@pytest.mark.parametrize(("instrument", "suffix"), [(Hdf5Files(), ".h5"), (NumpyFiles(), ".npz")])
def test_everything_comes_back(
    instrument: FileFormat, suffix: str, sensing: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    plan = small_plan(sensing)
    maps = np.random.default_rng(1).normal(size=(3, 6, 4)).astype(np.complex64)
    affine = np.diag([1.5, 1, 5, 1]).astype(np.float64)
    stored = Acquisition(
        make_readings(plan, 3), plan.pattern.digest, "knee 7", plan.pattern.order, maps, Geometry(affine)
    )
    path = tmp_path / f"acquired{suffix}"
    save_acquired(instrument, stored, plan, path)
    back = instrument.read_acquired(path, plan)
    assert np.array_equal(back.readings, stored.readings)
    assert back.readings.dtype == np.complex64
    assert back.pattern_digest == plan.pattern.digest
    assert back.order is not None
    assert np.array_equal(back.order, plan.pattern.order)
    assert back.coil_maps is not None
    assert np.array_equal(back.coil_maps, maps)
    assert back.geometry is not None
    assert np.array_equal(back.geometry.affine, affine)
    assert back.source == str(path)
    assert back.record == {"plan_id": plan.plan_id, "source": "knee 7"}
    assert plan.reconstruct(back).shape == (6, 4)


@pytest.mark.parametrize("suffix", [".csv", ".npy"])
def test_traces_come_back_exactly(dmd: Plan, suffix: str, tmp_path: Path) -> None:
    readings = make_readings(dmd)
    readings[0] = (127.338486, 1.23456789e-20)  # eight digits don't tell the first from its neighbour
    save_acquired(DmdTiff(), Acquisition(readings, dmd.pattern.digest, "trace"), dmd, tmp_path / f"t{suffix}")
    back = DmdTiff().read_acquired(tmp_path / f"t{suffix}", dmd)
    assert np.array_equal(back.readings, readings)
    assert back.pattern_digest == (dmd.pattern.digest if suffix == ".csv" else None)


def test_trace_says_what_it_is(dmd: Plan, tmp_path: Path) -> None:
    readings = np.arange(12, dtype=np.float32).reshape(6, 2)
    save_acquired(Table(), Acquisition(readings, dmd.pattern.digest, "a\nb"), dmd, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines() == [
        "# acqplan detector trace",
        f"# pattern_digest: {dmd.pattern.digest}",
        f"# plan_id: {dmd.plan_id}",
        "# source: a b",
        "# frames: 12",
        "# unit: photo-electrons per frame, dark signal subtracted",
        "# rows: one per shown frame; the + and then the - frame of each reading",
        "frame,photo_electrons",
        *(f"{frame},{frame}" for frame in range(12)),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(map(str, range(12))),
        "\r\n".join(map(str, range(12))) + "\r\n",
        ",".join(map(str, range(12))),
        "\ufeffvalue\n" + "\n".join(f" {value}.0 " for value in range(12)),
        "# from my lock-in\n\nframe,signal\n" + "\n".join(f"{value},{value}e0" for value in range(12)),
    ],
    ids=["column", "windows", "row", "byte order mark and name", "numbered"],
)
def test_bare_traces_are_read_but_not_trusted(dmd: Plan, text: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8", newline="")
    back = for_acquired(path).read_acquired(path, dmd)
    assert np.array_equal(back.readings, np.arange(12).reshape(6, 2))
    with pytest.raises(PatternMismatch, match="doesn't say which pattern"):
        dmd.reconstruct(back)
    assert dmd.reconstruct(back, assume_plan=True).shape == (4, 4)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("\n\n", "no readings"),
        ("frame,value\n", "no readings"),
        ("frame\nframe\n1\n", "Line 2 of"),
        ("1\n2\nthree\n", "Line 3 of"),
        ("0,1,2\n3,4,5\n", "3 columns or arrays that may be the signal"),
        ("1\n2,3\n", "rows of 1 and 2 numbers"),
        ("0,5\n2,5\n", "10 of 12 frames missing"),
        ("1.5,5\n1,5\n", "something else than whole numbers from 0: row 1 says 1.5"),
        ("frame,value\n0,5\ninf,5\n", "something else than whole numbers from 0: row 2 says inf"),
        ("frame,value\n0,5\ninf,5\n1,5\n", "something else than whole numbers from 0: row 2 says inf"),
        ("# frames: 12\nframe,value\nnan,5\n", "something else than whole numbers from 0: row 1 says nan"),
        ("frame,value\n0,5\n1e300,5\n", "something else than whole numbers from 0: row 2 says 1e\\+300"),
        ("frame,value\n-1,5\n", "something else than whole numbers from 0: row 1 says -1"),
        ("1,5\n0,5\n", "frame 0 after frame 1"),
        ("1,5\n12,5\n", "has frame 12, but only 12 frames"),
        ("# frames: 12\n1\n2\n", "holds 2 of 12 frames"),
        ("# pattern_digest: abc\n1\n2\n", "digest that is none: 'abc'"),
    ],
)
def test_wrong_traces(dmd: Plan, text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(AcquisitionError, match=says):
        Table().read_acquired(tmp_path / "t.csv", dmd)


@pytest.mark.parametrize("n_values", [11, 10, 13])
def test_traces_of_another_length_are_refused(dmd: Plan, n_values: int, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "t.csv", np.arange(n_values))
    np.save(tmp_path / "t.npy", np.arange(n_values))
    for name in ("t.csv", "t.npy"):
        with pytest.raises(AcquisitionError, match=f"holds {n_values} frames, the plan shows 12"):
            DmdTiff().read_acquired(tmp_path / name, dmd)
    with pytest.raises(AcquisitionError, match="holds readings of shape"):
        dmd.reconstruct(NumpyFiles().read_acquired(tmp_path / "t.npy", dmd), assume_plan=True)


def test_traces_are_not_for_mri(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1\n2\n")
    plan = small_plan(LINES)
    with pytest.raises(AcquisitionError, match="one real value per frame"):
        Table().read_acquired(tmp_path / "t.csv", plan)
    with pytest.raises(InstrumentError, match="one real value per frame"):
        save_acquired(Table(), Acquisition(make_readings(plan), None, "test"), plan, tmp_path / "new.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "f2", "g", "<u2", ">i8"])
def test_bare_arrays_of_other_types(dmd: Plan, dtype: str, tmp_path: Path) -> None:
    readings = np.arange(12).reshape(6, 2).astype(dtype)
    for array in (readings, readings.ravel(), np.asfortranarray(readings)):
        np.save(tmp_path / "r.npy", array)
        back = NumpyFiles().read_acquired(tmp_path / "r.npy", dmd)
        assert back.readings.dtype == np.float32
        assert np.array_equal(back.readings, np.arange(12).reshape(6, 2))
        assert dmd.reconstruct(back, assume_plan=True).dtype == np.float32


def test_single_coil_points_may_be_flat(tmp_path: Path) -> None:
    plan = small_plan(POINTS)
    np.save(tmp_path / "r.npy", make_readings(plan).ravel().astype(">c16"))
    back = NumpyFiles().read_acquired(tmp_path / "r.npy", plan)
    assert np.array_equal(back.readings, make_readings(plan))
    plan.reconstruct(back, assume_plan=True)


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a", "b"]),
        np.zeros(12, dtype=[("x", "f4")]),
        np.zeros(12, dtype=bool),
        np.zeros(12, dtype="M8[s]"),
        np.zeros((0, 2)),
        np.float32(1),
        np.zeros((3, 4)),
        np.zeros((6, 2, 1)),
        np.zeros((6, 2), dtype=complex),
        np.full((6, 2), 1e300),
        np.full((6, 2), np.nan),
    ],
    ids=["text", "records", "bool", "dates", "empty", "scalar", "shape", "axes", "complex", "huge", "nan"],
)
def test_bare_arrays_that_are_no_readings(dmd: Plan, array: npt.NDArray[Any], tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", array)
    with pytest.raises(AcquisitionError):
        dmd.reconstruct(for_acquired(tmp_path / "r.npy").read_acquired(tmp_path / "r.npy", dmd), assume_plan=True)


class _Trap:
    """Unpickling one makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.folder),))


def test_pickles_are_never_opened(dmd: Plan, tmp_path: Path) -> None:
    trap = _Trap(tmp_path / "opened")
    (tmp_path / "raw.npy").write_bytes(pickle.dumps(trap))
    np.save(tmp_path / "object.npy", np.array([trap], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "object.npz", readings=np.array([trap], dtype=object))
    np.savez(tmp_path / "text.npz", readings=np.zeros((6, 2)), pattern_digest=np.array(trap, dtype=object))
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(AcquisitionError):
            for_acquired(path).read_acquired(path, dmd)
        with pytest.raises(AcquisitionError):
            NumpyFiles().read_acquired(path, dmd)
    assert not trap.folder.exists()


def test_pickles_in_an_export_are_never_opened(dmd: Plan, tmp_path: Path) -> None:
    export(dmd, NumpyFiles(), tmp_path / "out")
    trap = _Trap(tmp_path / "opened")
    for name in ("order", "counts", "mask"):
        np.save(tmp_path / "out" / f"{name}.npy", np.array([trap], dtype=object), allow_pickle=True)
        with pytest.raises(InstrumentError):
            NumpyFiles().read(tmp_path / "out")
    assert not trap.folder.exists()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"kspace": np.zeros((6, 2))}, "holds no readings"),
        ({"readings": np.zeros((6, 2)), "order": np.zeros(5, int)}, "order of shape"),
        ({"readings": np.zeros((6, 2)), "order": np.zeros(6)}, "order of shape"),
        ({"readings": np.zeros((6, 2)), "order": np.full(6, -1)}, "out of range"),
        ({"readings": np.zeros((6, 2)), "order": np.full(6, 1 << 40)}, "out of range"),
        ({"readings": np.zeros((6, 2)), "pattern_digest": np.array(3)}, "no text"),
        ({"readings": np.zeros((6, 2)), "pattern_digest": np.array(["a", "b"])}, "no text"),
        ({"readings": np.zeros((6, 2)), "pattern_digest": np.array("x" * 64)}, "digest that is none"),
        ({"readings": np.zeros((6, 2)), "affine": np.eye(3)}, "affine of shape"),
        ({"readings": np.zeros((6, 2)), "affine": np.full((4, 4), np.inf)}, "affine with NaN"),
        ({"readings": np.zeros((6, 2)), "coil_maps": np.full((1, 4, 4), np.nan)}, "coil maps with NaN"),
        ({"readings": np.zeros((6, 2)), "coil_maps": np.array("x")}, "coil maps of type"),
    ],
)
def test_fields_that_cannot_be(dmd: Plan, fields: dict[str, Any], says: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", **fields)
    with pytest.raises(AcquisitionError, match=says):
        NumpyFiles().read_acquired(tmp_path / "r.npz", dmd)


def test_order_without_digest_decides(dmd: Plan, tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    np.savez(path, readings=np.ones((6, 2)), order=dmd.pattern.order)
    dmd.reconstruct(NumpyFiles().read_acquired(path, dmd))
    np.savez(path, readings=np.ones((6, 2)), order=dmd.pattern.order + 1)
    with pytest.raises(PatternMismatch, match="other positions"):
        dmd.reconstruct(NumpyFiles().read_acquired(path, dmd))


def test_order_that_contradicts_the_digest_is_refused(dmd: Plan, tmp_path: Path) -> None:
    wrong = Acquisition(make_readings(dmd), dmd.pattern.digest, "test", dmd.pattern.order[::-1])
    save_acquired(Hdf5Files(), wrong, dmd, tmp_path / "r.h5")
    with pytest.raises(AcquisitionError, match="contradicts itself"):
        Hdf5Files().read_acquired(tmp_path / "r.h5", dmd)


def test_coil_maps_of_another_size_are_refused(tmp_path: Path) -> None:
    plan = small_plan(LINES)
    acquisition = Acquisition(
        make_readings(plan), plan.pattern.digest, "test", coil_maps=np.ones((1, 5, 4), np.complex64)
    )
    save_acquired(Hdf5Files(), acquisition, plan, tmp_path / "r.h5")
    with pytest.raises(AcquisitionError, match="coil maps have shape"):
        plan.reconstruct(Hdf5Files().read_acquired(tmp_path / "r.h5", plan))


@pytest.mark.parametrize("trick", ["external link", "soft link", "virtual", "external data", "group", "text", "void"])
def test_hdf5_that_is_not_plain_is_refused(dmd: Plan, trick: str, tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["readings"] = np.ones((6, 2), np.float32)
    (tmp_path / "raw").write_bytes(np.ones((6, 2), np.float32).tobytes())
    with h5py.File(path, "w") as file:
        file.attrs["format"], file.attrs["format_version"] = "acqplan-acquired", 1
        if trick == "external link":
            file["readings"] = h5py.ExternalLink("other.h5", "readings")
        elif trick == "soft link":
            file["there"] = np.ones((6, 2), np.float32)
            file["readings"] = h5py.SoftLink("/there")
        elif trick == "virtual":
            layout = h5py.VirtualLayout((6, 2), np.float32)
            layout[:] = h5py.VirtualSource("other.h5", "readings", (6, 2))
            file.create_virtual_dataset("readings", layout)
        elif trick == "external data":
            file.create_dataset("readings", (6, 2), np.float32, external=[("raw", 0, 48)])
        elif trick == "group":
            file.create_group("readings")
        elif trick == "text":
            file["readings"] = "1 2 3"
        else:
            file["readings"] = np.void(b"123")
    with pytest.raises(AcquisitionError, match="can't be read: readings"):
        Hdf5Files().read_acquired(path, dmd)


def test_hdf5_of_other_kinds_is_refused(dmd: Plan, tmp_path: Path) -> None:
    dmd.save(tmp_path / "plan.h5")
    export(dmd, Hdf5Files(), tmp_path / "out")
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["kspace"] = np.ones((2, 3))
    with h5py.File(tmp_path / "newer.h5", "w") as file:
        file.attrs["format"], file.attrs["format_version"] = "acqplan-acquired", 99
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file.attrs["format"], file.attrs["format_version"] = "acqplan-acquired", 1
    cases = {
        tmp_path / "plan.h5": "no acqplan-acquired file but acqplan-plan",
        tmp_path / "out" / "pattern.h5": "no acqplan-acquired file but acqplan-pattern",
        tmp_path / "scan.h5": "no acqplan-acquired file",
        tmp_path / "newer.h5": "version is 99",
        tmp_path / "bare.h5": "holds no readings",
    }
    for path, says in cases.items():
        with pytest.raises(AcquisitionError, match=says):
            for_acquired(path).read_acquired(path, dmd)


def test_saving_checks_name_and_number(dmd: Plan, tmp_path: Path) -> None:
    good = Acquisition(make_readings(dmd), dmd.pattern.digest, "test")
    with pytest.raises(OutputError, match=r"doesn't write \.tif"):
        save_acquired(Hdf5Files(), good, dmd, tmp_path / "r.tif")
    short = Acquisition(good.readings[:4], dmd.pattern.digest, "test")
    with pytest.raises(AcquisitionError, match="has 4 readings, the plan's pattern 6"):
        save_acquired(Hdf5Files(), short, dmd, tmp_path / "r.h5")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.h5", "hdf5"),
        ("a.HDF5", "hdf5"),
        ("a.npz", "numpy"),
        ("a.npy", "numpy"),
        ("a.csv", "table"),
        ("a.cfl", "bart"),
    ],
)
def test_suffix_of_a_new_file_decides(name: str, kind: str, tmp_path: Path) -> None:
    assert for_acquired(tmp_path / name).kind == kind


def test_content_goes_before_the_suffix(dmd: Plan, tmp_path: Path) -> None:
    acquisition = Acquisition(make_readings(dmd), dmd.pattern.digest, "test")
    for instrument, suffix in ((Hdf5Files(), ".h5"), (NumpyFiles(), ".npz"), (NumpyFiles(), ".npy"), (Table(), ".csv")):
        save_acquired(instrument, acquisition, dmd, tmp_path / f"r{suffix}")
        renamed = (tmp_path / f"r{suffix}").rename(tmp_path / f"from{suffix[1:]}.dat")
        assert for_acquired(renamed).kind == instrument.kind
        assert np.array_equal(for_acquired(renamed).read_acquired(renamed, dmd).readings, acquisition.readings)


def test_unknown_files_and_kinds(tmp_path: Path) -> None:
    (tmp_path / "scan.xyz").write_bytes(b"\0\1\2")
    with pytest.raises(AcquisitionError, match=r"Known are: .*hdf5 \(\.h5, \.hdf5\)"):
        for_acquired(tmp_path / "scan.xyz")
    with pytest.raises(AcquisitionError):
        for_acquired(tmp_path / "new")
    with pytest.raises(RecipeError, match="Did you mean 'hdf5'"):
        for_acquired(tmp_path / "a.h5", "hdf")
    assert for_acquired(tmp_path / "a.csv", "dmd-tiff").kind == "dmd-tiff"


def test_missing_files_and_folders(dmd: Plan, tmp_path: Path) -> None:
    for name in ("a.h5", "a.npz", "a.csv"):
        with pytest.raises(AcquisitionError, match="No such file"):
            for_acquired(tmp_path / name).read_acquired(tmp_path / name, dmd)
        (tmp_path / name).mkdir()
        with pytest.raises(AcquisitionError, match="Is a directory"):
            for_acquired(tmp_path / name).read_acquired(tmp_path / name, dmd)


def test_zip_that_claims_too_much_is_refused(dmd: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acqplan.formats.numpy_files.MAX_BYTES", 100)
    np.savez(tmp_path / "r.npz", readings=np.zeros((6, 2)))
    with pytest.raises(AcquisitionError, match="claims"):
        NumpyFiles().read_acquired(tmp_path / "r.npz", dmd)


def test_npy_header_that_claims_too_much_is_refused(dmd: Plan, tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (1 << 50,)})
    (tmp_path / "r.npy").write_bytes(stream.getvalue())
    with pytest.raises(AcquisitionError, match="can't be read"):
        NumpyFiles().read_acquired(tmp_path / "r.npy", dmd)


def test_every_format_has_a_summary_of_one_line() -> None:
    for kind, cls in kinds("instruments").items():
        assert cls.summary, kind
        assert "\n" not in cls.summary
        assert set(cls.sensing_kinds()) <= set(kinds("sensing")), kind
        assert issubclass(cls, PatternFormat | AcquiredReader), kind
        suffixes = cls.acquired_suffixes if issubclass(cls, AcquiredReader) else ()
        assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in suffixes)
