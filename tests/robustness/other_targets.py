"""Files that no registry lists: plans, checkpoints, recipes, lists of units, detectors and their recordings."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from builders.microscopy import SIDE, low_plan, soft_spots
from builders.plans import make_plan
from builders.sensing import make_sensing
from builders.trainings import Interrupt, Stop, make_recipe, write_scans

import acqplan
from acqplan.cli.arguments import options
from acqplan.core.errors import RecipeError
from acqplan.learning import checkpoint
from acqplan.learning.resolve import resolve
from acqplan.learning.state import TrainingState
from acqplan.modalities.dmd.formats.dmd_options import mirrors
from acqplan.modalities.dmd.traces.detector import Detector
from acqplan.modalities.dmd.traces.files import SUFFIXES, Table, write_table
from acqplan.plan.recipe_text import from_toml, to_toml
from acqplan.sensing.unit_list import parse_units
from robustness.target import Maker, Target, reconstructing

_DETECTOR = Detector(gain_adu_per_e=0.02, offset_adu=120, read_noise_e=20, adc_bits=16)


def _plans(folder: Path) -> Iterator[Target]:
    """What is read is refused or the very plan."""
    for case, network in (("points", "unrolled"), ("lines", "cascade"), ("hadamard", "unet")):
        plan, path = make_plan(case, reconstructor=network), folder / f"{case}.acqplan"
        plan.save(path)

        def read(path: Path = path, plan_id: str = plan.plan_id) -> None:
            assert acqplan.Plan.load(path).plan_id == plan_id, "another plan"

        yield Target(f"plan {case} {network}", path, read)


def _checkpoints(folder: Path) -> Iterator[Target]:
    """What is read is refused, or training could go on from it."""
    scans = write_scans(folder / "scans")
    for name, step in (("joint", 2), ("frozen", 6)):
        path, recipe = folder / f"{name}.checkpoint", make_recipe(scans)
        try:
            acqplan.design(recipe, progress=Interrupt(step), checkpoint=path)
        except Stop:
            problem = resolve(recipe)

        def read(path: Path = path, problem: Any = problem) -> None:
            TrainingState(problem).restore(checkpoint.load(path))

        yield Target(f"checkpoint {name}", path, read)


def _recipes(folder: Path) -> Iterator[Target]:
    """A short recipe and one with every setting written out, resolved as before a training."""
    scans = write_scans(folder / "scans")
    for modality in ("mri", "dmd"):
        recipe = make_recipe(scans, modality=modality)
        for name, text in (("short", to_toml(recipe)), ("resolved", to_toml(resolve(recipe).recipe))):
            path = folder / f"{modality}-{name}.toml"
            path.write_text(text, encoding="utf-8")
            yield Target(f"recipe {modality} {name}", path, lambda path=path: _resolve(path))


def _resolve(path: Path) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:  # as the command line does
        raise RecipeError("no text", "") from error
    resolve(from_toml(text, str(path)))


def _unit_lists(folder: Path) -> Iterator[Target]:
    sensing = make_sensing("points")
    (folder / "units.txt").write_text("# a list\n0-3, 12\n3:5 2:*\n", encoding="utf-8")
    np.save(folder / "mask.npy", np.arange(48).reshape(8, 6) % 3 == 0)
    np.save(folder / "units.npy", np.arange(0, 40, 3))
    np.save(folder / "positions.npy", np.array([[1, 2], [3, 4]]))
    for path in sorted(folder.iterdir()):
        yield Target(f"units {path.name}", path, lambda path=path: _parse(path, sensing))


def _parse(path: Path, sensing: Any) -> None:
    units = parse_units(str(path), sensing, "excluded")
    assert units.size == 0 or 0 <= units.min() <= units.max() < sensing.n_units, "units outside the catalogue"


def _detectors(folder: Path) -> Iterator[Target]:
    _DETECTOR.save(folder / "pmt.json")
    yield Target("detector", folder / "pmt.json", lambda: _loaded(folder / "pmt.json"))
    (folder / "dead.txt").write_text("3,4\n10,2  # stuck\n", encoding="utf-8")
    yield Target("dead mirrors", folder / "dead.txt", lambda: _mirrors(folder / "dead.txt"))


def _loaded(path: Path) -> None:
    Detector.load(path)


def _mirrors(path: Path) -> None:
    mirrors(str(path))


def _calibrations(folder: Path) -> Iterator[Target]:
    """The bright recording of a calibration, in every format of a detector's values."""
    random = np.random.default_rng(0)
    dark = 120 + 0.4 * random.standard_normal(400)
    bright = np.concatenate([120 + 0.02 * random.poisson(light, 100) for light in (2e3, 4e3, 6e3, 8e3)])
    for suffix in SUFFIXES:
        for name, values in (("dark", dark), ("bright", bright)):
            write_table(Table({"value": values}), folder / f"{name}{suffix}")
        path = folder / f"bright{suffix}"
        yield Target(f"recording {suffix}", path, lambda path=path: _calibrated(path))


def _calibrated(bright: Path) -> None:
    fitted = acqplan.calibrate(bright.with_name(f"dark{bright.suffix}"), bright)
    assert fitted.numbers, "no detector"


def _traces(folder: Path) -> Iterator[Target]:
    """What a detector recorded while the frames were displayed."""
    plan, image, detector = low_plan(photons=30000), folder / "image.npy", folder / "pmt.json"
    np.save(image, soft_spots())
    _DETECTOR.save(detector)
    assert plan.sensing.image_shape == (SIDE, SIDE)
    for suffix in SUFFIXES:
        for name, faults in (("frames", {}), ("samples", {"samples_per_frame": 5})):
            own = folder / f"{name}{suffix[1:]}"
            own.mkdir()
            path = own / f"trace{suffix}"
            made = acqplan.simulate(plan, image, path, settings={"detector": str(detector), **faults})
            told = told_options(made.remarks)
            read = reconstructing(path, plan, "trace", detector=str(detector), **told)
            yield Target(f"trace {name} {suffix}", path, read)


def told_options(remarks: list[str]) -> dict[str, Any]:
    """The options that the remarks of a recording name for reading a file that can't say them."""
    words = " ".join(remarks).split()
    return options([given for flag, given in pairwise(words) if flag == "--option"])


OTHERS: dict[str, Maker] = {
    "plans": _plans,
    "checkpoints": _checkpoints,
    "recipes": _recipes,
    "unit lists": _unit_lists,
    "detectors": _detectors,
    "calibrations": _calibrations,
    "traces": _traces,
}
