"""What may be otherwise than planned at a DMD microscope."""

from __future__ import annotations

import torch

from acqplan.core.seeding import torch_generator
from acqplan.plan.plan import Plan
from acqplan.plan.stress import Stress
from acqplan.sensing.measurement import Spoil

DRIFT = 0.1  # of the lamp, from the first frame to the last
STUCK = 0.01  # of the mirrors


def stresses(plan: Plan, seed: int = 0) -> tuple[Stress, ...]:
    """A lamp that fades, without correction, and mirrors that stay dark or bright."""
    return (
        Stress("lamp-drift", f"the lamp fades by {DRIFT:.0%}, uncorrected", spoil=fading(plan)),
        Stress("mirrors-dark", f"{STUCK:.0%} of the mirrors stay dark", spoil=stuck(plan, 0.0, seed)),
        Stress("mirrors-lit", f"{STUCK:.0%} of the mirrors stay lit", spoil=stuck(plan, 1.0, seed)),
    )


def fading(plan: Plan) -> Spoil:
    """The lamp's light falls evenly over the frames of the scan; its mean is as planned."""
    pattern, n_frames = plan.pattern, plan.sensing.frames_per_unit
    turn = torch.zeros(pattern.n_units).index_add_(
        0, torch.from_numpy(pattern.order.astype("int64")), torch.arange(pattern.n_readings, dtype=torch.float32)
    )
    turn = turn / torch.from_numpy(pattern.counts).clamp(min=1)
    frame = (turn[:, None] * n_frames + torch.arange(n_frames)) / max(1, pattern.n_readings * n_frames - 1)
    light = 1 + DRIFT * (0.5 - frame)  # [K, frames]

    def spoil(images: torch.Tensor, readings: torch.Tensor) -> torch.Tensor:
        one_frame = readings.shape[-1] != n_frames
        return readings * (light.mean(1, keepdim=True) if one_frame else light)

    return spoil


def stuck(plan: Plan, state: float, seed: int) -> Spoil:
    """Some mirrors are always off (``state`` 0) or always on (1): what they show isn't what the pattern says."""
    sensing = plan.sensing
    random = torch.rand(sensing.image_shape, generator=torch_generator(seed, "stuck mirrors"))
    is_stuck = random <= torch.quantile(random.flatten(), STUCK)
    has_two_arms = sensing.reading_shape[-1] > sensing.frames_per_unit
    share = torch.tensor([state, 1 - state] if has_two_arms else [state])  # of their light, to each detector

    def spoil(images: torch.Tensor, readings: torch.Tensor) -> torch.Tensor:
        working = images.masked_fill(is_stuck, 0)
        light = (images - working).sum((-2, -1)).reshape(-1, *(1,) * (readings.ndim - 1))
        spoiled: torch.Tensor = sensing(working) + light * share
        return spoiled

    return spoil
