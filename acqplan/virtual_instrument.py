"""A virtual instrument: it plays exported files, not the plan, and adds the detector's noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from acqplan.acquisition import Acquisition
from acqplan.errors import InstrumentError
from acqplan.images import ImageRecord
from acqplan.instruments.base import Instrument
from acqplan.noise.base import NoiseModel
from acqplan.plan import Plan
from acqplan.seeding import torch_generator


def acquire_virtually(
    plan: Plan,
    instrument: Instrument,
    folder: Path,
    record: ImageRecord,
    *,
    noise: NoiseModel | None = None,
    seed: int = 0,
) -> Acquisition:
    """Acquire an image by playing the exported *files* in ``folder``, with the plan's noise or another.

    Raises `InstrumentError` if the files don't play the plan's pattern.
    """
    exported = instrument.read(folder)
    if exported.pattern != plan.pattern or exported.plan_id != plan.plan_id:
        raise InstrumentError(
            f"{folder} was exported from plan {exported.plan_id[:12]}…, the plan is {plan.plan_id[:12]}….",
            "Pass the folder that was exported from this plan.",
        )
    model = noise or plan.noise
    image = torch.from_numpy(np.ascontiguousarray(record.array)).to(plan.sensing.image_dtype) * model.image_scale
    expected = instrument.play(folder, plan.sensing, image)
    readings = model.sample(expected, generator=torch_generator(seed, "simulate"))
    return Acquisition(
        readings=readings.numpy(),
        pattern_digest=exported.pattern.digest,
        source=f"simulation of {record.source}, image {record.index}",
        order=exported.pattern.order,
        geometry=record.geometry,
    )
