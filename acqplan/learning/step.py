"""One optimiser step of network and pattern."""

from __future__ import annotations

import torch
from torch import nn

from acqplan.designers.designer import Designer
from acqplan.learning.batches import Batches
from acqplan.learning.objective import Objective
from acqplan.learning.state import TrainingState
from acqplan.reconstructors.losses import Target
from acqplan.reconstructors.precision import convolving_in
from acqplan.reconstructors.reconstructor import Reconstructor

_LONGEST_GRADIENT = 1.0  # of the network's weights together


def take_step(state: TrainingState, batches: Batches, objective: Objective) -> float:
    """One step on network and, before the freeze, pattern; returns the loss."""
    state.is_between_steps = False
    target = batches.draw(state)
    if state.is_joint and state.designer.wants_errors():
        update_designer(state.designer, state.network, target, batches.image_scale)
    with convolving_in(state.precision):
        loss = objective(state.network, target, state.generators["criterion"])
    for optimiser in state.optimisers.values():
        optimiser.zero_grad(set_to_none=True)
    if loss.requires_grad:
        loss.backward()
        nn.utils.clip_grad_norm_(list(state.network.parameters()), _LONGEST_GRADIENT)
        for optimiser in state.optimisers.values():
            optimiser.param_groups[0]["lr"] = optimiser.defaults["lr"] * state.schedule.rate(state.step)
            optimiser.step()
    state.step += 1
    state.is_between_steps = True
    return float(loss.detach())


def update_designer(designer: Designer, network: Reconstructor, target: Target, image_scale: float) -> None:
    """Tell a designer that learns from errors what the network makes of this batch, in units of full scale."""
    assert target.truth is not None
    with torch.no_grad():
        image = network(target.coefficients, target.counts, target.sensing)
        error = target.sensing.coefficients(image - target.truth).abs().square().mean(0)
    of_units = error.flatten(1).sum(1) if error.ndim > 1 else error
    designer.learn(target.counts[0], of_units / image_scale**2)
