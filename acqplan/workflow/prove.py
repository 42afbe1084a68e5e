"""Whether plans, their exported files and this machine are what they were when the plans were finished."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from acqplan.core.errors import AcqplanError, PlanFileError
from acqplan.formats.export import MANIFEST
from acqplan.plan.plan import Plan
from acqplan.workflow.export import format_of
from acqplan.workflow.inputs import PlanOrFile

_PLAN_FILES = ("*.acqplan", "*.acqbase")
_Folders = dict[Path, Path]
"""Paths as they were given, by where they really are."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    subject
        ``identity``, ``test vector`` or the name of an exported folder.
    result
        ``ok``, ``failed``, or ``none`` where there is nothing to look at.
    text
        What was found, one sentence or two.
    remedy
        What to do, unless it is ok.
    numbers
        Of the test vector: ``image`` and ``readings``, how far they deviate, and ``tolerance``.
    """

    subject: str
    result: Literal["ok", "failed", "none"]
    text: str
    remedy: str = ""
    numbers: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Proof:
    """What was found of one plan, or of an exported folder that belongs to no plan.

    Parameters
    ----------
    name
        Of the file or folder, or the first digits of the plan id.
    plan_id
        64 hexadecimal digits; None of what couldn't be read.
    checks
        What was looked at.
    """

    name: str
    plan_id: str | None
    checks: list[Check]

    @property
    def passed(self) -> bool:
        """Nothing failed."""
        return all(check.result != "failed" for check in self.checks)


def prove(*plans: PlanOrFile) -> list[Proof]:
    """Check each plan's identity, its exported files, and that its network gives the same image here.

    Parameters
    ----------
    plans
        Plans, plan files, and folders: exported ones, or such as hold plans and exports, at any depth. Exports are read
        back from the files that the instrument loads and compared with the plan that they were made of. Beside a plan
        file its own exports are found; in a folder that is given, every export has to belong to one of the plans.

    Raises
    ------
    PlanFileError
        There is no such file or folder, or a folder holds neither plan nor export.
    """
    files, folders = _found(plans)
    proofs: list[Proof] = []
    strays = dict(folders)
    for plan in files:
        proof, own = _of_plan(plan, folders)
        proofs.append(proof)
        strays = {place: folder for place, folder in strays.items() if place not in own}
    return proofs + [_of_stray(folder) for folder in strays.values()]


def add_vectors(*plans: str | Path) -> list[Path]:
    """Write a test vector, as this machine gives it, into the plan files that have none; their plan ids stay.

    Parameters
    ----------
    plans
        Plan files, and folders that hold some.

    Returns
    -------
    The files that were written.

    Raises
    ------
    PlanFileError, OutputError
        A file can't be read or written.
    """
    written = []
    for path in _found(plans)[0]:
        assert isinstance(path, Path)
        plan = Plan.load(path)
        if plan.vector is None and (completed := plan.with_vector()).vector is not None:
            completed.save(path, overwrite=True)
            written.append(path)
    return written


def _found(given: tuple[PlanOrFile, ...]) -> tuple[list[Plan | Path], _Folders]:
    """Plans and their files, and the exported folders that were asked for, each once."""
    plans: dict[Plan | Path, Plan | Path] = {}
    folders: _Folders = {}
    for each in given:
        if isinstance(each, Plan):
            plans[each] = each
        elif not Path(each).is_dir():
            plans.setdefault(Path(each).resolve(), Path(each))
        elif (Path(each) / MANIFEST).exists():
            folders |= _by_place([Path(each)])
        else:
            inside = [path for name in _PLAN_FILES for path in _visible(Path(each), name)]
            exports = [path.parent for path in _visible(Path(each), MANIFEST) if _plan_id(path.parent)]
            if not inside and not exports:
                raise PlanFileError(f"{each} holds neither plan nor export.", "Pass a file made by acqplan design.")
            for path in inside:
                plans.setdefault(path.resolve(), path)
            folders |= _by_place(exports)
    return list(plans.values()), folders


def _visible(folder: Path, name: str) -> list[Path]:
    """Files at any depth, but for hidden folders: what a write that was killed has left is in one."""
    found = folder.rglob(name)
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _by_place(paths: Iterable[Path]) -> _Folders:
    """Each path by where it really is, which it may have several names for."""
    return {path.resolve(): path for path in paths}


def _plan_id(folder: Path) -> str | None:
    """Identity of the plan that a folder says it was exported from; None if it isn't an exported one."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["plan_id"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


