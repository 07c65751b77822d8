"""Equivariant linear maps between fields on a stencil: bases computed by projection onto the invariants (P3).

A linear map out(r) = sum_s K(s) in(r + s) commutes with the group exactly where K(g s) = rho_out(g) K(s) rho_in(g)^T for
every element g. Each orbit of the stencil is solved by itself, so a basis element lives on one shell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
        parts = rho_out, rho_in, stencil_permutation(group, [stencil[n] for n in orbit])
        for vector in _of_permutations(parts) if all(map(_is_permutation, parts)) else _of_any(parts):
            kernel = np.zeros((dim_out, dim_in, len(stencil)))
            kernel[:, :, orbit] = vector.reshape(dim_out, dim_in, len(orbit))
            basis.append(kernel)
    return np.array(basis).reshape(len(basis), dim_out, dim_in, len(stencil))


def _of_any(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Orthonormal invariant vectors (n, size) of the product of three representations, each (order, d, d)."""
    size = int(np.prod([part.shape[1] for part in parts]))
    projection = np.einsum("gab,gcd,gst->acsbdt", *parts, optimize=True).reshape(size, size) / len(parts[0])
    return projection_basis(projection)


def _of_permutations(parts: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Invariant vectors of a product of three permutations: one for each orbit of triples, without a matrix of size^2.

    In the order and with the numbers of ``projection_basis``, of whose projection each vector is a column.
    """
    images = np.zeros((len(parts[0]), 1), dtype=np.int64)
    for part in parts:
        images = (images[:, :, None] * part.shape[1] + part.argmax(axis=1)[:, None, :]).reshape(len(part), -1)
    for first in np.flatnonzero(images.min(axis=0) == np.arange(images.shape[1])):
        vector = np.bincount(images[:, first], minlength=images.shape[1]) / len(images)
        yield vector / np.linalg.norm(vector)


def _is_permutation(matrices: np.ndarray) -> bool:
    return bool(((matrices == 0.0) | (matrices == 1.0)).all())
