"""The 45-site neighbourhood of a site, decomposed into irreps of the square lattice's point group."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ennforce.lattice import Lattice, Shift
from ennforce.symmetry import intertwiner_basis

SHELLS = 9  # the site itself and eight shells of neighbours, up to a distance of sqrt(13): 45 sites
RADIUS = 3  # reach of these shells along an axis


def neighbourhood() -> list[Shift]:
    """Shifts to the sites of the neighbourhood, nearest first."""
    return [shift for shell in Lattice("square", (1, 1)).shells(SHELLS) for shift in shell]


def on_grid(weights: np.ndarray) -> torch.Tensor:
    """Weights (..., sites) of the neighbourhood's sites as filters (..., 7, 7)."""
    grid = np.zeros((*weights.shape[:-1], 2 * RADIUS + 1, 2 * RADIUS + 1))
    dy, dx = np.array(neighbourhood()).T + RADIUS
    grid[..., dy, dx] = weights
    return torch.tensor(grid)


class NeighbourhoodIrreps(nn.Module):
    """Fixed orthonormal linear map of a scalar's 45 values to irreps: 9 A1, 3 A2, 6 B1, 5 B2 and 11 E on the square lattice."""

    filters: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.group = Lattice("square", (1, 1)).point_group
        trivial = self.group.representation("A1")
        bases = {
            # Unit rows: uncorrelated fields of variance one give every component variance one.
            label: intertwiner_basis(self.group, trivial, rho, neighbourhood())[:, :, 0] * rho.shape[1] ** 0.5
            for label, rho in self.group.irreps.items()
        }
        self.copies = {label: len(basis) for label, basis in bases.items()}
        self.dims = {label: basis.shape[1] for label, basis in bases.items()}
        rows = np.concatenate([basis.reshape(-1, basis.shape[-1]) for basis in bases.values()])
        # Filters stay in float64 and are cast when used, as in EquivariantConv.
        self.register_buffer("filters", on_grid(rows)[:, None], persistent=False)

    @property
    def multiply_adds(self) -> int:
        return self.filters.numel()

    def forward(self, fields: torch.Tensor) -> dict[str, torch.Tensor]:
        """Fields (batch, 1, Ly + 6, Lx + 6) to irreps by label, each (batch, copies, dim, Ly, Lx)."""
        values = functional.conv2d(fields, self.filters.to(fields.dtype))
        parts = values.split([self.copies[label] * self.dims[label] for label in self.copies], dim=1)
        return {
            label: part.unflatten(1, (self.copies[label], self.dims[label])) for label, part in zip(self.copies, parts, strict=True)
        }
