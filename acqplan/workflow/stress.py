"""What a plan's image loses where something is otherwise than planned, and a classical solver's beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from acqplan.core.errors import RecipeError
from acqplan.core.seeding import torch_generator
from acqplan.core.statistics import bootstrap_interval
from acqplan.images import ImageRecord
from acqplan.learning import lesions
from acqplan.learning.attack import worst_change
from acqplan.learning.evaluation import Evaluation, Scene, evaluate, measures, simulated
from acqplan.learning.image_sets import evaluation_images
from acqplan.learning.stresses import scene_of, shared_stresses
from acqplan.learning.tuned_solver import classical, tuned_solver
from acqplan.plan.components import Component
from acqplan.plan.plan import Plan
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.workflow.evaluate import evenly, name_of, paths_of, stacks_of, trained_on
from acqplan.workflow.inputs import PlanOrFile, plan_of
from acqplan.workflow.results import RESULT_FORMAT

LIMIT = 48
"""Images, evenly over all, unless told otherwise."""
TUNED_ON, ATTACKED = 4, 4  # images
ATTACK = "worst-1pct"
_SOLVER = Component("tv")
_ATTACKED_ITERATIONS = 60  # of the solver, which a gradient has to go through


@dataclass(frozen=True)
class Row:
    """One stress: mean PSNR and SSIM of the plan and of the solver, and what they lose against no stress.

    ``interval_db``: of the plan's ``loss_db``, over subjects; None of too few.
    """

    name: str
    words: str
    psnr_db: float
    ssim: float
    solver_db: float
    solver_ssim: float
    loss_db: float = 0.0
    loss_ssim: float = 0.0
    solver_loss_db: float = 0.0
    interval_db: tuple[float, float] | None = None
    n_images: int = 0


@dataclass(frozen=True)
class Lesions:
    """Small lesions (`acqplan.learning.lesions`): mean contrast that is kept, with its interval over subjects, and of a
    hundred images how many show one that isn't there."""

    n: int
    n_images: int
    kept: float | None
    kept_interval: tuple[float, float] | None
    false_per_100: float
    solver_kept: float | None
    solver_false_per_100: float


@dataclass(frozen=True, eq=False)
class Stressed:
    """A plan under stress; ``rows``: the first is without."""

    name: str
    plan: Plan
    rows: list[Row]
    lesions: Lesions
    solver: str
    paths: list[str]
    seed: int
    warnings: list[str] = field(default_factory=list)

    def table(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "format": RESULT_FORMAT,
            "plan": self.name,
            "plan_id": self.plan.plan_id,
            "paths": self.paths,
            "seed": self.seed,
            "solver": self.solver,
            "stresses": {row.name: {k: v for k, v in vars(row).items() if k != "name"} for row in self.rows},
            "lesions": vars(self.lesions),
            "warnings": self.warnings,
        }


def stressed_from(path: str | Path, plan: Plan) -> Stressed:
    """What ``acqplan stress --json`` wrote of this plan.

    Raises
    ------
    RecipeError
        Another file, or one of another plan.
    """
    remedy = "Name the file that acqplan stress --json wrote of this plan."
    try:
        table = json.loads(Path(path).read_text(encoding="utf-8"))
        if table["plan_id"] != plan.plan_id:
            raise RecipeError(f"{path} is of the plan {table['plan_id'][:12]}, not of {plan.plan_id[:12]}.", remedy)
        rows = [Row(name, **values) for name, values in table["stresses"].items()]
        small = Lesions(**table["lesions"])
        facts = (str(table["solver"]), list(map(str, table["paths"])), int(table["seed"]))
        msgspec.convert([vars(row) for row in rows], list[Row])
        msgspec.convert(vars(small), Lesions)
    except OSError as error:
        raise RecipeError(f"{path} can't be read: {error.strerror}.", remedy) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RecipeError(f"{path} isn't the result of acqplan stress.", remedy) from error
    if not rows:
        raise RecipeError(f"{path} holds no stress.", remedy)
    return Stressed(str(table["plan"]), plan, rows, small, *facts, list(map(str, table.get("warnings", []))))


def stress(
    plan: PlanOrFile,
    images: str | Path | Sequence[str | Path],
    *,
    others: Mapping[str, str | Path | Sequence[str | Path]] | None = None,
    limit: int | None = LIMIT,
    binning: int | None = None,
    seed: int = 0,
) -> Stressed:
    """Measure a plan where something is otherwise than planned, beside total variation on the same readings.

    More and less noise, readings dropped and added, what the instrument brings (a fading lamp, stuck mirrors, a
    narrower calibration region), the worst change of the readings by 1 %, small lesions, and other images.

    Parameters
    ----------
    images
        Fully sampled images that the plan hasn't seen: files, folders, or a sample.
    others
        Further ones by name: another contrast, anatomy or stain.
    limit
        Use so many images only, evenly over all.
    binning
        Of tiles: N x N pixels averaged into one; None: the images' own.
    seed
        Of the noise, of what is dropped or stuck, and of the lesions.

    Raises
    ------
    PlanFileError, ImageError
        The plan or the images can't be used.
    """
    loaded, paths = plan_of(plan), paths_of(images)
    records, told = _records(loaded, paths, limit, binning)
    warnings = [*trained_on(name_of(plan), loaded, paths), *told]
    usual = scene_of(loaded)
    solver = classical(tuned_solver(_SOLVER, usual, evenly(records, TUNED_ON)))
    judged: dict[str, Reconstructor] = {"plan": loaded.reconstructor, "solver": solver}
    planned = evaluate(usual, judged, records, seed=seed)
    rows = [_row("none", "as planned", planned)]
    for each in (*shared_stresses(loaded, seed), *loaded.modality.stresses(loaded, seed)):
        rows.append(_row(each.name, each.words, evaluate(scene_of(loaded, each), judged, records, seed=seed), planned))
    rows.append(_attacked(usual, judged, evenly(records, ATTACKED), seed))
    for name, more in (others or {}).items():
        other_records, told = _records(loaded, paths_of(more), limit, binning)
        warnings += told
        found = evaluate(usual, judged, other_records, seed=seed)
        rows.append(_row(f"images-{name}", f"other images: {name}", found, planned, is_paired=False))
    weight = f"{solver.kind} (weight {solver.spec()['weight']:.3g})"
    small = _lesions(usual, judged, records, planned, seed)
    return Stressed(name_of(plan), loaded, rows, small, weight, paths, seed, warnings)


