"""ISMRMRD: the header, raw data in and out, the table of acquisitions, and images out."""

from acqplan.modalities.mri.formats.ismrmrd.format import FILE, Ismrmrd

__all__ = ["FILE", "Ismrmrd"]
