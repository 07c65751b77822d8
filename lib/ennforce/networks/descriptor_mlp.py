"""Invariant descriptors of a fixed neighbourhood and a fully connected network (Zhang, Zhang and Chern, arXiv:2201.00798)."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ennforce.networks.base import Architecture, ForceNetwork, require_scalar
from ennforce.networks.neighbourhood import RADIUS, NeighbourhoodIrreps, neighbourhood, on_grid
from ennforce.symmetry import PointGroup

SOFTENING = 0.01  # added to squared norms, for fields of order one


def reference_filters(group: PointGroup) -> torch.Tensor:
    """Filters (components, 1, 7, 7) that average the field in the eight octants and project the averages on every irrep but A1.

    An octant's border sites count in equal shares to the octants that meet there.
    """
    shifts = neighbourhood()
    shares = np.zeros((len(group), len(shifts)))
    for n, shift in enumerate(shifts):
        for g, inverse in enumerate(group.inverse):
            y, x = group.matrices[inverse] @ shift
            shares[g, n] = float(0 <= y <= x)
    shares /= shares.sum(axis=0)
    rows = [rho[:, :, 0].T @ shares for label, rho in group.irreps.items() if label != "A1"]
    weights = np.concatenate([row / np.sqrt((row**2).sum(axis=1).mean()) for row in rows])
    return on_grid(weights)[:, None]


class Descriptors(nn.Module):
    """45 invariants of the 45-site neighbourhood, from its irreps f and one coarse reference irrep r of each kind but A1.

    9 amplitudes of A1; 14 of A2, B1 and B2, each times the sign of its reference, f r/|r|; for E, 11 norms |f| and 11 components
    f . r/|r| along the reference. Norms are softened to sqrt(|.|^2 + SOFTENING): the published features jump where |r| = 0. The
    first nine change sign with the field, the other 36 do not.
    """

    references: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.irreps = NeighbourhoodIrreps()
        self.register_buffer("references", reference_filters(self.irreps.group), persistent=False)

    @property
    def count(self) -> int:
        return sum(copies * dim for copies, dim in zip(self.irreps.copies.values(), self.irreps.dims.values(), strict=True))

    @property
    def multiply_adds(self) -> int:
        products = sum(
            copies * dim * min(dim, 2) for copies, dim in zip(self.irreps.copies.values(), self.irreps.dims.values(), strict=True)
        )
        return self.irreps.multiply_adds + self.references.numel() + products

    def forward(self, fields: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Fields (batch, 1, Ly + 6, Lx + 6) to odd (batch, 9, Ly, Lx) and even invariants (batch, 36, Ly, Lx)."""
        irreps = self.irreps(fields)
        odd = irreps.pop("A1").squeeze(2)
        coarse = functional.conv2d(fields, self.references.to(fields.dtype)).split([self.irreps.dims[k] for k in irreps], dim=1)
        even = []
        for f, r in zip(irreps.values(), coarse, strict=True):
            direction = r * torch.rsqrt(r.square().sum(dim=1, keepdim=True) + SOFTENING)
            even.append((f * direction[:, None]).sum(dim=2))
            if f.shape[2] > 1:
                even.append((f.square().sum(dim=2) + SOFTENING).sqrt())
        return odd, torch.cat(even, dim=1)


class DescriptorNetwork(ForceNetwork):
    """``descriptor_mlp``: a fully connected network N of invariant descriptors (odd a, even b): F = [N(a, b) - N(-a, b)] / 2.

    Exactly invariant over the point group and exactly odd (antisymmetrised in the nine descriptors that carry a sign).
    ``width``: units of each of ``depth`` hidden layers, SiLU. Descriptors forget how irreps of different kinds are turned against
    each other.
    """

    def __init__(self, architecture: Architecture, field_scale: float = 1.0, force_scale: float = 1.0) -> None:
        require_scalar(architecture)
        super().__init__(architecture, field_scale, force_scale)
        self.descriptors = Descriptors()
        sizes = [self.descriptors.count, *[architecture.width] * architecture.depth]
        hidden = [part for n, m in itertools.pairwise(sizes) for part in (nn.Conv2d(n, m, 1), nn.SiLU())]
        self.network = nn.Sequential(*hidden, nn.Conv2d(sizes[-1], 1, 1, bias=False))

    @property
    def receptive_radius(self) -> int:
        return RADIUS

    @property
    def multiply_adds(self) -> int:
        layers = [layer for layer in self.network if isinstance(layer, nn.Conv2d)]
        return self.descriptors.multiply_adds + 2 * sum(layer.weight.numel() for layer in layers)

    def response(self, fields: torch.Tensor) -> torch.Tensor:
        odd, even = self.descriptors(fields)
        both = torch.cat([torch.cat([odd, even], dim=1), torch.cat([-odd, even], dim=1)])
        plus, minus = self.network(both).chunk(2)
        return 0.5 * (plus - minus)
