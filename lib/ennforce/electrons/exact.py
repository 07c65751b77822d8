"""Exact diagonalisation: the reference for every electronic quantity (PHYSICS P2). Cost O(N^3)."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from scipy.optimize import brentq
from scipy.special import digamma, expit

from ennforce.models import Blocks, DensityMatrix, Hamiltonian


def fermi(energies: np.ndarray, chemical_potential: float, temperature: float) -> np.ndarray:
    """Occupation 1 / (1 + exp((E - mu) / T))."""
    return expit((chemical_potential - energies) / temperature)


def fermi_partner(energies: np.ndarray, chemical_potential: float, temperature: float) -> np.ndarray:
    """The Fermi function's partner in quadrature, Re psi(1/2 + i (E - mu) / (2 pi T)) / pi with the digamma function psi.

    f + i times it is, but for a constant, the sum 2 T sum_n 1 / (i w_n - E) over positive Matsubara frequencies: no other poles.
    """
    return digamma(0.5 + 0.5j * (energies - chemical_potential) / (np.pi * temperature)).real / np.pi


def potential_per_state(energies: np.ndarray, chemical_potential: float, temperature: float) -> np.ndarray:
    """-T ln(1 + exp(-(E - mu) / T)), the grand potential of one state."""
    return -temperature * np.logaddexp(0.0, (chemical_potential - energies) / temperature)


def broadened(energies: np.ndarray, energy: float, width: float) -> np.ndarray:
    """A normal distribution of standard deviation ``width`` around ``energy``: the line shape of densities of states."""
    return np.exp(-0.5 * ((energies - energy) / width) ** 2) / (np.sqrt(2.0 * np.pi) * width)


def solve_chemical_potential(filling: float, mean_occupation, low: float, high: float) -> float:
    """The mu in [low, high] at which ``mean_occupation(mu)`` equals the filling."""
    return float(brentq(lambda mu: mean_occupation(mu) - filling, low, high, xtol=1e-12))


def eigenstates(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of a Hermitian matrix, which is overwritten.

    Measured on one thread: LAPACK's ``evr`` takes 4.5 s for 1800 complex states where ``evd``, which numpy calls, takes 11 s; of
    real matrices ``evd`` is the faster by a tenth to a third.
    """
    if not np.iscomplexobj(matrix):
        return np.linalg.eigh(matrix)
    return scipy.linalg.eigh(matrix, driver="evr", overwrite_a=True, check_finite=False)


class ExactElectrons:
    """Spectrum and density matrix of one configuration; ``chemical_potential`` is the one used (found, if a filling is fixed)."""

    def __init__(self, model: Hamiltonian, fields: np.ndarray) -> None:
        self.blocks = model.blocks(fields)
        self.energies, self.vectors = eigenstates(self.blocks.dense())
        self.temperature = model.temperature
        self.chemical_potential = model.chemical_potential
        if model.filling is not None:
            margin = 50.0 * model.temperature
            sites = model.lattice.num_sites
            self.chemical_potential = solve_chemical_potential(
                model.filling,
                lambda mu: fermi(self.energies, mu, model.temperature).sum() / sites,
                self.energies[0] - margin,
                self.energies[-1] + margin,
            )

    @property
    def occupations(self) -> np.ndarray:
        return fermi(self.energies, self.chemical_potential, self.temperature)

    @property
    def density(self) -> DensityMatrix:
        """On-site elements and those of all bonds."""
        return density_elements(self.blocks, (self.vectors * self.occupations) @ self.vectors.conj().T)

    @property
    def grand_potential(self) -> float:
        return float(potential_per_state(self.energies, self.chemical_potential, self.temperature).sum())

    @property
    def number(self) -> float:
        """Electrons in all."""
        return float(self.occupations.sum())

    def local_density_of_states(self, energies: np.ndarray, width: float) -> np.ndarray:
        """Spectral weight of every site, summed over orbitals, in normal lines of ``width``; shape (energies, *lattice.shape)."""
        lines = np.array([broadened(self.energies, energy, width) for energy in energies])
        weights = (np.abs(self.vectors) ** 2).reshape(-1, self.blocks.orbitals, len(self.energies)).sum(axis=1)
        return (lines @ weights.T).reshape(-1, *self.blocks.lattice.shape)


def density_elements(blocks: Blocks, matrix: np.ndarray) -> DensityMatrix:
    """The on-site and bond blocks of a dense density matrix (N b, N b)."""
    lattice, orbitals = blocks.lattice, blocks.orbitals
    full = matrix.reshape(lattice.num_sites, orbitals, lattice.num_sites, orbitals)
    sites = np.arange(lattice.num_sites)

    def pairs(shift) -> np.ndarray:
        there = np.roll(sites.reshape(lattice.shape), [-s for s in shift], axis=tuple(range(lattice.dimension))).ravel()
        return full[sites, :, there, :].reshape(*lattice.shape, orbitals, orbitals)

    return DensityMatrix(pairs((0,) * lattice.dimension), {shift: pairs(shift) for shift in blocks.bonds})
