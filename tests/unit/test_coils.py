"""Coil maps: from the calibration region alone, like BART's and sigpy's; fewer virtual coils; simulated ones."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from acqplan.core.errors import AcquisitionError, RecipeError
from acqplan.core.math.transforms import fft_centred
from acqplan.core.seeding import torch_generator
from acqplan.modalities.mri.coils import (
    drawn_maps,
    espirit_maps,
    principal_coils,
    scan_with_maps,
    simulated_maps,
    virtual,
    with_maps,
)
from acqplan.modalities.mri.coils.estimated import calibration_data
from acqplan.modalities.mri.facts import MriFacts
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.sensing.acquisition import Acquisition, Scan
from acqplan.sensing.pattern import Pattern

SHAPE = (48, 40)
N_COILS = 4
Complex = npt.NDArray[np.complex64]
with_sigpy = pytest.mark.skipif(importlib.util.find_spec("sigpy") is None, reason="needs sigpy to compare with")


@dataclass(frozen=True)
class Planned:
    sensing: CartesianMRI
    pattern: Pattern


def body(shape: tuple[int, int] = SHAPE) -> npt.NDArray[np.float64]:
    """A head with a few structures inside; zero outside."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    image = 1.0 * (np.hypot(x / 0.8, y / 0.85) < 1)
    for cy, cx, radius, value in [(0.2, 0.3, 0.25, -0.5), (-0.4, -0.1, 0.2, 0.6), (0.1, -0.4, 0.15, 0.8)]:
        image += value * (np.hypot(x - cx, y - cy) < radius)
    return image


INSIDE = body() > 0


