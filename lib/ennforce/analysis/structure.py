"""Structure factor and correlations of the staggered field phi_i = (-1)^(x+y) Q_i (PHYSICS P6, P7)."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ennforce.analysis.walls import wall_anisotropy, wall_density, wall_normals
from ennforce.lattice import Lattice


def structure_factor(order: np.ndarray) -> np.ndarray:
    """S(k) = |sum_i phi_i exp(-i k r_i)|^2 / N on the grid of the FFT, shape of ``order`` (..., Ly, Lx).

    Sum rule: the mean of S over all k is the mean of phi^2.
    """
    return np.abs(np.fft.fft2(order)) ** 2 / (order.shape[-1] * order.shape[-2])


def correlation(order: np.ndarray) -> np.ndarray:
    """<phi_i phi_(i+r)> averaged over i, for every r of the torus, shape of ``order``; its value at r = 0 is <phi^2>."""
    return np.fft.ifft2(structure_factor(order)).real


class RadialBins:
    """Circular averages on a torus: bins of width ``step`` in |r| or |k|, bin n centred on n step; the first is zero alone."""

    def __init__(self, modulus: np.ndarray, step: float, largest: float) -> None:
        index = np.round(modulus / step).astype(int).reshape(-1)
        index[(index == 0) & (modulus.reshape(-1) > 0)] = 1
        self.last = round(largest / step)
        self._inside = index <= self.last
        self._index = index[self._inside]
        self.count = np.bincount(self._index, minlength=self.last + 1)
        total = np.bincount(self._index, weights=modulus.reshape(-1)[self._inside], minlength=self.last + 1)
        self.centre = total / np.maximum(self.count, 1)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Average over each bin, shape (..., bins) from (..., Ly, Lx)."""
        flat = values.reshape(-1, values.shape[-2] * values.shape[-1])[:, self._inside]
        sums = np.stack([np.bincount(self._index, weights=row, minlength=self.last + 1) for row in flat])
        return (sums / np.maximum(self.count, 1)).reshape(*values.shape[:-2], self.last + 1)


def wave_vectors(shape: tuple[int, ...]) -> np.ndarray:
    """|k| on the FFT grid of a square lattice, shape ``shape``, in inverse lattice constants."""
    ky, kx = (2.0 * np.pi * np.fft.fftfreq(length) for length in shape)
    return np.hypot(ky[:, None], kx[None, :])


def distances(shape: tuple[int, ...]) -> np.ndarray:
    """|r| of every torus displacement, by the shortest way round."""
    y, x = (np.minimum(np.arange(length), length - np.arange(length)) for length in shape)
    return np.hypot(y[:, None], x[None, :]).astype(float)


class OrderObserver:
    """Observables of staggered order, for a recorder: circularly averaged S(k) and C(r), walls, moments of the field.

    ``observe(fields, momenta, ...)`` takes (replica, Ly, Lx) arrays and returns a Dataset over (replica, k) and (replica, r).
    """

    def __init__(self, lattice: Lattice, mass: float, classical_energy) -> None:
        self.sign = lattice.stagger()
        self.mass, self.classical_energy = mass, classical_energy
        shape = lattice.shape
        self.k_bins = RadialBins(wave_vectors(shape), 2.0 * np.pi / max(shape), np.pi * np.sqrt(2.0))
        self.r_bins = RadialBins(distances(shape), 1.0, min(shape) / 2)

    def __call__(self, fields: np.ndarray, momenta: np.ndarray, replicas: np.ndarray) -> xr.Dataset:
        order = fields * self.sign
        sites = order.shape[-1] * order.shape[-2]
        square = (order**2).mean(axis=(-2, -1))
        correlations = self.r_bins.mean(correlation(order)) / square[:, None]
        energy = self.classical_energy(fields) / sites + (momenta**2).mean(axis=(-2, -1)) / (2.0 * self.mass)
        variables = {
            "structure_factor": (("replica", "k"), self.k_bins.mean(structure_factor(order)), "circular average of S(k) of phi"),
            "correlation": (("replica", "r"), correlations, "circular average of C(r) of phi"),
            "field_square": (("replica",), square, "mean square field"),
            "order": (("replica",), order.mean(axis=(-2, -1)), "mean staggered field"),
            "wall_density": (("replica",), wall_density(order), "share of bonds across a domain wall"),
            "wall_anisotropy": (("replica",), wall_anisotropy(*wall_normals(order)), "<cos 4 theta> of the walls' normals"),
            "energy": (("replica",), energy, "kinetic and classical energy per site, without the electrons'"),
            "kinetic_temperature": (("replica",), (momenta**2).mean(axis=(-2, -1)) / self.mass, "<P^2>/m"),
        }
        dataset = xr.Dataset({name: (dims, values) for name, (dims, values, _) in variables.items()})
        for name, (_, _, text) in variables.items():
            dataset[name].attrs = {"long_name": text, "units": "t" if name in ("energy", "kinetic_temperature") else "1"}
        dataset = dataset.assign_coords(
            replica=replicas,
            k=("k", self.k_bins.centre, {"long_name": "wave number from (pi, pi)", "units": "1/lattice constant"}),
            r=("r", self.r_bins.centre, {"long_name": "distance", "units": "lattice constant"}),
            k_modes=("k", self.k_bins.count, {"long_name": "wave vectors in the bin", "units": "1"}),
        )
        return dataset
