"""What a virtual instrument acquires of an image or of a volume, by playing exported files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from acqplan.core import registry
from acqplan.core.errors import OutputError, RecipeError
from acqplan.core.files import check_writable
from acqplan.core.following import Follower, unfollowed
from acqplan.core.words import with_settings
from acqplan.formats.contracts import PatternFormat, Result, pattern_format
from acqplan.formats.export import export as export_files
from acqplan.formats.lookup import for_acquired
from acqplan.formats.results import write_images
from acqplan.formats.save import save_scan
from acqplan.formats.virtual import Recorder, VirtualInstrument
from acqplan.images import ImageRecord
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Scan
from acqplan.sensing.noise import NoiseModel
from acqplan.workflow.chosen_image import one_image, volume
from acqplan.workflow.export import format_of, format_with
from acqplan.workflow.inputs import PlanOrFile, noise_with, plan_of
from acqplan.workflow.virtual_instrument import acquire_virtually, acquire_volume_virtually

Slices = Literal["all"] | Sequence[int]
"""All slices of a volume, or the first and the last of several, both included."""


@dataclass(frozen=True, eq=False)
class Simulation:
    """What was acquired, and of what.

    Parameters
    ----------
    scan
        One acquisition for each image; None where the instrument recorded data of its own kind, which are in the file.
    truth
        [n, rows, columns], complex64 or float32: the true images at the plan's size, in the units of a reconstruction.
    noise
        The noise that was added.
    imaged, played
        In words: which images, and which files.
    contents
        In words: what the data hold.
    remarks
        What went wrong in the instrument, as it was asked to; one sentence each.
    """

    scan: Scan | None
    truth: npt.NDArray[Any]
    noise: NoiseModel
    imaged: str
    played: str
    contents: str
    remarks: list[str] = field(default_factory=list)


def simulate(
    plan: PlanOrFile,
    image: str | Path,
    output: str | Path | None = None,
    *,
    as_format: str | None = None,
    slice_number: int | None = None,
    slices: Slices | None = None,
    tile: tuple[int, int] | None = None,
    binning: int | None = None,
    noise: Mapping[str, float] | None = None,
    settings: Mapping[str, Any] | None = None,
    exported: str | Path | None = None,
    truth: str | Path | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Follower = unfollowed,
) -> Simulation:
    """Acquire an image, or slices of a volume, with a virtual instrument that plays the plan's exported files.

    Parameters
    ----------
    image
        An image file, or ``sample:brain``, ``sample:cells``.
    output
        File of acquired data to write; None: they are only returned.
    as_format
        Kind of its format (default: what the suffix says).
    slice_number
        Slice of a volume, from 0 (default: the middle one).
    slices
        ``all``, or the first and the last of several slices, both included, as one scan.
    tile
        Row and column of a tile of a large image, from 0 (default: the centre).
    binning
        Of tiles: N x N pixels averaged into one; None: the image's own.
    noise
        Settings of the plan's noise model that are changed, like ``{"std": 0.01}``.
    settings
        Of the virtual instrument: ``{"coils": 4}`` of an MRI scanner; ``detector`` (a file) and the faults of
        `Microscope` of a DMD, with which it writes the detector's own trace.
    exported
        Folder of exported files to play (default: fresh ones in a temporary folder).
    truth
        Also write the true images, to a ``.npy`` file.
    progress
        Told what is being done, and how many images are done.

    Raises
    ------
    PlanFileError, RecipeError
        The plan or a setting isn't right.
    ImageError
        There is no such image, slice or tile, or it is nearly empty.
    InstrumentError
        The exported files don't play the plan's pattern, or the format can't hold the data.
    OutputError
        A file exists (without ``overwrite``) or can't be written.
    """
    if slices is not None and (slice_number is not None or tile is not None):
        raise RecipeError("--slices was given with --slice or --tile.", "Give one of them.")
    target, truth_file, folder = (None if path is None else Path(path) for path in (output, truth, exported))
    for path in (target, truth_file):
        if path is not None:
            check_writable(path, overwrite=overwrite)
    if truth_file is not None and truth_file.suffix.lower() != ".npy":
        raise OutputError(f"The true image can't be written as {truth_file}.", "Choose a name that ends in .npy.")
    plan = plan_of(plan)
    own = registry.kinds("virtual_instruments").get(plan.modality.kind, VirtualInstrument)
    instrument: VirtualInstrument = own(plan, settings or {})
    recorder = instrument.recorder
    if recorder is not None:
        recorder.check(target, as_format=as_format, several=slices is not None)
    model = noise_with(plan, noise or {})
    job = _Job(plan, instrument, str(image), slice_number, slices, tile, binning, folder, model, seed, progress)
    if recorder is not None and target is not None:
        made = _recorded(job, recorder, target, overwrite)
    else:
        made = _acquired(job, target, as_format, overwrite)
    if truth_file is not None:
        write_images(Result(made.truth, {}), truth_file, overwrite=overwrite)
    return made


@dataclass(frozen=True, eq=False)
class _Job:
    """What is acquired, and how."""

    plan: Plan
    instrument: VirtualInstrument
    image: str
    slice_number: int | None
    slices: Slices | None
    tile: tuple[int, int] | None
    binning: int | None
    exported: Path | None
    noise: NoiseModel
    seed: int
    progress: Follower

    def records(self) -> tuple[list[ImageRecord], str]:
        """The images as prepared, and which they are."""
        self.progress(f"reading {self.image}", 0, 0)
        if self.slices is None:
            record, where = one_image(self.plan, self.image, self.slice_number, self.tile, self.binning)
            return [record], where
        return volume(self.plan, self.image, None if self.slices == "all" else self.slices, self.binning)

    @contextmanager
    def played(self) -> Iterator[tuple[PatternFormat, Path, str]]:
        """(format, folder, words): the exported files given, or fresh ones in a temporary folder."""
        if self.exported is not None:
            yield format_of(self.exported), self.exported, str(self.exported)
            return
        played = self.instrument.played()
        instrument = pattern_format(format_with(played.kind, played.options))
        with tempfile.TemporaryDirectory(prefix="acqplan-") as parent:
            folder = Path(parent) / "exported"
            export_files(self.plan, instrument, folder)
            yield instrument, folder, f"the {played.kind} files of the plan"


def _acquired(job: _Job, output: Path | None, as_format: str | None, overwrite: bool) -> Simulation:
    """Readings with the noise model's noise, written in a format of acquired data."""
    writer = None if output is None else for_acquired(output, as_format)
    sensing = job.instrument.sensing(job.seed)
    records, where = job.records()
    how: dict[str, Any] = {"noise": job.noise, "seed": job.seed, "sensing": sensing}
    with job.played() as (instrument, folder, files):
        if job.slices is None:
            job.progress("playing the files", 0, 0)
            one = acquire_virtually(job.plan, instrument, folder, records[0], **how)
            scan = Scan([one], one.source, one.geometry)
        else:
            total = len(records)
            job.progress("playing the files", 0, total)
            scan = acquire_volume_virtually(
                job.plan,
                instrument,
                folder,
                records,
                **how,
                progress=lambda done: job.progress("playing the files", done, total),
            )
    n_readings = sum(len(each.readings) for each in scan.acquisitions)
    contents = f"{n_readings} readings{job.instrument.received_by}"
    if writer is not None and output is not None:
        save_scan(writer, scan, job.plan, output, overwrite=overwrite)
        contents += f", format {writer.kind}"
    contents += f", noise {with_settings(job.noise.kind, job.noise.spec())}"
    images = np.stack([record.array for record in records]) * job.noise.image_scale
    return Simulation(scan, images, job.noise, where, files, contents)


def _recorded(job: _Job, recorder: Recorder, output: Path, overwrite: bool) -> Simulation:
    """Data of the instrument's own kind."""
    records, where = job.records()
    with job.played() as (instrument, folder, files):
        job.progress("playing the files", 0, 0)
        recording = recorder.record(job.plan, instrument, folder, records[0], noise=job.noise, seed=job.seed)
    recording.write(output, overwrite=overwrite)
    images = records[0].array[None] * job.noise.image_scale
    return Simulation(None, images, job.noise, where, files, recording.contents, recording.remarks(output))
