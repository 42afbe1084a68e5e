"""Twix files, written by twixtools itself: no file of a scanner is at hand."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("twixtools")
pytest.importorskip("ismrmrd")

from builders.ismrmrd_files import images_of, kspace_of, smooth
from builders.plans import make_plan
from builders.twix_files import COILS, COLUMNS, ROWS, block, protocol, sound, write

from acqplan.core.errors import AcquisitionError, ImageError
from acqplan.formats.lookup import for_acquired
from acqplan.images import reading
from acqplan.modalities.mri.formats.twix import Twix, read, recognises
from acqplan.plan.verification import verify


def close(have: npt.NDArray[Any], want: npt.NDArray[Any]) -> None:
    assert have.shape == want.shape
    assert np.abs(have - want).max() <= 2e-5 * np.abs(want).max()


def test_slices_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = smooth(3, COILS, ROWS, COLUMNS)
    path = sound(tmp_path / "meas.dat", images)
    capsys.readouterr()
    assert recognises(path)
    scan = read(path)
    assert capsys.readouterr() == ("", "")
    assert scan.matrix == (COLUMNS, ROWS, 1)
    assert scan.field_of_view_mm == (200, 240, 5)
    assert scan.parameters == {"TR_ms": 30.0, "flip_angle_deg": 15.0}
    assert scan.is_fully_sampled
    for s in range(3):
        close(images_of(scan.kspace(s)[0][:, 0]), images[s])
    assert scan.geometry is not None
    assert scan.geometry.affine[:3, 2] == pytest.approx([0, 0, 6])
    middle = scan.geometry.affine @ [COLUMNS // 2, ROWS // 2, 0, 1]
    assert middle[:3] == pytest.approx([-1, -2, 0])
    raw = reading.read(path)
    assert raw.coil_images is not None
    close(raw.coil_images, images)


def test_partial_fourier_asymmetric_and_reflected(tmp_path: Path) -> None:
    kspace = kspace_of(smooth(COILS, ROWS, COLUMNS))
    blocks = []
    for ky in range(3, ROWS):
        flags = ["REFLECT"] if ky % 2 else []
        data = kspace[:, ky, 2:]
        blocks.append(
            block(
                data[:, ::-1] if flags else data,
                flags,
                Lin=ky - 3,
                CenterLin=ROWS // 2 - 3,
                CenterCol=COLUMNS // 2 - 2,
            )
        )
    path = write(tmp_path / "a.dat", ({"iPEFTLength": ROWS, "iNoOfFourierColumns": COLUMNS}, protocol(), blocks))
    grid, counts = read(path).kspace()
    expected = kspace.copy()
    expected[:, :3], expected[..., :2] = 0, 0
    close(grid[:, 0], expected)
    assert counts[0, :3].tolist() == [0, 0, 0]


def test_noise_scan_of_an_earlier_measurement_whitens(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((COILS, COILS)) + 1j * rng.standard_normal((COILS, COILS))

    def noise(n: int, dwell: float) -> npt.NDArray[Any]:
        white = rng.standard_normal((2, COILS, n))
        return mixing @ (white[0] + 1j * white[1]) / np.sqrt(dwell)

    dwell = "sRXSPEC.alDwellTime[0]"
    adjustment = ({}, protocol(**{dwell: 4000}), [block(noise(4000, 4.0), ["NOISEADJSCAN"])])
    lines = [block(noise(400, 1.0), Lin=ky) for ky in range(ROWS)]
    scan = read(
        write(tmp_path / "a.dat", adjustment, ({}, protocol(**{dwell: 1000, "sKSpace.lBaseResolution": 400}), lines))
    )
    samples = np.moveaxis(scan.lines, 1, 0).reshape(COILS, -1)
    assert np.abs(samples @ samples.conj().T / samples.shape[1] - np.eye(COILS)).max() < 0.1
    assert scan.noise_std == 1


def test_reference_lines_and_what_is_no_line(tmp_path: Path) -> None:
    kspace = kspace_of(smooth(COILS, ROWS, COLUMNS))
    flags = {5: ["PATREFSCAN"], 6: ["PATREFSCAN", "PATREFANDIMASCAN"]}
    blocks = [block(kspace[:, 0] + 9, [junk]) for junk in ("PHASCOR", "RTFEEDBACK", "RETRO_DUMMYSCAN")]
    blocks += [block(kspace[:, ky], flags.get(ky, []), Lin=ky) for ky in range(ROWS)]
    for mode, imaging in ((2, ROWS), (4, ROWS - 1)):
        path = write(tmp_path / f"{mode}.dat", ({}, protocol(**{"sPat.ucRefScanMode": mode}), blocks))
        scan = read(path)
        assert np.flatnonzero(scan.is_calibration).tolist() == [5, 6]
        assert int(scan.is_imaging.sum()) == imaging


def test_three_dimensional_scan(tmp_path: Path) -> None:
    volume = smooth(1, 4, ROWS, COLUMNS)
    kspace = kspace_of(volume, (1, 2, 3))
    blocks = [block(kspace[:, kz, ky], Lin=ky, Par=kz, CenterPar=2) for kz in range(4) for ky in range(ROWS)]
    settings = protocol(**{"sKSpace.ucDimension": 4, "sKSpace.lPartitions": 4})
    scan = read(write(tmp_path / "a.dat", ({}, settings, blocks)))
    assert scan.matrix == (COLUMNS, ROWS, 4)
    close(scan.kspace()[0], kspace)


def test_acquired_with_a_plan(tmp_path: Path) -> None:
    plan = make_plan("lines")
    images = smooth(2, 1, ROWS, COLUMNS)
    path = sound(tmp_path / "meas.dat", images, plan.pattern.order.tolist())
    assert isinstance(for_acquired(path), Twix)
    scan = Twix().read_scan(path, plan)
    assert verify(plan, scan) == []
    close(scan.acquisitions[1].readings, kspace_of(images[1])[:, plan.pattern.order].swapaxes(0, 1))
    with pytest.raises(ImageError, match="undersampled"):
        reading.read(path)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("radial", "isn't Cartesian"),
        ("ramps", "regridded"),
        ("echoes", "2 images of every slice"),
        ("noise channels", "noise scan of 1 channels and data of 2"),
        ("counter", "outside its matrix"),
        ("cut", "cut short"),
        ("no protocol", "no protocol"),
        ("no lines", "no imaging readouts"),
        ("damaged", "damaged readout"),
        ("text", "no twix file"),
        ("no suffix", "has no suffix"),
        ("missing", "can't be opened"),
    ],
)
def test_what_is_refused(case: str, message: str, tmp_path: Path) -> None:
    kspace = kspace_of(smooth(COILS, ROWS, COLUMNS))
    blocks = [block(kspace[:, ky], Lin=ky) for ky in range(ROWS)]
    meas: dict[str, Any] = {"iPEFTLength": ROWS}
    settings = protocol()
    path = tmp_path / ("meas" if case == "no suffix" else "meas.dat")
    match case:
        case "radial":
            settings["sKSpace.ucTrajectory"] = 2
        case "ramps":
            meas["alRegridMode"] = 2
        case "echoes":
            blocks[3].mdh.Counter.Eco = 1
        case "noise channels":
            blocks.insert(0, block(kspace[:1, 0], ["NOISEADJSCAN"]))
        case "counter":
            blocks[3].mdh.Counter.Lin = ROWS
        case "no protocol":
            settings = {}
        case "no lines":
            blocks = [block(kspace[:, 0], ["PHASCOR"])]
        case "damaged":
            blocks[3].add_flag("SYNCDATA")
            blocks[3].mdh.FlagsAndDMALength = 0
    write(path, (meas, settings, [each for each in blocks if case != "damaged" or each is not blocks[3]]))
    match case:
        case "damaged":
            content = bytearray(path.read_bytes())
            start = content.index(bytes(blocks[4].mdh)[44:60]) - 44
            content[start : start + 4] = bytes(4)
            content[start + 40] |= 1 << 5
            path.write_bytes(content)
        case "cut":
            path.write_bytes(path.read_bytes()[:-2000])
        case "text":
            path.write_text("frame,value\n" * 2000)
        case "missing":
            path.unlink()
    with pytest.raises(AcquisitionError, match=message):
        read(path)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # twixtools leaves the file open
def test_damaged_files_end_in_an_error_or_are_read(tmp_path: Path) -> None:
    path = sound(tmp_path / "a.dat", smooth(1, 1, ROWS, COLUMNS))
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    used = np.flatnonzero(np.frombuffer(content, np.uint8))
    for _ in range(150):
        data = bytearray(content)
        for place in rng.choice(used, size=3):
            data[place] = int(rng.integers(256))
        path.write_bytes(bytes(data))
        recognises(path)
        try:
            read(path)
        except AcquisitionError:
            continue


def test_a_measurement_beyond_any_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "meas.dat"
    path.write_bytes(struct.pack("<II8xQQ", 0, 1, 2**63, 0).ljust(700, b"\0"))
    assert not recognises(path)


def test_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sound(tmp_path / "a.dat", smooth(1, 1, ROWS, COLUMNS))
    monkeypatch.setitem(__import__("sys").modules, "twixtools", None)
    with pytest.raises(AcquisitionError, match=r'twixtools, which.*pip install "acqplan\[mri\]"'):
        read(path)
