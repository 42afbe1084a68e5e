"""What the shared rooms ask of a kind of instrument: one small object for each, found by the registry.

Nothing here imports torch or NumPy, and neither does a modality's own module at its top: the command line asks it for
flags and help. A modality's folder holds everything that only it knows; this class is where it is asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.core.measures import USUAL
from acqplan.plan.components import Component
from acqplan.plan.in_use import InUse
from acqplan.plan.recipe import InstrumentSettings, Recipe
from acqplan.plan.settings import Flag

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from acqplan.images import ImageStack, TrainingImages
    from acqplan.images.preparation import Preparation
    from acqplan.plan.plan import Plan
    from acqplan.plan.verification import Check
    from acqplan.sensing.acquisition import Acquisition, Scan
    from acqplan.sensing.budget import Budget
    from acqplan.sensing.constraints import Constraints
    from acqplan.sensing.model import SensingModel
    from acqplan.sensing.noise import NoiseModel
    from acqplan.sensing.pattern import Pattern


@dataclass(frozen=True)
class OptionFlag:
    """A flag of ``acqplan design`` that stands for an option of a component.

    ``part`` is the recipe's component (``sensing``, ``noise``, ``order``), ``component`` the kind that has the option,
    "" for whichever the recipe names; ``hint`` is the option's type.
    """

    part: str
    component: str
    option: str
    hint: type
    flag: Flag


@dataclass(frozen=True)
class Cost:
    """What a scan costs beside its readings: a name for JSON, words with a unit, and how much."""

    name: str
    label: str
    value: float


class Modality(InUse, ABC):
    """A kind of instrument."""

    kind: ClassVar[str]
    title: ClassVar[str]
    """Its name for people."""
    summary: ClassVar[str]
    """What planning with it is, one sentence: the help of ``acqplan design KIND``."""
    examples: ClassVar[tuple[str, ...]]
    """Worked calls of ``acqplan design``."""
    sensing_kinds: ClassVar[tuple[str, ...]]
    """Kinds of its sensing models."""
    settings: ClassVar[type[InstrumentSettings]]
    """Its own settings of a recipe."""
    option_flags: ClassVar[tuple[OptionFlag, ...]] = ()
    """Flags for options of its components."""
    flags: ClassVar[tuple[str, ...]]
    """The settings (``images.size``) and options (``sensing.encoding``) that ``acqplan design`` offers, in the order of
    its help."""
    frame_time: ClassVar[Flag]
    """The flag of the time of one exposure or excitation (`budget.frame_time_s`)."""
    budget_examples: ClassVar[dict[str, str]] = {"4x": "", "25%": "", "64": ""}
    """What people may type after ``--budget``, with the flags that it needs then."""
    extra_flags: ClassVar[tuple[Flag, ...]] = ()
    """Flags that stand for several settings at once (`read_flag`)."""
    sensing: ClassVar[Component]
    """The sensing model, unless a recipe names another."""
    noise: ClassVar[Component]
    """The noise, unless a recipe names another."""
    fit: ClassVar[Literal["resample", "pad", "crop"]]
    """How images are brought to size, unless a recipe says."""
    unjudged_designer: ClassVar[str] = "variable-density"
    """The designer, unless a recipe names one, where no trained network sees fully sampled images."""
    usual_designers: ClassVar[tuple[str, ...]] = ("variable-density", "low-pass")
    """Designers of usual patterns, tuned, one of which stands beside a pattern that was searched for."""
    batch_size: ClassVar[int]
    """Images of a training step, unless a recipe says."""
    evidence_types: ClassVar[Mapping[str, Any]] = {}
    """Types of what it adds to a plan's evidence, by name (`acqplan.plan.evidence`)."""
    takes_intensities: ClassVar[bool]
    """Its images are intensities: real, never negative."""
    resolution_measure: ClassVar[str] = "hfen"
    """What tells of resolution beside PSNR, SSIM and NRMSE: ``hfen`` or ``frc`` (`acqplan.core.measures`)."""

    @property
    def measures(self) -> tuple[str, ...]:
        """What is measured of its images, in the order of every table."""
        return *USUAL, self.resolution_measure

    @classmethod
    def budget_words(cls) -> str:
        """The examples of a budget in one line, as they are typed."""
        quoted = {example: f"'{example}'" if " " in example else example for example in cls.budget_examples}
        return ", ".join(quoted[each] + (f" ({flags})" if flags else "") for each, flags in cls.budget_examples.items())

    # What a recipe leaves open, and what it may not ask.

    def decide(self, recipe: Recipe) -> Recipe:
        """The recipe with this instrument's own settings decided, as far as they don't depend on the images.

        Raises `RecipeError` for what can't be.
        """
        return recipe

    def decide_by_images(
        self, recipe: Recipe, stacks: Sequence[ImageStack], asked: Recipe
    ) -> tuple[Recipe, tuple[str, ...]]:
        """The recipe with what depends on the images decided, and sentences on what they don't suit.

        ``asked`` is the recipe as it was given.
        """
        return recipe, ()

    def usual_size(self, shapes: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Rows and columns of the plan for images of these shapes: by default the smallest of each."""
        return min(rows for rows, _ in shapes), min(columns for _, columns in shapes)

    def usual_designer(self, recipe: Recipe) -> str:
        """Kind of the designer, unless a recipe names one, where a network is trained that sees the truth."""
        return "swaps"

    def usual_designer_words(self) -> str:
        """The same for a person, whatever else the recipe says."""
        return self.usual_designer(Recipe(self.kind))

    def compared_designers(self, recipe: Recipe) -> tuple[str, ...]:
        """Kinds of the designers that a curve compares unless it is told: usual practice first."""
        return "variable-density", self.usual_designer(recipe)

    def usual_order(self, recipe: Recipe) -> str:
        """Kind of the order of acquisition, unless a recipe names one."""
        return "linear"

    def constraint_words(self, recipe: Recipe) -> list[str]:
        """What the pattern had to obey, for a report."""
        return []

    def order_arguments(self, recipe: Recipe) -> dict[str, Any]:
        """Arguments of orders that are other settings of the recipe."""
        return {}

    def network_arguments(self, images: TrainingImages) -> dict[str, Any]:
        """Options of networks that suit this instrument, for those that have them."""
        return {}

    def read_flag(self, name: str, value: str, recipe: Recipe) -> dict[str, Any]:
        """Settings (``images.size``) and options (``noise.dark_e``) that one of `extra_flags` stands for.

        Each is taken unless it is given by a flag of its own.
        """
        raise LookupError(name)

    # What a pattern may be.

    def left_out(self, recipe: Recipe, sensing: SensingModel) -> dict[str, npt.NDArray[np.bool_]]:
        """bool[K] for each reason, in words, for which units may not be measured."""
        return {}

    def narrowed(
        self,
        constraints: Constraints,
        recipe: Recipe,
        calibration: npt.NDArray[np.int32],
        sensing: SensingModel,
        seed: int,
    ) -> Constraints:
        """The constraints once the calibration region is known."""
        return constraints

    def given_fault(
        self, recipe: Recipe, pattern: Pattern, fixed: npt.NDArray[np.int64], sensing: SensingModel
    ) -> str | None:
        """Why another plan's pattern isn't what the recipe asks for, one sentence; None if it is."""
        return None

    def calibration_widths(self, recipe: Recipe, sensing: SensingModel) -> tuple[int, int]:
        """(widest, needed): how wide a calibration region is chosen; one of the width needed may take half a budget."""
        return min(4, *sensing.grid_shape), 0

    # What a budget is counted in.

    def readings_per_shot(self, recipe: Recipe) -> int:
        """Readings after one excitation."""
        return 1

    def power_w(self, recipe: Recipe) -> float | None:
        """Power on the sample in watts, where there is one and it is known."""
        return None

    def decide_reference(self, recipe: Recipe, sensing: SensingModel, n_readings: int) -> tuple[Recipe, int | None]:
        """How often the unit that decodes all the others is measured, in the recipe and as a number; or None."""
        return recipe, None

    # Images, and what is acquired.

    @abstractmethod
    def preparation(self, recipe: Recipe, *, one_receiver: bool = False) -> Preparation:
        """How images of files become images that the instrument would see.

        ``one_receiver``: as the recipe's would with a single uniform receiver, for a virtual instrument that brings its
        own.
        """

    def completed(self, scan: Scan, plan: Plan, **options: Any) -> Scan:
        """The scan with what each acquisition needs beside its readings (maps of its coils), when it is asked for.

        Raises `RecipeError` for options that this instrument doesn't have.
        """
        if options:
            raise RecipeError(f"{', '.join(options)} is given for a {self.title} plan.", "Leave it out.")
        return scan

    def noise_level(self, plan: Plan, acquisition: Acquisition, zero_filled: torch.Tensor) -> torch.Tensor | None:
        """`SensingModel.noise_level` of acquired readings, float32[1]: by default as the plan's noise model has it.

        ``zero_filled``: the image[*image_shape] that the adjoint gives of them.
        """
        from acqplan.sensing.measurement import acquired_noise_level

        return acquired_noise_level(acquisition, plan.pattern, plan.sensing, plan.noise)

    def made_up_maps(self, plan: Plan) -> npt.NDArray[np.complex64] | None:
        """complex64[C, *image_shape] of made-up coils for a plan's test vector, the same each time; None: one coil."""
        return None

    def checks(self) -> tuple[Check, ...]:
        """Checks of acquired data that only this instrument knows (`acqplan.plan.verification`)."""
        return ()

    # What is told of a plan.

    def advice(
        self, sensing: SensingModel, budget: Budget, noise: NoiseModel, images: TrainingImages
    ) -> tuple[str, ...]:
        """Sentences for a person who is about to train such a plan."""
        return ()

    def costs(
        self,
        recipe: Recipe,
        sensing: SensingModel,
        budget: Budget,
        pattern: Pattern,
        noise: NoiseModel,
        images: TrainingImages,
    ) -> list[Cost]:
        """What such a scan costs, as far as it is known, the most telling first: by default its time."""
        seconds = budget.acquisition_time_s
        return [] if seconds is None else [Cost("time_s", "scan time / s", seconds)]

    def evidence(
        self,
        recipe: Recipe,
        sensing: SensingModel,
        budget: Budget,
        pattern: Pattern,
        noise: NoiseModel,
        images: TrainingImages,
    ) -> dict[str, Any]:
        """What a plan says of itself beside its held-out images, JSON-ready; ``warnings`` is a list of sentences."""
        return {}


def modality_named(kind: str) -> Modality:
    """The modality of a recipe."""
    found: Modality = registry.find("modalities", kind)()
    return found


def modality_of(sensing: SensingModel) -> Modality:
    """The modality of a sensing model."""
    for cls in registry.kinds("modalities").values():
        if sensing.kind in cls.sensing_kinds:
            found: Modality = cls()
            return found
    raise LookupError(f"no modality has the sensing model {sensing.kind}")