def coil_kspace(maps: Complex, *, noise: float = 0.0, shape: tuple[int, int] = SHAPE) -> Complex:
    """k-space [C, *shape] of the head with a phase of its own."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    image = body(shape) * np.exp(1j * (x + 0.5 * y**2))
    kspace = fft_centred(torch.from_numpy(maps * image), (-2, -1)).numpy()
    random = np.random.default_rng(0)
    white = random.normal(size=kspace.shape) + 1j * random.normal(size=kspace.shape)
    return np.asarray(kspace + noise * white / np.sqrt(2), np.complex64)


def centre(kspace: Complex, width: int, columns: int | None = None) -> Complex:
    top, left = (n // 2 - w // 2 for n, w in zip(kspace.shape[1:], (width, columns or width), strict=True))
    return kspace[:, top : top + width, left : left + (columns or width)]


def true_maps(n_coils: int = N_COILS, seed: int = 0, shape: tuple[int, int] = SHAPE) -> Complex:
    return simulated_maps(n_coils, shape, torch_generator(seed, "maps")).numpy()


def error(maps: Complex, truth: Complex) -> float:
    """Root mean square over the head of the sine of the angle between two sets of maps: blind to phase and size."""
    overlap = np.abs((maps.conj() * truth).sum(0)) / np.linalg.norm(maps, axis=0) / np.linalg.norm(truth, axis=0)
    return float(np.sqrt((1 - np.minimum(overlap[INSIDE], 1) ** 2).mean()))


def planned(encoding: str, width: int, shape: tuple[int, int] = SHAPE) -> Planned:
    sensing = CartesianMRI(shape, encoding)
    region = sensing.calibration_units(width)
    others = np.setdiff1d(np.arange(sensing.n_units), region)[::3]
    order = np.random.default_rng(1).permutation(np.concatenate([region, others]))
    return Planned(sensing, Pattern(order, sensing.n_units, region))


def acquired(plan: Planned, maps: Complex, *, noise: float = 0.002, order: Any = None) -> Acquisition:
    grid = torch.from_numpy(coil_kspace(maps, noise=noise, shape=plan.sensing.image_shape))[None]
    units = plan.sensing.from_grid(grid)[0].numpy()
    order = plan.pattern.order if order is None else np.asarray(order, np.int32)
    return Acquisition(units[order], None, "scan.h5", order)


# --- maps from a calibration region ------------------------------------------------------------


@pytest.mark.parametrize(("width", "limit"), [(8, 0.08), (12, 0.025), (24, 0.015)])
def test_the_maps_are_those_of_the_coils(width: int, limit: float) -> None:
    truth = true_maps()
    maps = espirit_maps(centre(coil_kspace(truth, noise=0.005), width), SHAPE)
    assert maps.dtype == np.complex64
    assert maps.shape == (N_COILS, *SHAPE)
    assert error(maps, truth) < limit
    np.testing.assert_allclose(np.square(np.abs(maps)).sum(0), 1, atol=1e-5)  # also where there is no signal


def test_nothing_but_the_calibration_region_is_used() -> None:
    plan, truth = planned("points", 12), true_maps()
    acquisition = acquired(plan, truth)
    outside = ~np.isin(plan.pattern.order, plan.pattern.calibration)
    changed = acquisition.readings.copy()
    # One unit more in the ring around it would widen the region: whatever is there now isn't looked at.
    changed[outside] = 1e3
    maps = with_maps(acquisition, plan).coil_maps
    assert maps is not None
    assert np.array_equal(maps, with_maps(replace(acquisition, readings=changed), plan).coil_maps)
    changed[~outside] *= np.exp(1j * np.arange(N_COILS))
    assert not np.array_equal(maps, with_maps(replace(acquisition, readings=changed), plan).coil_maps)


@with_sigpy
@pytest.mark.parametrize("shape", [(48, 40), (33, 45)])
def test_the_same_as_sigpy_itself(shape: tuple[int, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sigpy.mri.app import EspiritCalib
    kspace = coil_kspace(true_maps(shape=shape), noise=0.002, shape=shape)
    theirs = EspiritCalib(kspace, calib_width=16, kernel_width=5, crop=0.8, show_pbar=False).run()
    ours = espirit_maps(centre(kspace, 16), shape)
    kept = (np.linalg.norm(theirs, axis=0) > 0) & (body(shape) > 0)  # elsewhere they change within a pixel
    assert kept.mean() > 0.3
    overlap = np.abs((theirs.conj() * ours).sum(0))[kept]
    assert overlap.min() > 0.9999


def test_the_same_subspace_as_barts(tmp_path: Path) -> None:
    if shutil.which("bart") is None:
        pytest.skip("needs BART")
    kspace = coil_kspace(true_maps(), noise=0.002)
    write_cfl(tmp_path / "kspace", kspace.transpose(1, 2, 0)[None])
    command = ["bart", "ecalib", "-m1", "-r16", "-k5", "-c0.8", "kspace", "maps"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    theirs = np.fromfile(tmp_path / "maps.cfl", "<c8").reshape((*SHAPE, N_COILS), order="F").transpose(2, 0, 1)
    ours = espirit_maps(centre(kspace, 16), SHAPE)
    kept = (np.linalg.norm(theirs, axis=0) > 0) & INSIDE
    assert kept.sum() > 0.95 * INSIDE.sum()
    overlap = np.abs((theirs.conj() * ours).sum(0)) / np.maximum(np.linalg.norm(theirs, axis=0), 1e-9)
    assert np.quantile(overlap[kept], 0.01) > 0.999
    # BART's phase reference is the first principal coil too.
    relative = np.angle((theirs.conj() * ours).sum(0)[kept])
    assert np.abs(np.exp(1j * relative).mean()) > 0.99


def write_cfl(path: Path, values: Complex) -> None:
    path.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(map(str, values.shape)) + "\n")
    values.astype("<c8").ravel(order="F").tofile(path.with_suffix(".cfl"))


def test_maps_are_interpolated_between_computed_positions() -> None:
    """A large image's maps, every second position, are those of the small one."""
    truth = true_maps(shape=(64, 64))
    kspace = centre(coil_kspace(truth, noise=0.002, shape=(64, 64)), 12)
    small, large = espirit_maps(kspace, (64, 64)), espirit_maps(kspace, (128, 128))
    np.testing.assert_allclose(large[:, ::2, ::2], small, atol=1e-4)
    odd = espirit_maps(kspace, (129, 192))
    np.testing.assert_allclose(odd[:, 64, ::3], small[:, 32], atol=1e-4)


