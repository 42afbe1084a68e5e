"""What MRI data can be checked for besides their units: grid, channels, calibration, readout, noise and clipping."""

from acqplan.modalities.mri.checks.channels import channels, coils
from acqplan.modalities.mri.checks.clipping import clipping
from acqplan.modalities.mri.checks.grid import grid
from acqplan.modalities.mri.checks.noise import noise
from acqplan.modalities.mri.checks.readout import readout_is_kspace, readout_is_whole
from acqplan.plan.verification import Check

CHECKS: tuple[Check, ...] = (grid, channels, coils, readout_is_kspace, readout_is_whole, noise, clipping)

__all__ = ["CHECKS"]
