"""Formats with options that keep their files small."""

from __future__ import annotations

from typing import Any

from acqplan.core.registry import find
from acqplan.formats.contracts import FileFormat
from builders.sensing import MODELS

SMALL: dict[str, dict[str, Any]] = {
    "pulseq": {"readout_oversampling": 4, "dummies": 3, "noise_readouts": 1},
    **{kind: {"device": "70x50"} for kind in ("dmd-tiff", "png", "micromanager", "alp")},
    "spas": {"device": "70x50", "files": "png"},
    "dlpc900": {"device": "40x20"},
}


def make_instrument(kind: str) -> FileFormat:
    instrument: FileFormat = find("instruments", kind)(**SMALL.get(kind, {}))
    return instrument


def takes_acquired(kind: str, case: str) -> bool:
    """Whether a format holds acquired data of a sensing model: a table takes single-pixel detectors' only."""
    return kind != "table" or MODELS[case][0] == "hadamard_dmd"
