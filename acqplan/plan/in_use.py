"""What the shared rooms ask of a modality once there is a plan: flags of the commands that use it, words of a report.

As in `acqplan.plan.modality`, nothing here imports torch or NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from acqplan.plan.components import Component
from acqplan.plan.settings import Flag

if TYPE_CHECKING:
    from acqplan.plan.plan import Plan
    from acqplan.plan.stress import Stress
    from acqplan.sensing.acquisition import Scan
    from acqplan.sensing.model import SensingModel


@dataclass(frozen=True)
class UseFlag:
    """A flag of a command that uses plans, which only one modality has.

    Parameters
    ----------
    target
        Where its value goes: ``noise.std`` (a setting of the noise model), ``settings.coils`` (of the instrument),
        ``options.device`` (of the format), or ``settings`` for a list of ``NAME=VALUE``.
    hint
        Its type.
    flag
        Name, help and metavar; its panel isn't used.
    least, most
        Of a number, or None.
    refusal
        (problem, remedy) where it is given with another modality's plan; ``{value}`` and ``{sensing}`` are filled in.
        Unless given, a setting of the noise is refused in general words, and any other is left to whom it goes to.
    """

    target: str
    hint: type
    flag: Flag
    least: int | None = None
    most: int | None = None
    refusal: tuple[str, str] | None = None


@dataclass(frozen=True)
class Setup:
    """What ``acqplan demo`` demonstrates of a modality.

    Parameters
    ----------
    title
        One line.
    sample, size, budget, noise, sensing
        Of the recipe.
    trained
        Designers whose patterns get the same network, trained for as long as the learned plan.
    untrained
        (designer, reconstructor) of patterns without training.
    floors
        Those designers whose zero-filled images show what is there without any of it.
    format
        That the learned plan is exported as, with its settings.
    acquired, reconstructed
        File names of the acquired data and of the learned plan's image.
    share
        Of the whole demonstration's time.
    """

    title: str
    sample: str
    size: tuple[int, int]
    budget: str
    noise: Component
    trained: tuple[str, ...]
    untrained: tuple[tuple[str, str], ...]
    floors: tuple[str, ...]
    format: Component
    acquired: str
    reconstructed: str
    share: float
    sensing: Component | None = None


@dataclass(frozen=True)
class Words:
    """What a report says of this instrument's patterns and images.

    Parameters
    ----------
    image_unit
        Unit of a reconstructed image's values.
    calibration
        Where the calibration region is: ``in the centre``.
    pattern
        What a pattern's picture shows, for a short note.
    axes
        What its axes are, by the value of the sensing model's option `option`; "" where it has no such option.
    order_axes
        Names of the coordinates of a unit, by their number; unless given, it is numbered.
    option
        Name of the sensing model's option that is told beside its kind.
    """

    image_unit: str = "relative"
    calibration: str = "in the centre"
    pattern: str = "the units that are measured"
    axes: Mapping[str, str] = field(default_factory=dict)
    order_axes: Mapping[int, str] = field(default_factory=dict)
    option: str = ""


class FittedDetector(Protocol):
    """A detector that a dark and a bright recording gave."""

    @property
    def numbers(self) -> list[tuple[str, str]]:
        """(name with unit, value ± standard error) of what was fitted."""

    @property
    def notes(self) -> list[str]:
        """What was checked."""

    @property
    def warnings(self) -> list[str]:
        """What wasn't."""

    def save(self, path: Path, *, overwrite: bool = False) -> None:
        """Write the detector file, whole or not at all."""


class InUse:
    """What is asked of a modality where plans are used and reported; `Modality` is one."""

    words: ClassVar[Words] = Words()
    image_suffix: ClassVar[str] = ".tif"
    """Suffix of the image files that its users expect."""
    setup: ClassVar[Setup | None] = None
    """What is demonstrated of it; None: nothing is."""
    use_flags: ClassVar[Mapping[str, tuple[UseFlag, ...]]] = {}
    """Its flags of each command."""
    use_examples: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Worked calls of each command; "" is acqplan itself."""

    fits_detectors: ClassVar[bool] = False
    """It can tell a detector from two recordings (`fitted_detector`)."""

    def option_of(self, sensing: SensingModel) -> str:
        """The value of the sensing model's option that is told beside its kind, or ""."""
        return str(sensing.spec().get(self.words.option, ""))

    def light_cost(self, plan: Plan) -> dict[str, Any]:
        """What a scan costs the sample in light, JSON-ready; empty where it costs nothing."""
        return {}

    def facts(self, plan: Plan) -> list[tuple[str, str]]:
        """(name, value) of what a reader may want to know of a plan for this instrument beside what all plans have."""
        return []

    def remarks(self, plan: Plan) -> list[str]:
        """Sentences for a person who has just made this plan: whether something simpler would have done as well."""
        return []

    def stresses(self, plan: Plan, seed: int) -> tuple[Stress, ...]:
        """What only this instrument may have otherwise than planned, for ``acqplan stress``."""
        return ()

    def image_facts(self, plan: Plan, scan: Scan) -> dict[str, str]:
        """What a file of the images may say of how they were acquired, where it is known.

        ``voxel_mm`` (rows, columns, slices, with commas) unless the scan states where it was; ``TE_ms`` and ``TR_ms``.
        """
        return {}

    def fitted_detector(self, dark: Path, bright: Path, **how: Any) -> FittedDetector:
        """The detector that recorded ``dark`` without light and ``bright`` with light."""
        raise LookupError("this instrument fits no detectors")
