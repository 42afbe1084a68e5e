"""Real images that come inside two Python packages: nothing is downloaded."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from acqplan.core.errors import ImageError

PREFIX = "sample:"


@dataclass(frozen=True)
class Sample:
    """One sample: the file inside an installed package, and how microscopy should bin it."""

    package: str
    inside: str
    description: str
    recommended_binning: int | None = None


SAMPLES = {
    "brain": Sample(
        "nilearn",
        "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
        "ICBM152 2009a, T1-weighted, 1 mm: the average of 152 adult heads, brain only, magnitude",
    ),
    "cells": Sample(
        "mahotas",
        "demos/data/nuclear.png",
        "nuclei of cultured cells, wide-field fluorescence, 1024 x 1344 pixels",
        recommended_binning=3,  # a nucleus is about 85 pixels wide: two or three of them in 64 x 64 binned pixels
    ),
}


def is_sample(name: str) -> bool:
    """Whether ``name`` is written like a sample's: ``sample:…``."""
    return name.startswith(PREFIX)


def find(name: str) -> tuple[Sample, Path]:
    """The sample called ``sample:…`` and its file.

    Raises `ImageError` for an unknown name and where the extra ``samples`` isn't installed. The
    package is located, not imported.
    """
    sample = SAMPLES.get(name.removeprefix(PREFIX))
    if sample is None:
        known = ", ".join(PREFIX + key for key in SAMPLES)
        raise ImageError(f"There is no sample {name!r}.", f"Known: {known}.")
    spec = importlib.util.find_spec(sample.package)
    path = Path(spec.origin).parent / sample.inside if spec is not None and spec.origin else None
    if path is None or not path.is_file():
        raise ImageError(
            f"{name} comes with the package {sample.package}, which isn't installed or has no such file.",
            'Install it with: pip install "acqplan[samples]".',
        )
    return sample, path
