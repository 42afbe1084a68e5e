"""Objective reached by acqplan's classical reconstructors, BART's ``pics`` and sigpy on the same data.

    python benchmarks/classical_solvers.py --size 128 --acceleration 4

A brain slice with a smooth phase, variable-density points, noise of 0.01; one coil, and six simulated ones. The
number is F(x) = Σ|Ax − y|² + w·rms·‖Ψx‖₁ + τ·rms·TV(x) of each final image, evaluated by the same code, and how far
it is above the lowest.

sigpy minimises exactly F, given acqplan's Ψ (db4, periodic) and gradient as operators: its own wavelets pad with
zeros, its own total variation is anisotropic. BART has ½Σ|Ax − y|², so it is given half the weights, ``-w 1`` (no
scaling of the data) and for wavelets ``-n`` (no shifts). Its total variation is isotropic like ours, but of backward
and periodic differences (measured: version 0.8.00), which on this image differ by 1.5 % from forward ones. So it is
given the mirrored problem, and the column ``periodic`` is F with periodic forward differences. Its wavelets are
others (Daubechies' 2-moment filters): with them it minimises something else, and its F says nothing about its solver.

Needs ``pip install sigpy`` and BART on the path; what is missing is left out.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.math.metrics import psnr
from acqplan.core.math.total_variation import divergence, gradient, magnitude, total_variation
from acqplan.core.math.wavelets import inverse_wavelet_transform, wavelet_transform
from acqplan.designers.designer import DesignProblem
from acqplan.designers.variable_density import VariableDensity
from acqplan.images.load import load_stacks
from acqplan.images.resample import fit
from acqplan.modalities.mri.noise import ComplexGaussian
from acqplan.modalities.mri.phase import smooth_phase, with_phase
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.reconstructors.classical import misfit
from acqplan.reconstructors.hqs import HQS
from acqplan.reconstructors.reconstructor import image_scale
from acqplan.reconstructors.sparsity import detail_norm
from acqplan.reconstructors.tv import TV
from acqplan.reconstructors.wavelet import Wavelet
from acqplan.sensing.budget import Budget
from acqplan.sensing.measurement import measure

try:
    import sigpy
    import sigpy.mri
except ImportError:
    sigpy = None

Complex = npt.NDArray[np.complex64]
LEVELS = 3
N_COILS = 6
WEIGHTS = {"wavelets": (0.01, 0.0), "total variation": (0.0, 0.01), "both": (0.002, 0.005)}  # w, τ


class Problem:
    """One set of data: image, coefficients, counts, sensing and the scale that the weights are relative to."""

    def __init__(self, size: int, acceleration: float, n_coils: int) -> None:
        generator = torch.Generator().manual_seed(0)
        stack = fit(load_stacks(["sample:brain"], slices=(90, 91))[0], (size, size))
        magnitudes = torch.from_numpy(np.abs(stack.images).astype(np.float32))
        phase = smooth_phase(1, (size, size), generator)
        image = with_phase(magnitudes / magnitudes.amax(), phase)
        maps = None if n_coils == 1 else simulated_maps(n_coils, size)
        self.sensing = CartesianMRI((size, size), "points", maps)
        self.maps: Complex = np.ones((1, size, size), np.complex64) if maps is None else maps
        calibration = self.sensing.calibration_units(size // 16)
        budget = Budget(round(size**2 / acceleration), size**2, calibration.size)
        designer = VariableDensity(DesignProblem(self.sensing, budget, calibration, np.ones(size**2)))
        pattern = designer.pattern
        self.truth = image[0].numpy()
        self.counts = torch.from_numpy(pattern.counts.astype(np.float32))[None]
        self.data, _ = measure(image, self.counts, self.sensing, ComplexGaussian(0.01), generator)
        self.scale = float(image_scale(self.sensing.adjoint(self.data)))

    def objective(self, image: Complex, w: float, tau: float, *, periodic: bool = False) -> float:
        x = torch.from_numpy(np.ascontiguousarray(image, dtype=np.complex64))[None]
        variation = total_variation(x)
        if periodic:
            steps = torch.stack([torch.roll(x, -1, axis) - x for axis in (-2, -1)])
            variation = magnitude(steps).sum((-2, -1))
        sparsity = detail_norm(wavelet_transform(x, LEVELS), LEVELS)
        return float(
            misfit(x, self.data, self.counts, self.sensing) + self.scale * (w * sparsity + tau * variation.double())
        )


def simulated_maps(n_coils: int, size: int) -> Complex:
    """Gaussian sensitivities around the head, each with its own phase; their squares sum to 1."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    maps = []
    for angle in 2 * np.pi * np.arange(n_coils) / n_coils:
        distance = (x - 1.2 * np.cos(angle)) ** 2 + (y - 1.2 * np.sin(angle)) ** 2
        maps.append(np.exp(-distance / 1.5 + 1j * (angle + 0.5 * x * np.cos(angle))))
    stacked = np.stack(maps)
    return (stacked / np.sqrt((np.abs(stacked) ** 2).sum(0))).astype(np.complex64)


