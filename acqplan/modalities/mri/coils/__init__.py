"""Receive coils: their sensitivities from the calibration region, fewer virtual ones, and simulated ones.

    scan = scan_with_maps(scan, plan)                        # a scan whose acquisitions have coil maps
    maps = simulated_maps(8, (128, 128), generator)           # complex64[8, 128, 128]

Sensitivities S are relative: Σ|S|² = 1 at every position, so that a `CartesianMRI` with them is an isometry, and noise
of the readings is noise of the image. Which part of a phase that all coils share is the image's is a convention: here
the first principal coil, the combination that receives most of the calibration data, has a real, positive sensitivity.
"""

from acqplan.modalities.mri.coils.compression import PrincipalCoils, principal_coils, typed_coils, virtual
from acqplan.modalities.mri.coils.drawn import drawn_maps, normalised
from acqplan.modalities.mri.coils.espirit import espirit_maps
from acqplan.modalities.mri.coils.estimated import scan_with_maps, with_maps
from acqplan.modalities.mri.coils.simulated import simulated_maps
from acqplan.modalities.mri.settings import MIN_WIDTH

__all__ = [
    "MIN_WIDTH",
    "PrincipalCoils",
    "drawn_maps",
    "espirit_maps",
    "normalised",
    "principal_coils",
    "scan_with_maps",
    "simulated_maps",
    "typed_coils",
    "virtual",
    "with_maps",
]
