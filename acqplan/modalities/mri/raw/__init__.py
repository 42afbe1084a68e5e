"""What scanners store: readers of raw k-space, each by the content of a file, and a writer of ISMRMRD."""

from acqplan.modalities.mri.raw.scan import RawScan

__all__ = ["RawScan"]