def test_the_phase_reference_is_the_first_principal_coil() -> None:
    kspace = coil_kspace(true_maps(), noise=0.002)
    data = centre(kspace, 12)
    first = principal_coils(data).basis[:, 0]
    maps = espirit_maps(data, SHAPE)
    seen = np.einsum("c,chw->hw", first.conj(), maps)
    assert np.abs(np.angle(seen[INSIDE])).max() < 1e-3
    # A phase that all coils share, or another order of the coils, changes nothing of the image's phase.
    turned = espirit_maps(data * np.exp(0.7j), SHAPE)
    np.testing.assert_allclose(turned[:, INSIDE], maps[:, INSIDE], atol=1e-4)
    swapped = espirit_maps(data[::-1], SHAPE)[::-1]
    np.testing.assert_allclose(np.abs(swapped[:, INSIDE]), np.abs(maps[:, INSIDE]), atol=1e-3)
    assert np.array_equal(espirit_maps(data, SHAPE), maps)


def test_where_nothing_is_received_the_maps_are_uniform() -> None:
    maps = espirit_maps(np.zeros((3, 12, 12), np.complex64), SHAPE)
    assert np.array_equal(maps, np.broadcast_to(maps[:, :1, :1], maps.shape))
    np.testing.assert_allclose(np.square(np.abs(maps)).sum(0), 1, atol=1e-6)
    deaf = coil_kspace(true_maps())
    deaf[0] = 0  # a coil that isn't plugged in
    maps = espirit_maps(centre(deaf, 12), SHAPE)
    assert np.isfinite(maps).all()
    assert np.abs(maps[0, INSIDE]).max() < 1e-3
    np.testing.assert_allclose(np.square(np.abs(maps)).sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("width", [0, 1, 7])
def test_a_region_too_narrow_is_refused_with_what_it_needs(width: int) -> None:
    with pytest.raises(AcquisitionError, match=rf"is {width} wide; .* at least 8\. .*--calibration 8 or more"):
        espirit_maps(np.ones((2, width, 40), np.complex64), SHAPE)


# --- calibration of acquisitions ---------------------------------------------------------------


@pytest.mark.parametrize(("encoding", "shape"), [("lines", (10, 5)), ("points", (9, 12))])
def test_calibration_data_are_the_centre_of_k_space(encoding: str, shape: tuple[int, int]) -> None:
    plan = planned(encoding, 5, shape)
    kspace = coil_kspace(true_maps(shape=shape), shape=shape)
    columns = shape[1] if encoding == "lines" else 5
    order = np.concatenate([plan.pattern.order, plan.pattern.order[:3]])  # some are repeated
    data = calibration_data(acquired(plan, true_maps(shape=shape), noise=0, order=order), plan.sensing, plan.pattern)
    assert data.shape[1] >= 5
    np.testing.assert_allclose(centre(data, 5, columns), centre(kspace, 5, columns), atol=1e-5)


def test_repeats_are_averaged_and_missing_units_narrow_the_region() -> None:
    plan = planned("points", 9)
    acquisition = acquired(plan, true_maps())
    twice = replace(
        acquisition,
        order=np.concatenate([acquisition.order, acquisition.order]),
        readings=np.concatenate([acquisition.readings * 0.5, acquisition.readings * 1.5]),
    )
    whole = calibration_data(acquisition, plan.sensing, plan.pattern)
    assert whole.shape == (N_COILS, 9, 9)
    np.testing.assert_allclose(calibration_data(twice, plan.sensing, plan.pattern), whole, atol=1e-5)
    corner = plan.sensing.calibration_units(9)[-1]
    there = acquisition.order != corner
    part = replace(acquisition, order=acquisition.order[there], readings=acquisition.readings[there])
    assert calibration_data(part, plan.sensing, plan.pattern).shape == (N_COILS, 8, 8)
    edge = acquisition.order != plan.sensing.calibration_units(8)[0]
    part = replace(acquisition, order=acquisition.order[edge], readings=acquisition.readings[edge])
    with pytest.raises(AcquisitionError, match=r"scan\.h5 has several coils, .* centre of points is 7 wide"):
        with_maps(part, plan)


@pytest.mark.parametrize("encoding", ["lines", "points"])
def test_an_acquisition_gets_maps_that_combine_its_coils(encoding: str) -> None:
    plan, truth = planned(encoding, 12), true_maps()
    result = with_maps(acquired(plan, truth), plan)
    assert result.coil_maps is not None
    assert error(result.coil_maps, truth) < 0.03
    fewer = with_maps(acquired(plan, truth), plan, n_virtual=3)
    assert fewer.readings.shape[1] == 3
    assert fewer.coil_maps is not None
    assert fewer.coil_maps.shape == (3, *SHAPE)
    everything = np.linalg.norm(result.readings)
    assert 0.95 * everything < np.linalg.norm(fewer.readings) <= everything * (1 + 1e-6)
    share = with_maps(acquired(plan, truth), plan, n_virtual=0.9)
    assert 1 <= share.readings.shape[1] <= 3


def test_maps_that_are_there_and_single_coils_stay_as_they_are() -> None:
    plan, truth = planned("points", 12), true_maps()
    given = replace(acquired(plan, truth), coil_maps=truth)
    assert with_maps(given, plan) is given
    one = acquired(plan, true_maps(1))
    assert with_maps(one, plan) is one
    broken = replace(given, coil_maps=None, readings=np.full_like(given.readings, np.nan))
    assert with_maps(broken, plan) is broken  # the checks of readings say what is wrong


class Lazy(Sequence[Acquisition]):
    """Slices that are made when they are asked for."""

    def __init__(self, slices: list[Acquisition]) -> None:
        self.slices, self.asked = slices, 0

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, index: Any) -> Any:
        self.asked += 1
        return self.slices[index]


