"""A virtual instrument: it plays exported files, not the plan, and adds the detector's noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from acqplan.core.errors import InstrumentError
from acqplan.core.seeding import torch_generator
from acqplan.formats.contracts import PatternFormat
from acqplan.images import ImageRecord
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition, Scan
from acqplan.sensing.model import SensingModel
from acqplan.sensing.noise import NoiseModel


def acquire_virtually(
    plan: Plan,
    instrument: PatternFormat,
    folder: Path,
    record: ImageRecord,
    *,
    noise: NoiseModel | None = None,
    seed: int = 0,
    sensing: SensingModel | None = None,
) -> Acquisition:
    """Acquire an image by playing the exported *files* in ``folder``, with the plan's noise or another.

    ``sensing``: the plan's model as it is on this instrument, with its receive coils, for instance; as on a scanner,
    the acquisition doesn't hold their maps.

    Raises `InstrumentError` if the files don't play the plan's pattern.
    """
    generator = torch_generator(seed, "simulate")
    return _acquire(plan, instrument, folder, record, noise or plan.noise, generator, sensing or plan.sensing)


def acquire_volume_virtually(
    plan: Plan,
    instrument: PatternFormat,
    folder: Path,
    records: Sequence[ImageRecord],
    *,
    noise: NoiseModel | None = None,
    seed: int = 0,
    sensing: SensingModel | None = None,
    progress: Callable[[int], None] | None = None,
) -> Scan:
    """Acquire slices of one volume, one after another, as `acquire_virtually` does.

    The noise of a slice depends on ``seed`` and the number of the slice, not on which others are acquired. The
    geometry is the volume's, if the slices are neighbours. ``progress`` is told how many are done.
    """
    seen_by, acquisitions = sensing or plan.sensing, []
    for i, record in enumerate(records):
        generator = torch_generator(seed, f"simulate:{record.index}")
        acquisitions.append(_acquire(plan, instrument, folder, record, noise or plan.noise, generator, seen_by))
        if progress is not None:
            progress(i + 1)
    indices = np.array([record.index for record in records])
    are_neighbours = bool((np.diff(indices) == 1).all())
    return Scan(
        acquisitions,
        f"simulation of {records[0].source}, images {indices[0]} to {indices[-1]}",
        records[0].geometry if are_neighbours else None,
    )


def _acquire(
    plan: Plan,
    instrument: PatternFormat,
    folder: Path,
    record: ImageRecord,
    model: NoiseModel,
    generator: torch.Generator,
    sensing: SensingModel,
) -> Acquisition:
    exported = instrument.read(folder)
    if exported.pattern != plan.pattern or exported.plan_id != plan.plan_id:
        raise InstrumentError(
            f"{folder} was exported from plan {exported.plan_id[:12]}…, the plan is {plan.plan_id[:12]}….",
            "Pass the folder that was exported from this plan.",
        )
    image = torch.from_numpy(np.ascontiguousarray(record.array)).to(plan.sensing.image_dtype) * model.image_scale
    expected = instrument.play(folder, sensing, image)
    readings = model.sample(expected, generator=generator)
    return Acquisition(
        readings=readings.numpy(),
        pattern_digest=exported.pattern.digest,
        source=f"simulation of {record.source}, image {record.index}",
        order=exported.pattern.order,
        geometry=record.geometry,
    )
