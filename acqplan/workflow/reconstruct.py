"""From acquired data to images: read, verified, refused or reconstructed, stamped, written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import acqplan
from acqplan.core.errors import OutputError, RecipeError
from acqplan.core.following import Follower, unfollowed
from acqplan.formats.contracts import Result
from acqplan.formats.results import check_output, default_part, part_of, write_images
from acqplan.plan import verification
from acqplan.plan.plan import Plan
from acqplan.plan.verification import Finding
from acqplan.sensing.acquisition import Geometry, Scan
from acqplan.workflow.error_calibration import CalibrationOrFile, ErrorCalibration, ErrorMaps, calibration_of
from acqplan.workflow.inputs import PlanOrFile, ScanOrFile, plan_of, scan_of
from acqplan.workflow.supplied import SuppliedMaps


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Images of a scan, and what is known of them.

    Parameters
    ----------
    images
        [n, rows, columns], complex64 or float32: the ``part`` of each image.
    part
        ``magnitude``, ``phase`` or ``complex``.
    geometry
        Where the volume lies in space, or None.
    stamp
        What a file of these images says of its origin: plan, pattern, acquired data, unit, and whether the plan was
        only assumed.
    findings
        How the acquired data differ from the plan, and this machine from the plan's; none of them is an error.
    supplied, supplied_shares
        float32[n, rows, columns]: magnitude of what isn't in what was measured of each image, and its share of the
        image's energy; None unless asked for (`acqplan.reconstructors.supplied`).
    error_map, error_level
        float32[n, rows, columns]: how large the error of each image's magnitude may be, and the level that it was
        calibrated for; None unless asked for (`acqplan.workflow.error_map`).
    """

    images: npt.NDArray[Any]
    part: str
    geometry: Geometry | None
    stamp: dict[str, Any]
    findings: list[Finding]
    supplied: npt.NDArray[np.float32] | None = None
    supplied_shares: tuple[float, ...] | None = None
    error_map: npt.NDArray[np.float32] | None = None
    error_level: float | None = None

    @property
    def plan_is_assumed(self) -> bool:
        """The data don't say their pattern; the plan's was assumed."""
        return bool(self.stamp["plan_assumed"])

    @property
    def warnings(self) -> list[str]:
        """What makes the images worse than the plan's evidence, or may; one or two sentences each."""
        found = [f"{each.text} {each.remedy}".strip() for each in self.findings if each.severity == "warning"]
        return list(dict.fromkeys(found))


def reconstruct(
    plan: PlanOrFile,
    acquired: ScanOrFile,
    output: str | Path | None = None,
    *,
    as_format: str | None = None,
    acquired_format: str | None = None,
    options: Mapping[str, Any] | None = None,
    part: str | None = None,
    pixel_size_um: float | None = None,
    knob: Sequence[float] | None = None,
    settings: Mapping[str, Any] | None = None,
    assume_plan: bool = False,
    use_planned: bool = False,
    supplied: str | Path | bool = False,
    error_map: str | Path | bool = False,
    error_calibration: CalibrationOrFile | None = None,
    overwrite: bool = False,
    progress: Follower = unfollowed,
) -> Reconstruction:
    """Reconstruct acquired data with the plan's network, after verifying them; one image after another.

    Parameters
    ----------
    output
        File or folder to write the images to; None: they are only returned.
    as_format
        Kind of the image format (default: what the suffix of ``output`` says).
    acquired_format, options
        Kind of the acquired file's format (None: what it contains) and settings to read it with.
    part
        ``magnitude``, ``phase`` or ``complex``; None: complex where the images are complex and ``output`` holds such
        values by default, or is None; else the magnitude.
    pixel_size_um
        Side of a pixel of the image, for the formats that store it.
    knob
        A position from 0 to 1 for each knob of a network that has them; None: their middle.
    settings
        Of the instrument, by name: of an MRI scan ``{"virtual_coils": 6}`` compresses several coils to so many, or
        ``"99%"`` to those that hold this share of the energy.
    assume_plan
        Accept data that don't say which pattern they were acquired with; the stamp records it.
    use_planned
        Of data that hold more than was planned, take only what was planned; the stamp records it.
    supplied
        Tell what the network supplied beyond what was measured; a file to write a map of it to.
    error_map, error_calibration
        Tell how large the error may be, as `acqplan.error_map` calibrated it; a file to write the map to.
    progress
        Told what is being done, and how many images are done.

    Raises
    ------
    PlanFileError, RecipeError, InstrumentError
        The plan, a setting or the format of the acquired data isn't right.
    AcquisitionError
        The acquired data can't be read, or differ from the plan so that no reconstruction can be right.
    OutputError
        ``output`` exists (without ``overwrite``), can't be written, or can't hold these images.
    """
    target = None if output is None else Path(output)
    if target is not None:
        check_output(target, as_format, part=part, overwrite=overwrite)
    supplied_target, error_target = (None if isinstance(each, bool) else Path(each) for each in (supplied, error_map))
    map_targets = [each for each in (supplied_target, error_target) if each is not None]
    _refuse_twins([each for each in (target, *map_targets) if each is not None])
    for each in map_targets:
        check_output(each, overwrite=overwrite)
    plan = plan_of(plan)
    if knob is not None:
        knob = plan.checked_knob(knob)
    calibration = _calibration(plan, error_map is not False, error_calibration, knob)
    progress(f"reading {_name(acquired)}", 0, 0)
    scan = scan_of(plan, acquired, acquired_format, options)
    held = scan.acquisitions[0].order
    if use_planned:
        scan = scan.mapped(plan.planned_only)
    findings = verification.verify(plan, scan, assume_plan=assume_plan)
    verification.refuse_errors(findings)
    findings += verification.other_numbers(plan)
    is_assumed = any(each.subject == verification.UNSTATED for each in findings)
    n_images = len(scan.acquisitions)
    if target is not None:
        check_output(target, as_format, part=part, n_images=n_images, needs_stamp=is_assumed, overwrite=overwrite)
    for each in map_targets:
        check_output(each, n_images=n_images, needs_stamp=is_assumed, overwrite=overwrite)
    chosen = part or _default_part(plan, target, as_format)
    stamp = _stamp(plan, _name(acquired), chosen, is_assumed) | plan.modality.image_facts(plan, scan)
    if pixel_size_um is not None:
        stamp["pixel_size_um"] = pixel_size_um
    if knob is not None:
        stamp["knob"] = ",".join(map(str, knob))
    stamp |= {name: str(value) for name, value in (settings or {}).items()}
    if use_planned and held is not None:
        stamp["readings_held"], stamp["readings_used"] = len(held), len(scan.acquisitions[0].readings)
    told = SuppliedMaps(plan, n_images) if supplied is not False else None
    errors = ErrorMaps(plan, calibration, n_images) if calibration is not None else None
    followers = [each for each in (told, errors) if each is not None]
    images = _images(plan, scan, chosen, progress, followers, assume_plan=assume_plan, knob=knob, **(settings or {}))
    if target is not None:
        progress(f"writing {target}", 0, 0)
        write_images(Result(images, stamp, scan.geometry), target, as_format, overwrite=overwrite)
    of_maps = stamp | {"part": "magnitude"}
    if told is not None and supplied_target is not None:
        shares = ",".join(f"{share:.4g}" for share in told.shares)
        shown = of_maps | {"shows": "what the network supplied", "supplied_shares": shares}
        write_images(Result(told.maps, shown, scan.geometry), supplied_target, overwrite=overwrite)
    if errors is not None and error_target is not None:
        shown = of_maps | {"shows": "how large the error may be", "error_level": errors.calibration.level}
        write_images(Result(errors.maps, shown, scan.geometry), error_target, overwrite=overwrite)
    return Reconstruction(
        images,
        chosen,
        scan.geometry,
        stamp,
        findings,
        None if told is None else told.maps,
        None if told is None else tuple(told.shares),
        None if errors is None else errors.maps,
        None if calibration is None else calibration.level,
    )