def test_a_scan_is_calibrated_lazily_with_one_phase_reference() -> None:
    plan, truth = planned("points", 12), true_maps()
    slices = Lazy([acquired(plan, truth), acquired(plan, truth * np.complex64(1j)), acquired(plan, true_maps(seed=1))])
    scan = Scan(slices, "scan.h5", facts=MriFacts(channels=N_COILS))
    result = scan_with_maps(scan, plan)
    assert slices.asked == 0
    assert len(result.acquisitions) == 3
    assert result.facts == scan.facts
    maps = [each.coil_maps for each in result.acquisitions]
    assert slices.asked <= 2 * 3 + 1  # once for the reference, once each
    assert maps[0] is not None
    assert maps[1] is not None
    np.testing.assert_allclose(maps[1][:, INSIDE], maps[0][:, INSIDE], atol=5e-3)  # other noise
    assert result.acquisitions[-1].coil_maps is not None
    assert [each.readings.shape for each in result.acquisitions[1:]] == [slices[1].readings.shape] * 2
    compressed = scan_with_maps(scan, plan, n_virtual=2).acquisitions
    first = compressed[0].readings
    same = principal_coils(
        np.concatenate([calibration_data(s, plan.sensing, plan.pattern) for s in slices.slices], axis=1)
    )
    np.testing.assert_allclose(first, virtual(slices[0].readings, same.first(2), 1), atol=1e-5)


@pytest.mark.parametrize("n_virtual", [0, -1, 0.0, 1.5])
def test_impossible_numbers_of_virtual_coils_are_refused(n_virtual: float) -> None:
    plan = planned("points", 12)
    with pytest.raises(RecipeError, match="irtual coils"):
        scan_with_maps(Scan([acquired(plan, true_maps())], "scan.h5"), plan, n_virtual=n_virtual)


# --- compression -------------------------------------------------------------------------------


def test_principal_coils_are_the_singular_vectors() -> None:
    random = np.random.default_rng(2)
    samples = (random.normal(size=(5, 30)) + 1j * random.normal(size=(5, 30))) * np.arange(1, 6)[:, None]
    found = principal_coils(samples)
    left, values, _ = np.linalg.svd(samples, full_matrices=False)
    np.testing.assert_allclose(found.energy, values**2 / (values**2).sum(), rtol=1e-6)
    np.testing.assert_allclose(np.abs((left.conj() * found.basis).sum(0)), 1, atol=1e-5)
    np.testing.assert_allclose(found.basis.conj().T @ found.basis, np.eye(5), atol=1e-6)
    largest = found.basis[np.abs(found.basis).argmax(0), np.arange(5)]
    assert (largest.real > 0).all()
    assert np.abs(largest.imag).max() < 1e-6
    two = virtual(samples, found.first(2))
    assert np.square(np.abs(two)).sum() == pytest.approx((values[:2] ** 2).sum(), rel=1e-5)
    for share in (0.3, 0.8, 0.95, 1.0):
        n = found.first(share).shape[1]
        assert found.energy[:n].sum() >= share - 1e-9
        assert found.energy[: n - 1].sum() < share
    assert found.first(9).shape == (5, 5)
    assert principal_coils(np.zeros((3, 4), np.complex64)).energy.sum() == pytest.approx(1)


