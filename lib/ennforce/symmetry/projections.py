"""A basis of a projection's range that is the same everywhere.

Eigenvectors of a degenerate eigenvalue are not: they change with the BLAS library and its number of threads, and weights that
multiply such a basis mean nothing elsewhere.
"""

from __future__ import annotations

import numpy as np

TOLERANCE = 1e-6  # far above rounding, far below the norms that occur


def projection_basis(projection: np.ndarray) -> np.ndarray:
    """Orthonormal rows that span the range of a symmetric ``projection`` (n, n), shape (rank, n).

    Gram-Schmidt on the projection's columns in their order, twice for accuracy: reproducible to rounding, and sparse where the
    projection is an average over orbits.
    """
    rank = round(float(np.trace(projection)))
    basis = np.zeros((0, len(projection)))
    for column in projection:
        if len(basis) == rank:
            break
        if np.linalg.norm(column) < TOLERANCE:
            continue
        for _ in range(2):
            column = column - basis.T @ (basis @ column)
        norm = np.linalg.norm(column)
        if norm > TOLERANCE:
            basis = np.vstack([basis, column / norm])
    return basis
