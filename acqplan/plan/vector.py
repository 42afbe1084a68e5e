"""The test vector of a plan: a made-up acquisition and the image that the network must give of it.

The acquisition is made again wherever it is needed, from facts of the plan: an object of smooth shapes goes through the
plan's sensing model (with made-up coils where it has several), the plan's noise is added, and the plan's network
reconstructs. Stored is what the machine that finished the plan got, in few numbers (`sums`): of the readings, so that a
sensing model that computes otherwise can't hide, and of the image.

An image deviates by ‖image − stored image‖ / ‖stored image‖, the same measure as NRMSE.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.errors import AcquisitionError
from acqplan.core.seeding import lasting_generator
from acqplan.plan.file import VectorContent, canonical_json
from acqplan.sensing.acquisition import Acquisition

if TYPE_CHECKING:
    from acqplan.plan.plan import Plan

VERSION = 1
"""Of how the acquisition is made up and summed; a vector of a later version isn't compared."""
MOST_NUMBERS = 2048
"""Numbers that are stored of the readings, and of the image: at most 32 KiB together, complex."""
LEAST_ROUNDING = 1e-6
"""Of any image: no processor or library that was tried moved one of a network by more than 1.5 times as much."""
SOLVER_ROUNDING = 2e-4
"""Of a reconstructor without training: one iteration more or less, decided by a rounding, moves its image so far."""
_N_SHAPES = 6
_EDGE = 0.03  # of half the field of view: width of the object's edge, soft so that no pixel hangs on a rounding
_TEXTURE = 0.02  # of full scale
_EPSILON = 2.0**-23  # of float32


@dataclass(frozen=True, eq=False)
class Vector:
    """What a machine got of a plan's made-up acquisition.

    Parameters
    ----------
    version
        `VERSION` when it was made.
    machine
        `this_machine` there.
    rounding
        How far the image moved when every reading was rounded otherwise, by 2⁻²³ of its size up or down; at least
        `LEAST_ROUNDING`, and `SOLVER_ROUNDING` of a solver that iterates until little changes.
    readings, image
        `sums` of them, float32 or complex64.
    """

    version: int
    machine: dict[str, str]
    rounding: float
    readings: npt.NDArray[Any]
    image: npt.NDArray[Any]

    @property
    def is_of_this_machine(self) -> bool:
        """Made with this version of torch on such a processor: the image should be the same but for threads."""
        return self.machine == this_machine()

    @property
    def tolerance(self) -> float:
        """The most that readings or image may deviate here; the numbers behind it are in docs/plan-file.md."""
        return (5 if self.is_of_this_machine else 10) * self.rounding

    @property
    def content(self) -> VectorContent:
        """As a plan file holds it."""
        facts = {"version": self.version, "machine": self.machine, "rounding": self.rounding}
        return VectorContent(canonical_json(facts), {"readings": self.readings, "image": self.image})

    @classmethod
    def of(cls, content: VectorContent) -> Vector:
        """From a plan file. Raises `ValueError`, `KeyError` or `TypeError` for facts that none has."""
        facts = json.loads(content.facts)
        machine = {name: str(facts["machine"][name]) for name in this_machine()}
        rounding = float(facts["rounding"])
        if not 0 < rounding <= 1:
            raise ValueError(f"a test vector has the rounding {rounding}")
        return cls(int(facts["version"]), machine, rounding, **content.arrays)


