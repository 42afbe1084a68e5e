"""How near the simulated scans that MRI plans are trained on come to measured ones: coil maps and phase.

    python benchmarks/mri_realism.py --images scans/ --raw kspace.h5
    python benchmarks/mri_realism.py --train scans/ --images other-people/

Maps: drawn coils receive slices of ``--images`` at 128 × 128, with noise; those estimated from the centre of k-space
are held against the true ones, wherever the image is brighter than a tenth of its maximum.

Phase: ``--raw`` is a fully sampled scan of one channel. The energy that is imaginary once the phase of the centre of
k-space is taken away, less that of the noise, over all energy, in the object; of the scan, and of its own magnitude
with made-up phases and as much noise.

Numbers of coils: networks trained on ``--train`` for one coil, for eight, and for 1 to 16, on one pattern, and what
each makes of ``--images`` received by others.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from acqplan.core.math.transforms import fft_centred, ifft_centred
from acqplan.core.seeding import torch_generator
from acqplan.images import fit, load_stacks, reading
from acqplan.learning.evaluation import Scene, evaluate
from acqplan.learning.image_sets import evaluation_images
from acqplan.learning.training import design
from acqplan.modalities.mri import phase
from acqplan.modalities.mri.coils import drawn_maps
from acqplan.modalities.mri.coils.espirit import estimated_maps
from acqplan.modalities.mri.noise_from import noise_std_from
from acqplan.plan.components import Component
from acqplan.plan.recipe import BudgetSettings, ImageSettings, Recipe, TrainingSettings

SIDE = 128
COILS, WIDTHS, NOISE = (4, 8, 16), (8, 12, 16, 24), (0.002, 0.01, 0.03)
SLICES = 6
CENTRES = (12, 24, 48)
TRAINED: dict[str, tuple[int, int | None]] = {"1": (1, None), "8": (8, None), "1 to 16": (16, 1)}
RECEIVED = (1, 2, 4, 8, 16, 32)
DRAWS = 24
Complex = npt.NDArray[np.complex64]


def slices_of(paths: list[str]) -> list[torch.Tensor]:
    """Magnitudes float32[SIDE, SIDE] near 1, evenly over all stacks."""
    found = []
    for stack in load_stacks(paths):
        images = np.abs(fit(stack, (SIDE, SIDE)).images)
        middle = images[len(images) // 4 : -(len(images) // 4) or None]
        found += [torch.from_numpy(each / np.percentile(images, 99.9)) for each in middle]
    return found[:: -(-len(found) // SLICES)]


def map_error(image: torch.Tensor, n_coils: int, width: int, std: float, generator: torch.Generator) -> float:
    """‖S − S'‖ / ‖S‖ where the object is, but for a phase that all coils share."""
    seen = phase.with_phase(image[None], phase.made_up_phase(image[None], generator))[0]
    true = drawn_maps(n_coils, seen, generator)
    kspace = fft_centred(true * seen, (-2, -1))
    kspace = kspace + std * torch.randn(kspace.shape, dtype=kspace.dtype, generator=generator)
    first = SIDE // 2 - width // 2
    found = estimated_maps(kspace[None, :, first : first + width, first : first + width], (SIDE, SIDE))[0]
    shared = (found.conj() * true).sum(0)
    found = found * torch.polar(torch.ones_like(shared.real), shared.angle())
    inside = image > 0.1 * image.max()
    return float((found - true).abs().square().sum(0)[inside].mean().sqrt())


def maps(paths: list[str]) -> None:
    images = slices_of(paths)
    print(f"error of estimated maps, mean over {len(images)} slices (largest)")
    print(f"{'coils':>6}{'width':>6}" + "".join(f"{f'noise {std:g}':>18}" for std in NOISE))
    for n_coils in COILS:
        for width in WIDTHS:
            row = ""
            for std in NOISE:
                generators = [torch_generator(i, "realism") for i in range(len(images))]
                errors = [
                    map_error(each, n_coils, width, std, generator)
                    for each, generator in zip(images, generators, strict=True)
                ]
                row += f"{np.mean(errors):>10.3f} ({max(errors):.3f})"
            print(f"{n_coils:>6}{width:>6}{row}")


