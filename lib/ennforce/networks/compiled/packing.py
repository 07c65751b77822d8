"""The weights of a network in the order in which its kernel holds them, and slopes by these back to the network's own.

Every weight of the kernel is a fixed linear map of the network's weights: filters are sums over a basis of intertwiners, mixing
matrices their blocks in irreps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch

from ennforce.networks.base import ForceNetwork
from ennforce.networks.compiled.layout import layout_of
from ennforce.networks.compiled.plan import Plan, first_layers, mixing, positions, product_weights
from ennforce.networks.compiled.transform import transform
from ennforce.networks.layers import EquivariantConv, SeparableConv
from ennforce.networks.wide import Lines


@dataclass(frozen=True, eq=False)
class Piece:
    """``parameter`` as rows of n numbers, times ``matrix`` (n, m): the kernel's weights at ``places`` (rows, m)."""

    parameter: torch.nn.Parameter
    matrix: np.ndarray
    places: np.ndarray


@dataclass(frozen=True, eq=False)
class Product:
    """Far stencils that are products of lines, the one part that is not linear: the kernel's weights at ``places``."""

    far: Lines
    take: np.ndarray  # of the flattened filter
    places: np.ndarray
    scale: float

    def values(self) -> torch.Tensor:
        return self.far.filter()[0].flatten()[torch.from_numpy(self.take)] * self.scale


