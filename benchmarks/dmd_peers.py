"""A DMD plan beside spyrit's and deepinv's Hadamard sampling with their own reconstructions.

    python benchmarks/dmd_peers.py

All see the same held-out images, the same number of ± frame pairs, the same photons and detector noise, and the same
training images. What can be tuned (weights of priors) is tuned on validation images. Reconstructions:

- spyrit: pseudo-inverse; denoised completion (a Tikhonov step with the covariance of the training images' Walsh
  coefficients). Orders: variance of the training images, and spyrit's own "Sequency" and "CC". It measures where an
  order matrix is largest, so these are asked for as densities: as ranks they would keep the *highest* sequencies.
- deepinv: pseudo-inverse; total variation and wavelets by proximal gradient steps. Orders: all four that it has. Its
  operator is orthonormal and shows no frames, so noise is added to its coefficients as ± pairs would give it.

The pretrained denoisers of both are downloaded at run time and aren't part of this.

Needs ``pip install spyrit deepinv``, and a torchvision that fits torch.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import deepinv
import numpy as np
import torch
from spyrit.core import meas, prep, recon
from spyrit.misc.sampling import define_order

from acqplan.core.math.metrics import nrmse, psnr, ssim
from acqplan.core.seeding import torch_generator
from acqplan.images import ImageRecord
from acqplan.learning.problem import Problem
from acqplan.learning.resolve import resolve
from acqplan.plan.plan import Plan

PLAN = Path(__file__).parents[1] / "patterns" / "cells-12.5pct" / "cells-12.5pct.acqplan"
WEIGHTS = [4.0**power for power in range(-5, 2)]  # of a prior, over full scale

Images = torch.Tensor
"""float32[n, 1, side, side] in photo-electrons per pixel and frame."""


class Setting:
    """What is the same for all: images, count, noise."""

    def __init__(self, plan: Plan, problem: Problem, seed: int) -> None:
        self.plan, self.problem, self.seed = plan, problem, seed
        self.scale = plan.noise.image_scale
        self.side = plan.sensing.image_shape[0]
        assert plan.sensing.image_shape == (self.side, self.side)
        self.n_pixels = self.side**2
        self.n_pairs = plan.pattern.n_readings

    def images(self, records: Sequence[ImageRecord]) -> Images:
        """The records as a batch."""
        return torch.from_numpy(np.stack([record.array for record in records]))[:, None] * self.scale

    def noisy(self, frames: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """What the detector reads of expected frames, in photo-electrons."""
        return self.plan.noise.sample(frames, generator=generator)

    def scores(self, found: Images, records: Sequence[ImageRecord]) -> dict[str, float]:
        """Mean PSNR, SSIM and NRMSE."""
        images = found[:, 0].numpy() / self.scale
        rows = [
            (psnr(x, r.array, r.data_range), ssim(x, r.array, r.data_range), nrmse(x, r.array))
            for x, r in zip(images, records, strict=True)
        ]
        return dict(zip(("psnr_db", "ssim", "nrmse"), np.mean(rows, axis=0).tolist(), strict=True))


def ours(setting: Setting) -> dict[str, dict[str, float]]:
    """The plan, acquired image by image."""
    plan, records = setting.plan, setting.problem.images.test
    images = [
        plan.reconstruct(plan.simulate(record.array * setting.scale, seed=setting.seed + i))
        for i, record in enumerate(records)
    ]
    return {f"acqplan, {plan.reconstructor.kind}": setting.scores(torch.from_numpy(np.stack(images))[:, None], records)}


# --- spyrit ----------------------------------------------------------------------------------------


def of_spyrit(setting: Setting) -> dict[str, dict[str, float]]:
    """Rows for each order and reconstruction."""
    records = setting.problem.images.test
    covariance = walsh_covariance(setting)
    variance = covariance.diagonal().reshape(setting.side, setting.side)
    orders = {"variance": variance, **{name: define_order(setting.side, name, pdf=True) for name in ("Sequency", "CC")}}
    rows = {}
    for name, order in orders.items():
        operator = meas.HadamSplit2d(setting.side, setting.n_pairs, order.float(), reshape_output=True)
        frames = setting.noisy(operator(setting.images(records)), torch_generator(setting.seed, "spyrit"))
        rescale = prep.UnsplitRescale(1.0)
        pinv = recon.PinvNet(operator, rescale)
        rows[f"spyrit, {name}, pseudo-inverse"] = setting.scores(pinv.reconstruct(frames), records)
        completed = recon.DCNet(operator, rescale, covariance)
        rows[f"spyrit, {name}, denoised completion"] = setting.scores(completed.reconstruct(frames), records)
    return rows


def walsh_covariance(setting: Setting) -> torch.Tensor:
    """float32[N, N] of the Walsh coefficients (±1 patterns) of the training images, turned as training turns them."""
    full = meas.HadamSplit2d(setting.side)
    generator = torch_generator(setting.seed, "covariance")
    batches = [setting.problem.images.batch(64, generator)[:, None] * setting.scale for _ in range(256)]
    frames = torch.cat([full(batch)[:, 0] for batch in batches]).double()
    coefficients = frames[:, 0::2] - frames[:, 1::2]
    return torch.cov(coefficients.T).float()


# --- deepinv ---------------------------------------------------------------------------------------


def of_deepinv(setting: Setting) -> dict[str, dict[str, float]]:
    """Rows for each order and reconstruction."""
    test, validation = setting.problem.images.test, setting.problem.images.validation
    rows = {}
    for order in ("sequency", "cake_cutting", "zig_zag", "xy"):
        physics = deepinv.physics.SinglePixelCamera(
            setting.n_pairs, (1, setting.side, setting.side), fast=True, ordering=order
        )
        assert int(physics.mask.sum()) == setting.n_pairs
        measured = coefficients(physics, setting, setting.images(test), "deepinv")
        tuning = coefficients(physics, setting, setting.images(validation), "deepinv validation")
        rows[f"deepinv, {order}, pseudo-inverse"] = setting.scores(physics.A_dagger(measured), test)
        for prior in ("total variation", "wavelets"):
            solve = solver(prior, physics)
            best = max(WEIGHTS, key=lambda w: setting.scores(solve(tuning, w * setting.scale), validation)["psnr_db"])
            rows[f"deepinv, {order}, {prior}"] = setting.scores(solve(measured, best * setting.scale), test)
    return rows


def coefficients(physics: Any, setting: Setting, images: Images, stream: str) -> torch.Tensor:
    """Orthonormal coefficients as ± pairs of frames give them, zero where nothing is measured."""
    clean = physics.A(images)
    total = images.sum((-2, -1), keepdim=True)
    root = math.sqrt(setting.n_pixels)
    pairs = torch.stack([(total + root * clean) / 2, (total - root * clean) / 2])
    plus, minus = setting.noisy(pairs, torch_generator(setting.seed, stream))
    return (plus - minus) / root * physics.mask


def solver(name: str, physics: Any) -> Callable[[torch.Tensor, float], Images]:
    """FISTA for ½‖Ax − y‖² + λ·prior, from the adjoint (here also the pseudo-inverse)."""

    def solve(measured: torch.Tensor, weight: float) -> Images:
        prior = (
            deepinv.optim.TVPrior(n_it_max=20)
            if name == "total variation"
            else deepinv.optim.WaveletPrior(level=3, wv="db4", p=1)
        )
        method = deepinv.optim.FISTA(
            data_fidelity=deepinv.optim.L2(), prior=prior, lambda_reg=weight, stepsize=1.0, max_iter=30
        )
        with torch.no_grad():
            found: Images = method(measured, physics)
        return found

    return solve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", type=Path, default=PLAN)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    plan = Plan.load(given.plan)
    setting = Setting(plan, resolve(plan.recipe), given.seed)
    rows: dict[str, dict[str, float]] = {}
    for part in (lambda: ours(setting), lambda: of_deepinv(setting), lambda: of_spyrit(setting)):
        for name, row in part().items():
            rows[name] = row
            print(
                f"{name:70s} {row['psnr_db']:6.2f} dB   SSIM {row['ssim']:.4f}   NRMSE {row['nrmse']:.4f}", flush=True
            )
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