def unexplained(image: Complex, std: float) -> npt.NDArray[np.float64]:
    """Shares of the energy of image[H, W], whose pixels have noise of ``std``, for each of `CENTRES`."""
    magnitude = np.abs(image)
    inside = ndimage.gaussian_filter(magnitude, 2) > 0.1 * np.percentile(magnitude, 99.9)
    energy = np.square(magnitude)[inside].sum() - std**2 * inside.sum()
    kspace = fft_centred(torch.from_numpy(image), (-2, -1)).numpy()
    shares = []
    for width in CENTRES:
        window = np.zeros(image.shape, np.float32)
        top, left = (n // 2 - width // 2 for n in image.shape)
        taper = np.hanning(width + 2)[1:-1]
        window[top : top + width, left : left + width] = np.outer(taper, taper)
        low = ifft_centred(torch.from_numpy(kspace * window), (-2, -1)).numpy()
        rest = (image * np.exp(-1j * np.angle(low))).imag[inside]
        shares.append((np.square(rest).sum() - std**2 / 2 * inside.sum()) / energy)
    return np.array(shares)


def phases(path: Path) -> None:
    images = reading.read(path).images
    measured = np.asarray(images[len(images) // 2], np.complex64)
    peak = np.percentile(np.abs(measured), 99.9)
    std = noise_std_from(path, Recipe("mri"))
    measured = (measured / peak).astype(np.complex64)
    clean = np.sqrt(np.clip(np.square(np.abs(measured)) - std**2, 0, None))
    magnitude = torch.from_numpy(ndimage.gaussian_filter(clean, 0.7).astype(np.float32))[None]
    size = (measured.shape[0], measured.shape[1])

    def shares(make: Callable[[torch.Generator], torch.Tensor]) -> Any:
        found = []
        for seed in range(DRAWS):
            generator = torch_generator(seed, "realism")
            image = phase.with_phase(magnitude, make(generator))[0]
            noise = torch.randn(size, dtype=torch.complex64, generator=generator)
            found.append(unexplained((image + std * noise).numpy(), std))
        return np.median(found, axis=0)

    print(f"\nshare of the energy that the phase of the centre doesn't explain, noise {std:g}, %")
    print(f"{'':<24}" + "".join(f"{width:>8}" for width in CENTRES))
    print(f"{'measured':<24}" + "".join(f"{100 * share:>8.2f}" for share in unexplained(measured, std)))
    smooth = shares(lambda generator: phase.smooth_phase(1, size, generator))
    usual = shares(lambda generator: phase.made_up_phase(magnitude, generator))
    phase.STEEP_SHARE = 1.0
    steep = shares(lambda generator: phase.made_up_phase(magnitude, generator))
    for name, found in (("smooth", smooth), ("made up", usual), ("made up, steep ones", steep)):
        print(f"{name:<24}" + "".join(f"{100 * share:>8.2f}" for share in found))


def recipe_of(paths: list[str], coils: int, fewest: int | None) -> Recipe:
    settings = {
        "images": ImageSettings(paths, [64, 64], "resample"),
        "budget": BudgetSettings("4x", 12),
        "training": TrainingSettings(steps=250, joint_share=0.0),
    }
    recipe = Recipe("mri", designer=Component("variable-density"), **settings)  # type: ignore[arg-type]
    return recipe.with_settings("images", coils=coils, fewest_coils=fewest)


def numbers(train: list[str], test: list[str]) -> None:
    plans = {name: design(recipe_of(train, *coils)) for name, coils in TRAINED.items()}
    stacks, first = load_stacks(test), next(iter(plans.values()))
    scene = Scene(first.sensing, plans["8"].pattern, first.noise)
    print(f"\nPSNR / dB\n{'trained for':<12}" + "".join(f"{name:>8}" for name in plans))
    for n_coils in RECEIVED:
        records = evaluation_images(recipe_of(test, n_coils, None), stacks).test[::8][:16]
        found = evaluate(scene, {name: plan.reconstructor for name, plan in plans.items()}, records).means
        print(f"{n_coils:<12}" + "".join(f"{found[name]['psnr_db']:>8.2f}" for name in plans))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", nargs="+", default=[], metavar="PATH")
    parser.add_argument("--raw", type=Path, metavar="FILE")
    parser.add_argument("--train", nargs="+", default=[], metavar="PATH")
    arguments = parser.parse_args()
    if arguments.train:
        numbers(arguments.train, arguments.images)
    elif arguments.images:
        maps(arguments.images)
    if arguments.raw:
        phases(arguments.raw)


if __name__ == "__main__":
    main()
