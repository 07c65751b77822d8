"""Equivariant linear layers: typed convolutions on a lattice stencil (PHYSICS P3).

Channels of a feature run as its FieldType says. Every layer commutes with translations, the point group and the internal
symmetries exactly, by construction: weights multiply a computed basis of intertwiners.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ennforce.lattice import BASES, Lattice
from ennforce.symmetry import FieldType, PointGroup, intertwiner_basis
from ennforce.symmetry.groups import REGULAR
from ennforce.symmetry.projections import projection_basis


@functools.cache
def point_group(lattice_name: str) -> PointGroup:
    """The point group of a lattice, found once; raises ValueError for an unknown lattice."""
    return Lattice(lattice_name, (1,) * len(BASES.get(lattice_name, ((),)))).point_group


def torus_pad(features: torch.Tensor, radius: int) -> torch.Tensor:
    """A halo of ``radius`` sites around a torus, features (batch, C, *lattice); ValueError where it would wrap around twice."""
    if radius > min(features.shape[2:]):
        lengths = " x ".join(map(str, features.shape[2:]))
        raise ValueError(
            f"a torus of {lengths} sites is shorter than the {radius} that a stencil reaches: use a larger lattice, or smaller "
            "radii or dilations"
        )
    return functional.pad(features, (radius,) * 2 * (features.dim() - 2), mode="circular") if radius else features


def trimmed(values: torch.Tensor, radius: int) -> torch.Tensor:
    """Without a halo of ``radius`` sites, values (batch, C, *lattice)."""
    for axis in range(2, values.dim()):
        values = values.narrow(axis, radius, values.shape[axis] - 2 * radius)
    return values


@functools.cache
def filter_basis(lattice_name: str, label_in: str, label_out: str, radius: int) -> np.ndarray:
    """Intertwiners on the stencil of all shifts within ``radius`` steps along every axis, as filters (n, out, in, k, k).

    The stencil keeps only the shifts whose whole point-group orbit lies in that square: all of them on the square and the cubic
    lattice. Filters have as many axes k as the lattice.
    """
    group = point_group(lattice_name)
    lattice = Lattice(lattice_name, (1,) * len(group.matrices[0]))
    shifts = [s for s in lattice.ball(2 * radius) if all(np.abs(m @ np.array(s)).max() <= radius for m in group.matrices)]
    basis = intertwiner_basis(group, group.representation(label_in), group.representation(label_out), shifts)
    filters = np.zeros((*basis.shape[:3], *(2 * radius + 1,) * lattice.dimension))
    for position, shift in enumerate(shifts):
        filters[(slice(None),) * 3 + tuple(s + radius for s in shift)] = basis[..., position]
    return filters


class EquivariantConv(nn.Module):
    """out(r) = sum_s K(s) in(r + s) with K in the space of intertwiners between two field types; invariant even outputs get a bias.

    The stencil holds the shifts d s, ``dilation`` d times those s within ``stencil_radius`` steps along every axis; ``radius`` is
    its reach, the product of both. The input must carry its own halo: each side loses ``radius`` sites. Terms are joined where
    parity and degree agree, with the identity on m. Raises ValueError where no term of the input can reach any of the output, the
    radius is negative or the dilation not positive.
    """

    def __init__(self, lattice_name: str, in_type: FieldType, out_type: FieldType, stencil_radius: int, dilation: int = 1) -> None:
        super().__init__()
        if stencil_radius < 0 or dilation < 1:
            raise ValueError(
                f"a stencil of radius {stencil_radius} and dilation {dilation} has no site: choose a radius of 0 or more and a "
                "dilation of 1 or more"
            )
        self.in_type, self.out_type, self.dilation = in_type, out_type, dilation
        self.stencil_radius, self.radius = stencil_radius, stencil_radius * dilation
        group = point_group(lattice_name)
        self.dimension = group.matrices.shape[1]
        self.pairs: list[tuple[int, int]] = []
        blocks: dict[tuple[int, int], np.ndarray] = {}
        for o, target in enumerate(out_type.terms):
            for i, source in enumerate(in_type.terms):
                if (source.parity, source.degree) == (target.parity, target.degree):
                    basis = filter_basis(lattice_name, source.label, target.label, stencil_radius)
                    if len(basis):
                        blocks[o, i] = basis
        if not blocks:
            raise ValueError(
                f"no equivariant map leads from {in_type} to {out_type} within radius {self.radius}: "
                "no parity, degree and irrep in both"
            )
        for (o, i), basis in blocks.items():
            # Unit gain: each output channel then has the variance of the input channels.
            fan = sum(len(b) * in_type.terms[j].copies for (p, j), b in blocks.items() if p == o)
            weight = torch.randn(out_type.terms[o].copies, in_type.terms[i].copies, len(basis)) * (basis.shape[1] / fan) ** 0.5
            self.pairs.append((o, i))
            self.register_parameter(f"weight_{o}_{i}", nn.Parameter(weight))
            # Bases stay in float64 and are cast when used: a network in float64 is then symmetric to float64's rounding.
            self.register_buffer(f"basis_{o}_{i}", torch.tensor(basis), persistent=False)
        self.bias_pattern: torch.Tensor
        self.register_buffer("bias_pattern", torch.tensor(_bias_pattern(group, out_type)), persistent=False)
        self.bias = nn.Parameter(torch.zeros(self.bias_pattern.shape[1])) if self.bias_pattern.shape[1] else None
        self.dims_in, self.dims_out = in_type.dims(group), out_type.dims(group)
        # Terms that map each onto its own partner of the same size are a grouped convolution: no zero blocks to multiply.
        diagonal = self.pairs == [(n, n) for n in range(len(in_type.terms))] and len(in_type.terms) == len(out_type.terms)
        equal = len(set(self.dims_in)) == 1 and len(set(self.dims_out)) == 1
        self.groups = len(in_type.terms) if diagonal and equal else 1
        self.degrees = any(term.degree for term in (in_type + out_type).terms)
        convolve = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}[self.dimension]
        self.convolve = functools.partial(convolve, dilation=dilation)

    def filter(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The plain filter (C_out, C_in / groups, k, k) and bias (C_out,) of the convolution that this layer is."""
        if self.groups > 1:
            return torch.cat([self._block(n, n) for n in range(self.groups)]), self._constant()
        return self.dense_filter()

    def dense_filter(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The plain filter (C_out, C_in, k, k) and bias (C_out,) of this layer as a convolution without groups."""
        weight, box = next(self.parameters()), (2 * self.stencil_radius + 1,) * self.dimension
        rows = []
        for o, dim_out in enumerate(self.dims_out):
            blocks = [
                self._block(o, i) if (o, i) in self.pairs else weight.new_zeros(dim_out, dim_in, *box)
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

    def _components(self, i: int) -> int:
        return 2 * self.in_type.terms[i].degree + 1

    def _kernel(self, o: int, i: int) -> torch.Tensor:
        """The filter between one component m of two terms and the same of the other."""
        weight, basis = getattr(self, f"weight_{o}_{i}"), getattr(self, f"basis_{o}_{i}")
        block = torch.einsum("oin,nab...->oaib...", weight, basis.to(weight.dtype))
        components = self._components(i)
        return block.reshape(self.dims_out[o] // components, self.dims_in[i] // components, *basis.shape[3:])

    def _block(self, o: int, i: int) -> torch.Tensor:
        kernel = self._kernel(o, i)
        if not self.in_type.terms[i].degree:
            return kernel
        identity = torch.eye(self._components(i), dtype=kernel.dtype, device=kernel.device)
        return torch.einsum("ab...,mk->ambk...", kernel, identity).reshape(self.dims_out[o], self.dims_in[i], *kernel.shape[2:])

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a site of ``forward``."""
        if not self.degrees:
            return self.filter()[0].numel()
        return sum(self._kernel(o, i).numel() * self._components(i) for o, i in self.pairs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if self.degrees:
            return self._by_kind(features)
        filters, bias = self.filter()
        return self.convolve(features, filters, bias, groups=self.groups)

    def _by_kind(self, features: torch.Tensor) -> torch.Tensor:
        """``forward`` without the filter's zeros: a convolution per pair of terms, whose m share a filter, as one larger batch."""
        parts = features.split(self.dims_in, dim=1)
        batch, inner = features.shape[0], [length - 2 * self.radius for length in features.shape[2:]]
        results = [features.new_zeros(batch, dim, *inner) for dim in self.dims_out]
        for o, i in self.pairs:
            components = self._components(i)
            folded = parts[i].unflatten(1, (-1, components)).transpose(1, 2).flatten(0, 1)
            update = self.convolve(folded, self._kernel(o, i)).unflatten(0, (batch, components)).transpose(1, 2)
            results[o] = results[o] + update.flatten(1, 2)
        constant = self._constant()
        joined = torch.cat(results, dim=1)
        return joined if constant is None else joined + constant.view(-1, *(1,) * self.dimension)

    def on_torus(self, features: torch.Tensor) -> torch.Tensor:
        """The convolution with periodic boundary, (batch, C_in, *lattice) to (batch, C_out, *lattice)."""
        return self(torus_pad(features, self.radius))


class SeparableConv(nn.Module):
    """A convolution of regular features in two cheap steps: each channel by a stencil of its own, then all channels of a site.

    The stencil of channel h is that of its copy moved by the element h: K_h(s) = k(h^-1 s), which commutes with the group; the
    components m of a degree share it. ``out_type`` is that of the input where none is given. ``stencil_radius``, ``dilation`` and
    the halo of the input as in ``EquivariantConv``. Raises ValueError for features that are not regular.
    """

    def __init__(
        self, lattice_name: str, features: FieldType, stencil_radius: int, out_type: FieldType | None = None, dilation: int = 1
    ) -> None:
        super().__init__()
        if any(term.label != REGULAR for term in features.terms):
            raise ValueError(f"{features} cannot be convolved copy by copy: give regular features, such as 4xRo+4xRe")
        self.dilation, self.radius = dilation, stencil_radius * dilation
        group = point_group(lattice_name)
        # Every stencil position, each moved by every element.
        scalar = filter_basis(lattice_name, REGULAR, group.trivial, stencil_radius)
        self.moved: torch.Tensor
        self.register_buffer("moved", torch.tensor(scalar[:, 0] * len(group) ** 0.5), persistent=False)
        copies = sum(term.copies for term in features.terms)
        self.components = [2 * term.degree + 1 for term in features.terms for _ in range(term.copies)]
        self.stencils = nn.Parameter(torch.randn(copies, len(scalar)) / len(scalar) ** 0.5)
        self.mix = EquivariantConv(lattice_name, features, out_type or features, 0)

    def stencil_filter(self) -> torch.Tensor:
        """The grouped filter of the first step, (channels, 1, k, k)."""
        moved = self.moved.to(self.stencils.dtype)
        filters = torch.einsum("cn,nh...->ch...", self.stencils, moved)
        if max(self.components) > 1:
            filters = torch.cat([one.repeat_interleave(m, 0) for one, m in zip(filters, self.components, strict=True)])
            return filters.unsqueeze(1)
        return filters.flatten(0, 1).unsqueeze(1)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a site."""
        return self.stencil_filter().numel() + self.mix.multiply_adds

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        filters = self.stencil_filter()
        return self.mix(self.mix.convolve(features, filters, groups=len(filters), dilation=self.dilation))


def _bias_pattern(group: PointGroup, field_type: FieldType) -> np.ndarray:
    """Columns span the invariant vectors of a field type, shape (dim, invariants): the only constants allowed."""
    columns = []
    start, dim = 0, field_type.dim(group)
    for term in field_type.terms:
        rho = group.representation(term.label)
        size = term.dim(group) // term.copies
        # Length sqrt(d): on permutations the constant is 1 on every channel.
        constants = projection_basis(rho.mean(axis=0)) * rho.shape[1] ** 0.5 if term.parity > 0 and term.degree == 0 else ()
        for _ in range(term.copies):
            for constant in constants:
                column = np.zeros(dim)
                column[start : start + size] = constant
                columns.append(column)
            start += size
    return np.array(columns).T.reshape(dim, len(columns))
