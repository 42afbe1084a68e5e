"""What an instrument would have measured."""

from __future__ import annotations

import numpy as np
import torch

from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition
from builders.sensing import random_image


def make_acquisition(plan: Plan, image: torch.Tensor | None = None) -> Acquisition:
    """The readings of image[*image_shape] without noise, in the plan's order; unless given, the image is random."""
    if image is None:
        image = random_image(plan.sensing, 1)
    order = torch.as_tensor(plan.pattern.order.astype(np.int64))
    readings = plan.sensing(image[None])[0].index_select(0, order).numpy()
    return Acquisition(readings, plan.pattern.digest, "test", plan.pattern.order)
