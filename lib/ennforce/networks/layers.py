"""Equivariant layers: typed linear maps on a lattice stencil and smooth nonlinearities (PHYSICS P3).

Channels of a feature run term by term of its FieldType, copy by copy. Every layer commutes with translations, the point
group and the internal Z2 exactly, by construction: weights multiply a computed basis of intertwiners.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ennforce.lattice import Lattice
from ennforce.symmetry import FieldType, PointGroup, intertwiner_basis
from ennforce.symmetry.groups import REGULAR


@functools.cache
def filter_basis(lattice_name: str, label_in: str, label_out: str, radius: int) -> np.ndarray:
    """Intertwiners on the stencil of all shifts within ``radius`` steps along both axes, as filters (n, out, in, k, k).

    The stencil keeps only the shifts whose whole point-group orbit lies in that square: all of them on the square lattice.
    """
    lattice = Lattice(lattice_name, (1, 1))
    group = lattice.point_group
    shifts = [s for s in lattice.ball(2 * radius) if all(np.abs(m @ np.array(s)).max() <= radius for m in group.matrices)]
    basis = intertwiner_basis(group, group.representation(label_in), group.representation(label_out), shifts)
    filters = np.zeros((*basis.shape[:3], 2 * radius + 1, 2 * radius + 1))
    for position, (dy, dx) in enumerate(shifts):
        filters[..., dy + radius, dx + radius] = basis[..., position]
    return filters


class EquivariantConv(nn.Module):
    """out(r) = sum_s K(s) in(r + s) with K in the space of intertwiners between two field types; even outputs get a bias.

    ``radius`` is the reach of the stencil along an axis. The input must carry its own halo: each side loses ``radius`` sites.
    """

    def __init__(self, lattice_name: str, in_type: FieldType, out_type: FieldType, radius: int) -> None:
        super().__init__()
        self.in_type, self.out_type, self.radius = in_type, out_type, radius
        group = Lattice(lattice_name, (1, 1)).point_group
        self.pairs = []
        blocks: dict[tuple[int, int], np.ndarray] = {}
        for o, (_, label_out, parity_out) in enumerate(out_type.terms):
            for i, (_, label_in, parity_in) in enumerate(in_type.terms):
                if parity_in == parity_out:
                    blocks[o, i] = filter_basis(lattice_name, label_in, label_out, radius)
        for (o, i), basis in blocks.items():
            # Unit gain: each output channel then has the variance of the input channels.
            fan = sum(len(b) * in_type.terms[j][0] for (p, j), b in blocks.items() if p == o)
            weight = torch.randn(len(basis), out_type.terms[o][0], in_type.terms[i][0]) * (basis.shape[1] / fan) ** 0.5
            self.pairs.append((o, i))
            self.register_parameter(f"weight_{o}_{i}", nn.Parameter(weight))
            # Bases stay in float64 and are cast when used: a network in float64 is then symmetric to float64's rounding.
            self.register_buffer(f"basis_{o}_{i}", torch.tensor(basis), persistent=False)
        self.bias_pattern: torch.Tensor
        self.register_buffer("bias_pattern", torch.tensor(_bias_pattern(group, out_type)), persistent=False)
        self.bias = nn.Parameter(torch.zeros(self.bias_pattern.shape[1])) if self.bias_pattern.shape[1] else None
        self.dims_in = [count * group.representation(label).shape[1] for count, label, _ in in_type.terms]
        self.dims_out = [count * group.representation(label).shape[1] for count, label, _ in out_type.terms]
        # Terms that map each onto its own partner of the same size are a grouped convolution: no zero blocks to multiply.
        diagonal = self.pairs == [(n, n) for n in range(len(in_type.terms))] and len(in_type.terms) == len(out_type.terms)
        equal = len(set(self.dims_in)) == 1 and len(set(self.dims_out)) == 1
        self.groups = len(in_type.terms) if diagonal and equal else 1

    def filter(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The plain filter (C_out, C_in / groups, k, k) and bias (C_out,) of the convolution that this layer is."""
        if self.groups > 1:
            return torch.cat([self._block(n, n) for n in range(self.groups)]), self._constant()
        return self.dense_filter()

    def dense_filter(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The same without groups: filter (C_out, C_in, k, k)."""
        weight, size = next(self.parameters()), 2 * self.radius + 1
        rows = []
        for o, dim_out in enumerate(self.dims_out):
            blocks = [
                self._block(o, i) if (o, i) in self.pairs else weight.new_zeros(dim_out, dim_in, size, size)
                for i, dim_in in enumerate(self.dims_in)
            ]
            rows.append(torch.cat(blocks, dim=1))
        return torch.cat(rows), self._constant()

    @property
    def channels_out(self) -> int:
        """Number of output channels."""
        return sum(self.dims_out)

    def _constant(self) -> torch.Tensor | None:
        return self.bias_pattern.to(self.bias.dtype) @ self.bias if self.bias is not None else None

    def _block(self, o: int, i: int) -> torch.Tensor:
        weight, basis = getattr(self, f"weight_{o}_{i}"), getattr(self, f"basis_{o}_{i}")
        size = 2 * self.radius + 1
        return torch.einsum("noi,nabyx->oaibyx", weight, basis.to(weight.dtype)).reshape(
            self.dims_out[o], self.dims_in[i], size, size
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        filters, bias = self.filter()
        return functional.conv2d(features, filters, bias, groups=self.groups)


def _bias_pattern(group: PointGroup, field_type: FieldType) -> np.ndarray:
    """Columns span the invariant vectors of a field type, shape (dim, invariants): the only constants allowed."""
    columns = []
    start, dim = 0, field_type.dim(group)
    for count, label, parity in field_type.terms:
        size = group.representation(label).shape[1]
        invariant = {REGULAR: np.ones(size), "A1": np.ones(1)}.get(label)
        for _ in range(count):
            if parity > 0 and invariant is not None:
                column = np.zeros(dim)
                column[start : start + size] = invariant
                columns.append(column)
            start += size
    return np.array(columns).T.reshape(dim, len(columns))
