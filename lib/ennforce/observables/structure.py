"""Structure factor and correlations of an order field on any torus, and averages over shells of |k| or |r| (PHYSICS P6)."""

from __future__ import annotations

import numpy as np

from ennforce.lattice import Lattice


def structure_factor(order: np.ndarray, dimension: int = 2) -> np.ndarray:
    """S(k) = |sum_i phi_i exp(-i k r_i)|^2 / N on the grid of the FFT; the last ``dimension`` axes of ``order`` are the lattice's.

    Sum rule: the mean of S over all k is the mean of phi^2.
    """
    axes = tuple(range(-dimension, 0))
    return np.abs(np.fft.fftn(order, axes=axes)) ** 2 / np.prod(order.shape[-dimension:])


def correlation(order: np.ndarray, dimension: int = 2) -> np.ndarray:
    """<phi_i phi_(i+r)> averaged over i, for every r of the torus, shape of ``order``; its value at r = 0 is <phi^2>."""
    return np.fft.ifftn(structure_factor(order, dimension), axes=tuple(range(-dimension, 0))).real


class RadialBins:
    """Averages over directions on a torus: bins of width ``step`` in |r| or |k|, bin n centred on n step; the first is zero alone.

    ``modulus`` holds |r| or |k| of every point of the grid, and ``largest`` is where the last bin is. ``centre`` is the mean of
    |r| or |k| in each bin, ``count`` the number of its points.
    """

    def __init__(self, modulus: np.ndarray, step: float, largest: float) -> None:
        self.dimension = modulus.ndim
        index = np.round(modulus / step).astype(int).reshape(-1)
        index[(index == 0) & (modulus.reshape(-1) > 0)] = 1
        self.last = round(largest / step)
        self._inside = index <= self.last
        self._index = index[self._inside]
        self.count = np.bincount(self._index, minlength=self.last + 1)
        total = np.bincount(self._index, weights=modulus.reshape(-1)[self._inside], minlength=self.last + 1)
        self.centre = total / np.maximum(self.count, 1)

    @classmethod
    def of_wave_vectors(cls, lattice: Lattice) -> RadialBins:
        """Shells of |k| up to the corner of the Brillouin zone, as wide as the smallest |k| of the torus."""
        modulus = np.linalg.norm(lattice.wave_vectors(), axis=-1)
        return cls(modulus, modulus[modulus > 0].min(), lattice.zone_corner)

    @classmethod
    def of_distances(cls, lattice: Lattice) -> RadialBins:
        """Shells of |r|, a lattice constant wide, up to the largest circle that the torus holds."""
        return cls(lattice.distances(), 1.0, lattice.inradius)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Average over each bin, shape (..., bins) from (..., *shape of the grid)."""
        before = values.shape[: values.ndim - self.dimension]
        flat = values.reshape(-1, self._inside.size)[:, self._inside]
        sums = np.stack([np.bincount(self._index, weights=row, minlength=self.last + 1) for row in flat])
        return (sums / np.maximum(self.count, 1)).reshape(*before, self.last + 1)
