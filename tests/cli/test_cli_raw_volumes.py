"""Raw data as people have them: BART names without suffix, extra and missing lines, ISMRMRD volumes, mixed folders."""

import json

import numpy as np
import pytest
import torch
from builders.images import blobs

from acqplan.core.errors import PatternMismatch
from acqplan.core.math.transforms import fft_centred
from acqplan.modalities.mri.coils import simulated_maps
from acqplan.plan.plan import Plan
from acqplan.workflow.inputs import scan_of


def cfl(path):
    sizes = [int(n) for n in path.with_suffix(".hdr").read_text().splitlines()[1].split()]
    return np.fromfile(path, "<c8").reshape(sizes, order="F")


def save_cfl(path, values, like):
    path.write_bytes(values.astype("<c8").tobytes(order="F"))
    path.with_suffix(".hdr").write_bytes(like.with_suffix(".hdr").read_bytes())


@pytest.fixture
def bart(run, lines, scans, tmp_path):
    path = tmp_path / "scan.cfl"
    assert run("simulate", lines, scans / "subject0.nii.gz", "-o", path).code == 0
    return path


def test_bart_data_of_more_lines_than_planned_are_taken_with_use_planned(run, lines, bart, tmp_path):
    full, values = tmp_path / "full.cfl", cfl(bart)
    values[:, ~Plan.load(lines).pattern.mask] = 0.01
    save_cfl(full, values, bart)
    refusal = run("reconstruct", lines, full, "-o", tmp_path / "no.npy")
    assert refusal.code == 2
    assert "--use-planned" in refusal.err
    for acquired, image, words in ((full, "a.npy", ("--use-planned",)), (bart, "b.npy", ())):
        assert run("reconstruct", lines, acquired, "-o", tmp_path / image, *words).code == 0
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))


def test_a_bart_name_without_suffix_is_found(run, lines, bart, tmp_path):
    assert run("reconstruct", lines, bart.with_suffix(""), "-o", tmp_path / "a.npy").code == 0
    assert run("verify", lines, tmp_path / "nothing-there").code == 2


@pytest.mark.parametrize("kind", ["lines", "points"])
@pytest.mark.parametrize("coils", [1, 3])
def test_a_simulated_volume_is_written_as_ismrmrd_and_comes_back(run, plans, kind, coils, scans, tmp_path):
    plan = plans / f"{kind}.acqplan"
    for name in ("scan.h5", "scan.mrd"):
        words = (
            "simulate",
            plan,
            scans / "subject0.nii.gz",
            "--slices",
            "all",
            "--coils",
            coils,
            "-o",
            tmp_path / name,
        )
        made = run(*words)
        assert made.code == 0, made
    expected, found = (scan_of(Plan.load(plan), tmp_path / name) for name in ("scan.h5", "scan.mrd"))
    assert len(found.acquisitions) == len(expected.acquisitions) > 1
    np.testing.assert_allclose(found.geometry.affine, expected.geometry.affine, atol=1e-3)
    for back, sent in zip(found.acquisitions, expected.acquisitions, strict=True):
        assert np.array_equal(back.order, sent.order)
        assert back.pattern_digest == sent.pattern_digest
        np.testing.assert_allclose(back.readings, sent.readings, atol=1e-5)
    verified = run("verify", plan, tmp_path / "scan.mrd", "--json")
    assert not [
        each for each in json.loads(verified.out) if each["subject"] in ("pattern", "order", "readout", "matrix")
    ]


def test_other_positions_are_counted(run, points, tmp_path):
    plan = Plan.load(points)
    order = plan.pattern.order.copy()
    others = np.flatnonzero(~plan.pattern.mask)[:20]
    order[:20] = others
    with pytest.raises(PatternMismatch, match=rf"20 aren't in the plan \({others[0]}, .*, …\), and 20 of the plan's"):
        plan._check_units(order, "scan")


def test_mixed_sizes_and_coils_of_raw_data_are_warnings(run, tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    for i, (side, coils) in enumerate([(24, 3), (24, 3), (32, 1), (32, 3)]):
        image = blobs(i, (side, side)) * np.exp(1j * np.linspace(0, 1, side))
        maps = (
            simulated_maps(coils, (side, side), torch.Generator().manual_seed(i)) if coils > 1 else torch.ones(1, 1, 1)
        )
        kspace = fft_centred(torch.from_numpy(image) * maps, (-2, -1)).numpy() + 1e-9
        (folder / f"scan{i}.cfl").write_bytes(kspace.transpose(2, 1, 0).astype("<c8").tobytes(order="F"))
        (folder / f"scan{i}.hdr").write_text(f"# Dimensions\n{side} {side} 1 {coils}\n")
    words = ("design", "mri", "--images", folder, "--budget", "2x", "--pattern", "lines", "--dry-run")
    made = run(*words)
    assert made.code == 0, made
    text = " ".join(made.err.split())
    assert "2 sizes: 24 × 24" in text
    assert "--size" in text
    assert "3 of 4 files hold raw data of 3 coils" in text
    sized = run(*words, "--size", "24x24")
    assert "brought to the smallest sides" not in sized.err