def _of_plan(given: Plan | Path, folders: _Folders) -> tuple[Proof, _Folders]:
    """The proof of a plan, and the exported folders that belong to it."""
    try:
        plan = given if isinstance(given, Plan) else Plan.load(given)
    except PlanFileError as error:
        if not Path(str(given)).exists():
            raise
        return Proof(str(given), None, [Check("identity", "failed", error.problem, error.remedy)]), {}
    beside = [] if given is plan else sorted(Path(str(given)).parent.glob(f"*/{MANIFEST}"))
    known = _by_place(manifest.parent for manifest in beside) | folders
    own = {place: folder for place, folder in known.items() if _plan_id(folder) == plan.plan_id}
    checks = [Check("identity", "ok", f"Pattern, network and recipe give the plan id {plan.plan_id[:12]}.")]
    checks += [_of_export(plan, folder) for folder in own.values()]
    name = plan.plan_id[:12] if given is plan else str(given)
    return Proof(name, plan.plan_id, [*checks, _of_vector(plan)]), own


def _of_stray(folder: Path) -> Proof:
    text, plan_id = f"{folder} is no export of these plans", _plan_id(folder)
    text += f": it was made of {plan_id[:12]}." if plan_id else ": its manifest names no plan."
    return Proof(str(folder), plan_id, [Check(folder.name, "failed", text, "Give its plan too, or export again.")])


def _of_export(plan: Plan, folder: Path) -> Check:
    try:
        instrument = format_of(folder)
        played = instrument.read(folder).pattern
    except AcqplanError as error:
        return Check(folder.name, "failed", error.problem, error.remedy)
    if played != plan.pattern:
        return Check(folder.name, "failed", f"{folder} doesn't play the plan's pattern.", "Export the plan again.")
    n_readings, unit = plan.pattern.n_readings, plan.sensing.unit_name
    return Check(folder.name, "ok", f"The {instrument.kind} files play the plan's {n_readings} {unit}s in its order.")


def _of_vector(plan: Plan) -> Check:
    subject = "test vector"
    if plan.vector is None:
        text = "The plan has none: an earlier acqplan made it, or its network gave no image."
        return Check(subject, "none", text, "acqplan test --add PLAN stores one, as this machine reconstructs it.")
    found = plan.deviation
    if found is None:
        return Check(subject, "none", "A later acqplan made it, in another way.", "Upgrade acqplan.")
    numbers = {"image": found.image, "readings": found.readings, "tolerance": found.tolerance}
    where = found.here if plan.vector.is_of_this_machine else f"{found.here}; made with {found.made_on}"
    deviates = f"The image deviates by {_size(found.image)}"
    if found.readings > found.tolerance:
        deviates = f"The made-up readings deviate by {_size(found.readings)}, the image by {_size(found.image)}"
    text = f"{deviates}, where rounding explains {_size(found.tolerance)} ({where})."
    if found.is_within:
        return Check(subject, "ok", text, "", numbers)
    torch_version = plan.vector.machine["torch"]
    remedy = f"Reconstruct with torch {torch_version} and the acqplan that made the plan, or design it again."
    return Check(subject, "failed", text, remedy, numbers)


def _size(deviation: float) -> str:
    return f"{deviation:.1e}" if deviation else "0"
