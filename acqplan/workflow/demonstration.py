"""The whole loop on real samples: design, export, acquire with a virtual instrument, reconstruct, compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from acqplan.core import npy, registry
from acqplan.core.errors import OutputError
from acqplan.core.files import atomic_file, check_writable
from acqplan.core.seeding import torch_generator
from acqplan.formats.export import export
from acqplan.formats.results import part_of, write_image
from acqplan.formats.save import save_acquired
from acqplan.images import ImageRecord
from acqplan.learning.evaluation import Scene, evaluate, measures
from acqplan.learning.problem import Problem, build_designer
from acqplan.learning.progress import Progress
from acqplan.learning.resolve import resolve
from acqplan.learning.training import design
from acqplan.plan.components import Component
from acqplan.plan.in_use import Setup
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import BudgetSettings, ImageSettings, Recipe, TrainingSettings
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.reconstructors.wavelet import Wavelet
from acqplan.reconstructors.zero_filled import ZeroFilled
from acqplan.sensing.acquisition import Acquisition
from acqplan.workflow.virtual_instrument import acquire_virtually

_SEARCHED = "swaps"  # what is demonstrated, also where a usual pattern is the default
WAVELET_WEIGHTS = (0.001, 0.002, 0.004, 0.008, 0.016)

PAGE = "index.html"
_MARK = "Made by acqplan"  # in every page of the report

Listener = Callable[[str, Progress | None], None]
"""Called with what is being done, and with each step of training."""


def setups() -> dict[str, Setup]:
    """What is demonstrated, by modality; the one that takes the largest share of the time first."""
    found = {kind: cls.setup for kind, cls in registry.kinds("modalities").items() if cls.setup is not None}
    return dict(sorted(found.items(), key=lambda each: -each[1].share))


@dataclass(frozen=True, eq=False)
class Contestant:
    """One pattern with one reconstructor: its plan, what it reaches on all held-out images, and one of them.

    ``means`` and ``image_measures`` are tables of `Modality.measures`; ``image``[H, W] is in the units of the
    prepared images. ``plan`` holds the pattern; of zero-filled contestants its network isn't used.
    """

    designer: str
    reconstructor: str
    plan: Plan
    means: dict[str, float]
    image: npt.NDArray[Any]
    image_measures: dict[str, float]

    @property
    def is_trained(self) -> bool:
        """Whether the reconstructor was trained."""
        return bool(registry.find("reconstructors", self.reconstructor).is_trained)


@dataclass(frozen=True, eq=False)
class Demonstration:
    """One modality's loop, the learned plan first among the ``contestants``; ``files`` are relative to the folder."""

    modality: str
    setup: Setup
    contestants: list[Contestant]
    record: ImageRecord
    n_train: int
    n_test: int
    warnings: list[str]
    files: list[str] = field(default_factory=list)

    @property
    def learned(self) -> Contestant:
        """The learned plan with its network."""
        return self.contestants[0]


