"""Equivariant networks as energies: forces are their exact gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from ennforce.networks.base import Architecture, ForceNetwork
from ennforce.networks.expanded import expand
from ennforce.networks.layers import EquivariantConv, point_group, trimmed
from ennforce.networks.models import EquivariantNetwork, hidden_parities
from ennforce.networks.typed import TypedNetwork
from ennforce.symmetry import FieldType


class Conservative(ForceNetwork):
    """What turns the network that follows it among a class's bases into an energy: e_i is read out, and F = -d(sum_i e_i)/dQ.

    Exactly equivariant, being the gradient of an invariant; curl-free, so that dF_i/dQ_j = dF_j/dQ_i. The bases need an even
    invariant among their hidden features.
    """

    readout: EquivariantConv
    body_radius: int

    def _read_energies(self) -> None:
        """Put an even invariant in the place of the force that was read out."""
        lattice = self.architecture.lattice
        self.readout = EquivariantConv(lattice, self.readout.in_type, FieldType.parse(f"{point_group(lattice).trivial}e"), 0)
        self.readout.bias = None  # a constant energy makes no force
        with torch.no_grad():
            # A force sums the slopes of all local energies that reach its site: so it starts out of order one, as in the others.
            for weight in self.readout.parameters():
                weight.div_((self.receptive_radius + 1) ** self.readout.dimension)

    @property
    def receptive_radius(self) -> int:
        return 2 * self.body_radius

    @property
    def multiply_adds(self) -> int:
        """Forward pass, and a backward pass that costs as much: derivatives by the fields alone."""
        return 2 * super().multiply_adds  # type: ignore[safe-super]

    def local_energies(self, fields: torch.Tensor) -> torch.Tensor:
        """Energies (batch, 1, *lattice), up to a constant, of fields that carry a halo of half the receptive radius."""
        energies = super().response(fields / self.field_scale)  # type: ignore[safe-super]
        return energies * (self.force_scale * self.field_scale)

    def response(self, fields: torch.Tensor) -> torch.Tensor:
        body = super().response  # type: ignore[safe-super]
        return negative_gradient(body, fields, self.receptive_radius, self._trained)

    def periodic_response(self, fields: torch.Tensor) -> torch.Tensor:
        return negative_gradient(super().periodic_response, fields, 0, self._trained)

    @property
    def _trained(self) -> bool:
        return any(parameter.requires_grad for parameter in self.parameters())


class EnergyNetwork(Conservative, EquivariantNetwork):
    """``enn_energy``: the body of ``enn`` as an energy, for any lattice and field type that ``enn`` takes.

    ``width`` and ``depth`` as in ``enn``; raises ValueError for an odd field without ``mixed``: odd features have no linear even
    read-out.
    """

    def __init__(self, architecture: Architecture, field_scale: float = 1.0, force_scale: float = 1.0) -> None:
        if hidden_parities(FieldType.parse(architecture.field_type), architecture.mixed) == "o":
            raise ValueError("network kind 'enn_energy' reads an even energy from even features: set mixed to true")
        super().__init__(architecture, field_scale, force_scale)
        self._read_energies()

    def expanded(self) -> nn.Module:
        with torch.inference_mode(False):  # weights made in inference mode could never be differentiated through
            return ExpandedEnergy(self)


class TypedEnergyNetwork(Conservative, TypedNetwork):
    """``typed_energy``: the body of ``typed`` as an energy, for any field type; ``width`` and ``depth`` as there."""

    def __init__(self, architecture: Architecture, field_scale: float = 1.0, force_scale: float = 1.0) -> None:
        super().__init__(architecture, field_scale, force_scale)
        self._read_energies()


class ExpandedEnergy(nn.Module):
    """Forces of an ``enn_energy`` for inference, as the gradient of a network of plain convolutions."""

    def __init__(self, network: EnergyNetwork) -> None:
        super().__init__()
        self.halo = network.receptive_radius
        self.field_scale = float(network.field_scale)  # the expanded energies are in units of force_scale alone
        self.energies = expand(network)

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        return self.field_scale * negative_gradient(self.energies, fields, self.halo)


def negative_gradient(
    energies: Callable[[torch.Tensor], torch.Tensor], fields: torch.Tensor, halo: int, trained: bool = False
) -> torch.Tensor:
    """-d(sum of local energies)/d(fields) on the sites inside the halo, also where the caller has switched gradients off.

    Differentiable again where gradients are on and anything is there to differentiate by: the fields, or ``trained`` weights.
    """
    again = torch.is_grad_enabled() and (fields.requires_grad or trained)
    with torch.inference_mode(False), torch.enable_grad():
        if not fields.requires_grad:
            # A clone: tensors of inference mode can never enter a graph.
            fields = fields.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(energies(fields).sum(), fields, create_graph=again)
    return -trimmed(gradient, halo)