# --- acqplan -------------------------------------------------------------------------------------


def acqplan_solvers(w: float, tau: float) -> dict[str, Callable[[Problem], Complex]]:
    """Those that can minimise this objective, as they come but for the weights (and cycle spinning)."""
    kinds: dict[str, Any] = {"acqplan hqs": HQS(w, tau, LEVELS)}
    if not w:
        kinds["acqplan tv"] = TV(tau)
    if not tau:
        kinds["acqplan wavelet, fixed grid"] = Wavelet(w / 2, 500, LEVELS, cycle_spinning=False, tolerance=1e-4)
        kinds["acqplan wavelet, cycle spinning"] = Wavelet(w / 2, 80, LEVELS)
    return {name: lambda p, made=made: made(p.data, p.counts, p.sensing)[0].numpy() for name, made in kinds.items()}


# --- BART ------------------------------------------------------------------------------------------


def write_cfl(path: Path, values: Complex) -> None:
    path.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(map(str, values.shape)) + "\n")
    values.astype("<c8").ravel(order="F").tofile(path.with_suffix(".cfl"))


def mirrored(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """values[…, H, W] with every position x, or frequency, at −x; on a grid centred at n // 2 and for even sides."""
    return np.roll(np.flip(values, (-2, -1)), (1, 1), (-2, -1))


def bart_pics(problem: Problem, *options: str) -> Complex:
    """``bart pics`` of the mirrored problem, mirrored back. BART's axes: 0 readout (1), 1 ky, 2 kz, 3 coil."""
    kspace = mirrored(problem.sensing.to_grid(problem.data)[0].numpy())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cfl(folder / "kspace", np.moveaxis(kspace, 0, -1)[None])
        write_cfl(folder / "maps", np.moveaxis(mirrored(problem.maps), 0, -1)[None])
        pattern = mirrored(problem.counts.reshape(1, *problem.sensing.image_shape).numpy())
        write_cfl(folder / "pattern", pattern.astype(np.complex64))
        command = ["bart", "pics", "-w", "1", *options, "-p", "pattern", "kspace", "maps", "image"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        image = np.fromfile(folder / "image.cfl", "<c8").reshape(problem.sensing.image_shape, order="F")
        return mirrored(image)


def bart_solvers(problem: Problem, w: float, tau: float) -> dict[str, Callable[[Problem], Complex]]:
    regularisers = [["-n", "-R", f"W:6:0:{w * problem.scale / 2:.9g}"]] if w else []
    regularisers += [["-R", f"T:6:0:{tau * problem.scale / 2:.9g}"]] if tau else []
    options = [option for each in regularisers for option in each]
    runs = {f"BART pics, {n} iterations": [*options, "-i", n] for n in ("100", "1000")}
    return {name: lambda p, extra=extra: bart_pics(p, *extra) for name, extra in runs.items()}


# --- sigpy -----------------------------------------------------------------------------------------


def sigpy_solvers(problem: Problem, w: float, tau: float) -> dict[str, Callable[[Problem], Complex]]:
    """`LinearLeastSquares`: FISTA for wavelets alone, the primal–dual method with the gradient."""
    shape = problem.sensing.image_shape
    kspace = problem.sensing.to_grid(problem.data)[0].numpy()
    mask = problem.counts.reshape(shape).numpy()
    linear = sigpy.mri.linop.Sense(problem.maps, weights=mask)
    weights = [part * problem.scale / 2 for part in (w, tau)]
    wavelets = as_linop(
        shape, shape, lambda x: wavelet_transform(x, LEVELS), lambda x: inverse_wavelet_transform(x, LEVELS)
    )
    differences = as_linop(shape, (2, *shape), gradient, lambda field: -divergence(field))

    def shrink_details(threshold: float, spectrum: Complex) -> Complex:
        shrunk = sigpy.soft_thresh(threshold * weights[0], spectrum)
        coarse = tuple(slice(side >> LEVELS) for side in shape)
        shrunk[coarse] = spectrum[coarse]
        return shrunk

    def shrink_lengths(threshold: float, field: Complex) -> Complex:
        length = np.sqrt((np.abs(field) ** 2).sum(0))
        return field * (np.maximum(length - threshold * weights[1], 0) / np.maximum(length, 1e-20))

    on_wavelets, on_lengths = as_prox(shape, shrink_details), as_prox((2, *shape), shrink_lengths)
    options: dict[str, Any]
    if not tau:
        options = {"proxg": sigpy.prox.UnitaryTransform(on_wavelets, wavelets), "max_iter": 500}
    elif not w:
        options = {"G": differences, "proxg": on_lengths, "max_iter": 1000}
    else:
        stacked = sigpy.linop.Vstack([wavelets, differences], axis=None)
        options = {"G": stacked, "proxg": sigpy.prox.Stack([on_wavelets, on_lengths]), "max_iter": 1000}

    def run(_: Problem) -> Complex:
        app = sigpy.app.LinearLeastSquares(linear, kspace * mask, show_pbar=False, **options)
        return np.asarray(app.run())

    return {f"sigpy, {options['max_iter']} iterations": run}


def as_linop(
    ishape: tuple[int, ...],
    oshape: tuple[int, ...],
    forward: Callable[[torch.Tensor], torch.Tensor],
    adjoint: Callable[[torch.Tensor], torch.Tensor],
) -> Any:
    class Wrapped(sigpy.linop.Linop):
        def __init__(self, oshape: Any, ishape: Any, apply: Any, back: Any) -> None:
            self.functions = apply, back
            super().__init__(oshape, ishape)

        def _apply(self, values: Complex) -> Complex:
            return self.functions[0](torch.from_numpy(np.ascontiguousarray(values))).numpy()

        def _adjoint_linop(self) -> Any:
            return Wrapped(self.ishape, self.oshape, *self.functions[::-1])

    return Wrapped(oshape, ishape, forward, adjoint)


def as_prox(shape: tuple[int, ...], apply: Callable[[float, Complex], Complex]) -> Any:
    class Wrapped(sigpy.prox.Prox):
        def _prox(self, alpha: float, values: Complex) -> Complex:
            return apply(alpha, values)

    return Wrapped(shape)


# --- the table ---------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--acceleration", type=float, default=4.0)
    arguments = parser.parse_args()
    for n_coils in (1, N_COILS):
        problem = Problem(arguments.size, arguments.acceleration, n_coils)
        for name, (w, tau) in WEIGHTS.items():
            solvers = acqplan_solvers(w, tau)
            if sigpy is not None:
                solvers |= sigpy_solvers(problem, w, tau)
            if shutil.which("bart"):
                solvers |= bart_solvers(problem, w, tau)
            print(f"\n{name}, {n_coils} coil{'s' * (n_coils > 1)}: w = {w}, τ = {tau}")
            print(f"{'':36s} {'F':>10s} {'above':>9s} {'periodic':>10s} {'PSNR/dB':>8s} {'s':>6s}")
            rows = []
            for solver, run in solvers.items():
                started = time.perf_counter()
                image = run(problem)
                seconds = time.perf_counter() - started
                values = [problem.objective(image, w, tau, periodic=periodic) for periodic in (False, True)]
                quality = psnr(np.abs(image), np.abs(problem.truth), 1.0)
                rows.append((solver, *values, quality, seconds))
            lowest = min(row[1] for row in rows)
            for solver, value, periodic, quality, seconds in rows:
                above = 100 * (value / lowest - 1)
                print(f"{solver:36s} {value:10.4f} {above:+8.3f}% {periodic:10.4f} {quality:8.2f} {seconds:6.1f}")


if __name__ == "__main__":
    main()
