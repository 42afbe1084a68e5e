"""Many reconstructions of one acquisition, and the choice of a few that agree with the data and differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acqplan.core.errors import AcquisitionError
from acqplan.core.files import check_writable
from acqplan.core.following import Follower, unfollowed
from acqplan.formats.results import suffix_of
from acqplan.sensing.acquisition import Acquisition, Scan
from acqplan.workflow.choice_files import Kept, write_choice
from acqplan.workflow.explorer import Choice, Explorer, choose
from acqplan.workflow.inputs import PlanOrFile, ScanOrFile, noise_with, plan_of, scan_of


@dataclass(frozen=True, eq=False)
class Exploration:
    """A few reconstructions of one acquisition, and the explorer that makes more."""

    explorer: Explorer
    choice: Choice


def explore(
    plan: PlanOrFile,
    acquired: ScanOrFile,
    output: str | Path | None = None,
    *,
    count: int = 6,
    suffix: str | None = None,
    noise: Mapping[str, float] | None = None,
    image_number: int | None = None,
    acquired_format: str | None = None,
    options: Mapping[str, Any] | None = None,
    assume_plan: bool = False,
    overwrite: bool = False,
    progress: Follower = unfollowed,
) -> Exploration:
    """Turn the knobs of a plan's network, and choose a few reconstructions that agree with the data and differ.

    Parameters
    ----------
    output
        Folder to write the chosen ones to, with maps of their differences; None: they are only returned.
    count
        How many to choose.
    suffix
        Of the image files (default: what suits the instrument).
    noise, image_number, acquired_format, options, assume_plan
        As of `explorer_of`.
    progress
        Told what is being done.

    Raises
    ------
    RecipeError
        The plan's network has no knob, or fewer than ``count`` reconstructions agree with the data.
    OutputError
        The folder exists (without ``overwrite``), holds other files, or can't be written.
    AcqplanError
        As of `explorer_of`.
    """
    suffix = None if suffix is None else checked_suffix(suffix)
    folder = None if output is None else Path(output)
    if folder is not None:
        check_writable(folder, overwrite=overwrite)
    explorer = explorer_of(
        plan,
        acquired,
        noise=noise,
        image_number=image_number,
        acquired_format=acquired_format,
        options=options,
        assume_plan=assume_plan,
    )
    progress("turning the knobs", 0, 0)
    choice = choose(explorer.candidates(), count)
    if folder is not None:
        kept = [Kept(candidate) for candidate in choice.chosen]
        write_choice(folder, explorer, kept, suffix=suffix, overwrite=overwrite)
    return Exploration(explorer, choice)


def explorer_of(
    plan: PlanOrFile,
    acquired: ScanOrFile,
    *,
    noise: Mapping[str, float] | None = None,
    image_number: int | None = None,
    acquired_format: str | None = None,
    options: Mapping[str, Any] | None = None,
    assume_plan: bool = False,
) -> Explorer:
    """A plan with knobs and one image of acquired data.

    Parameters
    ----------
    noise
        Settings of the plan's noise model that are changed: what the misfit is measured against.
    image_number
        Which image of a scan of several, from 0.
    acquired_format, options
        Kind of the file's format (None: what it contains) and settings to read it with.
    assume_plan
        Accept data that don't say which pattern they were acquired with.

    Raises
    ------
    PlanFileError, RecipeError, InstrumentError
        The plan, a setting or the format isn't right.
    AcquisitionError
        The data can't be read, were acquired with another pattern, or have no such image.
    """
    plan = plan_of(plan)
    acquisition = _chosen(scan_of(plan, acquired, acquired_format, options), image_number)
    return Explorer(plan, acquisition, noise=noise_with(plan, noise or {}), assume_plan=assume_plan)


def checked_suffix(suffix: str) -> str:
    """``tif`` or ``.tif`` as a suffix with its dot; `OutputError` if no image format has it."""
    return suffix_of(Path(f"image{suffix if suffix.startswith('.') else '.' + suffix}"))


def _chosen(scan: Scan, number: int | None) -> Acquisition:
    """Image ``number`` of a scan; without a number, the only one."""
    n = len(scan.acquisitions)
    if number is None and n > 1:
        raise AcquisitionError(f"{scan.source} holds {n} images.", f"Choose one with --image, from 0 to {n - 1}.")
    if number is not None and not 0 <= number < n:
        raise AcquisitionError(
            f"{scan.source} holds {n} image{'s' * (n > 1)}; there is no image {number}.", f"Count from 0 to {n - 1}."
        )
    return scan.acquisitions[number or 0]
