"""Domain walls of the staggered order phi: where they are, how long they are, which way they face (PHYSICS P7)."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

AXES = (-2, -1)
SMOOTHING = 2.0  # sites; narrower filters see the steps of the lattice in the direction of a wall, wider ones round small domains


def wall_bonds(order: np.ndarray) -> np.ndarray:
    """Bonds across which phi, averaged over 3 x 3 sites, changes sign: (..., Ly, Lx) to bool (..., 2, Ly, Lx).

    Entry [..., a, y, x] is the bond from site (y, x) to its next neighbour along y (a = 0) or x (a = 1). Without the average,
    sites that thermal motion flips for a moment inside a domain would count as walls.
    """
    columns = order + np.roll(order, 1, axis=-1) + np.roll(order, -1, axis=-1)
    sign = columns + np.roll(columns, 1, axis=-2) + np.roll(columns, -1, axis=-2) > 0
    return np.stack([sign != np.roll(sign, -1, axis=axis) for axis in AXES], axis=-3)


def wall_density(order: np.ndarray) -> np.ndarray:
    """Share of nearest-neighbour bonds that cross a wall, (..., Ly, Lx) to (...)."""
    return wall_bonds(order).mean(axis=(-3, -2, -1))


def wall_normals(order: np.ndarray, smoothing: float = SMOOTHING) -> tuple[np.ndarray, np.ndarray]:
    """Angle of the wall's normal on every bond, and the length of wall that the bond stands for; both (..., 2, Ly, Lx).

    Angles are against the x axis, in [0, pi): a wall has no front. The normal is the gradient of phi after a Gaussian filter of
    ``smoothing`` sites, at the middle of the bond. A straight wall of length s with normal theta crosses s (|cos| + |sin|) bonds,
    so each crossed bond is worth the inverse in lattice constants, in whatever direction the wall runs; other bonds are worth 0.
    """
    smooth = gaussian_filter(np.asarray(order, dtype=float), smoothing, axes=AXES, mode="wrap")
    slopes = [0.5 * (np.roll(smooth, -1, axis=axis) - np.roll(smooth, 1, axis=axis)) for axis in AXES]
    y, x = (np.stack([slope + np.roll(slope, -1, axis=axis) for axis in AXES], axis=-3) for slope in slopes)
    angle = np.arctan2(y, x) % np.pi
    return angle, wall_bonds(order) / (np.abs(np.cos(angle)) + np.abs(np.sin(angle)))


def wall_anisotropy(angle: np.ndarray, length: np.ndarray) -> np.ndarray:
    """<cos 4 theta> over the length of the walls, from ``wall_normals``, shape (...); NaN where there are no walls.

    0 for walls that face every way alike, 1 for normals along the axes of the lattice, -1 along its diagonals.
    """
    total = length.sum(axis=(-3, -2, -1))
    with np.errstate(invalid="ignore"):
        return (length * np.cos(4.0 * angle)).sum(axis=(-3, -2, -1)) / np.where(total > 0, total, np.nan)


def normal_distribution(angle: np.ndarray, length: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Probability density of the normal's angle modulo pi/2, all configurations together: (bin centres, density), both (bins,).

    Its integral over 0 to pi/2 is 1; isotropic walls have 2/pi everywhere. The bins are centred on multiples of pi / (2 bins),
    the first on the lattice's axes, so that no axis falls on a bin's edge.
    """
    step = 0.5 * np.pi / bins
    index = np.round((angle % (0.5 * np.pi)) / step).astype(int) % bins
    weight = np.bincount(index.reshape(-1), weights=length.reshape(-1), minlength=bins)
    return step * np.arange(bins), weight / (weight.sum() * step)
