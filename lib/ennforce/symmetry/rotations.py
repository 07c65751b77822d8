"""The internal O(3): real Wigner matrices and couplings of degrees l <= 2, computed from the vector representation (P3).

Degree l is the space of symmetric traceless tensors in V^l, found as the eigenspace l(l + 1) of the Casimir operator. Components m
run as x, y, z for l = 1 and xy, yz, 3z^2 - r^2, xz, x^2 - y^2 for l = 2.
"""

from __future__ import annotations

import functools

import numpy as np

from ennforce.symmetry.projections import projection_basis

MAX_DEGREE = 2
# Order in which Gram-Schmidt takes the products of coordinates, so that the components come out in the order above.
PRODUCTS = {0: [0], 1: [0, 1, 2], 2: [1, 5, 8, 2, 0, 3, 4, 6, 7]}


@functools.cache
def _generators(degree: int) -> np.ndarray:
    """The three antisymmetric generators of degree l, shape (3, 2l + 1, 2l + 1)."""
    basis = _tensors(degree)
    return np.einsum("ai,kij,bj->kab", basis, _on_products(degree), basis)


def _on_products(power: int) -> np.ndarray:
    """Generators on V^power; those of V turn each coordinate plane."""
    vector = np.zeros((3, 3, 3))
    for axis in range(3):
        y, z = (axis + 1) % 3, (axis + 2) % 3
        vector[axis, z, y], vector[axis, y, z] = 1.0, -1.0
    result = np.zeros((3, 1, 1))
    for _ in range(power):
        result = _sum(result, vector)
    return result


def _sum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Generators on the product space of two representations."""
    return np.array([np.kron(x, np.eye(b.shape[1])) + np.kron(np.eye(a.shape[1]), y) for x, y in zip(a, b, strict=True)])


def _casimir_projection(generators: np.ndarray, eigenvalue: int) -> np.ndarray:
    values, vectors = np.linalg.eigh(-np.einsum("kij,kjl->il", generators, generators))
    space = vectors[:, np.abs(values - eigenvalue) < 1e-8]
    return space @ space.T


@functools.cache
def _tensors(degree: int) -> np.ndarray:
    """Orthonormal components of degree l in V^l, shape (2l + 1, 3^l)."""
    order = PRODUCTS[degree]
    projection = _casimir_projection(_on_products(degree), degree * (degree + 1))
    return projection_basis(projection[np.ix_(order, order)])[:, np.argsort(order)]


def check_degree(degree: int) -> int:
    """The degree itself; raises ValueError unless 0 <= l <= 2."""
    if not 0 <= degree <= MAX_DEGREE:
        raise ValueError(f"internal degree l = {degree} is not offered: choose from 0 to {MAX_DEGREE}")
    return degree


def wigner(degree: int, rotation: np.ndarray) -> np.ndarray:
    """How the components of degree l turn under a proper rotation (3, 3): orthogonal, (2l + 1, 2l + 1)."""
    basis = _tensors(check_degree(degree))
    product = np.eye(1)
    for _ in range(degree):
        product = np.kron(product, rotation)
    return basis @ product @ basis.T


@functools.cache
def coupling(a: int, b: int, c: int) -> np.ndarray:
    """The coupling of degrees a x b -> c, shape (n, 2c + 1, 2a + 1, 2b + 1) with n = 1, or 0 where |a - b| <= c <= a + b fails.

    Of unit norm; the sign is that of its first non-zero element, positive. It is the null space of the generators on c x a x b.
    """
    generators = functools.reduce(_sum, (_generators(check_degree(degree)) for degree in (c, a, b)))
    found = projection_basis(_casimir_projection(generators, 0))
    return found.reshape(-1, 2 * c + 1, 2 * a + 1, 2 * b + 1)


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """A proper rotation (3, 3), uniform over SO(3)."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))
