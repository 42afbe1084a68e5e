"""From the samples that a played sequence gave to a raw scan."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import AcquisitionError
from acqplan.modalities.mri.formats.pulseq.read_back import PlayedReadings
from acqplan.modalities.mri.formats.pulseq.seq_file import Ints
from acqplan.modalities.mri.raw.data import Lines, RawData
from acqplan.sensing.pattern import Pattern


def scan_of_signal(
    signal: npt.NDArray[np.complexfloating[Any]],
    pattern: Pattern,
    readings: PlayedReadings,
    manifest: dict[str, Any],
    source: str,
) -> tuple[RawData, Lines | None]:
    """(scan, noise scan or None) of what was measured while a sequence played; see `Pulseq.raw_scan`."""
    n_images, width = readings.images.size, int(readings.matrix[0]) * readings.oversampling
    n_noise = int(manifest["noise_readouts"])
    if signal.ndim != 2 or len(signal) not in (n_images * width, (n_images + n_noise) * width):
        raise AcquisitionError(
            f"The signal has shape {signal.shape}, the sequence takes {n_images + n_noise} readouts of {width} "
            f"samples (the first {n_noise} of them noise).",
            "Give an array [samples, coils] of the whole sequence, with or without the noise readouts.",
        )
    lines = np.moveaxis(signal.astype(np.complex64).reshape(-1, width, signal.shape[1]), 1, 2)
    lines, noise = lines[-n_images:], lines[:-n_images]
    order = np.argsort(np.argsort(readings.slices, kind="stable"), kind="stable") % pattern.n_readings

    def each(values: Ints) -> npt.NDArray[np.int32]:
        return values[order].astype(np.int32)

    matrix = tuple(int(side) for side in readings.matrix)
    fov = manifest["field_of_view_mm"]
    scan = RawData(
        lines=lines,
        ky=each(readings.line),
        kz=each(readings.partition),
        slice=readings.slices.astype(np.int32),
        repetition=np.zeros(n_images, np.int32),
        average=each(readings.average),
        is_calibration=readings.calibration[order],
        is_imaging=np.ones(n_images, bool),
        matrix=(matrix[0], matrix[1], matrix[2]),
        source=source,
        field_of_view_mm=(float(fov[0]), float(fov[1]), float(fov[2])),
        texts={"plan_id": manifest["plan_id"], "pattern_digest": pattern.digest, "source": "pulseq"},
        parameters={
            "TR_ms": manifest["tr_ms"],
            "TE_ms": manifest["te_ms"],
            "flip_angle_deg": manifest["flip_angle_deg"],
            "acceleration": pattern.n_units / pattern.n_readings,
        },
    )
    return scan, noise if len(noise) else None
