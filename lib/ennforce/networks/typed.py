"""A force network for any field type: vectors, doublets, classical spins (PHYSICS P2, P3)."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from ennforce.networks.base import Architecture, ForceNetwork
from ennforce.networks.layers import EquivariantConv, SeparableConv, point_group, torus_pad, trimmed
from ennforce.networks.nonlinearities import Gated, Saturated, TensorProduct
from ennforce.networks.wide import first_layer
from ennforce.symmetry import FieldType, Term


class Block(nn.Module):
    """x + gate(convolution(s + s x s)) with s = x / sqrt(1 + |x|^2): products make even from odd features and couple degrees."""

    def __init__(self, lattice: str, hidden: FieldType, radius: int, separable: bool, dilation: int) -> None:
        super().__init__()
        group = point_group(lattice)
        self.saturated, self.product = Saturated(group, hidden), TensorProduct(group, hidden, hidden)
        self.gate = Gated(group, hidden)
        self.convolution: EquivariantConv | SeparableConv = (
            SeparableConv(lattice, hidden, radius, self.gate.in_type, dilation)
            if separable
            else EquivariantConv(lattice, hidden, self.gate.in_type, radius, dilation)
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return trimmed(features, self.convolution.radius) + self.gate(self.convolution(self._products(features)))

    def on_torus(self, features: torch.Tensor) -> torch.Tensor:
        """The block with periodic boundary, on features (batch, C, *lattice)."""
        return features + self.gate(self.convolution(torus_pad(self._products(features), self.convolution.radius)))

    def _products(self, features: torch.Tensor) -> torch.Tensor:
        bounded = self.saturated(features)
        return bounded + self.product(bounded)

    @property
    def multiply_adds(self) -> int:
        return self.convolution.multiply_adds + self.product.multiply_adds


class TypedNetwork(ForceNetwork):
    """``typed``: convolution, residual blocks of products, convolution and gates, linear read-out, for any field type.

    ``width``: copies of the regular representation in each hidden term. Hidden terms are the even scalar and one for each parity
    and degree of the field; where ``mixed``, all its parities at all degrees up to its highest. ``depth``: blocks.
    """

    def __init__(self, architecture: Architecture, field_scale: float = 1.0, force_scale: float = 1.0) -> None:
        super().__init__(architecture, field_scale, force_scale)
        a = architecture
        field = FieldType.parse(a.field_type)
        hidden = hidden_type(field, a.width, a.mixed)
        self.embed = first_layer(a, field, hidden)
        self.blocks = nn.ModuleList(Block(a.lattice, hidden, a.radius, a.separable, d) for d in a.spacings)
        self.readout = EquivariantConv(a.lattice, hidden, field, 0)

    @property
    def body_radius(self) -> int:
        """How far the hidden features see."""
        return self.embed.radius + self.architecture.radius * sum(self.architecture.spacings)

    @property
    def receptive_radius(self) -> int:
        return self.body_radius

    @property
    def multiply_adds(self) -> int:
        ends = self.embed.multiply_adds + self.readout.multiply_adds
        return ends + sum(cast(Block, block).multiply_adds for block in self.blocks)

    def response(self, fields: torch.Tensor) -> torch.Tensor:
        features = self.embed(fields)
        for block in self.blocks:
            features = block(features)
        return self.readout(features)

    def periodic_response(self, fields: torch.Tensor) -> torch.Tensor:
        features = self.embed.on_torus(fields)
        for block in self.blocks:
            features = cast(Block, block).on_torus(features)
        return self.readout(features)


def hidden_type(field: FieldType, width: int, mixed: bool) -> FieldType:
    """Regular features of all internal kinds that a field needs, the even scalar first."""
    kinds = {(1, 0)} | {(term.parity, term.degree) for term in field.terms}
    if mixed:
        parities, highest = {parity for parity, _ in kinds}, max(degree for _, degree in kinds)
        kinds = {(parity, degree) for parity in parities for degree in range(highest + 1)}
    ordered = sorted(kinds, key=lambda kind: (kind[1], -kind[0]))
    return FieldType(tuple(Term(width, "R", parity, degree) for parity, degree in ordered))
