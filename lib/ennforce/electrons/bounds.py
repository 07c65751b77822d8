"""Spectral bounds by a few Lanczos steps (PHYSICS P4): Gershgorin's circles are twice as wide, and so twice as dear."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh_tridiagonal

from ennforce.electrons.chebyshev import SpectralWindow
from ennforce.lattice import Shift

BATCH = 20  # Lanczos steps between looks at the residuals
MOST_STEPS = 200
CONVERGED = 0.01  # residual of the extremal Ritz pairs, as a fraction of the half width
MARGIN = 0.03


def apply(onsite: np.ndarray, hoppings: dict[Shift, float], vector: np.ndarray) -> np.ndarray:
    """H_e |vector> on the torus, shape of the lattice."""
    axes = tuple(range(vector.ndim))
    result = onsite * vector
    for shift, element in hoppings.items():
        result += element * np.roll(vector, [-s for s in shift], axis=axes)
    return result


def lanczos_window(onsite: np.ndarray, hoppings: dict[Shift, float], margin: float = MARGIN) -> SpectralWindow:
    """An interval that holds the spectrum: extremal Ritz values, plus their residuals, plus a margin of the half width.

    Steps until both residuals are small: a bound state of a rare large field hides from the first few.
    """
    # Deterministic, and with weight on every eigenvector for certain practical purposes.
    vector = np.random.default_rng(12345).normal(size=onsite.shape)
    vector /= np.linalg.norm(vector)
    previous, beta = np.zeros_like(vector), 0.0
    diagonal: list[float] = []
    offdiagonal: list[float] = []
    while True:
        for _ in range(min(BATCH, onsite.size)):
            residual = apply(onsite, hoppings, vector) - beta * previous
            diagonal.append(float(np.vdot(vector, residual)))
            residual -= diagonal[-1] * vector
            beta = float(np.linalg.norm(residual))
            offdiagonal.append(beta)
            if beta < 1e-10:
                break
            previous, vector = vector, residual / beta
        ritz, vectors = eigh_tridiagonal(np.array(diagonal), np.array(offdiagonal[:-1]))
        below, above = beta * abs(vectors[-1, 0]), beta * abs(vectors[-1, -1])
        half_width = max(0.5 * (ritz[-1] - ritz[0] + above + below), 1e-6)
        if max(below, above) < CONVERGED * half_width or len(diagonal) >= min(MOST_STEPS, onsite.size) or beta < 1e-10:
            return SpectralWindow(half_width * (1.0 + margin), 0.5 * (ritz[-1] + above + ritz[0] - below))


def gershgorin_window(onsite: np.ndarray, hoppings: dict[Shift, float]) -> SpectralWindow:
    """An interval that surely holds the spectrum: wider, and so dearer, than Lanczos's. Used where that one fails."""
    reach = sum(abs(element) for element in hoppings.values())
    low, high = float(onsite.min()) - reach, float(onsite.max()) + reach
    return SpectralWindow(max(0.5 * (high - low), 1e-6) * (1.0 + 1e-6), 0.5 * (high + low))