def _records(
    plan: Plan, paths: list[str], limit: int | None, binning: int | None
) -> tuple[tuple[ImageRecord, ...], list[str]]:
    chosen = evaluation_images(plan.recipe, stacks_of(plan, paths), binning=binning)
    return evenly(chosen.test, limit), list(chosen.warnings)


def _row(name: str, words: str, found: Evaluation, planned: Evaluation | None = None, *, is_paired: bool = True) -> Row:
    """The means of an evaluation, and what they lose against ``planned``: image by image where they are the same."""
    means = {who: found.means[who] for who in ("plan", "solver")}
    before = (planned or found).means
    losses = {who: before[who]["psnr_db"] - means[who]["psnr_db"] for who in means}
    interval = None
    if planned is not None and is_paired:
        lost = [
            was["plan"]["psnr_db"] - now["plan"]["psnr_db"] for was, now in zip(planned.rows, found.rows, strict=True)
        ]
        interval = bootstrap_interval(lost, [row["subject"] for row in found.rows])
    return Row(
        name,
        words,
        means["plan"]["psnr_db"],
        means["plan"]["ssim"],
        means["solver"]["psnr_db"],
        means["solver"]["ssim"],
        losses["plan"],
        before["plan"]["ssim"] - means["plan"]["ssim"],
        losses["solver"],
        interval,
        len(found.rows),
    )


def _attacked(scene: Scene, judged: Mapping[str, Reconstructor], records: Sequence[ImageRecord], seed: int) -> Row:
    """Each under the worst change of its own that is found, and its loss against the same readings unchanged."""
    scale = scene.noise.image_scale
    counts = torch.from_numpy(scene.pattern.counts.astype(np.float32))[None]
    generator = torch_generator(seed, "attack")
    before, after = [], []
    for record in records:
        images, coefficients, sensing = simulated([record], scene, seed=seed)
        row: tuple[dict[str, Any], dict[str, Any]] = ({"subject": record.subject}, {"subject": record.subject})
        for who, reconstructor in judged.items():
            attacked = _differentiable(reconstructor)
            change = worst_change(attacked, coefficients, counts, sensing, images, generator)
            with torch.inference_mode():
                for each, given in zip(row, (coefficients, coefficients + change), strict=True):
                    image = reconstructor(given, counts, sensing)[0].numpy() / scale
                    each[who] = measures(image, record.array, float(record.data_range))
        before.append(row[0])
        after.append(row[1])
    words = f"worst 1 % change of the readings (of {len(records)})"
    return _row(ATTACK, words, Evaluation(after), Evaluation(before))


def _differentiable(reconstructor: Reconstructor) -> Reconstructor:
    """What a gradient can go through: a solver with so few iterations that all of them fit the memory."""
    if reconstructor.is_trained:
        return reconstructor
    options = {**reconstructor.spec(), "iterations": _ATTACKED_ITERATIONS, "tolerance": 0.0}
    return classical(Component(reconstructor.kind, options))


def _lesions(
    scene: Scene, judged: dict[str, Reconstructor], records: Sequence[ImageRecord], planned: Evaluation, seed: int
) -> Lesions:
    where = [lesions.spots(record, seed) for record in records]
    chosen = [i for i, spots in enumerate(where) if spots]
    false = {
        who: [lesions.has_false_lesion(planned.images[who][i], records[i].array) for i in chosen] for who in judged
    }
    shares = {who: 100 * float(np.mean(each)) if each else 0.0 for who, each in false.items()}
    if not chosen:
        return Lesions(0, 0, None, None, 0.0, None, 0.0)
    changed = [lesions.with_lesions(record, spots) for record, spots in zip(records, where, strict=True)]
    found = evaluate(scene, judged, changed, seed=seed)
    kept = {
        who: [
            lesions.kept_contrast(planned.images[who][i], found.images[who][i], records[i], where[i]).mean()
            for i in chosen
        ]
        for who in judged
    }
    interval = bootstrap_interval(kept["plan"], [records[i].subject for i in chosen])
    return Lesions(
        sum(map(len, where)),
        len(chosen),
        float(np.mean(kept["plan"])),
        interval,
        shares["plan"],
        float(np.mean(kept["solver"])),
        shares["solver"],
    )
