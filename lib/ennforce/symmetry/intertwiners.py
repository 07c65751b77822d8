"""Equivariant linear maps between fields on a stencil: bases computed by projection onto the invariants (P3).

A linear map out(r) = sum_s K(s) in(r + s) commutes with the group exactly where K(g s) = rho_out(g) K(s) rho_in(g)^T for
every element g. Each orbit of the stencil is solved by itself, so a basis element lives on one shell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ennforce.symmetry.groups import PointGroup
from ennforce.symmetry.projections import projection_basis


def orbits(group: PointGroup, stencil: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Positions in ``stencil`` grouped by point-group orbit; raises if the stencil is not closed under the group."""
    index = {tuple(s): n for n, s in enumerate(stencil)}
    try:
        images = [{index[tuple(int(c) for c in m @ np.array(s))] for m in group.matrices} for s in stencil]
    except KeyError as missing:
        raise ValueError(f"the stencil is not closed under the point group: shift {missing} is missing") from None
    return [sorted(orbit) for n, orbit in enumerate(images) if n == min(orbit)]


def stencil_permutation(group: PointGroup, stencil: Sequence[tuple[int, ...]]) -> np.ndarray:
    """The representation of the group on the stencil's sites, shape (order, sites, sites)."""
    index = {tuple(s): n for n, s in enumerate(stencil)}
    matrices = np.zeros((len(group), len(stencil), len(stencil)))
    for g, m in enumerate(group.matrices):
        for n, s in enumerate(stencil):
            matrices[g, index[tuple(int(c) for c in m @ np.array(s))], n] = 1.0
    return matrices


def intertwiner_basis(group: PointGroup, rho_in: np.ndarray, rho_out: np.ndarray, stencil: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Orthonormal basis of the equivariant kernels, shape (count, dim_out, dim_in, sites); representations are orthogonal."""
    dim_out, dim_in = rho_out.shape[1], rho_in.shape[1]
    basis = []
    for orbit in orbits(group, stencil):
        permutation = stencil_permutation(group, [stencil[n] for n in orbit])
        size = dim_out * dim_in * len(orbit)
        projection = np.einsum("gab,gcd,gst->acsbdt", rho_out, rho_in, permutation, optimize=True).reshape(size, size) / len(group)
        for vector in projection_basis(projection):
            kernel = np.zeros((dim_out, dim_in, len(stencil)))
            kernel[:, :, orbit] = vector.reshape(dim_out, dim_in, len(orbit))
            basis.append(kernel)
    return np.array(basis).reshape(len(basis), dim_out, dim_in, len(stencil))
