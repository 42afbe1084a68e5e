"""MRI, as the shared rooms ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from acqplan.core.errors import RecipeError
from acqplan.core.registry import register
from acqplan.modalities.mri import in_use
from acqplan.modalities.mri.settings import MIN_WIDTH, MRISettings
from acqplan.plan import typed
from acqplan.plan.components import Component
from acqplan.plan.modality import Modality, OptionFlag
from acqplan.plan.recipe import Recipe
from acqplan.plan.settings import GOAL, IMAGES, PATTERN, Flag

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from acqplan.images import ImageStack, TrainingImages
    from acqplan.images.preparation import Preparation
    from acqplan.plan.plan import Plan
    from acqplan.plan.stress import Stress
    from acqplan.plan.verification import Check
    from acqplan.sensing.acquisition import Acquisition, Scan
    from acqplan.sensing.budget import Budget
    from acqplan.sensing.constraints import Constraints
    from acqplan.sensing.model import SensingModel
    from acqplan.sensing.noise import NoiseModel
    from acqplan.sensing.pattern import Pattern

_GOOD_FOR_MAPS = 12
_MOST_COILS = 8  # virtual coils of raw data, unless a recipe asks for more: they hold nearly all the signal
_POINTS_REMEDY = "Use --pattern lines, or acquire in 3D (--scan 3d)."


@register("modalities", "mri")
class MRI(Modality):
    """Fourier encoding: ky lines of 2D slices, or ky–kz points of a 3D scan."""

    title = "MRI"
    summary = "Plan an MRI scan: which k-space lines or points to measure, and the network for exactly those."
    examples = (
        "acqplan design mri --images sample:brain --budget 4x --pattern points --size 128x128 --minutes 3 "
        "-o brain.acqplan",
        "acqplan design mri --images scans/ --budget 8x --pattern lines --calibration 12 --designer variable-density "
        "--reconstructor unet -o vd.acqplan",
        "acqplan design mri --images scans/ --budget 2min30s --tr 8ms --dry-run",
        "acqplan design mri --images scans/ --budget 4x --pattern lines --partial-fourier 6/8 --echo-train 8 "
        "-o tse.acqplan",
    )
    sensing_kinds = ("cartesian_mri",)
    settings = MRISettings
    sensing = Component("cartesian_mri", {"encoding": "points"})
    noise = Component("complex_gaussian", {"std": 0.005})
    fit = "resample"
    usual_designers = ("variable-density", "poisson-disc")
    batch_size, takes_intensities = 2, False
    evidence_types = MappingProxyType({"coils": in_use.CoilsUsed})
    words, image_suffix, setup = in_use.WORDS, ".nii.gz", in_use.SETUP
    use_flags, use_examples = in_use.FLAGS, in_use.EXAMPLES
    option_flags = (
        OptionFlag(
            "sensing",
            "cartesian_mri",
            "encoding",
            str,
            Flag(
                "--pattern",
                GOAL,
                "What is chosen: ky lines of a 2D scan, or ky-kz points of a 3D scan (default points).",
                "lines|points",
            ),
        ),
        OptionFlag(
            "noise",
            "complex_gaussian",
            "std",
            float,
            Flag(
                "--noise",
                GOAL,
                "Noise: standard deviation of a pixel of the full scan over the image's peak (default 0.005).",
                "STD",
            ),
        ),
        OptionFlag(
            "order",
            "",
            "effective_echo",
            int,
            Flag(
                "--effective-echo",
                PATTERN,
                "With --order segmented: the echo, from 1, that covers the centre of k-space.",
                "N",
            ),
        ),
    )
    budget_examples: ClassVar[dict[str, str]] = {
        **{"4x": "", "25%": "", "64": "", "64 lines": "--pattern lines", "64 points": "--pattern points"},
        "2min30s": "--tr 500ms",
    }
    frame_time = Flag("--tr", GOAL, "Repetition time, like 8ms, for budgets in time.", "TIME", typed.seconds)
    extra_flags = (
        Flag(
            "--coils",
            IMAGES,
            "Receive coils: virtual ones of raw data, simulated ones of other images (default 1; of raw data 8). A "
            "range like 1-16: another number in each training batch.",
            "N|LOW-HIGH",
        ),
        Flag(
            "--noise-from",
            GOAL,
            "The noise of this acquired file (ISMRMRD, twix, fastMRI, BART, NumPy …), unless --noise is given.",
            "FILE",
        ),
    )
    flags = (
        *("images.paths", "budget.amount", "sensing.encoding", "images.size", "budget.calibration"),
        *("budget.frame_time_s", "coils", "images.contrasts", "noise.std", "noise-from", "designer"),
        *(
            "reconstructor",
            "pattern_from",
            "adapt_from",
            "pattern.scan",
            "order",
            "pattern.echo_train",
            "order.effective_echo",
        ),
        *("pattern.partial_fourier", "pattern.partial_fourier_side", "pattern.shutter", "pattern.one_of_conjugates"),
        *("pattern.forbidden", "pattern.required", "recipe", "images.fit", "images.slices", "images.held_out"),
        "images.train_only",
        *("training.loss", "training.minutes", "training.steps", "training.noise_range", "training.base"),
        *("training.compact", "training.precision", "seed", "training.device", "training.threads"),
    )

    def decide(self, recipe: Recipe) -> Recipe:
        own = _own(recipe)
        points = _is_of_points(recipe)
        if own.scan == "2d" and points:
            from acqplan.modalities.mri.sensing import NO_POINTS_IN_2D

            raise RecipeError(f"A pattern of points is asked of a 2D scan. {NO_POINTS_IN_2D}", _POINTS_REMEDY)
        if own.scan == "3d" and not points:
            raise RecipeError(
                "A pattern of lines is asked of a 3D scan; lines are planned, exported and read as 2D slices.",
                "Use --pattern points, or acquire in 2D (--scan 2d).",
            )
        if own.fewest_coils is not None and own.fewest_coils > (own.coils or 0):
            raise RecipeError(
                f"The range of coils is from {own.fewest_coils} to {own.coils or 'no number'}.",
                "Write it ascending, like --coils 1-16, or coils = 16 and fewest_coils = 1 in a recipe.",
            )
        usual = MRISettings(1, 1.0, "low", "none", False, "3d" if points else "2d")
        names = ("echo_train", "partial_fourier", "partial_fourier_side", "shutter", "one_of_conjugates", "scan")
        still_open: dict[str, Any] = {name: getattr(usual, name) for name in names if getattr(own, name) is None}
        return replace(recipe, instrument=replace(own, **still_open))

    def decide_by_images(
        self, recipe: Recipe, stacks: Sequence[ImageStack], asked: Recipe
    ) -> tuple[Recipe, tuple[str, ...]]:
        notes = self._check_slices(recipe, stacks, states_3d=_own(asked).scan == "3d")
        most = max(stack.n_coils for stack in stacks)
        if _own(recipe).coils is None and most > 1:
            recipe = replace(recipe, instrument=replace(_own(recipe), coils=min(most, _MOST_COILS)))
        return recipe, notes

    def _check_slices(self, recipe: Recipe, stacks: Sequence[ImageStack], *, states_3d: bool) -> tuple[str, ...]:
        """Raw data of slices say how they were acquired: a pattern of points isn't for them.

        Where the recipe itself states a 3D scan, the images are only examples of what will be seen: a note.
        """
        slices = [stack.source for stack in stacks if stack.is_2d_scan]
        if not slices or not _is_of_points(recipe):
            return ()
        which = slices[0] if len(slices) == 1 else f"{slices[0]} and {len(slices) - 1} more"
        if not states_3d:
            from acqplan.modalities.mri.sensing import NO_POINTS_IN_2D

            raise RecipeError(
                f"The pattern is one of points, and {which} was acquired in 2D slices. {NO_POINTS_IN_2D}",
                _POINTS_REMEDY,
            )
        return (f"{which} was acquired in 2D slices; a scan with this pattern of points has to be a 3D one.",)

    def usual_designer(self, recipe: Recipe) -> str:
        """A search for lines; for points a tuned Poisson disc, which none beat on unseen people (docs/evidence.md)."""
        return "poisson-disc" if _is_of_points(recipe) else "swaps"

    def usual_designer_words(self) -> str:
        return "poisson-disc for points, swaps for lines"

    def compared_designers(self, recipe: Recipe) -> tuple[str, ...]:
        return "poisson-disc" if _is_of_points(recipe) else "variable-density", "swaps"

    def usual_order(self, recipe: Recipe) -> str:
        return "segmented" if self.readings_per_shot(recipe) > 1 else "linear"

    def constraint_words(self, recipe: Recipe) -> list[str]:
        own = _own(recipe)
        words = []
        if (own.partial_fourier or 1) < 1:
            words.append(f"partial Fourier {own.partial_fourier:g} ({own.partial_fourier_side} ky left out)")
        if own.shutter == "elliptical":
            words.append("elliptical shutter")
        if own.one_of_conjugates:
            words.append("one of k and -k outside the calibration region")
        return words

    def order_arguments(self, recipe: Recipe) -> dict[str, Any]:
        return {"echo_train": self.readings_per_shot(recipe)}

    def read_flag(self, name: str, value: str, recipe: Recipe) -> dict[str, Any]:
        """A number or range of coils; the noise of an acquired file."""
        if name == "coils":
            fewest, most = typed.whole_span(value, "--coils")
            return {"images.coils": most, "images.fewest_coils": fewest if fewest < most else None}
        from acqplan.modalities.mri.noise_from import noise_std_from

        return {"noise.std": noise_std_from(Path(value), recipe)}

    def network_arguments(self, images: TrainingImages) -> dict[str, Any]:
        # Several coils leave so little wrong that noise is of the same size as what a network leaves.
        return {"knows_noise": True} | ({"penalty": 1.0} if images.n_coils > 1 else {})

    def noise_level(self, plan: Plan, acquisition: Acquisition, zero_filled: torch.Tensor) -> torch.Tensor | None:
        from acqplan.modalities.mri.noise_level import noise_level

        return noise_level(plan, acquisition, zero_filled)

    def left_out(self, recipe: Recipe, sensing: SensingModel) -> dict[str, npt.NDArray[np.bool_]]:
        from acqplan.modalities.mri.constraints import left_out

        return left_out(_own(recipe), sensing)

    def narrowed(
        self,
        constraints: Constraints,
        recipe: Recipe,
        calibration: npt.NDArray[np.int32],
        sensing: SensingModel,
        seed: int,
    ) -> Constraints:
        import numpy as np

        from acqplan.modalities.mri.constraints import without_conjugates

        if not _own(recipe).one_of_conjugates:
            return constraints
        return without_conjugates(constraints, np.union1d(calibration, constraints.required), sensing, seed)

    def given_fault(
        self, recipe: Recipe, pattern: Pattern, fixed: npt.NDArray[np.int64], sensing: SensingModel
    ) -> str | None:
        from acqplan.modalities.mri.constraints import has_conjugates

        if _own(recipe).one_of_conjugates and has_conjugates(pattern.order, fixed, sensing):
            return "The other plan's pattern measures both k and -k somewhere, and one_of_conjugates is set."
        return None

    def calibration_widths(self, recipe: Recipe, sensing: SensingModel) -> tuple[int, int]:
        """Up to a tenth of the side; with several coils up to at least 12, and no less than what their maps need."""
        smallest = min(sensing.grid_shape)
        widest = max(smallest // 10, 1)
        if (_own(recipe).coils or 1) == 1:
            return widest, 0
        return min(smallest, max(widest, _GOOD_FOR_MAPS)), MIN_WIDTH

    def readings_per_shot(self, recipe: Recipe) -> int:
        return _own(recipe).echo_train or 1

    def preparation(self, recipe: Recipe, *, one_receiver: bool = False) -> Preparation:
        from acqplan.modalities.mri.images import MRImages

        own = _own(recipe)
        if one_receiver:
            return MRImages(contrasts=bool(own.contrasts))
        return MRImages(own.coils or 1, own.fewest_coils, bool(own.contrasts))

    def completed(self, scan: Scan, plan: Plan, **options: Any) -> Scan:
        """With coil maps; ``virtual_coils``: so many, or those with a share of the energy like ``99%``; None: all."""
        from acqplan.modalities.mri.coils import scan_with_maps, typed_coils

        given = options.pop("virtual_coils", None)
        super().completed(scan, plan, **options)
        return scan_with_maps(scan, plan, n_virtual=None if given is None else typed_coils(given))

    def made_up_maps(self, plan: Plan) -> npt.NDArray[np.complex64] | None:
        from acqplan.core.seeding import torch_generator
        from acqplan.modalities.mri.coils import simulated_maps

        n_coils = _own(plan.recipe).coils or 1
        if n_coils == 1:
            return None
        maps = simulated_maps(n_coils, plan.sensing.image_shape, torch_generator(plan.recipe.seed, "test vector"))
        found: npt.NDArray[np.complex64] = maps.numpy()
        return found

    def checks(self) -> tuple[Check, ...]:
        from acqplan.modalities.mri import checks

        return checks.CHECKS

    def evidence(
        self,
        recipe: Recipe,
        sensing: SensingModel,
        budget: Budget,
        pattern: Pattern,
        noise: NoiseModel,
        images: TrainingImages,
    ) -> dict[str, Any]:
        from acqplan.modalities.mri import voxels

        voxel = voxels.voxel_of(images)
        told: dict[str, Any] = {} if voxel is None else {voxels.KEY: voxel}
        if images.n_coils == 1:
            return told
        width, fewest = recipe.budget.calibration or 0, _own(recipe).fewest_coils
        known = "known exactly" if width < MIN_WIDTH else "estimated from the calibration region"
        told["coils"] = {"n": images.n_coils, "maps": f"{images.maps_source}, {known}"}
        if fewest is not None:
            told["coils"]["fewest"] = fewest
        if width < MIN_WIDTH:
            told["warnings"] = [
                f"The calibration region is {width} wide: coil maps can't be estimated from it, which needs "
                f"{MIN_WIDTH}; acquired data have to bring their own."
            ]
        return told

    def stresses(self, plan: Plan, seed: int) -> tuple[Stress, ...]:
        from acqplan.modalities.mri.stresses import stresses

        return stresses(plan)

    def facts(self, plan: Plan) -> list[tuple[str, str]]:
        from acqplan.modalities.mri import voxels

        coils, extent = plan.evidence.get("coils"), voxels.as_text(plan)
        listed = [] if extent is None else [("Field of view", extent)]
        if coils is None:
            return listed
        fewest = f"{coils['fewest']} to " if "fewest" in coils else ""
        return [*listed, ("Coils", f"{fewest}{coils['n']}, maps {coils['maps']}")]

    def image_facts(self, plan: Plan, scan: Scan) -> dict[str, str]:
        from acqplan.modalities.mri import voxels
        from acqplan.modalities.mri.facts import facts_of

        told, voxel, parameters = {}, voxels.voxel_mm(plan), facts_of(scan).parameters
        if voxel is not None and scan.geometry is None:
            told["voxel_mm"] = ",".join(f"{side:g}" for side in voxel)
        planned = None if plan.budget.reading_time_s is None else 1e3 * plan.budget.reading_time_s
        for name, given in (("TE_ms", parameters.get("TE_ms")), ("TR_ms", parameters.get("TR_ms", planned))):
            value = given[0] if isinstance(given, list | tuple) and given else given
            if isinstance(value, int | float) and 0 < value < 1e6:
                told[name] = f"{value:g}"
        return told


def _own(recipe: Recipe) -> MRISettings:
    assert isinstance(recipe.instrument, MRISettings)
    return recipe.instrument


def _is_of_points(recipe: Recipe) -> bool:
    sensing = recipe.sensing or MRI.sensing
    return str(sensing.options.get("encoding", "points")) == "points"
