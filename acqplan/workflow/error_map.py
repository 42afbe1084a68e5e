"""Error maps: how large the error of a plan's image may be, calibrated on subjects that it hasn't seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from acqplan.core.risk_control import check_subjects, controlled_factor, held_out_coverage, least_subjects
from acqplan.images import ImageRecord
from acqplan.learning.error_ratios import by_subject, error_ratios, mean_width
from acqplan.learning.image_sets import evaluation_images
from acqplan.reconstructors.jackknife import Jackknife
from acqplan.workflow.error_calibration import ErrorCalibration
from acqplan.workflow.evaluate import evenly, name_of, paths_of, stacks_of, trained_on
from acqplan.workflow.inputs import PlanOrFile, plan_of
from acqplan.workflow.results import check_result, write_result

LEVEL = 0.9
PER_SUBJECT = 8
"""Images, evenly over all of a subject's, unless told otherwise."""


def error_map(
    plan: PlanOrFile,
    images: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    *,
    level: float = LEVEL,
    per_subject: int = PER_SUBJECT,
    binning: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> ErrorCalibration:
    """Calibrate a plan's error maps on images that it hasn't seen, by conformal risk control over subjects.

    Parameters
    ----------
    images
        Fully sampled images of at least 1/(1 − level) − 1 subjects: files, folders, or a sample.
    output
        JSON file to write; None: the calibration is only returned. An earlier result is replaced.
    level
        Share of the object's pixels whose error shall be at most the map's, on average over subjects like these.
    per_subject
        Use so many images of each subject at most, evenly over all.
    binning
        Of tiles: N x N pixels averaged into one; None: the images' own.
    seed
        Seed of the noise.

    Raises
    ------
    PlanFileError, ImageError
        The plan or the images can't be used.
    RecipeError
        A level outside 0 to 1, or too few subjects for it.
    OutputError
        ``output`` can't be written.
    """
    least_subjects(level)
    target = None if output is None else Path(output)
    if target is not None:
        check_result(target, overwrite=overwrite)
    loaded, paths, how = plan_of(plan), paths_of(images), Jackknife()
    prepared = evaluation_images(loaded.recipe, stacks_of(loaded, paths), binning=binning)
    records = evenly_by_subject(prepared.test, per_subject)
    check_subjects(len({record.subject for record in records}), level)
    found = error_ratios(loaded, records, how, seed=seed)
    ratios = by_subject(found)
    factor = controlled_factor(list(ratios.values()), level)
    held_out = held_out_coverage(list(ratios.values()), level)
    made = ErrorCalibration(
        plan_id=loaded.plan_id,
        level=level,
        factor=factor,
        jackknife=how,
        subjects=dict.fromkeys(ratios) if held_out is None else dict(zip(ratios, held_out, strict=True)),
        width=factor * mean_width(found),
        n_images=len(found),
        image_fingerprint=replace(prepared, test=records).fingerprint,
        paths=paths,
        seed=seed,
        warnings=[*trained_on(name_of(plan), loaded, paths), *prepared.warnings],
    )
    if target is not None:
        write_result(made.table(), target, overwrite=overwrite)
    return made


def evenly_by_subject(records: Sequence[ImageRecord], limit: int) -> tuple[ImageRecord, ...]:
    """At most ``limit`` images of each subject, evenly over all of its."""
    subjects = dict.fromkeys(record.subject for record in records)
    return tuple(
        record
        for subject in subjects
        for record in evenly([each for each in records if each.subject == subject], limit)
    )
