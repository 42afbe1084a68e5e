"""Single-pixel imaging with a DMD, as the shared rooms ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from acqplan.core.errors import RecipeError
from acqplan.core.registry import register
from acqplan.modalities.dmd import in_use
from acqplan.modalities.dmd.settings import DMDSettings
from acqplan.plan import typed
from acqplan.plan.components import Component
from acqplan.plan.modality import Cost, Modality, OptionFlag
from acqplan.plan.recipe import Recipe
from acqplan.plan.settings import GOAL, Flag

if TYPE_CHECKING:
    from acqplan.images import TrainingImages
    from acqplan.images.preparation import Preparation
    from acqplan.plan.in_use import FittedDetector
    from acqplan.plan.plan import Plan
    from acqplan.plan.stress import Stress
    from acqplan.plan.verification import Check
    from acqplan.sensing.acquisition import Scan
    from acqplan.sensing.budget import Budget
    from acqplan.sensing.model import SensingModel
    from acqplan.sensing.noise import NoiseModel
    from acqplan.sensing.pattern import Pattern


@register("modalities", "dmd")
class DMD(Modality):
    """Hadamard patterns shown by a digital micromirror device, and a detector that sees their light."""

    title = "DMD"
    summary = "Plan a single-pixel scan with a DMD: which Hadamard frames to show, and the network for exactly those."
    examples = (
        "acqplan design dmd --images sample:cells --budget 12.5% --size 64x64 --photons 200 --minutes 3 "
        "-o cells.acqplan",
        "acqplan design dmd --images tiffs/ --budget '2048 frames' --size 128x128 --binning 2 -o cells.acqplan",
        "acqplan design dmd --images tiffs/ --budget 200ms --picture-time 100us --size 64x64 --dry-run",
    )
    sensing_kinds = ("hadamard_dmd",)
    settings = DMDSettings
    sensing = Component("hadamard_dmd")
    noise = Component("poisson_gaussian")
    fit = "crop"
    batch_size, takes_intensities = 8, True
    resolution_measure = "frc"
    unjudged_designer = "low-pass"
    usual_designers = ("low-pass", "variable-density", "water-filling")
    evidence_types = MappingProxyType(
        {"exposure": in_use.LightCost, "scheme": in_use.SchemeAdvice, "raster": in_use.Rasters}
    )
    words, image_suffix, setup = in_use.WORDS, ".tif", in_use.SETUP
    use_flags, use_examples, fits_detectors = in_use.FLAGS, in_use.EXAMPLES, True
    option_flags = (
        OptionFlag(
            "sensing",
            "hadamard_dmd",
            "scheme",
            str,
            Flag(
                "--scheme", GOAL, "How ±1 patterns are shown: pairs (default), two-detector, dc, or s-matrix.", "KIND"
            ),
        ),
        OptionFlag(
            "noise",
            "poisson_gaussian",
            "photons",
            float,
            Flag("--photons", GOAL, "Photo-electrons of a full-scale pixel during one frame (default 1000).", "E"),
        ),
        OptionFlag(
            "noise",
            "poisson_gaussian",
            "read_noise_e",
            float,
            Flag("--read-noise", GOAL, "Read noise per frame in photo-electrons (default 2).", "E"),
        ),
        OptionFlag(
            "noise",
            "poisson_gaussian",
            "dark_e",
            float,
            Flag("--dark", GOAL, "Dark counts per frame in photo-electrons (default 0).", "E"),
        ),
    )
    budget_examples: ClassVar[dict[str, str]] = {
        **{"4x": "", "25%": "", "64": "", "1024 frames": "", "1e9 photons": "", "200ms": "--picture-time 100us"},
        **{"20ms light": "--picture-time 100us", "3uJ": "--power 100uW --picture-time 100us"},
    }
    frame_time = Flag(
        "--picture-time", GOAL, "Time of one frame, like 50us, for budgets in time.", "TIME", typed.seconds
    )
    extra_flags = (
        Flag(
            "--detector",
            GOAL,
            "Detector file of acqplan calibrate: its read noise and dark counts, unless given.",
            "FILE",
        ),
    )
    flags = (
        *("images.paths", "budget.amount", "images.size", "budget.calibration", "sensing.scheme", "budget.power_w"),
        *("budget.frame_time_s", "noise.photons", "noise.read_noise_e", "noise.dark_e", "detector", "designer"),
        *("reconstructor", "pattern_from", "adapt_from", "order", "recipe", "images.fit", "images.slices"),
        *(
            "images.binning",
            "images.held_out",
            "images.train_only",
            "training.loss",
            "training.minutes",
            "training.steps",
            "training.noise_range",
            "training.base",
            "training.compact",
            "training.precision",
            "seed",
            "training.device",
            "training.threads",
        ),
    )

    def usual_size(self, shapes: Sequence[tuple[int, int]]) -> tuple[int, int]:
        return 64, 64

    def compared_designers(self, recipe: Recipe) -> tuple[str, ...]:
        return "low-sequency", self.usual_designer(recipe)

    def read_flag(self, name: str, value: str, recipe: Recipe) -> dict[str, Any]:
        """A detector's read noise and dark counts."""
        from acqplan.modalities.dmd.traces.detector import Detector

        measured = Detector.load(Path(value)).noise_settings(recipe.budget.frame_time_s)
        return {f"noise.{option}": measured[option] for option in ("read_noise_e", "dark_e")}

    def network_arguments(self, images: TrainingImages) -> dict[str, Any]:
        # A single-pixel detector's shot noise is as large as what a network leaves wrong. Within minutes of training a
        # penalty moves little: a plan that starts near exact data consistency keeps the noise of its readings.
        return {"penalty": 1.0, "knows_noise": True}

    def power_w(self, recipe: Recipe) -> float | None:
        return _own(recipe).power_w

    def decide_reference(self, recipe: Recipe, sensing: SensingModel, n_readings: int) -> tuple[Recipe, int | None]:
        from acqplan.modalities.dmd.display_schemes import best_reference_repeats

        repeats = _own(recipe).reference_repeats
        if sensing.reference_unit is None:
            if repeats is not None:
                raise RecipeError(
                    f"reference_repeats is {repeats}, and no reading decodes all the others.", "Leave it out."
                )
            return recipe, None
        if repeats is None:
            repeats = min(best_reference_repeats(n_readings), max(1, n_readings // 4))
        return replace(recipe, instrument=replace(_own(recipe), reference_repeats=repeats)), repeats

    def preparation(self, recipe: Recipe, *, one_receiver: bool = False) -> Preparation:
        from acqplan.modalities.dmd.images import Intensities

        return Intensities()

    def checks(self) -> tuple[Check, ...]:
        from acqplan.modalities.dmd import checks, levels, shown_order

        return (*checks.CHECKS, *shown_order.CHECKS, *levels.CHECKS)

    def image_facts(self, plan: Plan, scan: Scan) -> dict[str, str]:
        """The unit, where it isn't that of the plan for sure."""
        from acqplan.modalities.dmd.levels import unit_is_known

        return {} if unit_is_known(plan, scan) else {"unit": "that of the trace's values"}

    def advice(
        self, sensing: SensingModel, budget: Budget, noise: NoiseModel, images: TrainingImages
    ) -> tuple[str, ...]:
        """Which display scheme suits."""
        from acqplan.learning.energy import typical_electrons
        from acqplan.modalities.dmd.light import scheme_advice

        found = scheme_advice(sensing, noise, budget, typical_electrons(images, noise))
        return () if found is None else (found.text,)

    def evidence(
        self,
        recipe: Recipe,
        sensing: SensingModel,
        budget: Budget,
        pattern: Pattern,
        noise: NoiseModel,
        images: TrainingImages,
    ) -> dict[str, Any]:
        """What the plan costs in light, which display scheme suits, and what a raster scan would give."""
        from acqplan.learning.energy import typical_electrons
        from acqplan.modalities.dmd.light import light_cost, scheme_advice
        from acqplan.modalities.dmd.noise import PoissonGaussian
        from acqplan.modalities.dmd.raster import rasters

        electrons = typical_electrons(images, noise)
        cost = light_cost(sensing, budget, pattern, electrons=electrons, power_w=self.power_w(recipe))
        advice = scheme_advice(sensing, noise, budget, electrons)
        found: dict[str, Any] = {"exposure": cost} | ({"scheme": advice.spec()} if advice else {})
        if isinstance(noise, PoissonGaussian):
            frames, lit = cost["frames"], cost["light_frames"]
            assert frames is not None
            assert lit is not None
            found["raster"] = rasters(noise, int(frames), lit, images.validation, images.test, recipe.seed)
        return found

    def costs(
        self,
        recipe: Recipe,
        sensing: SensingModel,
        budget: Budget,
        pattern: Pattern,
        noise: NoiseModel,
        images: TrainingImages,
    ) -> list[Cost]:
        """Photo-electrons and frames, and where the time of a frame is known, how long it all takes and is lit."""
        from acqplan.learning.energy import typical_electrons
        from acqplan.modalities.dmd.light import light_cost

        electrons = typical_electrons(images, noise)
        light = light_cost(sensing, budget, pattern, electrons=electrons, power_w=self.power_w(recipe))
        labels = {
            "photo_electrons": "photo-electrons",
            "frames": "frames",
            "scan_s": "scan time / s",
            "light_on_s": "light on / s",
            "energy_j": "energy / J",
        }
        known = [(name, label, light[name]) for name, label in labels.items()]
        return [Cost(name, label, float(value)) for name, label, value in known if value is not None]

    def light_cost(self, plan: Plan) -> dict[str, Any]:
        from acqplan.modalities.dmd.light import light_cost

        return plan.evidence.get("exposure") or light_cost(plan.sensing, plan.budget, plan.pattern)

    def facts(self, plan: Plan) -> list[tuple[str, str]]:
        return in_use.light_facts(plan, self.light_cost(plan))

    def remarks(self, plan: Plan) -> list[str]:
        return in_use.light_remarks(plan)

    def stresses(self, plan: Plan, seed: int) -> tuple[Stress, ...]:
        from acqplan.modalities.dmd.stresses import stresses

        return stresses(plan, seed)

    def fitted_detector(self, dark: Path, bright: Path, **how: Any) -> FittedDetector:
        from acqplan.modalities.dmd.traces.fitting import fitted_detector

        return fitted_detector(dark, bright, **how)


def _own(recipe: Recipe) -> DMDSettings:
    assert isinstance(recipe.instrument, DMDSettings)
    return recipe.instrument
