"""Laws that every registered instrument format obeys, for every sensing model that it can take."""

from __future__ import annotations

import contextlib
import errno
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.acquisitions import make_acquisition
from builders.instruments import make_instrument, takes_acquired
from builders.plans import make_plan
from builders.sensing import MODELS, random_image

from acqplan.core.errors import AcqplanError, AcquisitionError, InstrumentError, OutputError, PatternMismatch
from acqplan.core.registry import kinds
from acqplan.formats.contracts import AcquiredWriter, FileFormat, PatternFormat
from acqplan.formats.export import MANIFEST, export
from acqplan.formats.lookup import for_acquired
from acqplan.formats.save import save_acquired
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition
from acqplan.sensing.measurement import coefficients_of


def pairs(needs: str) -> list[Any]:
    """(kind, case) for every format that exports (or takes acquired data) and every sensing model that it takes."""
    return [
        pytest.param(kind, case, id=f"{kind}-{case}")
        for kind, cls in kinds("instruments").items()
        for case, (sensing, _) in MODELS.items()
        if sensing in cls.sensing_kinds() and issubclass(cls, PatternFormat if needs == "exports" else AcquiredWriter)
    ]


def one_each(needs: str) -> list[Any]:
    """Every format once; those that take several sensing models share them out."""
    found: dict[str, list[Any]] = {}
    for pair in pairs(needs):
        found.setdefault(pair.values[0], []).append(pair)
    return [own[number % len(own)] for number, own in enumerate(found.values())]


def exported(kind: str, case: str, folder: Path) -> tuple[FileFormat, Plan]:
    instrument, plan = make_instrument(kind), make_plan(case)
    if problems := instrument.check(plan):
        pytest.skip(" ".join(problems))
    export(plan, instrument, folder)
    return instrument, plan


