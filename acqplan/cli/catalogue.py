"""``acqplan formats`` and ``acqplan list``: what there is to choose from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acqplan.cli import console
from acqplan.cli.arguments import examples
from acqplan.core.errors import RecipeError

if TYPE_CHECKING:
    from acqplan.reconstructors.reconstructor import Reconstructor

LIST_EXAMPLES = examples(*(f"acqplan list {role}" for role in ("designers", "reconstructors", "losses", "orders")))

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_ROLES = ("designers", "reconstructors", "losses", "orders")
_TITLES = {"summary": "what it does", "cost_per_image": "an image costs", "needs_truth": "needs the truth"}
_COUNTED_SIDE = 64
_MODALITY_NAMES = {"cartesian_mri": "MRI", "hadamard_dmd": "DMD"}


def formats(as_json: AsJson = False) -> None:
    """List the formats: what each is for, for which plans, and what it writes and reads."""
    from acqplan.core import registry

    rows = [
        {
            "kind": kind,
            "summary": cls.summary,
            "modalities": list(cls.modalities),
            "exports_patterns": cls.exports,
            "acquired_suffixes": list(cls.acquired_suffixes),
        }
        for kind, cls in registry.kinds("instruments").items()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    cells = [
        [
            str(row["kind"]),
            ", ".join(_MODALITY_NAMES.get(name, name) for name in row["modalities"]),
            "yes" if row["exports_patterns"] else "no",
            " ".join(row["acquired_suffixes"]) or "none",
            str(row["summary"]),
        ]
        for row in rows
    ]
    console.table(["format", "plans", "patterns", "acquired data", "what it is for"], cells, text=5)


def list_kinds(
    role: Annotated[str, typer.Argument(metavar="designers|reconstructors|losses|orders", help="What to list.")],
    as_json: AsJson = False,
) -> None:
    """List the designers, the reconstructors, the losses or the orders that a plan can be made with."""
    from acqplan.core import registry

    if role not in _ROLES:
        raise RecipeError(f"There is no list of {role!r}.", f"Choose one of: {', '.join(_ROLES)}.")
    rows = [
        {"kind": kind, "summary": cls.summary, **_details(role, cls), **_reference(cls)}
        for kind, cls in registry.kinds(role).items()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    titles = [_TITLES.get(name, name.replace("_", " ")) for name in rows[0]]
    cells = [[_cell(value) for value in row.values()] for row in rows]
    console.table(titles, cells, text=len(titles))
    if role == "reconstructors":
        console.note(
            "Trained on: by default; --loss chooses otherwise, and held-back trains any of them on measured data only. "
            "Sizes and costs are for complex images; GFLOP of the convolutions for 256 x 256 pixels."
        )


def _reference(cls: Any) -> dict[str, str]:
    return {"reference": cls.reference} if hasattr(cls, "reference") else {}


def _details(role: str, cls: Any) -> dict[str, Any]:
    """What a role's classes have beside summary and reference; of the defaults, for complex images."""
    if role == "losses":
        return {"needs_truth": cls.needs_truth}
    if role == "orders":
        return {"plans": [_MODALITY_NAMES.get(name, name) for name in cls.modalities]}
    if role != "reconstructors":
        return {}
    from acqplan.reconstructors.reconstructor import KnobReconstructor

    made = cls(is_complex=True) if cls.is_trained else cls()
    return {
        "trained_on": _trained_on(cls),
        "parameters": made.n_parameters,
        "cost_per_image": _cost(made),
        "knobs": list(made.knobs) if isinstance(made, KnobReconstructor) else [],
        "presets": list(cls.presets),
    }


def _trained_on(cls: type[Reconstructor]) -> str:
    from acqplan.core import registry

    if not cls.is_trained:
        return "nothing"
    needs = any(registry.find("losses", kind).needs_truth for kind in cls.loss_for({}))
    return "fully sampled images" if needs else "measured data only"


def _cost(made: Reconstructor) -> str:
    """GFLOP of a network's convolutions for 256 × 256 pixels, from a smaller image; iterations of a solver."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from acqplan.modalities.mri.sensing import CartesianMRI

    if not made.is_trained:
        iterations = made.spec().get("iterations")
        return "one transform" if iterations is None else f"up to {iterations} iterations"
    sensing = CartesianMRI((_COUNTED_SIDE, _COUNTED_SIDE), "lines")
    image = torch.ones((1, *sensing.image_shape), dtype=sensing.image_dtype)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        made(sensing.coefficients(image), torch.ones(1, sensing.n_units), sensing)
    return f"{counter.get_total_flops() * (256 / _COUNTED_SIDE) ** 2 / 1e9:.1f} GFLOP"


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return str(value)