def demonstrate(
    modality: str,
    folder: Path,
    minutes: float,
    *,
    steps: int | None = None,
    seed: int = 0,
    threads: int = 0,
    listener: Listener | None = None,
) -> Demonstration:
    """Run the loop of one modality; files go into ``folder``, earlier ones of a demonstration are replaced.

    Parameters
    ----------
    minutes
        Time to train all the networks together, the same for each; where a pattern is learned, fewer steps fit in.
    steps
        Steps of each training, instead of ``minutes``: the same result on every run.
    """
    setup = setups()[modality]
    tell: Listener = listener or (lambda stage, progress: None)

    def made(recipe: Recipe, what: str) -> Plan:
        tell(what, None)
        return design(recipe, progress=lambda progress: tell(what, progress))

    training = TrainingSettings(minutes=minutes / (1 + len(setup.trained)), threads=threads)
    if steps is not None:
        training = TrainingSettings(steps=steps, threads=threads)
    recipe = Recipe(
        modality,
        seed,
        ImageSettings([setup.sample], list(setup.size)),
        setup.sensing,
        BudgetSettings(setup.budget),
        setup.noise,
        Component(_SEARCHED),
        training=training,
    )
    learned = made(recipe, "learned pattern")
    plans = [learned]
    plans += [made(_baseline(recipe, kind), f"{kind} pattern") for kind in setup.trained]
    plans += [made(_baseline(recipe, kind, network), f"{kind}, {network}") for kind, network in setup.untrained]
    tell("exporting, acquiring, reconstructing", None)
    images = resolve(learned.recipe).images
    record = images.test[len(images.test) // 2]
    files, acquisition = _through_files(learned, setup, record, folder / modality, seed)
    contestants = [
        contestant
        for plan in plans
        for contestant in _contestants(plan, record, acquisition if plan is learned else None, seed)
    ]
    # Zero-filled ones of fixed patterns stand once, after all others.
    contestants.sort(key=lambda each: (not each.is_trained, each.reconstructor == "zero-filled"))
    files.append(_write_image(contestants[0], record, folder / modality / setup.reconstructed))
    return Demonstration(
        modality, setup, contestants, record, len(images.train), len(images.test), list(images.warnings), files
    )


def check_folder(folder: Path, *, overwrite: bool = False) -> None:
    """Raise `OutputError` unless the folder can be written and is new, empty or an earlier demonstration's."""
    if folder.is_dir():
        page = folder / PAGE
        is_ours = page.is_file() and _MARK in page.read_text(encoding="utf-8", errors="replace")
        if any(folder.iterdir()) and not is_ours and not overwrite:
            raise OutputError(f"{folder} holds other files.", "Choose another folder or pass --overwrite.")
    check_writable(folder / PAGE if folder.is_dir() else folder, overwrite=folder.is_dir())


def _baseline(recipe: Recipe, designer: str, reconstructor: str | None = None) -> Recipe:
    """The learned plan's recipe with another designer, and with another reconstructor, tuned, if one is given."""
    recipe = replace(recipe, designer=Component(designer))
    if reconstructor is None:
        return recipe
    recipe = replace(recipe, reconstructor=Component(reconstructor))
    return _with_tuned_wavelet(recipe) if reconstructor == "wavelet" else recipe


def _with_tuned_wavelet(recipe: Recipe) -> Recipe:
    """The weight of `WAVELET_WEIGHTS` that is best on validation images."""
    psnr = _validation_psnr(resolve(recipe), {str(weight): Wavelet(weight) for weight in WAVELET_WEIGHTS})
    best = max(WAVELET_WEIGHTS, key=lambda weight: psnr[str(weight)])
    return replace(recipe, reconstructor=Component("wavelet", {"weight": best}))


def _validation_psnr(problem: Problem, reconstructors: dict[str, Reconstructor]) -> dict[str, float]:
    pattern = build_designer(problem).freeze(torch_generator(problem.recipe.seed, "designer"))
    scene = Scene(problem.sensing, pattern, problem.noise)
    means = evaluate(scene, reconstructors, problem.images.validation).means
    return {name: means[name]["psnr_db"] for name in reconstructors}


def _through_files(
    plan: Plan, setup: Setup, record: ImageRecord, folder: Path, seed: int
) -> tuple[list[str], Acquisition]:
    """Save the plan, export it, acquire by playing the files, and read the acquired data back."""
    plan_path, exported, acquired = folder / "learned.acqplan", folder / setup.format.kind, folder / setup.acquired
    plan.save(plan_path, overwrite=True)
    loaded = Plan.load(plan_path)
    instrument = registry.find("instruments", setup.format.kind)(**setup.format.options)
    export(loaded, instrument, exported, overwrite=True)
    acquisition = acquire_virtually(loaded, instrument, exported, record, seed=seed)
    save_acquired(instrument, acquisition, loaded, acquired, overwrite=True)
    with atomic_file(folder / "truth.npy", overwrite=True) as temporary:
        npy.save_array(temporary, record.array * plan.noise.image_scale)
    files = sorted(
        str(path.relative_to(folder.parent))
        for path in (plan_path, folder / "truth.npy", *acquired.parent.glob(f"{acquired.stem}*"), *exported.iterdir())
    )
    return files, replace(instrument.read_acquired(acquired, loaded), geometry=record.geometry)


def _write_image(learned: Contestant, record: ImageRecord, path: Path) -> str:
    """Write the learned plan's image, in the units of a reconstruction; the file's name relative to the folder."""
    plan = learned.plan
    image = part_of(learned.image * plan.noise.image_scale, "magnitude")
    stamp = {"plan_id": plan.plan_id, "pattern_digest": plan.pattern.digest, "part": "magnitude"}
    write_image(image, path, stamp, record.geometry, overwrite=True)
    return f"{path.parent.name}/{path.name}"


def _contestants(plan: Plan, record: ImageRecord, acquisition: Acquisition | None, seed: int) -> list[Contestant]:
    """The plan as it is, and zero-filled if it has a network."""
    scale = plan.noise.image_scale
    if acquisition is None:
        acquisition = plan.simulate(record.array * scale, seed=seed, geometry=record.geometry)
    means = plan.evidence["held_out"]["mean"]
    made = []
    for name, part in (("plan", plan), ("zero_filled", replace(plan, reconstructor=ZeroFilled()))):
        if name == "zero_filled" and not type(plan.reconstructor).is_trained:
            continue
        image = part.reconstruct(acquisition) / scale
        made.append(
            Contestant(
                plan.recipe.designer.kind,
                part.reconstructor.kind,
                plan,
                means[name],
                image,
                measures(image, record.array, record.data_range, plan.modality.measures),
            )
        )
    return made
