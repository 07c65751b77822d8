"""Tensor products of point-group irreps in a fixed neighbourhood (Fan and Chern, arXiv:2601.04104), with bounded gates."""

from __future__ import annotations

import itertools
from typing import cast

import torch
from torch import nn

from ennforce.networks.base import Architecture
from ennforce.networks.layers import torus_pad
from ennforce.networks.neighbourhood import RADIUS, NeighbourhoodIrreps
from ennforce.networks.odd import OddNetwork
from ennforce.symmetry import PointGroup

Irreps = dict[str, torch.Tensor]  # by label, each (copies, dim, sites)
SITES = 2048  # worked on at once; measured: a quarter faster than 512 or 8192
ROUNDING = 0.1  # length over which a gate passes through zero, of inputs that reach 1; at 0.01 single precision is too coarse


class TensorProductLayer(nn.Module):
    """Irreps to ``copies`` of every irrep in ``outputs``: per-irrep linear maps and weighted products of pairs.

    out = L x + sum_{i, j} W_ij C(x_i, x_j) over unordered pairs of different channels, with a weight for every output copy, for
    every pair and for every irrep that the pair couples to.
    """

    def __init__(self, group: PointGroup, copies_in: dict[str, int], copies: int, outputs: list[str]) -> None:
        super().__init__()
        self.outputs, self.copies_in, self.dims = outputs, copies_in, {k: rho.shape[1] for k, rho in group.irreps.items()}
        self.linear = nn.ParameterDict({label: nn.Parameter(torch.empty(copies, copies_in[label])) for label in outputs})
        self.products = nn.ParameterDict()
        self.paths: dict[str, tuple[str, str, str]] = {}
        for (first, second), out in itertools.product(itertools.combinations_with_replacement(copies_in, 2), outputs):
            for n, coupling in enumerate(group.clebsch_gordan(first, second, out) * self.dims[out] ** 0.5):
                name = f"{first}_{second}_{out}_{n}"
                count = copies_in[first]
                pairs = (count * (count - 1) // 2,) if first == second else (count, copies_in[second])
                self.paths[name] = first, second, out
                self.products[name] = nn.Parameter(torch.empty(copies, *pairs))
                self.register_buffer(f"coupling_{name}", torch.tensor(coupling), persistent=False)
        for label in outputs:
            weights = [self.linear[label], *(self.products[name] for name, path in self.paths.items() if path[2] == label)]
            for weight in weights:  # unit gain
                nn.init.normal_(weight, std=sum(w[0].numel() for w in weights) ** -0.5)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds per site as they are computed: weights on the first factor, then the coupling to the second."""
        total = sum(weight.numel() * self.dims[label] for label, weight in self.linear.items())
        for name, (first, second, out) in self.paths.items():
            n, m, copies = self.copies_in[first], self.copies_in[second], len(self.linear[out])
            nonzero = int(torch.count_nonzero(getattr(self, f"coupling_{name}").abs() > 1e-9))
            total += copies * m * self.dims[first] * (n + self.dims[out]) + m * nonzero
        return total

    def forward(self, irreps: Irreps) -> Irreps:
        result = {label: torch.einsum("oi,ids->ods", weight, irreps[label]) for label, weight in self.linear.items()}
        for name, (first, second, out) in self.paths.items():
            # sum_j (sum_i W_oij x_i) . C x_j: pairs of channels are never laid out in memory.
            weighted = torch.einsum("oij,ics->ojcs", self._matrix(name, first, second), irreps[first])
            coupling = getattr(self, f"coupling_{name}").to(weighted.dtype)
            partner = torch.einsum("ecd,jds->jces", coupling, irreps[second])
            # Multiply and add: as an einsum this would be a matrix product for every single site.
            result[out] = result[out] + torch.stack([(weighted * p).sum(dim=(1, 2)) for p in partner.unbind(2)], dim=1)
        return result

    def _matrix(self, name: str, first: str, second: str) -> torch.Tensor:
        """Weights (copies, n, m) of a path; among the channels of one irrep, those of the pairs i < j."""
        weight = self.products[name]
        if first != second:
            return weight
        n = self.copies_in[first]
        row, column = torch.triu_indices(n, n, offset=1, device=weight.device)
        return weight.new_zeros(len(weight), n, n).index_put(
            (torch.arange(len(weight), device=weight.device)[:, None], row, column), weight
        )


class Gate(nn.Module):
    """Every copy y of an irrep to (y / r) sigmoid(r + b), r^2 = |y|^2 + ``ROUNDING``^2, with a bias b of its own.

    That is sign(y) sigmoid(|y| + b) of the published network, bounded, but continuous at zero, where the sign of a component
    that vanishes by symmetry would be that of its rounding error. One scaling for all components of an irrep: equivariant.
    """

    def __init__(self, copies: dict[str, int]) -> None:
        super().__init__()
        self.biases = nn.ParameterDict({label: nn.Parameter(torch.zeros(count)) for label, count in copies.items()})

    def forward(self, irreps: Irreps) -> Irreps:
        gated = {}
        for label, x in irreps.items():
            length = (x.square().sum(dim=1, keepdim=True) + ROUNDING**2).sqrt()
            gated[label] = x * (torch.sigmoid(length + self.biases[label][:, None, None]) / length)
        return gated


class IrrepNetwork(OddNetwork):
    """``irrep_mlp``: the 45-site neighbourhood as irreps, through layers of Clebsch-Gordan products, to an A1 output.

    ``width``: copies of each irrep after the first of ``depth`` layers (2 to 4); the second has a quarter, the third an eighth;
    the last gives the force. Width 32 and depth 4 are the published [32, 8, 4, 1]: 2 532 linear weights and 140 382 of pairs of
    different channels, 142 914 in all, and 220 biases of gates. As published, inputs of one irrep are divided by the largest of
    them in the training data (``calibrate``). Differences from the published network:

    - Both components of E have one scaling; theirs have one each, which breaks the symmetry.
    - Gates are continuous at zero; theirs jump from -sigmoid(b) to sigmoid(b), and are 0/0 for an E that vanishes.
    - The force is made exactly odd, [f(Q) - f(-Q)] / 2, as every other network here is; theirs is f(Q) and learns the sign
      from data. This doubles the work for each step and each force.
    - Couplings are normalised, weights start normal with unit gain and biases at zero; theirs start uniform.
    - Fields and forces are scaled and trained as those of every network here (SOAP); theirs by Adam for 30 000 epochs.

    Raises ValueError for another depth.
    """

    largest: torch.Tensor

    def __init__(self, architecture: Architecture, field_scale: float = 1.0, force_scale: float = 1.0) -> None:
        super().__init__(architecture, field_scale, force_scale)
        width, depth = architecture.width, architecture.depth
        if not 2 <= depth <= 4:
            raise ValueError(f"network kind 'irrep_mlp' has 2 to 4 tensor-product layers, not {depth}: change depth")
        self.irreps = NeighbourhoodIrreps()
        group = self.irreps.group
        hidden = [width, max(1, width // 4), max(1, width // 8)][: depth - 1]
        inputs = [self.irreps.copies, *(dict.fromkeys(group.irreps, copies) for copies in hidden)]
        outputs = [*((copies, list(group.irreps)) for copies in hidden), (1, ["A1"])]
        self.layers = nn.ModuleList(
            TensorProductLayer(group, copies_in, *out) for copies_in, out in zip(inputs, outputs, strict=True)
        )
        self.gates = nn.ModuleList(Gate(copies) for copies in inputs[1:])
        self.register_buffer("largest", torch.ones(len(group.irreps)))

    @property
    def receptive_radius(self) -> int:
        return RADIUS

    @property
    def stages(self) -> list[TensorProductLayer]:
        """The tensor-product layers in their order."""
        return [cast(TensorProductLayer, layer) for layer in self.layers]

    @torch.no_grad()
    def calibrate(self, fields: torch.Tensor) -> None:
        """Scale each irrep's inputs to at most 1 on these fields, all its components alike."""
        parts = (self.irreps(torus_pad(part / self.field_scale, RADIUS)) for part in fields.split(16))
        self.largest.copy_(torch.stack([torch.stack([x.abs().max() for x in part.values()]) for part in parts]).amax(dim=0))

    @property
    def multiply_adds_of_one_sign(self) -> int:
        gated = sum(layer.dims[label] * len(weight) for layer in self.stages[:-1] for label, weight in layer.linear.items())
        return self.irreps.multiply_adds + 2 * gated + sum(layer.multiply_adds for layer in self.stages)

    def response_of_one_sign(self, fields: torch.Tensor) -> torch.Tensor:
        irreps = self.irreps(fields)
        # Sites last: every contraction is then a matrix product over channels.
        parts = zip(*(x.permute(1, 2, 0, 3, 4).flatten(2).split(SITES, dim=2) for x in irreps.values()), strict=True)
        return torch.cat([self._forces(*part) for part in parts]).reshape(irreps["A1"][:, 0].shape)

    def _forces(self, *values: torch.Tensor) -> torch.Tensor:
        """Forces (sites,) from the neighbourhood's irreps in their order."""
        irreps = {label: x / scale for label, x, scale in zip(self.irreps.copies, values, self.largest, strict=True)}
        for layer, gate in zip(self.stages[:-1], self.gates, strict=True):
            irreps = gate(layer(irreps))
        return self.stages[-1](irreps)["A1"].flatten()
