"""A plan: a pattern and the network trained on exactly that pattern, in one value and one file."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import torch

import acqplan
from acqplan.core import registry
from acqplan.core.errors import AcqplanError, AcquisitionError, PatternMismatch, PlanFileError, RecipeError
from acqplan.core.seeding import torch_generator
from acqplan.plan import file as plan_file
from acqplan.plan.compact import stored
from acqplan.plan.components import Component, build
from acqplan.plan.evidence import evidence_of
from acqplan.plan.file import PlanContent, canonical_json
from acqplan.plan.modality import Modality, modality_of
from acqplan.plan.recipe import ResolvedRecipe, as_resolved
from acqplan.plan.recipe_text import from_toml, to_toml
from acqplan.plan.vector import Deviation, Vector, deviation_of, vector_of
from acqplan.reconstructors.reconstructor import KnobReconstructor, Reconstructor
from acqplan.sensing.acquisition import Acquisition, Geometry, Scan
from acqplan.sensing.budget import Budget
from acqplan.sensing.measurement import coefficients_of
from acqplan.sensing.model import SensingModel
from acqplan.sensing.noise import NoiseModel
from acqplan.sensing.pattern import Pattern

MISSING_AT_MOST = 0.1
"""Share of a pattern's units that an acquisition may lack."""
ASSUMING_COSTS = "If it was another's, the image is wrong, though it may look right."
"""What it costs to go on with data that don't state their pattern."""
ASSUME_PLAN = f"If you are sure that it was this plan's, pass --assume-plan. {ASSUMING_COSTS}"
"""What to do with them."""
_NAMED = 5  # units named in an error


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything needed to acquire and to reconstruct; immutable.

    There is no way to give a plan another pattern or other weights: design a new one.

    Parameters
    ----------
    sensing, budget, pattern, noise, reconstructor
        The parts; ``reconstructor`` was trained on ``pattern``.
    recipe
        Resolved recipe that makes this plan again.
    evidence
        JSON-ready: held-out table, fingerprint of the training images, warnings.
    vector
        A made-up acquisition and the image that the network gives of it, or None; no part of the identity.
    """

    sensing: SensingModel
    budget: Budget
    pattern: Pattern
    noise: NoiseModel
    reconstructor: Reconstructor
    recipe: ResolvedRecipe
    evidence: dict[str, Any] = field(default_factory=dict)
    vector: Vector | None = field(init=False, default=None)  # a plan with another part has none

    def __post_init__(self) -> None:
        pattern, budget = self.pattern, self.budget
        if not pattern.n_units == budget.n_units == self.sensing.n_units or pattern.n_readings != budget.n_readings:
            raise ValueError("pattern, catalogue and budget don't fit each other")
        self._check_calibration()
        self.reconstructor.eval()
        self.reconstructor.requires_grad_(False)

    def _check_calibration(self) -> None:
        """The budget counts the calibration region's readings: one of each unit, and repeats of the reference unit."""
        calibration, reference = self.pattern.calibration, self.sensing.reference_unit
        most = 1  # of the readings of one unit
        if reference is not None and reference in calibration:
            most = int(self.pattern.counts[reference])
        if not 0 <= self.budget.n_calibration - calibration.size < most:
            raise ValueError("the pattern's calibration region isn't the budget's")

    @cached_property
    def _content(self) -> PlanContent:
        texts = {
            "recipe": to_toml(self.recipe),
            "sensing": _component_json(self.sensing),
            "noise": _component_json(self.noise),
            "budget": canonical_json(self.budget.spec()),
            "reconstructor": _component_json(self.reconstructor),
            "evidence": canonical_json(self.evidence),
        }
        weights = {name: value.cpu().numpy() for name, value in self.reconstructor.state_dict().items()}
        weights = stored(weights) if self.recipe.training.compact else weights
        return PlanContent(texts, self.pattern.order, self.pattern.calibration, self.pattern.digest, weights)

    @property
    def modality(self) -> Modality:
        """The kind of instrument."""
        return modality_of(self.sensing)

    def completed(self, acquisition: Acquisition) -> Acquisition:
        """With what it needs beside its readings, as estimated from them (`Modality.completed`)."""
        return self.modality.completed(Scan([acquisition], acquisition.source), self).acquisitions[0]

    @property
    def plan_id(self) -> str:
        """SHA-256 over the canonical content, 64 hexadecimal digits."""
        return self._content.plan_id

    def with_vector(self) -> Plan:
        """The same plan, identity included, with a test vector as this machine gives it.

        A network that gives no image of it (its values overflow) leaves the plan without one.
        """
        try:
            vector = vector_of(self)
        except AcquisitionError:
            return self
        plan = replace(self)
        plan.__dict__.update(vector=vector, _content=replace(self._content, vector=vector.content))
        return plan

    @cached_property
    def deviation(self) -> Deviation | None:
        """How far this machine is from the plan's test vector: one image is reconstructed, once; None without one."""
        return deviation_of(self)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the plan file atomically (`OutputError` if it exists or can't be written)."""
        software = {
            "acqplan": acqplan.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "h5py": h5py.__version__,
        }
        plan_file.write(self._content, Path(path), software, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a plan file and verify its identity.

        Raises
        ------
        PlanFileError
            Missing, foreign, truncated, altered, or written by a newer acqplan.
        """
        content = plan_file.read(Path(path))
        try:
            plan = cls._from_content(content)
        except (AcqplanError, ValueError, TypeError, KeyError, RuntimeError) as error:
            raise PlanFileError(
                f"{path} holds parts that this acqplan can't use: {error}",
                "Install the package that defines them, or upgrade acqplan.",
            ) from error
        return plan

    @classmethod
    def _from_content(cls, content: PlanContent) -> Plan:
        texts = content.texts
        sensing = _component("sensing", texts["sensing"])
        pattern = Pattern(content.order, sensing.n_units, content.calibration)
        if pattern.digest != content.pattern_digest:
            raise ValueError("the network was trained on another pattern")
        reconstructor = _component("reconstructors", texts["reconstructor"])
        weights = {name: torch.as_tensor(array) for name, array in content.weights.items()}
        reconstructor.load_state_dict(weights, strict=True)
        plan = cls(
            sensing,
            Budget(**json.loads(texts["budget"])),
            pattern,
            _component("noise", texts["noise"]),
            reconstructor,
            as_resolved(from_toml(texts["recipe"], "the plan's recipe")),
            evidence_of(texts["evidence"], modality_of(sensing).evidence_types),
        )
        if content.vector is not None:
            plan.__dict__["vector"] = Vector.of(content.vector)
        # The identity is that of the texts as they were written, not as this version would write them.
        plan.__dict__["_content"] = content
        return plan

    def simulate(
        self,
        image: npt.NDArray[Any],
        *,
        seed: int = 0,
        noise: NoiseModel | None = None,
        geometry: Geometry | None = None,
        coil_maps: npt.NDArray[np.complex64] | None = None,
        source: str = "simulation",
    ) -> Acquisition:
        """Acquire ``image`` with the plan's pattern and noise (or another noise model).

        Parameters
        ----------
        image
            [*image_shape], in the image units of the noise model: maximum near 1 for MRI,
            photo-electrons per pixel and frame for the DMD.
        coil_maps
            complex64[C, *image_shape] or None for a single uniform coil.
        """
        array = torch.from_numpy(np.array(image)).to(self.sensing.image_dtype)
        if tuple(array.shape) != self.sensing.image_shape:
            raise AcquisitionError(
                f"The image is {tuple(array.shape)}, the plan is for {self.sensing.image_shape}.",
                "Bring the image to the plan's size.",
            )
        expected = self.expected(array, coil_maps)
        readings = (noise or self.noise).sample(expected, generator=torch_generator(seed, "simulate"))
        return Acquisition(readings.numpy(), self.pattern.digest, source, self.pattern.order, coil_maps, geometry)

    def expected(self, image: torch.Tensor, coil_maps: npt.NDArray[np.complex64] | None = None) -> torch.Tensor:
        """Readings[n, *reading_shape] of image[*image_shape] with the plan's pattern, in its order, without noise."""
        maps = Acquisition(np.zeros(0, np.complex64), None, "simulation", coil_maps=coil_maps)
        order = torch.from_numpy(self.pattern.order.astype(np.int64))
        readings: torch.Tensor = self.sensing.for_scan(maps)(image[None])[0].index_select(0, order)
        return readings

    def check_acquisition(self, acquisition: Acquisition, *, assume_plan: bool = False) -> None:
        """Raise `PatternMismatch` unless ``acquisition`` was taken with this plan's pattern.

        The digest decides; where the file carries none, the units that it says were measured; where it carries
        neither, only ``assume_plan`` lets it pass. Up to `MISSING_AT_MOST` of the pattern's units may be missing
        (`AcquisitionError`): the network takes them as not measured.
        """
        digest, order = acquisition.pattern_digest, acquisition.order
        if digest is not None and digest != self.pattern.digest:
            raise PatternMismatch(
                f"{acquisition.source} was acquired with pattern {digest[:12]}…, "
                f"the plan has {self.pattern.digest[:12]}….",
                "Pass the plan that it was acquired with.",
            )
        if order is not None:
            self._check_units(order, acquisition.source)
        if not acquisition.states_pattern and not assume_plan:
            raise PatternMismatch(
                f"{acquisition.source} doesn't say which pattern it was acquired with.",
                ASSUME_PLAN,
            )

    def _check_units(self, order: npt.NDArray[np.int32], source: str) -> None:
        mask, name = self.pattern.mask, self.sensing.unit_name
        units = np.unique(order)
        is_planned = (units >= 0) & (units < mask.size)
        is_planned[is_planned] = mask[units[is_planned]]
        n_units = int(mask.sum())
        missing = n_units - int(is_planned.sum())
        if not is_planned.all():
            extra = units[~is_planned]
            first = ", ".join(map(str, extra[:_NAMED])) + ", …" * (extra.size > _NAMED)
            raise PatternMismatch(
                f"{source} was acquired at other positions than the plan's pattern: of its {units.size} {name}s "
                f"{extra.size} aren't in the plan ({first}), and {missing} of the plan's {n_units} are missing.",
                "Pass the plan that it was acquired with.",
            )
        if missing > MISSING_AT_MOST * n_units:
            raise AcquisitionError(
                f"{source} lacks {missing} of the {n_units} {self.sensing.unit_name}s that the plan measures.",
                f"At most {MISSING_AT_MOST:.0%} may be missing: acquire again, or pass the plan that was played.",
            )

    def reconstruct(
        self, acquisition: Acquisition, *, assume_plan: bool = False, knob: Sequence[float] | None = None
    ) -> npt.NDArray[Any]:
        """Image[*image_shape] from acquired readings: complex64 for MRI, float32 photo-electrons for the DMD.

        Readings of several coils without maps get those that are estimated from their calibration region.

        ``knob``: a position from 0 to 1 for each knob of a reconstructor that has some; None is their middle.

        Raises
        ------
        RecipeError
            A knob position outside 0 to 1, or for a reconstructor without a knob.
        PatternMismatch
            Acquired with another pattern, or it can't be told (see `check_acquisition`).
        AcquisitionError
            Wrong length, shape or type, values that aren't finite, or coil maps that can't be estimated.
        """
        self.check_acquisition(acquisition, assume_plan=assume_plan)
        acquisition = self.completed(acquisition)
        given = {} if knob is None else {"knob": torch.tensor([self.checked_knob(knob)], dtype=torch.float32)}
        with torch.inference_mode():
            image: npt.NDArray[Any] = self.reconstructor(*self.network_input(acquisition), **given)[0].numpy()
        if not np.isfinite(image).all():
            largest = float(np.abs(acquisition.readings).max())
            raise AcquisitionError(
                f"{acquisition.source} gives no image: its values overflow (the largest reading is {largest:.3g}).",
                "Look for readings that are far too large, and acquire them again.",
            )
        return image

    def network_input(self, acquisition: Acquisition) -> tuple[torch.Tensor, torch.Tensor, SensingModel]:
        """Coefficients, counts and sensing model of a completed acquisition, as `Reconstructor.forward` takes them."""
        sensing = self.sensing.for_scan(acquisition)
        coefficients, counts = coefficients_of(acquisition, self.pattern, sensing)
        if self.reconstructor.knows_noise:
            level = self.modality.noise_level(self, acquisition, sensing.adjoint(coefficients)[0])
            sensing = sensing.with_noise_level(level)
        return coefficients, counts, sensing

    def reconstruct_scan(
        self,
        scan: Scan,
        *,
        assume_plan: bool = False,
        knob: Sequence[float] | None = None,
        **calibration: Any,
    ) -> Iterator[npt.NDArray[Any]]:
        """The images[*image_shape] of a scan, one after another: no more than one is worked on at a time.

        Arguments, values and errors as of `reconstruct`; ``calibration``: options of the instrument's
        `Modality.completed`. Coil maps that are estimated share one phase reference.
        """
        for _, image in self.reconstruct_each(scan, assume_plan=assume_plan, knob=knob, **calibration):
            yield image

    def reconstruct_each(
        self,
        scan: Scan,
        *,
        assume_plan: bool = False,
        knob: Sequence[float] | None = None,
        **calibration: Any,
    ) -> Iterator[tuple[Acquisition, npt.NDArray[Any]]]:
        """As `reconstruct_scan`, with the acquisition that each image is of, completed by its maps."""
        given = {name: value for name, value in calibration.items() if value is not None}
        for acquisition in self.modality.completed(scan, self, **given).acquisitions:
            yield acquisition, self.reconstruct(acquisition, assume_plan=assume_plan, knob=knob)

    def planned_only(self, acquisition: Acquisition) -> Acquisition:
        """What ``acquisition`` holds of the units that this plan measures, in the order of acquisition.

        For data that hold more, such as a fully sampled scan; without extra units it is returned as it is. Its
        pattern was then another, so that its digest is left out.

        Raises
        ------
        PatternMismatch
            It doesn't say which units it holds.
        """
        order = acquisition.order
        if order is None:
            raise PatternMismatch(
                f"{acquisition.source} doesn't say which {self.sensing.unit_name}s it holds: "
                "the planned ones can't be taken from it.",
                "Give the order of its readings.",
            )
        inside = (order >= 0) & (order < self.sensing.n_units)
        inside[inside] = self.pattern.mask[order[inside]]
        if inside.all() or len(acquisition.readings) != order.size:
            return acquisition
        return replace(acquisition, readings=acquisition.readings[inside], order=order[inside], pattern_digest=None)

    def checked_knob(self, knob: Sequence[float]) -> tuple[float, ...]:
        """The position as numbers; `RecipeError` if this plan's reconstructor has no such position."""
        network = self.reconstructor
        if not isinstance(network, KnobReconstructor):
            kinds = [k for k, c in registry.kinds("reconstructors").items() if issubclass(c, KnobReconstructor)]
            raise RecipeError(
                f"The plan's reconstructor {network.kind} has no knob to turn.",
                f"Make a plan with one that has: acqplan design … --pattern-from PLAN --reconstructor {kinds[0]} "
                f"(with knobs: {', '.join(kinds)}).",
            )
        position = tuple(float(value) for value in knob)
        if len(position) != len(network.knobs) or not all(0 <= value <= 1 for value in position):
            raise RecipeError(
                f"The knob is at {', '.join(map(str, position)) or 'nothing'}.",
                f"Give {len(network.knobs)} number{'s' * (len(network.knobs) > 1)} from 0 to 1 "
                f"({'; '.join(network.knobs)}).",
            )
        return position


def _component_json(part: SensingModel | NoiseModel | Reconstructor) -> str:
    return canonical_json({"kind": part.kind, "arguments": part.spec()})


def _component(role: str, text: str) -> Any:
    table = json.loads(text)
    return build(role, Component(table["kind"], table["arguments"]))
