"""The equivariant force network: local field configuration to on-site electronic force (PHYSICS P2, P3)."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from ennforce.networks.base import Architecture, ForceNetwork
from ennforce.networks.expanded import expand
from ennforce.networks.layers import EquivariantConv, SeparableConv, point_group, torus_pad, trimmed
from ennforce.networks.nonlinearities import Pointwise
from ennforce.networks.wide import first_layer
from ennforce.symmetry import FieldType

START = 0.5  # rms of the forces at the start of training, in units of that of the training forces
SEEN = 16  # training configurations by which the start is set


class EquivariantNetwork(ForceNetwork):
    """``enn``: convolution, residual blocks of activation and convolution, linear read-out.

    ``width``: copies of the regular representation in each hidden feature; of each parity where ``mixed`` and the field has odd
    terms, while an even field has even features alone. ``depth``: blocks; ``wide``: far stencils of the first layer. Raises
    ValueError for a field of both parities without ``mixed``, and for one that rotates in spin space.
    """

    def __init__(self, architecture: Architecture, field_scale: float = 1.0, force_scale: float = 1.0) -> None:
        super().__init__(architecture, field_scale, force_scale)
        a = architecture
        field = FieldType.parse(a.field_type)
        hidden = FieldType.parse("+".join(f"{a.width}xR{parity}" for parity in hidden_parities(field, a.mixed)))
        self.embed = first_layer(a, field, hidden)
        self.blocks = nn.ModuleList(
            SeparableConv(a.lattice, hidden, a.radius, dilation=dilation)
            if a.separable
            else EquivariantConv(a.lattice, hidden, hidden, a.radius, dilation)
            for dilation in a.spacings
        )
        self.readout = EquivariantConv(a.lattice, hidden, field, 0)
        self.activation = Pointwise(point_group(a.lattice), hidden)

    @property
    def body_radius(self) -> int:
        """How far the hidden features see."""
        return self.embed.radius + self.architecture.radius * sum(self.architecture.spacings)

    @property
    def receptive_radius(self) -> int:
        return self.body_radius

    @property
    def multiply_adds(self) -> int:
        return sum(cast(EquivariantConv, layer).multiply_adds for layer in (self.embed, *self.blocks, self.readout))

    @torch.no_grad()
    def calibrate(self, fields: torch.Tensor) -> None:
        """Make the start of training quiet: blocks add less, the deeper the network, and forces are ``START`` of their usual size.

        As drawn, features grow from block to block, and forces start three to three hundred times too large (docs/networks.md).
        """
        for block in self.blocks:
            convolution = cast(EquivariantConv, block.mix if isinstance(block, SeparableConv) else block)
            for o, i in convolution.pairs:
                getattr(convolution, f"weight_{o}_{i}").div_(len(self.blocks) ** 0.5)
        response = self.periodic_response(fields[:: -(-len(fields) // SEEN)] / self.field_scale)
        scale = START / float(response.square().mean().sqrt())
        for o, i in self.readout.pairs:
            getattr(self.readout, f"weight_{o}_{i}").mul_(scale)

    def response(self, fields: torch.Tensor) -> torch.Tensor:
        features = self.embed(fields)
        for block in self.blocks:
            features = trimmed(features, cast(EquivariantConv, block).radius) + block(self.activation(features))
        return self.readout(self.activation(features))

    def periodic_response(self, fields: torch.Tensor) -> torch.Tensor:
        features = self.embed.on_torus(fields)
        for block in self.blocks:
            features = features + block(torus_pad(self.activation(features), cast(EquivariantConv, block).radius))
        return self.readout(self.activation(features))

    def expanded(self) -> nn.Module:
        return expand(self)


def hidden_parities(field: FieldType, mixed: bool) -> str:
    """Parities of the hidden features of ``enn``: "oe", "o", or "e" for an even field, whose odd features could only be zero."""
    if any(term.degree for term in field.terms):
        raise ValueError(f"network kind 'enn' has no features that rotate as those of {field} do: use kind 'typed'")
    parities = {term.parity for term in field.terms}
    if parities == {1}:
        return "e"
    if not mixed and parities == {1, -1}:
        raise ValueError(f"odd features alone cannot make the even part of a field {field}: set mixed to true")
    return "oe" if mixed else "o"
