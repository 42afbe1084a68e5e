"""Spoiled gradient echo as Pulseq: what a scanner allows, timing, building, and reading back."""

from acqplan.modalities.mri.formats.pulseq.format import Pulseq

__all__ = ["Pulseq"]
