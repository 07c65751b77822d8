"""The loss of a batch and its gradients: all that training asks of a network, by torch or by compiled code."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ennforce import processes
from ennforce.networks import ForceNetwork
from ennforce.networks.compiled.training import compiled_gradients
from ennforce.networks.conditioned import ConditionedNetwork

# Called with fields and target forces (batch, C, *lattice), float32 and contiguous, weights (batch,), and for a network that is
# told conditions these, (batch, inputs), it sets ``.grad`` of all parameters of the network to the gradients of the loss, and
# returns the loss: the mean over the batch of weight times mean square error. Fields larger than the forces carry a halo of the
# network's ``receptive_radius`` sites, others close to a torus.
Gradients = Callable[..., float]


def gradients_of(network: ForceNetwork, halo: bool = False) -> Gradients:
    """What computes the gradients of this network: compiled code where it can, else torch; ``halo``: fields have theirs.

    Compiled code is for networks on the CPU in one process, and takes as many threads as torch has now. Torch averages the
    gradients over the processes that share a training.
    """
    found: Gradients | None = None
    if processes.count() == 1 and next(network.parameters()).device.type == "cpu":
        found = _told(network, halo) if isinstance(network, ConditionedNetwork) else compiled_gradients(network, halo)
    return found or TorchGradients(network, halo)


def _told(network: ConditionedNetwork, halo: bool) -> Gradients | None:
    """Gradients of a network that is told conditions: of the plain one that it is under each sample's, handed on to its weights."""
    plain = copy.deepcopy(network.plain)
    plain.field_scale.copy_(network.field_scale)
    plain.force_scale.copy_(network.force_scale)
    inner = compiled_gradients(plain, halo)
    if inner is None:
        return None
    parameters = dict(plain.named_parameters())

    def gradients(fields: torch.Tensor, forces: torch.Tensor, weights: torch.Tensor, conditions: torch.Tensor) -> float:
        network.zero_grad()
        loss = 0.0
        for n, one in enumerate(conditions):
            under = network.weights(one)
            with torch.no_grad():
                for name, parameter in parameters.items():
                    parameter.copy_(under[name])
            loss += inner(fields[n : n + 1], forces[n : n + 1], weights[n : n + 1] / len(conditions))
            torch.autograd.backward([under[name] for name in parameters], [p.grad for p in parameters.values()])
        return loss

    return gradients


class TorchGradients:
    """Gradients by automatic differentiation, averaged over the processes of a training."""

    def __init__(self, network: ForceNetwork, halo: bool = False) -> None:
        self.network = network
        self.predict: Callable[..., torch.Tensor] = network if halo else network.on_torus
        if processes.count() > 1:
            # Said of filters with one input channel, too small to matter.
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            self.predict = DistributedDataParallel(network if halo else _OnTorus(network), forward_sync_buffers=False)

    def __call__(self, fields: torch.Tensor, forces: torch.Tensor, weights: torch.Tensor, *conditions: torch.Tensor) -> float:
        self.network.zero_grad()
        loss = (((self.predict(fields, *conditions) - forces) ** 2).flatten(1).mean(1) * weights).mean()
        loss.backward()
        return float(loss.detach())


class _OnTorus(nn.Module):
    """The forward pass of training, as DistributedDataParallel wants it."""

    def __init__(self, network: ForceNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, fields: torch.Tensor, *conditions: torch.Tensor) -> torch.Tensor:
        return self.network.on_torus(fields, *conditions)
