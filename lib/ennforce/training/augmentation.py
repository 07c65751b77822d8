"""Symmetry taught by example: samples moved by random symmetry operations, for networks that do not carry them."""

from __future__ import annotations

import functools

import numpy as np
import torch

from ennforce.lattice import Lattice


def augmented(fields: torch.Tensor, forces: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """The batch under one random element of point group x Z2, drawn uniformly: F(g Q) = g F(Q).

    ``fields`` and ``forces``: odd scalars (batch, 1, Ly, Lx) of the square lattice, of whose point group a torus of unequal lengths
    has half; ``generator`` lives on the CPU. Raises ValueError for other shapes.
    """
    if fields.shape != forces.shape or fields.ndim != 4 or fields.shape[1] != 1:
        raise ValueError(
            f"fields {tuple(fields.shape)} and forces {tuple(forces.shape)} cannot be augmented: both must be (batch, 1, Ly, Lx)"
        )
    sources = _sources(fields.shape[-2], fields.shape[-1])
    element, negative = divmod(int(torch.randint(2 * len(sources), (), generator=generator)), 2)
    source = torch.as_tensor(sources[element], device=fields.device)
    sign = -1.0 if negative else 1.0
    moved_fields, moved_forces = (sign * values.flatten(-2)[..., source].reshape(values.shape) for values in (fields, forces))
    return moved_fields, moved_forces


@functools.cache
def _sources(height: int, width: int) -> np.ndarray:
    """Number of the site that each site's value comes from, for every point-group element that the torus has, (8 or 4, sites)."""
    lattice = Lattice.square(height, width)
    sites = np.arange(lattice.num_sites).reshape(lattice.shape)
    kept = [n for n, matrix in enumerate(lattice.point_group.matrices) if height == width or matrix[0, 0]]
    return np.array([lattice.transformed(sites, element).ravel() for element in kept])
