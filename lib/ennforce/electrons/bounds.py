"""Spectral bounds by a few Lanczos steps (PHYSICS P4): Gershgorin's circles are twice as wide, and so twice as dear."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh_tridiagonal

from ennforce.electrons.chebyshev import SpectralWindow
from ennforce.lattice import Shift

STEPS = 40
MARGIN = 0.03


def apply(onsite: np.ndarray, hoppings: dict[Shift, float], vector: np.ndarray) -> np.ndarray:
    """H_e |vector> on the torus, shape of the lattice."""
    axes = tuple(range(vector.ndim))
    result = onsite * vector
    for shift, element in hoppings.items():
        result += element * np.roll(vector, [-s for s in shift], axis=axes)
    return result


def lanczos_window(onsite: np.ndarray, hoppings: dict[Shift, float], margin: float = MARGIN) -> SpectralWindow:
    """An interval that holds the spectrum: extremal Ritz values, plus their residuals, plus a margin of the half width."""
    # Deterministic, and with weight on every eigenvector for certain practical purposes.
    vector = np.random.default_rng(12345).normal(size=onsite.shape)
    vector /= np.linalg.norm(vector)
    previous, beta = np.zeros_like(vector), 0.0
    diagonal, offdiagonal = [], []
    for _ in range(min(STEPS, onsite.size)):
        residual = apply(onsite, hoppings, vector) - beta * previous
        diagonal.append(float(np.vdot(vector, residual)))
        residual -= diagonal[-1] * vector
        beta = float(np.linalg.norm(residual))
        offdiagonal.append(beta)
        if beta < 1e-10:
            break
        previous, vector = vector, residual / beta
    ritz, vectors = eigh_tridiagonal(np.array(diagonal), np.array(offdiagonal[:-1]))
    low = ritz[0] - beta * abs(vectors[-1, 0])
    high = ritz[-1] + beta * abs(vectors[-1, -1])
    half_width = max(0.5 * (high - low), 1e-6)
    return SpectralWindow(half_width * (1.0 + margin), 0.5 * (high + low))
