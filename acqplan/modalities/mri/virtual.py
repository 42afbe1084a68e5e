"""The virtual scanner: simulated receive coils, and files that BART would read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acqplan.core.errors import RecipeError
from acqplan.core.registry import register
from acqplan.core.seeding import torch_generator
from acqplan.formats.virtual import VirtualInstrument
from acqplan.modalities.mri.coils import simulated_maps
from acqplan.plan.components import Component
from acqplan.plan.plan import Plan
from acqplan.sensing.model import SensingModel


@register("virtual_instruments", "mri")
class VirtualScanner(VirtualInstrument):
    """A scanner with ``coils`` simulated receive coils, by default as many as the plan was made for."""

    def __init__(self, plan: Plan, settings: Mapping[str, Any]) -> None:
        super().__init__(plan, {name: value for name, value in settings.items() if name != "coils"})
        self.n_coils: int = settings.get("coils") or plan.modality.preparation(plan.recipe).n_coils
        if type(self.n_coils) is not int or self.n_coils < 1:
            raise RecipeError(f"The number of coils is {self.n_coils!r}.", "Give a whole number of at least 1.")

    def played(self) -> Component:
        return Component("bart")

    def sensing(self, seed: int) -> SensingModel:
        if self.n_coils == 1:
            return self.plan.sensing
        maps = simulated_maps(self.n_coils, self.plan.sensing.image_shape, torch_generator(seed, "coils"))
        return self.plan.sensing.with_coil_maps(maps)

    @property
    def received_by(self) -> str:
        return "" if self.n_coils == 1 else f" of {self.n_coils} simulated coils"
