"""What there is to choose from: the formats, and what a plan can be made with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.flop_counter import FlopCounterMode

from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.formats.contracts import AcquiredReader, PatternFormat
from acqplan.reconstructors.reconstructor import KnobReconstructor, Reconstructor
from acqplan.sensing.model import SensingModel

ROLES = ("designers", "reconstructors", "losses", "orders")
_COUNTED_SIDE, _STATED_SIDE = 64, 256  # pixels


def formats() -> list[dict[str, Any]]:
    """What each format is for, for which plans, and what it writes and reads; JSON-ready.

    ``modalities`` are kinds of sensing models, ``acquired_of`` those of which it reads acquired data.
    """
    return [
        {
            "kind": kind,
            "summary": cls.summary,
            "modalities": cls.sensing_kinds(),
            "exports_patterns": issubclass(cls, PatternFormat),
            "acquired_suffixes": list(cls.acquired_suffixes) if issubclass(cls, AcquiredReader) else [],
            "acquired_of": cls.acquired_kinds() if issubclass(cls, AcquiredReader) else [],
        }
        for kind, cls in registry.kinds("instruments").items()
    ]


def kinds_of(role: str) -> list[dict[str, Any]]:
    """What a plan can be made with, JSON-ready: kind, summary, and what else the role's classes say of themselves.

    ``role`` is one of `ROLES`. A reconstructor's ``parameters`` and ``cost_per_image`` are those of its defaults, for
    complex images of 256 × 256 pixels.

    Raises
    ------
    RecipeError
        There is no such list.
    """
    if role not in ROLES:
        raise RecipeError(f"There is no list of {role!r}.", f"Choose one of: {', '.join(ROLES)}.")
    return [
        {"kind": kind, "summary": cls.summary, **_details(role, cls), **_reference(cls)}
        for kind, cls in registry.kinds(role).items()
    ]


def titles(sensing_kinds: Iterable[str]) -> list[str]:
    """What people call the instruments of some kinds of sensing models; an unknown kind is its own name."""
    known = {kind: cls.title for cls in registry.kinds("modalities").values() for kind in cls.sensing_kinds}
    return [known.get(kind, kind) for kind in sensing_kinds]


def _reference(cls: Any) -> dict[str, str]:
    return {"reference": cls.reference} if hasattr(cls, "reference") else {}


def _details(role: str, cls: Any) -> dict[str, Any]:
    """What a role's classes have beside summary and reference; of the defaults, for complex images."""
    if role == "losses":
        return {"needs_truth": cls.needs_truth}
    if role == "orders":
        return {"plans": titles(cls.modalities or registry.kinds("sensing"))}
    if role != "reconstructors":
        return {}
    made = cls(is_complex=True) if cls.is_trained else cls()
    return {
        "trained_on": _trained_on(cls),
        "parameters": made.n_parameters,
        "cost_per_image": _cost(made),
        "knobs": list(made.knobs) if isinstance(made, KnobReconstructor) else [],
        "presets": list(cls.presets),
    }


def _trained_on(cls: type[Reconstructor]) -> str:
    if not cls.is_trained:
        return "nothing"
    needs = any(registry.find("losses", kind).needs_truth for kind in cls.loss_for({}))
    return "fully sampled images" if needs else "measured data only"


def _cost(made: Reconstructor) -> str:
    """GFLOP of a network's convolutions for 256 × 256 pixels, from a smaller image; iterations of a solver."""
    if not made.is_trained:
        iterations = made.spec().get("iterations")
        return "one transform" if iterations is None else f"up to {iterations} iterations"
    sensing = _EveryPixel()
    image = torch.ones((1, *sensing.image_shape), dtype=sensing.image_dtype)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        made(sensing.coefficients(image), torch.ones(1, sensing.n_units), sensing)
    return f"{counter.get_total_flops() * (_STATED_SIDE / _COUNTED_SIDE) ** 2 / 1e9:.1f} GFLOP"


class _EveryPixel(SensingModel):
    """Reads each row of a complex image as it is: costs no floating-point operation that a network's would hide in."""

    kind = "every pixel"
    unit_name = "row"
    image_shape = (_COUNTED_SIDE, _COUNTED_SIDE)
    reading_shape = coefficient_shape = (_COUNTED_SIDE,)
    grid_shape = (_COUNTED_SIDE,)
    is_complex = is_isometry = is_unitary = True

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image

    def decode(self, readings: torch.Tensor) -> torch.Tensor:
        return readings

    def adjoint(self, coefficients: torch.Tensor) -> torch.Tensor:
        return coefficients

    def coordinates(self) -> npt.NDArray[np.float64]:
        return np.linspace(-1, 1, _COUNTED_SIDE)[:, None]

    def distance(self) -> npt.NDArray[np.float64]:
        return np.abs(self.coordinates()[:, 0])

    def calibration_units(self, width: int) -> npt.NDArray[np.int32]:
        return np.arange(width, dtype=np.int32)

    def spec(self) -> dict[str, Any]:
        return {}
