"""The loss of a batch and its gradients: all that training asks of a network, by torch or by compiled code."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ennforce import processes
from ennforce.networks import ForceNetwork

# Called with fields and target forces (batch, C, *lattice), float32 and contiguous, and weights (batch,), it sets ``.grad`` of all
# parameters of the network to the gradients of the loss, and returns the loss: the mean over the batch of weight times mean
# square error. Fields larger than the forces carry a halo of the network's ``receptive_radius`` sites, others close to a torus.
Gradients = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], float]


def gradients_of(network: ForceNetwork, halo: bool = False) -> Gradients:
    """What computes the gradients of this network: compiled code where it can, else torch, and torch for fields with a ``halo``.

    Compiled code is for networks on the CPU in one process, and takes ``torch.get_num_threads()`` threads. Torch averages the
    gradients over the processes that share a training.
    """
    alone_on_cpu = processes.count() == 1 and next(network.parameters()).device.type == "cpu"
    return (compiled(network) if alone_on_cpu and not halo else None) or TorchGradients(network, halo)


def compiled(network: ForceNetwork) -> Gradients | None:
    """Compiled gradients, or None where there are none for this network, or no compiler."""
    name = "ennforce.networks.compiled.training"
    parent = importlib.util.find_spec("ennforce.networks.compiled")
    if parent is None or importlib.util.find_spec(name) is None:
        return None
    return importlib.import_module(name).compiled_gradients(network)


class TorchGradients:
    """Gradients by automatic differentiation, averaged over the processes of a training."""

    def __init__(self, network: ForceNetwork, halo: bool = False) -> None:
        self.network = network
        self.predict: Callable[[torch.Tensor], torch.Tensor] = network if halo else network.on_torus
        if processes.count() > 1:
            # Said of filters with one input channel, too small to matter.
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            self.predict = DistributedDataParallel(network if halo else _OnTorus(network), forward_sync_buffers=False)

    def __call__(self, fields: torch.Tensor, forces: torch.Tensor, weights: torch.Tensor) -> float:
        self.network.zero_grad()
        loss = (((self.predict(fields) - forces) ** 2).flatten(1).mean(1) * weights).mean()
        loss.backward()
        return float(loss.detach())


class _OnTorus(nn.Module):
    """The forward pass of training, as DistributedDataParallel wants it."""

    def __init__(self, network: ForceNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        return self.network.on_torus(fields)
