"""Reconstructions that were chosen or kept, as a folder: image files, difference maps and ``choice.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

import acqplan
from acqplan.core.files import atomic_folder
from acqplan.formats.results import part_of, write_image
from acqplan.workflow.explorer import Candidate, Explorer, distances

MARK = "choice.json"


@dataclass(frozen=True, eq=False)
class Kept:
    """A reconstruction to write, and what a person says of it."""

    candidate: Candidate
    note: str = ""


def write_choice(
    folder: Path, explorer: Explorer, kept: Sequence[Kept], *, suffix: str | None = None, overwrite: bool = False
) -> None:
    """Write ``1<suffix>``, ``2<suffix>``, … (magnitudes), ``N-minus-1.png`` and ``choice.json``; whole or not at all.

    Raises
    ------
    OutputError
        The folder exists (without ``overwrite``), is none of these, or can't be written.
    """
    plan = explorer.plan
    suffix = plan.modality.image_suffix if suffix is None else suffix
    magnitudes = [np.abs(each.candidate.image).astype(np.float32) for each in kept]
    limit = max((float(np.abs(m - magnitudes[0]).max()) for m in magnitudes), default=0.0)
    between = distances([each.candidate for each in kept])
    rows: list[dict[str, Any]] = []
    with atomic_folder(folder, overwrite=overwrite, mark=MARK) as temporary:
        for i, each in enumerate(kept):
            name = f"{i + 1}{suffix}"
            knob = dict(zip(explorer.knobs, each.candidate.knob, strict=True))
            stamp = {
                "software": f"acqplan {acqplan.__version__}",
                "plan_id": plan.plan_id,
                "pattern_digest": plan.pattern.digest,
                "acquired": explorer.acquisition.source,
                "part": "magnitude",
                "knob": json.dumps(knob),
            }
            path = temporary / name
            write_image(part_of(each.candidate.image, "magnitude"), path, stamp, explorer.acquisition.geometry)
            row: dict[str, Any] = {"file": name, "knob": knob, "note": each.note}
            row["chi2_per_degree_of_freedom"] = None if math.isnan(each.candidate.chi2) else each.candidate.chi2
            row["loss"] = each.candidate.loss
            row["distances"] = between[i].tolist()
            if i:
                row["difference"] = f"{i + 1}-minus-1.png"
                write_difference(magnitudes[i] - magnitudes[0], limit, temporary / row["difference"])
            rows.append(row)
        table = {
            "plan_id": plan.plan_id,
            "pattern_digest": plan.pattern.digest,
            "acquired": explorer.acquisition.source,
            "difference_limit": limit,
            "reconstructions": rows,
        }
        (temporary / MARK).write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


def write_difference(difference: npt.NDArray[np.float32], limit: float, path: Path) -> None:
    """Signed difference as a PNG: blue is less, white the same, red more, full colour at ±``limit``."""
    text = PngImagePlugin.PngInfo()
    text.add_text("acqplan", json.dumps({"blue": -limit, "white": 0.0, "red": limit}))
    Image.fromarray(difference_colours(difference, limit)).save(path, format="PNG", pnginfo=text)


def difference_colours(difference: npt.NDArray[Any], limit: float) -> npt.NDArray[np.uint8]:
    """uint8[H, W, 3] of a signed difference[H, W]; see `write_difference`."""
    share = np.clip(difference / limit if limit > 0 else 0 * difference, -1, 1)
    fade = 1 - np.abs(share)
    red = np.where(share < 0, fade, 1.0)
    blue = np.where(share > 0, fade, 1.0)
    return np.round(255 * np.stack([red, fade, blue], axis=-1)).astype(np.uint8)
