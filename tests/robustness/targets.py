"""What is damaged and who reads it: every registered reader, on files that acqplan writes, and the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from builders.acquisitions import make_acquisition
from builders.batches import make_images
from builders.instruments import make_instrument, takes_acquired
from builders.plans import make_plan
from builders.sensing import MODELS, make_sensing, random_image

from acqplan.core.errors import AcqplanError
from acqplan.core.registry import kinds
from acqplan.formats.contracts import AcquiredReader, AcquiredWriter, PatternFormat, Result
from acqplan.formats.export import export
from acqplan.formats.results import image_writers, part_of, write_images
from acqplan.formats.save import save_acquired
from acqplan.images import load_stacks
from acqplan.images.reading import HEAD_BYTES, readers
from acqplan.plan.plan import Plan
from robustness import raw_files
from robustness.other_targets import OTHERS
from robustness.target import Maker, Target, one_of_each, reconstructing

STAMP = {"plan_id": "ab" * 32, "pattern_digest": "cd" * 32, "part": "magnitude"}
_SIDE = 24


def makers() -> dict[str, Maker]:
    """By name, what makes the targets of one reader in an empty folder."""
    made: dict[str, Maker] = {}
    for kind, cls in kinds("instruments").items():
        cases = [case for case, (sensing, _) in MODELS.items() if sensing in cls.sensing_kinds()]
        if issubclass(cls, PatternFormat):
            made[f"pattern {kind}"] = partial(_patterns, kind=kind, cases=cases)
        if issubclass(cls, AcquiredReader):
            taken = [case for case in cases if takes_acquired(kind, case)]
            made[f"acquired {kind}"] = partial(_acquired, kind=kind, cases=taken)
    for kind in kinds("image_readers"):
        made[f"image {kind}"] = partial(_images, kind=kind)
    return made | OTHERS


def _patterns(root: Path, kind: str, cases: list[str]) -> Iterator[Target]:
    """Each kind of file of an export; what is read is refused, or is the plan's pattern."""
    for case in cases:
        instrument, plan, folder = make_instrument(kind), make_plan(case), root / case
        assert isinstance(instrument, PatternFormat)
        if instrument.check(plan):
            continue
        export(plan, instrument, folder)
        read = _playing(instrument, plan, folder)
        for path in one_of_each(folder):
            yield Target(f"pattern {kind} {case} {path.name}", path, read)


def _playing(instrument: PatternFormat, plan: Plan, folder: Path) -> Callable[[], None]:
    image = random_image(plan.sensing, 1)

    def read() -> None:
        back = type(instrument)().read(folder)  # the options are in the files
        assert back.pattern == plan.pattern, "the damaged files play another pattern"
        instrument.play(folder, plan.sensing, image)

    return read


def _acquired(root: Path, kind: str, cases: list[str]) -> Iterator[Target]:
    """Acquired data in every suffix; what is read is refused, or becomes a finite image."""
    instrument = make_instrument(kind)
    assert isinstance(instrument, AcquiredReader)
    for case in cases if isinstance(instrument, AcquiredWriter) else []:
        plan = make_plan(case)
        for number, suffix in enumerate(instrument.acquired_suffixes):
            folder = root / f"{case}-{number}"
            folder.mkdir()
            path = folder / f"acquired{suffix}"
            save_acquired(instrument, make_acquisition(plan), plan, path)
            for file in one_of_each(folder):
                yield Target(f"acquired {kind} {case} {file.suffix}", file, reconstructing(path, plan, kind))
    for number, (path, plan) in enumerate(raw_files.written(root, kind)):
        yield Target(f"acquired {kind} raw {number} {path.suffix}", path, reconstructing(path, plan, kind))


def _images(root: Path, kind: str) -> Iterator[Target]:
    """Images in every format that is written, and raw data, where this reader is the one that takes them."""
    paths = [*_written_images(root), *_raw(root, kind), *raw_files.pictures(root, kind)]
    for path in paths:
        head = path.read_bytes()[:HEAD_BYTES]
        first = next((reader.kind for reader in readers() if reader.matches(path, head)), None)
        if first == kind and _loads(path):
            yield Target(f"image {kind} {path.name}", path, partial(_load, path))


def _written_images(root: Path) -> Iterator[Path]:
    image = np.random.default_rng(0).random((1, _SIDE, _SIDE)).astype(np.float32)
    for name, writer in image_writers().items():
        for suffix in writer.image_suffixes or ("",):
            path = root / f"{name}-image{suffix}"
            write_images(Result(part_of(image, "magnitude"), STAMP), path, name)
            yield from sorted(path.rglob("*.*")) if path.is_dir() else [path]


def _raw(root: Path, kind: str) -> Iterator[Path]:
    """Fully sampled raw data in a format that is both of acquired data and of images."""
    instrument = kinds("instruments").get(kind)
    for case in MODELS if instrument is not None and issubclass(instrument, AcquiredWriter) else ():
        made, sensing = make_instrument(kind), make_sensing(case)
        if sensing.kind in made.sensing_kinds() and takes_acquired(kind, case):
            assert isinstance(made, AcquiredWriter)
            plan = make_plan(sensing, np.arange(sensing.n_units))
            (root / case).mkdir()
            path = root / case / f"{case}{made.acquired_suffixes[0]}"
            image = 1 + 0.1 * make_images(sensing)[0]  # its energy is where k-space has it
            save_acquired(made, make_acquisition(plan, image), plan, path)
            yield path
    yield from (path for path, _ in raw_files.written(root, kind))


def _loads(path: Path) -> bool:
    """Whether they are images to train on: results in some formats aren't."""
    try:
        _load(path)
    except AcqplanError:
        return False
    return True


def _load(path: Path) -> None:
    for stack in load_stacks([path]):
        assert np.isfinite(stack.images).all(), "an image isn't finite"