def _refuse_twins(targets: Sequence[Path]) -> None:
    resolved = [each.resolve() for each in targets]
    for i, each in enumerate(targets):
        if resolved[i] in resolved[:i]:
            raise OutputError(f"{each} is named for two results: the image, or a map of it.", "Name a file for each.")


def _calibration(
    plan: Plan, wanted: bool, given: CalibrationOrFile | None, knob: Sequence[float] | None
) -> ErrorCalibration | None:
    if given is None and not wanted:
        return None
    if given is None or not wanted:
        missing = "calibration" if given is None else "file to write it to"
        raise RecipeError(
            f"An error map is asked for without a {missing}.",
            "Give --error-map FILE and --error-calibration FILE, which acqplan error-map writes of this plan.",
        )
    if knob is not None:
        raise RecipeError(
            "Error maps are calibrated in the middle of a knob, and hold nowhere else.", "Leave out --knob, or the map."
        )
    return calibration_of(plan, given)


def _name(acquired: ScanOrFile) -> str:
    return acquired.source if isinstance(acquired, Scan) else str(acquired)


def _default_part(plan: Plan, output: Path | None, as_format: str | None) -> str:
    is_complex = plan.sensing.image_dtype.is_complex
    if output is None:
        return "complex" if is_complex else "magnitude"
    return default_part(output, as_format, is_complex=is_complex)


def _stamp(plan: Plan, acquired: str, part: str, is_assumed: bool) -> dict[str, Any]:
    return {
        "software": f"acqplan {acqplan.__version__}",
        "plan_id": plan.plan_id,
        "pattern_digest": plan.pattern.digest,
        "acquired": acquired,
        "part": part,
        "unit": plan.modality.words.image_unit,
        "plan_assumed": is_assumed,
    }


def _images(
    plan: Plan,
    scan: Scan,
    part: str,
    progress: Follower,
    followers: Sequence[SuppliedMaps | ErrorMaps],
    **settings: Any,
) -> npt.NDArray[Any]:
    """[n, rows, columns]: that part of each image; of the rest, one image is held at a time."""
    shape = (len(scan.acquisitions), *plan.sensing.image_shape)
    images = np.empty(shape, np.complex64 if part == "complex" else np.float32)
    progress("reconstructing", 0, len(images))
    for i, (acquisition, image) in enumerate(plan.reconstruct_each(scan, **settings)):
        images[i] = part_of(image, part)
        for follower in followers:
            follower.add(i, acquisition, image)
        progress("reconstructing", i + 1, len(images))
    return images