# --- simulated coils -----------------------------------------------------------------------------


@pytest.mark.parametrize(("n_coils", "shape"), [(1, (16, 16)), (2, (33, 20)), (8, (64, 48))])
def test_simulated_maps_are_normalised_smooth_and_repeatable(n_coils: int, shape: tuple[int, int]) -> None:
    state = torch.get_rng_state()
    generator = torch_generator(3, "maps")
    maps = simulated_maps(n_coils, shape, generator)
    assert (maps.shape, maps.dtype) == ((n_coils, *shape), torch.complex64)
    torch.testing.assert_close(maps.abs().square().sum(0), torch.ones(shape), atol=1e-5, rtol=0)
    assert not torch.equal(simulated_maps(n_coils, shape, generator), maps)
    assert torch.equal(simulated_maps(n_coils, shape, torch_generator(3, "maps")), maps)
    assert torch.equal(torch.get_rng_state(), state)
    for axis, n in zip((1, 2), shape, strict=True):
        assert float(maps.diff(dim=axis).abs().max()) < 16 / n  # per pixel


def test_simulated_coils_see_different_places() -> None:
    strengths, overlaps = [], []
    for seed in range(20):
        maps = true_maps(8, seed)
        magnitude = np.abs(maps)
        strengths.append(magnitude.max((1, 2)).min())
        flat = maps.reshape(8, -1)
        flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
        overlaps.append(np.abs(flat @ flat.conj().T - np.eye(8)).max())
        places = [np.unravel_index(each.argmax(), SHAPE) for each in magnitude]
        assert len(set(places)) >= 6
    assert min(strengths) > 0.4  # each is the strongest, or nearly, somewhere
    assert max(overlaps) < 0.9


# --- coils of a scan to come ---------------------------------------------------------------------


def test_drawn_coils_are_loops_or_the_principal_ones_of_more() -> None:
    image = torch.from_numpy(body().astype(np.complex64))
    shares = []
    for seed in range(40):
        maps = drawn_maps(4, image, torch_generator(seed, "maps"))
        assert maps.shape == (4, *SHAPE)
        np.testing.assert_allclose(maps.abs().square().sum(0).numpy(), 1, atol=1e-4)
        received = (maps * image).flatten(1)
        gram = (received @ received.mH) / received.abs().square().sum()
        is_ordered = bool((gram.diagonal().real.diff() <= 0).all())
        shares.append(is_ordered and float((gram - torch.diag(gram.diagonal())).abs().max()) < 0.1)
        same = drawn_maps(4, image, torch_generator(seed, "maps"))
        assert torch.equal(maps, same)
    assert 10 < sum(shares) < 30  # ordered by energy, and nearly uncorrelated: compressed
    assert torch.equal(drawn_maps(1, image, torch_generator(0, "maps")), torch.ones(1, *SHAPE, dtype=torch.complex64))


@pytest.mark.parametrize("shape", [(10, 7), (9, 9)])
@pytest.mark.parametrize("encoding", ["lines", "points"])
def test_the_measured_width_is_that_of_the_widest_whole_centre(encoding: str, shape: tuple[int, int]) -> None:
    sensing = CartesianMRI(shape, encoding)
    side = min(sensing.grid_shape)
    everything = np.arange(sensing.n_units)
    assert sensing.measured_width(everything) == side
    assert sensing.measured_width(everything[:0]) == 0
    for width in range(1, side + 1):
        assert sensing.measured_width(sensing.calibration_units(width)) == width
        for unit in sensing.calibration_units(width)[[0, -1]]:
            assert sensing.measured_width(np.setdiff1d(everything, [unit])) < width
