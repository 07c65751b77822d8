"""The first layer of a network that sees far: a few learned stencils of large radius beside the many small ones (PHYSICS P10)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from ennforce.networks.layers import EquivariantConv
from ennforce.symmetry import FieldType


class FarSight(nn.Module):
    """near(fields) + spread(far(fields)): ``near`` within its radius to all features, ``far`` to few, ``spread`` from these to all.

    A metal answers a weak field over many sites, but linearly: few far stencils, whose answer the layers above can damp where order
    has opened a gap, cost little. Fields carry a halo of the larger radius. Works on parts that are equivariant or expanded alike.
    """

    def __init__(self, near: nn.Module, far: nn.Module, spread: nn.Module, radii: tuple[int, int]) -> None:
        super().__init__()
        self.near, self.far, self.spread = near, far, spread
        self.radii = radii
        self.radius = max(radii)

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        near, far = (_inner(fields, self.radius - radius) for radius in self.radii)
        return self.near(near) + self.spread(self.far(far))


class WideConv(FarSight):
    """``FarSight`` of equivariant layers, from a field to hidden features; ``copies`` of the field go through far stencils."""

    near: EquivariantConv
    far: EquivariantConv
    spread: EquivariantConv

    def __init__(self, lattice: str, field: FieldType, hidden: FieldType, radius: int, copies: int, wide_radius: int) -> None:
        seen = FieldType(tuple(term._replace(copies=copies * term.copies) for term in field.terms))
        far, spread = EquivariantConv(lattice, field, seen, wide_radius), EquivariantConv(lattice, seen, hidden, 0)
        far.bias = spread.bias = None  # ``near`` has one
        super().__init__(EquivariantConv(lattice, field, hidden, radius), far, spread, (radius, wide_radius))
        self.channels_out = self.near.channels_out

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a site."""
        return self.near.multiply_adds + self.far.multiply_adds + self.spread.multiply_adds


def _inner(fields: torch.Tensor, cut: int) -> torch.Tensor:
    """Fields (batch, C, *lattice) without their outermost ``cut`` sites."""
    return functional.pad(fields, (-cut,) * 2 * (fields.dim() - 2))
