"""Domain walls of an order field: where they are, how long they are, which way they face (PHYSICS P7).

A domain is a region of one label, as ``OrderParameter.domains`` gives them; for a scalar order the label is its sign. Everything
here goes by the lattice's bonds and metric and so holds on every Bravais lattice.
"""

from __future__ import annotations

import numpy as np

from ennforce.lattice import Lattice, Shift

NEAR = 1.5  # lattice constants: sites averaged over before domains are told apart; on the square lattice 3 x 3 sites
SMOOTHING = 2.0  # lattice constants; narrower filters see the lattice's steps in the direction of a wall, wider ones round domains


def smoothed(order: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Sum of the order over all sites within ``NEAR``, shape of ``order`` (..., *lattice shape).

    Domains are told by it: without it, sites that thermal motion flips for a moment inside a domain would count as walls.
    """
    return np.sum([_at(order, lattice, shift) for shift in lattice.ball(NEAR)], axis=0)


def wall_bonds(labels: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Bonds between sites of different ``labels``, (..., *lattice shape) to bool (..., bonds per site, *lattice shape).

    Bond b of a site goes to its neighbour ``lattice.half_neighbours[b]``.
    """
    return np.stack([labels != _at(labels, lattice, shift) for shift in lattice.half_neighbours], axis=-1 - lattice.dimension)


def wall_density(labels: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Share of nearest-neighbour bonds that cross a wall, (..., *lattice shape) to (...)."""
    return wall_bonds(labels, lattice).mean(axis=tuple(range(-1 - lattice.dimension, 0)))


def wall_normals(order: np.ndarray, lattice: Lattice, smoothing: float = SMOOTHING) -> tuple[np.ndarray, np.ndarray]:
    """Angle of the wall's normal on every bond, and the length of wall that the bond stands for, of a scalar order in a plane.

    Both have shape (..., bonds per site, *lattice shape). Angles are against the x axis, in [0, pi): a wall has no front. The
    normal is the gradient of the order after a Gaussian filter of ``smoothing`` lattice constants, at the middle of the bond. A
    straight wall of length s with normal n crosses s sum_b |n b| / A bonds, b over ``half_neighbours`` and A the area of a cell, so
    each crossed bond is worth A / sum_b |n b| in lattice constants, in whatever direction the wall runs; other bonds are worth 0.
    """
    modes, vectors = np.fft.fftn(order, axes=(-2, -1)), lattice.wave_vectors()
    modes = modes * np.exp(-0.5 * smoothing**2 * (vectors**2).sum(axis=-1))
    gradient = [np.fft.ifftn(1j * vectors[..., c] * modes, axes=(-2, -1)).real for c in range(2)]
    x, y = (np.stack([g + _at(g, lattice, shift) for shift in lattice.half_neighbours], axis=-3) for g in gradient)
    angle = np.arctan2(y, x) % np.pi
    bonds = np.array(lattice.half_neighbours) @ lattice.basis
    crossed = sum(np.abs(b[0] * np.cos(angle) + b[1] * np.sin(angle)) for b in bonds)
    area = abs(np.linalg.det(lattice.basis))
    return angle, wall_bonds(smoothed(order, lattice) > 0, lattice) * area / crossed


def wall_anisotropy(angle: np.ndarray, length: np.ndarray, fold: int = 4) -> np.ndarray:
    """<cos fold theta> over the length of the walls, from ``wall_normals``, shape (...); NaN where there are no walls.

    ``fold`` is the order of the lattice's rotations. 0 for walls that face every way alike, 1 for normals along the axes of the
    lattice, -1 for normals halfway between them.
    """
    total = length.sum(axis=(-3, -2, -1))
    with np.errstate(invalid="ignore"):
        return (length * np.cos(fold * angle)).sum(axis=(-3, -2, -1)) / np.where(total > 0, total, np.nan)


def normal_distribution(angle: np.ndarray, length: np.ndarray, bins: int, fold: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Density of the normal's angle modulo 2 pi / ``fold``, all configurations together: (bin centres, density), both (bins,).

    Its integral over one period is 1; isotropic walls have fold / (2 pi) everywhere. The first bin is centred on the lattice's
    axes, so that no axis falls on a bin's edge.
    """
    period = 2.0 * np.pi / fold
    step = period / bins
    index = np.round((angle % period) / step).astype(int) % bins
    weight = np.bincount(index.reshape(-1), weights=length.reshape(-1), minlength=bins)
    return step * np.arange(bins), weight / (weight.sum() * step)


def _at(values: np.ndarray, lattice: Lattice, shift: Shift) -> np.ndarray:
    """values[r + shift] in the place of values[r]."""
    return np.roll(values, tuple(-s for s in shift), axis=tuple(range(-lattice.dimension, 0)))
