"""The first layer of a network that sees far: a few learned stencils of large radius beside the many small ones (PHYSICS P10).

Far stencils are free, a weight for each orbit of shifts, or products of lines: few weights, which learn faster.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn
from torch.nn import functional

from ennforce.lattice import Lattice
from ennforce.networks.base import Architecture
from ennforce.networks.layers import EquivariantConv, point_group, torus_pad, trimmed
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


class Lines(nn.Module):
    """Copies of a field, each through one even line of weights along every bond direction in turn: from C to copies C components.

    The point group exchanges bond directions, which commute: their product is a scalar stencil, whatever the field. On the
    square lattice it is of rank one, u(x) u(y); any scalar stencil is a sum of such. Fields carry a halo of ``radius`` sites, which
    products stay within. ``source``: the component of the field that each channel starts from, ``line``: the copy it belongs to.
    """

    source: torch.Tensor
    line: torch.Tensor

    def __init__(self, lattice: str, field: FieldType, copies: int, radius: int) -> None:
        super().__init__()
        group = point_group(lattice)
        dimension = group.matrices.shape[1]
        self.radius = radius
        self.directions = Lattice(lattice, (1,) * dimension).half_neighbours
        passes = max(sum(abs(shift[axis]) for shift in self.directions) for axis in range(dimension))
        self.length = radius // passes  # of a line from its middle
        starts = list(itertools.accumulate(field.dims(group), initial=0))
        components = [range(*ends) for ends in itertools.pairwise(starts)]
        self.register_buffer(
            "source", torch.tensor([n for term in components for _ in range(copies) for n in term]), persistent=False
        )
        self.register_buffer(
            "line", torch.tensor([c for term in components for c in range(copies) for _ in term]), persistent=False
        )
        # Decays of all lengths, every other one staggered, of unit norm.
        away = torch.arange(self.length + 1.0)
        decays = torch.logspace(0.0, math.log10(max(self.length / 2.0, 1.0)), copies)
        signs = torch.where(torch.arange(copies)[:, None] % 2 == 0, (-1.0) ** away, torch.ones(()))
        lines = signs * torch.exp(-away / decays[:, None])
        self.lines = nn.Parameter(lines / (2.0 * lines.square().sum(1) - 1.0).sqrt()[:, None])
        self.convolve = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}[dimension]

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a site."""
        return len(self.line) * len(self.directions) * (2 * self.length + 1)

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        features = fields[:, self.source]
        for direction in self.directions:
            filters = self._along(direction)
            features = self.convolve(features, filters, groups=len(filters))
        return trimmed(features, self.radius - (fields.shape[2] - features.shape[2]) // 2)

    def filter(self) -> tuple[torch.Tensor, None]:
        """The plain filter (copies C, C, k, k) that the products are, without a bias, as of ``EquivariantConv``."""
        components, middle = int(self.source.max()) + 1, (2 * self.radius,) * len(self.directions[0])
        impulses = self.lines.new_zeros(components, components, *(2 * n + 1 for n in middle))
        for n in range(components):
            impulses[(n, n, *middle)] = 1.0
        return self(impulses).transpose(0, 1), None  # even: a filter is its own mirror image

    def _along(self, direction: tuple[int, ...]) -> torch.Tensor:
        """The lines of all channels along a bond direction, filters (channels, 1, k, k) as small as hold them."""
        lines = torch.cat([self.lines[:, 1:].flip(1), self.lines], dim=1)[self.line]
        box = [2 * self.length * abs(step) + 1 for step in direction]
        places = [torch.arange(-self.length, self.length + 1) * step + side // 2 for step, side in zip(direction, box, strict=True)]
        filters = lines.new_zeros(len(lines), *box)
        return filters.index_put((torch.arange(len(lines))[:, None], *places), lines).unsqueeze(1)


class WideConv(FarSight):
    """``FarSight`` of equivariant layers, from a field to hidden features; ``copies`` of the field go through far stencils.

    These are ``Lines`` where ``lines``, else free.
    """

    near: EquivariantConv
    far: EquivariantConv | Lines
    spread: EquivariantConv

    def __init__(
        self, lattice: str, field: FieldType, hidden: FieldType, radius: int, copies: int, wide_radius: int, lines: bool = False
    ) -> None:
        seen = FieldType(tuple(term._replace(copies=copies * term.copies) for term in field.terms))
        far: EquivariantConv | Lines
        if lines:
            far = Lines(lattice, field, copies, wide_radius)
        else:
            far = EquivariantConv(lattice, field, seen, wide_radius)
            far.bias = None  # ``near`` has one
        spread = EquivariantConv(lattice, seen, hidden, 0)
        spread.bias = None
        super().__init__(EquivariantConv(lattice, field, hidden, radius), far, spread, (radius, wide_radius))
        self.channels_out = self.near.channels_out

    def on_torus(self, fields: torch.Tensor) -> torch.Tensor:
        """The layer with periodic boundary, on fields (batch, C, *lattice)."""
        return self(torus_pad(fields, self.radius))

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a site."""
        return self.near.multiply_adds + self.far.multiply_adds + self.spread.multiply_adds


def first_layer(a: Architecture, field: FieldType, hidden: FieldType) -> EquivariantConv | WideConv:
    """From a field to hidden features, as an architecture says."""
    if a.wide:
        return WideConv(a.lattice, field, hidden, a.first_radius, a.wide, a.wide_radius, a.lines)
    return EquivariantConv(a.lattice, field, hidden, a.first_radius)


def _inner(fields: torch.Tensor, cut: int) -> torch.Tensor:
    """Fields (batch, C, *lattice) without their outermost ``cut`` sites."""
    return functional.pad(fields, (-cut,) * 2 * (fields.dim() - 2))