class Packing:
    """All weights of one network; follows them as they are trained."""

    def __init__(self, network: ForceNetwork, plan: Plan) -> None:
        layout = layout_of(plan)
        self.plan, self.offsets, self.size = plan, layout.offsets, layout.weights
        scales = float(network.field_scale), float(network.force_scale)
        found = list(self._pieces(cast(Any, network), *scales))
        self.pieces = [piece for piece in found if isinstance(piece, Piece)]
        self.products = [piece for piece in found if isinstance(piece, Product)]
        self.places = np.concatenate([piece.places.ravel() for piece in self.pieces])
        self.cuts = np.cumsum([piece.places.size for piece in self.pieces])[:-1]

    def weights(self) -> np.ndarray:
        """The kernel's weights, (size,) of float32, scales folded in."""
        found = np.zeros(self.size, dtype=np.float32)
        values = [_rows(piece) @ piece.matrix for piece in self.pieces]
        found[self.places] = np.concatenate([value.ravel() for value in values])
        with torch.no_grad():
            for product in self.products:
                found[product.places] = product.values().numpy()
        return found

    def set_gradients(self, slope: np.ndarray) -> None:
        """Set ``.grad`` of every parameter from the slope by the kernel's weights, (size,)."""
        for piece, part in zip(self.pieces, np.split(slope[self.places], self.cuts), strict=True):
            found = part.reshape(piece.places.shape) @ piece.matrix.T
            piece.parameter.grad = torch.from_numpy(found.reshape(piece.parameter.shape)).to(piece.parameter.dtype)
        for product in self.products:
            product.far.lines.grad = None
        for product in self.products:  # terms of a field share their lines: gradients add up
            product.values().backward(torch.from_numpy(slope[product.places]))

    def _pieces(self, network: Any, field_scale: float, force_scale: float) -> Iterator[Piece | Product]:
        p, at = self.plan, self.offsets
        near, far, spread = first_layers(network)
        for t, (_, _, kind) in enumerate(p.field):
            yield self._filter(near, kind, t, p.first_radius, at[f"FIRST_{t}"], 1.0 / field_scale)
            if isinstance(far, Lines):
                yield self._lines(far, t, at[f"FAR_{t}"], 1.0 / field_scale)
            elif far is not None:
                yield self._filter(far, t, t, p.wide_radius, at[f"FAR_{t}"], 1.0 / field_scale)
            if spread is not None:
                yield self._filter(spread, kind, t, 0, at[f"SPREAD_{t}"], 1.0)
        if near.bias is not None:
            yield _copied(near.bias, at["ENTERED"] + np.arange(near.bias.numel()))
        for number, block in enumerate(network.blocks):
            yield from self._block(block, at["BLOCKS"] + number * at["BLOCK"])
        if p.reads >= 0:
            yield self._filter(network.readout, 0, p.reads, 0, at["READ"], force_scale * field_scale)
            return
        for t, (_, _, kind) in enumerate(p.field):
            yield self._filter(network.readout, t, kind, 0, at[f"READ_{t}"], force_scale)
        if network.readout.bias is not None:
            pattern = network.readout.bias_pattern.double().numpy().T * force_scale
            yield Piece(network.readout.bias, _single(pattern), at["CONSTANT"] + np.arange(pattern.shape[1])[None])

    def _filter(self, layer: EquivariantConv, o: int, i: int, radius: int, start: int, factor: float) -> Piece:
        """One pair of terms of a convolution, from ``start`` on: (out copy, out, in copy, in, position), the last running fastest.

        Of the first layer's near stencils ``out`` runs fastest, the elements of the group.
        """
        parameter, basis = getattr(layer, f"weight_{o}_{i}"), self._basis(layer, o, i, radius)
        copies_out, copies_in, _ = parameter.shape
        _, out, into, count = basis.shape
        sizes = (copies_out, out, copies_in, into, count)
        stored = (0, 2, 3, 4, 1) if start == self.offsets.get(f"FIRST_{i}") else (0, 1, 2, 3, 4)
        places = np.empty(sizes, dtype=np.int64)
        places.transpose(stored)[...] = start + np.arange(places.size).reshape([sizes[axis] for axis in stored])
        rows = places.transpose(0, 2, 1, 3, 4).reshape(copies_out * copies_in, -1)
        return Piece(parameter, _single(basis.reshape(len(basis), -1) * factor), rows)

    def _lines(self, far: Lines, t: int, start: int, scale: float) -> Product:
        """The stencils of a term's copies; components of a degree share them."""
        p = self.plan
        n, m, _ = p.field[t]
        into = sum(count * components for count, components, _ in p.field)
        first = sum(count * components for count, components, _ in p.field[:t])
        box = (2 * p.wide_radius + 1) ** p.dimension
        copy, one, other, place = np.ix_(*map(np.arange, (p.wide, n, n, len(positions(p.lattice, p.wide_radius)))))
        row = p.wide * first + (copy * n + one) * m
        take = (row * into + first + other * m) * box + support(p.lattice, p.wide_radius)[place]
        return Product(far, take.ravel(), start + np.arange(take.size), scale)

    def _block(self, block: Any, start: int) -> Iterator[Piece]:
        p, at, copies = self.plan, self.offsets, self.plan.copies
        convolution = block.convolution if p.typed else block
        if isinstance(convolution, SeparableConv):
            moved = convolution.moved.double().numpy().reshape(*convolution.moved.shape[:2], -1)
            moved = moved[..., support(p.lattice, p.radius)].reshape(len(moved), -1)
            rows = start + at["STENCILS"] + np.arange(len(convolution.stencils) * moved.shape[1]).reshape(-1, moved.shape[1])
            yield Piece(convolution.stencils, _single(moved), rows)
        mix = mixing(block, p.typed)
        table = transform(p.lattice)
        for k, outputs in enumerate(p.outputs):
            for n, o in enumerate(outputs):
                # What the identity sends: the filters' column of element 0, by shift where a full convolution has views.
                basis = self._basis(mix, o, k, 0 if p.separable else p.radius)[:, :, 0]
                matrices, places = [], []
                for irrep, (packing, (_, d)) in enumerate(zip(table.packing(), table.blocks, strict=True)):
                    matrices.append(np.einsum("abh,nhv->nabv", packing, basis).reshape(len(basis), -1))
                    a, b, v, out, into = np.ix_(*map(np.arange, (d, d, p.views, copies, copies)))
                    row, column = a * copies * len(outputs) + n * copies + out, b * copies * p.views + into * p.views + v
                    place = start + at[f"MIX_{k}_{irrep}"] + row * d * copies * p.views + column
                    places.append(place.transpose(3, 4, 0, 1, 2).reshape(copies * copies, -1))
                yield Piece(getattr(mix, f"weight_{o}_{k}"), _single(np.concatenate(matrices, 1)), np.concatenate(places, 1))
        if mix.bias is not None:
            yield _copied(mix.bias, start + at["BIAS"] + np.arange(mix.bias.numel()))
        if p.typed:
            first: dict[tuple[int, int, int], int] = {}
            entries = list(product_weights(block.product))
            for o, i, j, _, number in entries:
                first.setdefault((o, i, j), number)
            for (o, i, j), number in first.items():
                parameter = getattr(block.product, f"weight_{o}_{i}_{j}")
                rows = number + np.arange(len(parameter))[:, None] + len(entries) * np.arange(copies)
                yield _copied(parameter, start + at["PRODUCTS"] + rows)

    def _basis(self, layer: EquivariantConv, o: int, i: int, radius: int) -> np.ndarray:
        """The intertwiners of a pair of terms, (n, out, in, position), on the shifts of the stencil."""
        basis = getattr(layer, f"basis_{o}_{i}").double().numpy()
        return basis.reshape(*basis.shape[:3], -1)[..., support(self.plan.lattice, radius)]


def support(lattice: str, radius: int) -> np.ndarray:
    """Numbers of the stencil's shifts in its flattened box."""
    shifts = np.array(positions(lattice, radius)) + radius
    return shifts @ ((2 * radius + 1) ** np.arange(shifts.shape[1])[::-1])


def _rows(piece: Piece) -> np.ndarray:
    return piece.parameter.detach().numpy().reshape(-1, len(piece.matrix))


def _copied(parameter: torch.nn.Parameter, places: np.ndarray) -> Piece:
    return Piece(parameter, np.ones((1, 1), dtype=np.float32), places.reshape(-1, 1))


def _single(matrix: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(matrix, dtype=np.float32)
