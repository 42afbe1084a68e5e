"""A line camera, as acqplan asks for it."""

from types import MappingProxyType

from acqplan.core.registry import register
from acqplan.plan import typed
from acqplan.plan.components import Component
from acqplan.plan.in_use import UseFlag, Words
from acqplan.plan.modality import Modality, OptionFlag
from acqplan.plan.settings import GOAL, Flag
from line_camera.settings import LineSettings


@register("modalities", "line")
class LineModality(Modality):
    """Rows of a sample on a moving stage, one at a time."""

    title = "line camera"
    summary = "Plan a scan with a line camera: which rows to visit, and the network for exactly those."
    examples = ("acqplan design line --images tiffs/ --budget '12 rows' -o rows.acqplan",)
    sensing_kinds = ("line_camera",)
    settings = LineSettings
    sensing, noise = Component("line_camera"), Component("line_noise")
    fit = "crop"
    batch_size, takes_intensities = 4, True
    option_flags = (OptionFlag("noise", "line_noise", "std", float, Flag("--noise", GOAL, "Noise.", "STD")),)
    frame_time = Flag("--row-time", GOAL, "Time of one row, like 2ms, for budgets in time.", "TIME", typed.seconds)
    use_flags = MappingProxyType({"simulate": (UseFlag("noise.std", float, Flag("--noise", "", "Noise.", "STD")),)})
    words = Words(image_unit="relative", calibration="in the middle of the stage", order_axes={1: "row"})
    flags = (
        *("images.paths", "budget.amount", "images.size", "budget.calibration", "budget.frame_time_s", "noise.std"),
        *("designer", "reconstructor", "pattern_from", "adapt_from", "order", "pattern.margin", "pattern.forbidden"),
        *("recipe", "training.loss", "training.minutes", "training.steps", "seed", "training.threads"),
    )

    def left_out(self, recipe, sensing):
        import numpy as np

        margin = recipe.instrument.margin or 0
        rows = np.arange(sensing.n_units)
        is_margin = (rows < margin) | (rows >= sensing.n_units - margin)
        return {"margin": is_margin} if margin else {}

    def preparation(self, recipe, *, one_receiver=False):
        from acqplan.images.preparation import Preparation

        return Preparation()
