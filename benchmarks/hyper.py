"""HyperRecon's one model against five trained for one setting each, and what its knob and the choice are worth.

    python benchmarks/hyper.py --minutes 2
    python benchmarks/hyper.py --minutes 2 --losses data-consistency wavelet tv     # choice only: no five models

The gap is that of the mixture of losses that a setting stands for, on held-out images: hyper over own model, less 1.
Evenness: the largest change of the image per knob step over the mean one. Choice: the least distance between the
chosen over that of an even grid of as many, of knob positions and of settings. (Along a single knob that is even in
the image's change, an even grid is the best there is.)
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from reconstructors import base_recipe, evenly

from acqplan.core import registry
from acqplan.learning.evaluation import Scene, simulated
from acqplan.learning.resolve import resolve
from acqplan.learning.training import design
from acqplan.plan.components import Component
from acqplan.plan.plan import Plan
from acqplan.reconstructors.hyper import Hyper
from acqplan.reconstructors.losses import Target
from acqplan.workflow.explorer import Explorer, choose, distances

SETTINGS = (0.0, 0.25, 0.5, 0.75, 1.0)
IMAGES, STEPS = 12, 20


def mixture(image: torch.Tensor, target: Target, shares: dict[str, float]) -> float:
    """Mean over the images of the shares of losses over their typical size."""
    total = 0.0
    for kind, share in shares.items():
        if share:
            loss = registry.find("losses", kind)()
            total += share / loss.typical * float(loss(image, target).mean())
    return total


def gaps(hyper: Plan, recipe: Any, records: Any) -> None:
    """One line for each setting."""
    network = hyper.reconstructor
    assert isinstance(network, Hyper)
    scene = Scene(hyper.sensing, hyper.pattern, hyper.noise)
    truth, coefficients, sensing = simulated(records, scene)
    counts = torch.from_numpy(hyper.pattern.counts.astype(np.float32))[None]
    target = Target(coefficients, counts, sensing, truth)
    found = []
    for setting in SETTINGS:
        point = torch.tensor([[setting]])
        shares = {kind: float(share) for kind, share in network.loss_weights(point).items()}
        weights = {kind: share / registry.find("losses", kind).typical for kind, share in shares.items() if share}
        own = design(
            replace(recipe, reconstructor=Component("cascade")).with_settings("training", loss=weights)
        ).reconstructor
        with torch.inference_mode():
            ours = mixture(network.at(coefficients, counts, sensing, point), target, shares)
            theirs = mixture(own(coefficients, counts, sensing), target, shares)
        found.append(ours / theirs - 1)
        print(f"setting {setting:.2f}: hyper {ours:.4f}, its own model {theirs:.4f}, gap {found[-1]:+.1%}", flush=True)
    print(f"gap: mean {np.mean(found):+.1%}, worst {max(found):+.1%}")


def evenness(plan: Plan, records: Any) -> None:
    """Along each knob, the others in the middle; with the table of settings and without it."""
    network = plan.reconstructor
    assert isinstance(network, Hyper)
    _, coefficients, sensing = simulated(records, Scene(plan.sensing, plan.pattern, plan.noise))
    counts = torch.from_numpy(plan.pattern.counts.astype(np.float32))[None]
    for i, name in enumerate(network.knobs):
        for label, to_setting in (("knob", network.setting_of), ("setting", lambda point: point)):
            images = []
            for position in np.linspace(0, 1, STEPS + 1):
                point = torch.full((1, len(network.knobs)), 0.5)
                point[0, i] = float(position)
                with torch.inference_mode():
                    images.append(network.at(coefficients, counts, sensing, to_setting(point)))
            changes = [float((b - a).abs().square().sum().sqrt()) for a, b in pairwise(images)]
            print(
                f"{name}: even steps of the {label}: largest change over the mean {max(changes) / np.mean(changes):.2f}"
            )


def choice(plan: Plan, records: Any, count: int) -> None:
    """The least distance among the chosen over those of even grids along the knobs and along the settings."""
    network = plan.reconstructor
    assert isinstance(network, Hyper)
    ratios: dict[str, list[float]] = {"knob positions": [], "settings": []}
    for record in records:
        acquisition = plan.simulate(record.array * plan.noise.image_scale)
        explorer = Explorer(plan, acquisition)
        chosen = choose(explorer.candidates(), count)
        n = len(chosen.chosen)
        ours = least(chosen.distances)
        grid = even_grid(len(explorer.knobs), count)
        grids = {"knob positions": grid, "settings": [knob_of(network, setting) for setting in grid]}
        theirs = {name: least(distances(explorer.at(positions))) for name, positions in grids.items()}
        for name, value in theirs.items():
            ratios[name].append(ours / max(value, 1e-12))
        beside = ", ".join(f"{value:.5f} even {name}" for name, value in theirs.items())
        print(
            f"image {record.index}: {chosen.n_consistent} of {chosen.n_candidates} consistent, {n} chosen; "
            f"least distance {ours:.5f} chosen, {beside}; "
            f"largest chi2 {max(c.chi2 for c in chosen.chosen):.3f}",
            flush=True,
        )
    for name, values in ratios.items():
        print(f"least distance, chosen over even {name}: median x{np.median(values):.2f}, least x{min(values):.2f}")


def least(between: Any) -> float:
    """The smallest of the distances between different ones."""
    return float(between[np.triu_indices(len(between), 1)].min())


def knob_of(network: Hyper, setting: tuple[float, ...]) -> tuple[float, ...]:
    """The knob position that stands for a setting."""
    even = torch.linspace(0, 1, 1001)[:, None].expand(-1, len(setting))
    settings = network.setting_of(even).numpy()
    return tuple(float(np.interp(x, settings[:, i], even[:, i].numpy())) for i, x in enumerate(setting))


def even_grid(n_knobs: int, count: int) -> list[tuple[float, ...]]:
    """``count`` positions: along one knob, or on a grid as square as the count allows over the first two."""
    if n_knobs == 1:
        return [(float(x),) for x in np.linspace(0, 1, count)]
    rows = max(d for d in range(1, int(count**0.5) + 1) if count % d == 0)
    first = np.linspace(0, 1, count // rows)
    second = np.linspace(0, 1, rows)
    return [(float(a), float(b), *(0.5,) * (n_knobs - 2)) for a in first for b in second]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2.0, help="of training for each network")
    parser.add_argument("--steps", type=int, help="of each training, instead of minutes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--budget", default="4x")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--losses", nargs="*", default=["l1", "ssim"])
    parser.add_argument("--sampling", default="uniform")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    recipe = base_recipe("mri", given.budget, given.minutes, given.threads, given.steps)
    recipe = recipe.with_settings("images", size=[given.size, given.size])
    records = evenly(resolve(recipe).images.test, IMAGES)
    options = {"losses": given.losses, "sampling": given.sampling}
    plan = design(replace(recipe, reconstructor=Component("hyper", options)))
    print(f"hyper: {plan.reconstructor.n_parameters} parameters, {plan.recipe.training.steps} steps", flush=True)
    evenness(plan, records)
    choice(plan, records[::3], 6)
    if len(given.losses) == 2:
        gaps(plan, recipe, records)


if __name__ == "__main__":
    main()