def some_files(folder: Path) -> list[Path]:
    """The files of an export; of each kind that there are many of (numbered frames), the first, a middle, the last."""
    alike: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        alike.setdefault(re.sub(r"\d+", "#", path.name), []).append(path)
    return [files[place] for files in alike.values() for place in sorted({0, len(files) // 2, len(files) - 1})]


def acquired(kind: str, case: str, folder: Path) -> list[tuple[FileFormat, Plan, Path]]:
    """Acquired data in every suffix of a format."""
    instrument, plan = make_instrument(kind), make_plan(case)
    paths = [folder / f"acquired-{suffix[1:]}{suffix}" for suffix in instrument.acquired_suffixes]
    for path in paths:
        save_acquired(instrument, make_acquisition(plan), plan, path)
    return [(instrument, plan, path) for path in paths]


@pytest.mark.parametrize(("kind", "case"), pairs("exports"))
def test_export_reads_back_bit_for_bit(kind: str, case: str, tmp_path: Path) -> None:
    instrument, plan = exported(kind, case, tmp_path / "out")
    back = type(instrument)().read(tmp_path / "out")  # the options are in the files
    assert np.array_equal(back.pattern.order, plan.pattern.order)
    assert np.array_equal(back.pattern.calibration, plan.pattern.calibration)
    assert back.pattern == plan.pattern
    assert back.plan_id == plan.plan_id


@pytest.mark.parametrize(("kind", "case"), one_each("exports"))
def test_two_exports_are_the_same_and_other_patterns_differ(kind: str, case: str, tmp_path: Path) -> None:
    instrument, plan = exported(kind, case, tmp_path / "first")
    export(plan, instrument, tmp_path / "second")
    export(make_plan(case, seed=1), instrument, tmp_path / "other")
    assert instrument.read(tmp_path / "first").pattern == instrument.read(tmp_path / "second").pattern
    assert instrument.read(tmp_path / "first").pattern != instrument.read(tmp_path / "other").pattern


@pytest.mark.parametrize(("kind", "case"), one_each("exports"))
def test_files_of_another_export_are_refused(kind: str, case: str, tmp_path: Path) -> None:
    instrument, _ = exported(kind, case, tmp_path / "out")
    export(make_plan(case, seed=1), instrument, tmp_path / "other")
    shutil.copy(tmp_path / "other" / MANIFEST, tmp_path / "out" / MANIFEST)
    with pytest.raises(InstrumentError):
        instrument.read(tmp_path / "out")


@pytest.mark.parametrize(("kind", "case"), one_each("exports"))
def test_existing_folder_is_refused_and_replaced_only_on_demand(kind: str, case: str, tmp_path: Path) -> None:
    instrument, plan = exported(kind, case, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    other = make_plan(case, seed=1)
    with pytest.raises(OutputError, match="exists already"):
        export(other, instrument, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    export(other, instrument, tmp_path / "out", overwrite=True)
    assert instrument.read(tmp_path / "out").pattern == other.pattern != plan.pattern


@pytest.mark.parametrize("step", ["write", "read"])
@pytest.mark.parametrize(("kind", "case"), one_each("exports"))
def test_failed_export_leaves_nothing(
    kind: str, case: str, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instrument, plan = make_instrument(kind), make_plan(case)
    original = getattr(instrument, step)

    def fails(*arguments: Any) -> None:
        original(*arguments)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(instrument, step, fails)
    with pytest.raises(OutputError, match="No space left"):
        export(plan, instrument, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "case"), pairs("exports"))
def test_every_exported_file_is_needed_and_read(kind: str, case: str, tmp_path: Path) -> None:
    instrument, _ = exported(kind, case, tmp_path / "out")
    for path in some_files(tmp_path / "out"):
        content = path.read_bytes()
        path.write_bytes(b"")
        with pytest.raises(InstrumentError):
            instrument.read(tmp_path / "out")
        path.unlink()
        with pytest.raises(InstrumentError):
            instrument.read(tmp_path / "out")
        path.write_bytes(content)
    instrument.read(tmp_path / "out")


@pytest.mark.parametrize(("kind", "case"), one_each("exports"))
def test_damaged_export_never_reads_as_another_pattern(kind: str, case: str, tmp_path: Path) -> None:
    instrument, plan = exported(kind, case, tmp_path / "out")
    rng = np.random.default_rng(0)
    for path in some_files(tmp_path / "out"):
        content = path.read_bytes()
        for damaged in [content[: len(content) // 2], content[:-2], *(_mutated(content, rng) for _ in range(12))]:
            path.write_bytes(damaged)
            try:
                pattern = instrument.read(tmp_path / "out").pattern
            except InstrumentError:
                continue
            assert pattern == plan.pattern
        path.write_bytes(content)


@pytest.mark.parametrize(("kind", "case"), one_each("exports"))
def test_manifest_tells_of_the_plan(kind: str, case: str, tmp_path: Path) -> None:
    _, plan = exported(kind, case, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert manifest["format"] == kind
    assert manifest["plan_id"] == plan.plan_id
    assert manifest["pattern_digest"] == plan.pattern.digest
    assert manifest["n_readings"] == plan.pattern.n_readings


@pytest.mark.parametrize(("kind", "case"), pairs("exports"))
def test_played_files_give_the_readings_of_the_sensing_model(kind: str, case: str, tmp_path: Path) -> None:
    instrument, plan = exported(kind, case, tmp_path / "out")
    played = instrument.play(tmp_path / "out", plan.sensing, random_image(plan.sensing, 1))
    expected = torch.as_tensor(make_acquisition(plan).readings)
    assert played.shape == expected.shape
    assert played.dtype == plan.sensing.reading_dtype
    assert (played - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize(("kind", "case"), one_each("exports"))
def test_other_image_size_is_not_played(kind: str, case: str, tmp_path: Path) -> None:
    instrument, plan = exported(kind, case, tmp_path / "out")
    with pytest.raises(InstrumentError, match="image"):
        instrument.play(tmp_path / "out", plan.sensing, torch.zeros(3, 4))


@pytest.mark.parametrize("kind", kinds("instruments"))
def test_plans_of_other_modalities_are_refused(kind: str, tmp_path: Path) -> None:
    instrument = make_instrument(kind)
    for case, (sensing, _) in MODELS.items():
        if sensing not in instrument.sensing_kinds():
            plan = make_plan(case)
            with pytest.raises(InstrumentError, match="can't hold"):
                export(plan, instrument, tmp_path / "out")
            with pytest.raises(InstrumentError, match="can't hold"):
                save_acquired(instrument, make_acquisition(plan), plan, tmp_path / "acquired.h5")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "case"), pairs("acquired"))
def test_acquired_data_come_back(kind: str, case: str, tmp_path: Path) -> None:
    """As coefficients, since a format on a grid can hold only the average of repeats."""
    for instrument, plan, path in acquired(kind, case, tmp_path) if takes_acquired(kind, case) else []:
        back = instrument.read_acquired(path, plan)
        plan.check_acquisition(back, assume_plan=back.pattern_digest is None and back.order is None)
        expected, _ = coefficients_of(make_acquisition(plan), plan.pattern, plan.sensing)
        coefficients, _ = coefficients_of(back, plan.pattern, plan.sensing)
        assert (coefficients - expected).abs().max() <= 1e-6 * expected.abs().max()
        assert back.pattern_digest in (None, plan.pattern.digest)
        found = for_acquired(path).read_acquired(path, plan)
        assert np.array_equal(found.readings, back.readings)


@pytest.mark.parametrize(("kind", "case"), one_each("acquired"))
def test_data_of_another_pattern_are_refused(kind: str, case: str, tmp_path: Path) -> None:
    other = make_plan(case, seed=1)
    for instrument, _, path in acquired(kind, case, tmp_path) if takes_acquired(kind, case) else []:
        with pytest.raises(PatternMismatch):
            other.reconstruct(instrument.read_acquired(path, other))


@pytest.mark.parametrize(("kind", "case"), one_each("acquired"))
def test_existing_data_are_replaced_only_on_demand(kind: str, case: str, tmp_path: Path) -> None:
    for instrument, plan, path in acquired(kind, case, tmp_path) if takes_acquired(kind, case) else []:
        for file in [path, *(each for each in instrument.companions(path) if each.exists())]:
            content = file.read_bytes()
            with pytest.raises(OutputError, match="exists already"):
                save_acquired(instrument, make_acquisition(plan), plan, path)
            assert file.read_bytes() == content
        save_acquired(instrument, make_acquisition(plan), plan, path, overwrite=True)
        instrument.read_acquired(path, plan)


@pytest.mark.parametrize(("kind", "case"), one_each("acquired"))
def test_failed_save_leaves_nothing(kind: str, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instrument, plan = make_instrument(kind), make_plan(case)
    original = instrument.write_acquired

    def fails(*arguments: Any) -> None:
        original(*arguments)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(instrument, "write_acquired", fails)
    for suffix in instrument.acquired_suffixes if takes_acquired(kind, case) else ():
        with pytest.raises(OutputError, match="No space left"):
            save_acquired(instrument, make_acquisition(plan), plan, tmp_path / f"acquired{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "case"), one_each("acquired"))
def test_damaged_data_end_in_an_acquisition_error_or_are_read(kind: str, case: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for instrument, plan, path in acquired(kind, case, tmp_path) if takes_acquired(kind, case) else []:
        for file in [path, *(each for each in instrument.companions(path) if each.exists())]:
            content = file.read_bytes()
            cut = [content[: int(part * len(content))] for part in (0, 0.1, 0.5, 0.9)]
            foreign = [b"\x80\x04\x95hello", b"no data at all\n", b"PK\x03\x04", rng.bytes(500)]
            for damaged in [*cut, *foreign, *(_mutated(content, rng) for _ in range(30))]:
                file.write_bytes(damaged)
                with contextlib.suppress(AcquisitionError):
                    assert isinstance(instrument.read_acquired(path, plan), Acquisition)
                assert for_acquired(path)
            for damaged in foreign:
                file.write_bytes(damaged)
                with pytest.raises(AcquisitionError):
                    instrument.read_acquired(path, plan)
            file.unlink()
            with pytest.raises(AcquisitionError):
                instrument.read_acquired(path, plan)
            file.write_bytes(content)


@pytest.mark.parametrize(("kind", "case"), one_each("acquired"))
def test_data_that_are_not_finite_are_refused(kind: str, case: str, tmp_path: Path) -> None:
    instrument, plan = make_instrument(kind), make_plan(case)
    acquisition = make_acquisition(plan)
    acquisition.readings[3] = np.nan
    for suffix in instrument.acquired_suffixes if takes_acquired(kind, case) else ():
        path = tmp_path / f"acquired{suffix}"
        save_acquired(instrument, acquisition, plan, path)
        with pytest.raises(AcqplanError, match="NaN"):
            plan.reconstruct(instrument.read_acquired(path, plan), assume_plan=True)


def _mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes changed, removed or inserted."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(len(data)))
        match int(rng.integers(4)):
            case 0:
                data[place] ^= 1 << int(rng.integers(8))
            case 1:
                data[place] = int(rng.integers(256))
            case 2:
                del data[place]
            case _:
                data.insert(place, int(rng.integers(256)))
    return bytes(data)
