"""Exact diagonalisation: the reference for every electronic quantity (PHYSICS P2). Cost O(N^3)."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from ennforce.hamiltonians import Hamiltonian


def dense_hamiltonian(model: Hamiltonian, fields: np.ndarray) -> np.ndarray:
    """H_e of one configuration ``fields`` (..., Ly, Lx) as a dense matrix (N, N); bonds that wrap onto each other add up."""
    lattice = model.lattice
    sites = np.arange(lattice.num_sites)
    matrix = np.zeros((lattice.num_sites, lattice.num_sites))
    matrix[sites, sites] = model.onsite(fields).reshape(-1)
    coordinates = np.indices(lattice.shape).reshape(lattice.dimension, -1)
    for shift, element in model.hoppings().items():
        target = (coordinates + np.array(shift)[:, None]) % np.array(lattice.shape)[:, None]
        np.add.at(matrix, (sites, np.ravel_multi_index(tuple(target), lattice.shape)), element)
    return matrix


def fermi(energies: np.ndarray, chemical_potential: float, temperature: float) -> np.ndarray:
    """Occupation 1 / (1 + exp((E - mu) / T))."""
    return expit((chemical_potential - energies) / temperature)


def potential_per_state(energies: np.ndarray, chemical_potential: float, temperature: float) -> np.ndarray:
    """-T ln(1 + exp(-(E - mu) / T)), the grand potential of one state."""
    return -temperature * np.logaddexp(0.0, (chemical_potential - energies) / temperature)


def solve_chemical_potential(filling: float, mean_occupation, low: float, high: float) -> float:
    """The mu in [low, high] at which ``mean_occupation(mu)`` equals the filling."""
    return float(brentq(lambda mu: mean_occupation(mu) - filling, low, high, xtol=1e-12))


class ExactElectrons:
    """Spectrum and density of one configuration; ``chemical_potential`` is the one used (found, if a filling is fixed)."""

    def __init__(self, model: Hamiltonian, fields: np.ndarray) -> None:
        self.energies, vectors = np.linalg.eigh(dense_hamiltonian(model, fields))
        self.temperature = model.temperature
        self.chemical_potential = model.chemical_potential
        if model.filling is not None:
            margin = 50.0 * model.temperature
            self.chemical_potential = solve_chemical_potential(
                model.filling,
                lambda mu: fermi(self.energies, mu, model.temperature).mean(),
                self.energies[0] - margin,
                self.energies[-1] + margin,
            )
        occupations = fermi(self.energies, self.chemical_potential, self.temperature)
        self.density = (vectors**2 @ occupations).reshape(model.lattice.shape)

    @property
    def grand_potential(self) -> float:
        return float(potential_per_state(self.energies, self.chemical_potential, self.temperature).sum())
