"""Other ways to the same densities: exact diagonalisation, Chebyshev expansions of probe vectors with scipy, and kwant."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import scipy.sparse
import torch

from ennforce.electrons.chebyshev import SpectralWindow, coefficients
from ennforce.electrons.exact import fermi
from ennforce.models import Hamiltonian


def exact_numpy(model: Hamiltonian, fields: np.ndarray) -> np.ndarray:
    energies, vectors = np.linalg.eigh(model.blocks(fields).dense())
    return (vectors**2 @ fermi(energies, model.chemical_potential, model.temperature)).reshape(fields.shape)


def exact_torch(model: Hamiltonian, fields: np.ndarray) -> np.ndarray:
    energies, vectors = torch.linalg.eigh(torch.as_tensor(model.blocks(fields).dense()))
    occupations = torch.sigmoid((model.chemical_potential - energies) / model.temperature)
    return (vectors**2 @ occupations).numpy().reshape(fields.shape)


def probed(model: Hamiltonian, fields: np.ndarray, bounds: SpectralWindow, order: int, probes: np.ndarray) -> np.ndarray:
    """sum_p z_p * (f(H) z_p) / sum_p z_p^2 for probe vectors z, shape (N, probes)."""
    matrix = (model.blocks(fields).sparse() - bounds.b * scipy.sparse.eye_array(fields.size, format="csr")) / bounds.a
    series = coefficients(lambda e: fermi(e, model.chemical_potential, model.temperature), bounds, order)
    old, new = probes, matrix @ probes
    total = series[0] * old + series[1] * new
    for coefficient in series[2:]:
        old, new = new, 2.0 * (matrix @ new) - old
        total += coefficient * new
    return ((probes * total).sum(axis=1) / (probes**2).sum(axis=1)).reshape(fields.shape)


def random_probes(size: int, count: int) -> np.ndarray:
    """Independent signs."""
    return np.random.default_rng(0).choice([-1.0, 1.0], size=(size, count))


def colouring_probes(shape: tuple[int, int], distance: int) -> np.ndarray:
    """One vector for every site of a ``distance`` x ``distance`` cell, with random signs on its periodic images."""
    rows, columns = np.indices(shape)
    colours = (rows % distance) * distance + columns % distance
    probes = np.zeros((colours.size, distance**2))
    probes[np.arange(colours.size), colours.ravel()] = np.random.default_rng(0).choice([-1.0, 1.0], size=colours.size)
    return probes


def kwant_densities(python: str, model: Hamiltonian, fields: np.ndarray, settings: list[dict]) -> list[tuple[np.ndarray, float]]:
    """Densities and seconds of kwant's KPM, run by another interpreter, for every {"vectors", "moments"} of ``settings``."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "given.npz"), Path(folder, "found.npz")
        np.savez(given, onsite=model.blocks(fields).onsite[..., 0, 0], hopping=-1.0, temperature=model.temperature)
        script = Path(__file__).with_name("kwant_density.py")
        subprocess.run([python, str(script), str(given), str(found), json.dumps(settings)], check=True, capture_output=True)
        with np.load(found) as results:
            return [(results[f"density_{n}"], float(results[f"seconds_{n}"])) for n in range(len(settings))]
