"""A virtual microscope: a DMD that shows exported files, a lamp, mirrors and a detector with their faults.

It writes what a detector's program would: ADU, one value per frame or a continuous signal with its trigger.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import InstrumentError, RecipeError
from acqplan.core.seeding import stream_seed
from acqplan.formats.contracts import PatternFormat
from acqplan.images import ImageRecord
from acqplan.modalities.dmd.formats.dmd_format import DmdFormat, hadamard
from acqplan.modalities.dmd.formats.dmd_frames import Placement
from acqplan.modalities.dmd.traces.detector import Detector
from acqplan.modalities.dmd.traces.files import Table
from acqplan.modalities.dmd.traces.settings import TraceSettings, layout
from acqplan.plan.plan import Plan
from acqplan.sensing.noise import NoiseModel

FRAME_TIME_US = 50.0
"""Where neither the plan nor the settings say it."""
_RIPPLES = 3
_PULSE = 5.0  # volts
_COUNTS = ("dropped", "repeated", "reference_every", "dark_frames", "samples_per_frame")

Floats = npt.NDArray[np.float64]
Bits = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Microscope:
    """What may be wrong, and how it is read out; by default nothing is.

    Parameters
    ----------
    frame_time_us
        Time of a frame (default: that of the exported files, or the plan's).
    lamp_drift
        Relative change of the light from the first to the last frame, linear.
    lamp_ripple
        Relative amplitude of three slow waves of the light over the scan.
    stuck_on, stuck_off
        Share of the pattern's mirrors that stay on or off.
    dropped, repeated
        Number of the pattern's frames whose reading (or trigger) is missing, or there twice.
    reference_every
        A frame with all mirrors on before every so many of the pattern's, and one at the end.
    dark_frames
        Frames with the lamp covered, first of all.
    samples_per_frame
        1: one value per frame. More: a continuous signal of so many samples a frame.
    trigger
        A continuous signal has a trigger channel.
    settling_us
        Time after a frame's beginning in which the frame before is still seen.
    """

    frame_time_us: float | None = None
    lamp_drift: float = 0.0
    lamp_ripple: float = 0.0
    stuck_on: float = 0.0
    stuck_off: float = 0.0
    dropped: int = 0
    repeated: int = 0
    reference_every: int = 0
    dark_frames: int = 0
    samples_per_frame: int = 1
    trigger: bool = True
    settling_us: float = 0.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name == "trigger":
                is_right, wanted = isinstance(value, bool), "true or false"
            elif each.name in _COUNTS:
                is_right, wanted = type(value) is int and value >= (each.name == "samples_per_frame"), "a whole number"
            elif value is None:
                continue
            else:
                is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
                low, high = {"lamp_drift": (-1, 10), "frame_time_us": (1e-3, 1e9), "settling_us": (0, 1e9)}.get(
                    each.name, (0, 1)
                )
                is_right, wanted = is_number and low <= value <= high, f"a number from {low:g} to {high:g}"
            if not is_right:
                raise RecipeError(f"The microscope's {each.name} is {value!r}.", f"Give {wanted}.")
        if self.repeated and self.samples_per_frame > 1:
            raise RecipeError("A continuous signal has no repeated readings.", "Leave out repeated.")
        if self.dropped and self.samples_per_frame > 1 and not self.trigger:
            raise RecipeError("Without trigger no trigger can be missing.", "Leave out dropped, or trigger=false.")
        if self.settling_us and self.samples_per_frame == 1:
            raise RecipeError("Only a continuous signal has a settling time.", "Give samples_per_frame.")


@dataclass(frozen=True, eq=False)
class Recorded:
    """What the detector's program writes, and what was done to it.

    Parameters
    ----------
    table
        Arrays and texts of the file; the texts hold the settings to read it with.
    settings
        The same settings.
    dropped, repeated
        Numbers of the frames, counted from 0.
    stuck
        bool[height, width]: mirrors that are stuck.
    """

    table: Table
    settings: TraceSettings
    dropped: list[int] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)
    stuck: Bits | None = None


def record_trace(
    plan: Plan,
    instrument: PatternFormat,
    folder: Path,
    record: ImageRecord,
    *,
    microscope: Microscope | None = None,
    detector: Detector | None = None,
    noise: NoiseModel | None = None,
    seed: int = 0,
) -> Recorded:
    """Play the exported *files* in ``folder`` on an image and record the detector.

    Without a ``detector`` it is a photon counter with the noise model's read noise and dark counts.

    Raises
    ------
    InstrumentError
        The files don't play the plan's pattern, or aren't frames of a DMD.
    """
    return record_traces(
        plan, instrument, folder, [record], microscope=microscope, detector=detector, noise=noise, seed=seed
    )[0]


def record_traces(
    plan: Plan,
    instrument: PatternFormat,
    folder: Path,
    records: Sequence[ImageRecord],
    *,
    microscope: Microscope | None = None,
    detector: Detector | None = None,
    noise: NoiseModel | None = None,
    seed: int = 0,
) -> list[Recorded]:
    """Several images on one microscope, with the same stuck mirrors; the files are read once. See `record_trace`."""
    how = microscope or Microscope()
    model = noise or plan.noise
    exported = instrument.read(folder)
    if exported.pattern != plan.pattern or exported.plan_id != plan.plan_id:
        raise InstrumentError(
            f"{folder} was exported from plan {exported.plan_id[:12]}…, the plan is {plan.plan_id[:12]}….",
            "Pass the folder that was exported from this plan.",
        )
    if not isinstance(instrument, DmdFormat):
        raise InstrumentError(
            f"The format {instrument.kind!r} holds no frames that a DMD shows.", "See acqplan formats."
        )
    n_frames = plan.pattern.n_readings * plan.sensing.frames_per_unit
    if how.dropped + how.repeated > n_frames - 1:  # the last frame is neither, and none is both
        raise RecipeError(
            f"The microscope's dropped is {how.dropped} and its repeated {how.repeated}, the pattern has "
            f"{n_frames} frames.",
            f"Give at most {n_frames - 1} together.",
        )
    exposure_s = 1e-6 * _frame_time_us(plan, how, exported.details.get("picture_time_s"))
    if detector is None:
        arguments = model.spec()
        dark_e = arguments.get("dark_e", 0.0)
        detector = Detector(read_noise_e=arguments.get("read_noise_e", 0.0), dark_current_e_per_s=dark_e / exposure_s)
    images = np.stack([record.array.astype(np.float64) for record in records]) * model.image_scale
    placement = instrument.exported_placement(folder)
    stuck = _stuck(placement, how, np.random.default_rng(stream_seed(seed, "mirrors")))
    light, total = _light(instrument, folder, placement, images, *stuck)
    recorded = []
    for i, record in enumerate(records):
        rng = np.random.default_rng(stream_seed(seed, f"microscope:{i}"))
        arrays, settings, lost = _recorded(plan, how, detector, exposure_s, light[:, i], float(total[i]), rng)
        texts = {
            "pattern_digest": exported.pattern.digest,
            "plan_id": exported.plan_id,
            "source": f"simulation of {record.source}, image {record.index}",
            "unit": "ADU",
            **settings.stated(),
        }
        if how.samples_per_frame == 1:
            texts["frames"] = str(int(arrays["frame"].max()) + 1)
        recorded.append(Recorded(Table(arrays, texts), settings, *lost, stuck=stuck[0] | stuck[1]))
    return recorded


def _recorded(
    plan: Plan,
    how: Microscope,
    detector: Detector,
    exposure_s: float,
    on: Floats,
    total: float,
    rng: np.random.Generator,
) -> tuple[dict[str, npt.NDArray[Any]], TraceSettings, tuple[list[int], list[int]]]:
    """(arrays of the file, how to read it, numbers of the dropped and of the repeated frames).

    ``on``: photo-electrons of each of the pattern's frames; ``total``: of all mirrors on.
    """
    two_arms = hadamard(plan.sensing).n_detectors == 2
    settings = _settings(how, detector, exposure_s, two_arms=two_arms)
    shown = layout(settings, on.size)
    if how.reference_every:
        shown = layout(settings, on.size, shown.total + 1)
    arms = [np.zeros(shown.total)]
    arms[0][shown.pattern], arms[0][shown.reference] = on, total
    if two_arms:
        arms.append(np.zeros(shown.total))
        arms[1][shown.pattern] = total - on
    t = np.arange(shown.total) / max(1, shown.total - 1)
    lamp = 1 + how.lamp_drift * t + how.lamp_ripple * np.sin(2 * np.pi * _RIPPLES * t)
    arms = [np.maximum(arm * lamp, 0) for arm in arms]
    lost = rng.permutation(shown.pattern[:-1])[: how.dropped + how.repeated]
    dropped, repeated = np.sort(lost[: how.dropped]), np.sort(lost[how.dropped :])
    if how.samples_per_frame == 1:
        arrays = _frame_values(arms, detector, exposure_s, dropped, repeated, rng)
    else:
        arrays = _signal(arms, how, detector, exposure_s, dropped, rng)
    return arrays, settings, (dropped.tolist(), repeated.tolist())


def _frame_time_us(plan: Plan, how: Microscope, exported_s: Any) -> float:
    if how.frame_time_us is not None:
        return how.frame_time_us
    if isinstance(exported_s, int | float) and exported_s > 0:
        return 1e6 * exported_s
    time_s = plan.budget.reading_time_s
    return FRAME_TIME_US if time_s is None else 1e6 * time_s / plan.sensing.frames_per_unit


def _settings(how: Microscope, detector: Detector, exposure_s: float, *, two_arms: bool) -> TraceSettings:
    """How the file is to be read."""
    settings = TraceSettings(
        detector=detector,
        signal="signal",
        second_signal="second_signal" if two_arms else None,
        frame_time_us=1e6 * exposure_s,
        dark_frames=f"0:{how.dark_frames}" if how.dark_frames else None,
        reference_frames=f"{how.dark_frames}::{how.reference_every + 1}" if how.reference_every else None,
    )
    if how.samples_per_frame == 1:
        return replace(settings, frame_numbers="frame")
    return replace(
        settings,
        sample_rate_hz=how.samples_per_frame / exposure_s,
        trigger="trigger" if how.trigger else None,
        settling_us=how.settling_us or None,
    )


def _stuck(placement: Placement, how: Microscope, rng: np.random.Generator) -> tuple[Bits, Bits]:
    """Mirrors of the pattern that stay on, and off: bool[height, width] each."""
    inside = np.zeros((placement.height, placement.width), dtype=np.bool_)
    rows, columns = placement.shown_shape
    inside[
        placement.top : placement.top + rows * placement.scale,
        placement.left : placement.left + columns * placement.scale,
    ] = True
    mirrors = rng.permutation(np.flatnonzero(inside))
    n_on, n_off = (round(share * mirrors.size) for share in (how.stuck_on, how.stuck_off))
    found = []
    for some in (mirrors[:n_on], mirrors[n_on : n_on + n_off]):
        frame = np.zeros(inside.size, dtype=np.bool_)
        frame[some] = True
        found.append(frame.reshape(inside.shape))
    return found[0], found[1]


def _light(
    instrument: DmdFormat, folder: Path, placement: Placement, images: Floats, stuck_on: Bits, stuck_off: Bits
) -> tuple[Floats, Floats]:
    """Photo-electrons of images[k, rows, columns]: (in each frame of the files [frames, k], of all mirrors [k])."""
    pixels = images.reshape(len(images), -1).T
    is_faulty = bool(stuck_on.any() or stuck_off.any())

    def seen(frame: Bits) -> Floats:
        shown = (frame | stuck_on) & ~stuck_off if is_faulty else frame
        return np.asarray(placement.shares(shown).ravel() @ pixels)

    return np.stack([seen(frame) for frame in instrument.frames(folder)]), seen(np.ones_like(stuck_on))


def _frame_values(
    arms: list[Floats],
    detector: Detector,
    exposure_s: float,
    dropped: npt.NDArray[np.int64],
    repeated: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> dict[str, npt.NDArray[Any]]:
    numbers = np.arange(arms[0].size)
    numbers = np.sort(np.concatenate([np.setdiff1d(numbers, dropped), repeated]))
    arrays: dict[str, npt.NDArray[Any]] = {"frame": numbers.astype(np.float64)}
    for name, arm in zip(("signal", "second_signal"), arms, strict=False):
        arrays[name] = detector.digitised(arm[numbers], rng, exposure_s)
    return arrays


def _signal(
    arms: list[Floats],
    how: Microscope,
    detector: Detector,
    exposure_s: float,
    dropped: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> dict[str, npt.NDArray[Any]]:
    n = how.samples_per_frame
    late = min(n, math.ceil(n * how.settling_us * 1e-6 / exposure_s - 1e-9))
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, arm in zip(("signal", "second_signal"), arms, strict=False):
        samples = np.repeat(arm, n).reshape(-1, n)
        samples[1:, :late] = arm[:-1, None]
        samples[0, :late] = 0
        arrays[name] = detector.digitised(samples.ravel(), rng, exposure_s, n).astype(np.float32)
    if how.trigger:
        pulses = np.zeros((arms[0].size, n), dtype=np.float32)
        pulses[:, : max(1, n // 5)] = _PULSE
        pulses[dropped] = 0
        # The level is low before the first frame, and once more after the last.
        lead = np.zeros(max(1, n // 2), dtype=np.float32)
        arrays = {name: np.concatenate([_at_rest(lead, detector), samples]) for name, samples in arrays.items()}
        arrays["trigger"] = np.concatenate([lead, pulses.ravel()])
    return arrays


def _at_rest(lead: npt.NDArray[np.float32], detector: Detector) -> npt.NDArray[np.float32]:
    """The signal before the first frame: the offset alone."""
    return np.full_like(lead, detector.offset_adu)
