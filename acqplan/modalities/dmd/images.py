"""Images of a microscope: intensities above their background."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acqplan.images.preparation import Preparation

BACKGROUND_PERCENTILE = 1.0


class Intensities(Preparation):
    """A subject's 1st percentile, the background, is subtracted; what is negative then is set to zero."""

    def background(self, magnitudes: npt.NDArray[np.float32]) -> float:
        return float(np.percentile(magnitudes, BACKGROUND_PERCENTILE))