def this_machine() -> dict[str, str]:
    """What decides how sums are rounded: version of torch, operating system, processor and its vector instructions."""
    return {
        "torch": torch.__version__,
        "system": platform.system(),
        "processor": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def in_words(machine: Mapping[str, str]) -> str:
    """``torch 2.13.0+cpu on Linux x86_64 (AVX2)``."""
    return "torch {torch} on {system} {processor} ({instructions})".format_map(machine)


def made_up_acquisition(plan: Plan) -> Acquisition:
    """The acquisition of a plan's test vector; the same on every machine but for the rounding of float32."""
    random = lasting_generator(plan.recipe.seed, f"test vector {plan.pattern.digest}")
    scaled = _object(plan.sensing.image_shape, random, is_complex=plan.sensing.is_complex) * plan.noise.image_scale
    maps = plan.modality.made_up_maps(plan)
    expected = plan.expected(torch.from_numpy(scaled).to(plan.sensing.image_dtype), maps)
    # Of the noise model only the variance: torch doesn't promise that its random numbers stay the same.
    noise = random.standard_normal(tuple(expected.shape))
    if expected.is_complex():
        noise = (noise + 1j * random.standard_normal(tuple(expected.shape))) / math.sqrt(2)
    readings = expected.numpy() + np.sqrt(plan.noise.variance(expected).numpy()) * noise
    readings = readings.astype(expected.numpy().dtype)
    return Acquisition(readings, plan.pattern.digest, "the plan's test vector", plan.pattern.order, maps)


def _object(shape: tuple[int, ...], random: np.random.RandomState, *, is_complex: bool) -> npt.NDArray[Any]:
    """float64 or complex128[*shape], magnitude from 0 to 1: a round body with soft spots, texture and smooth phase."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    body = 1 / (1 + np.exp((np.sqrt(sum(axis**2 for axis in axes)) - 0.75) / _EDGE))
    image = 0.5 * body
    for _ in range(_N_SHAPES):
        centre = random.uniform(-0.5, 0.5, len(shape))
        width, height = random.uniform(0.05, 0.25), random.uniform(-0.4, 0.6)
        distance = sum((axis - c) ** 2 for axis, c in zip(axes, centre, strict=True))
        image += height * body * np.exp(-distance / width**2 / 2)
    image = np.clip(image + _TEXTURE * body * random.standard_normal(shape), 0, None)
    image /= image.max()
    if not is_complex:
        return image
    slopes = random.uniform(-1.5, 1.5, (2, len(shape)))
    phase = sum(a * axis + b * axis**2 for axis, a, b in zip(axes, *slopes, strict=True))
    turned: npt.NDArray[Any] = image * np.exp(1j * phase)
    return turned


def sums(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """At most `MOST_NUMBERS` float32 or complex64 that stand for values[…]: no more than that are kept as they are.

    Of more, each value goes with a random sign into one of `MOST_NUMBERS` sums, so that every one counts and the norm
    of a difference stays what it is, to 3 % (a count sketch: Charikar, Chen and Farach-Colton 2002).
    """
    flat = values.reshape(-1)
    is_complex = flat.dtype.kind == "c"
    kept = np.complex64 if is_complex else np.float32
    if flat.size <= MOST_NUMBERS:
        return flat.astype(kept)
    random = lasting_generator(flat.size, "sums of a test vector")
    place, sign = random.randint(MOST_NUMBERS, size=flat.size), random.randint(2, size=flat.size) * 2 - 1
    summed = np.bincount(place, sign * flat.real, MOST_NUMBERS)
    if is_complex:
        summed = summed + 1j * np.bincount(place, sign * flat.imag, MOST_NUMBERS)
    return summed.astype(kept)


def relative(found: npt.NDArray[Any], stored: npt.NDArray[Any]) -> float:
    """‖found − stored‖ / ‖stored‖; infinite where they can't be compared."""
    if found.shape != stored.shape or not np.isfinite(found).all():
        return math.inf
    norm = float(np.linalg.norm(stored))
    error = float(np.linalg.norm(found - stored))
    return error / norm if norm else (0.0 if error == 0 else math.inf)


@dataclass(frozen=True)
class Deviation:
    """How far this machine is from a plan's test vector.

    Parameters
    ----------
    readings, image
        ‖found − stored‖ / ‖stored‖ of the made-up readings, and of the image that the network gives of them; infinite
        where it gives none.
    tolerance
        The most that the rounding of float32 explains, of either.
    made_on, here
        The machines, in words.
    """

    readings: float
    image: float
    tolerance: float
    made_on: str
    here: str

    @property
    def largest(self) -> float:
        """Of readings and image."""
        return max(self.readings, self.image)

    @property
    def is_within(self) -> bool:
        """Nothing but rounding is different."""
        return self.largest <= self.tolerance


def vector_of(plan: Plan) -> Vector:
    """The plan's test vector as this machine gives it. Raises `AcquisitionError` if the network gives no image."""
    acquisition = made_up_acquisition(plan)
    image = sums(plan.reconstruct(acquisition))
    signs = lasting_generator(0, "rounding").randint(2, size=acquisition.readings.shape) * 2 - 1
    readings: npt.NDArray[Any] = acquisition.readings
    moved = (readings * (1 + signs * _EPSILON)).astype(readings.dtype)
    rounding = relative(sums(plan.reconstruct(replace(acquisition, readings=moved))), image)
    least = LEAST_ROUNDING if plan.reconstructor.is_trained else SOLVER_ROUNDING
    return Vector(VERSION, this_machine(), min(max(rounding, least), 1.0), sums(readings), image)


def deviation_of(plan: Plan) -> Deviation | None:
    """How far this machine is from the plan's test vector; None if it has none, or one of a later version."""
    vector = plan.vector
    if vector is None or vector.version > VERSION:
        return None
    acquisition = made_up_acquisition(plan)
    try:
        image = relative(sums(plan.reconstruct(acquisition)), vector.image)
    except AcquisitionError:  # its values overflow
        image = math.inf
    readings = relative(sums(acquisition.readings), vector.readings)
    return Deviation(readings, image, vector.tolerance, in_words(vector.machine), in_words(this_machine()))
