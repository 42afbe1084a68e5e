"""What a scanner stored, whatever the file: readouts on the grid, their place in space, the acquisitions of a plan."""

from acqplan.modalities.mri.raw.data import RawData

__all__ = ["RawData"]
