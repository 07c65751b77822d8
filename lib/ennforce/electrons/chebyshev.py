"""Chebyshev expansions of functions of the energy: coefficients, order for a tolerance (PHYSICS P4).

No damping kernel: the Fermi function at T > 0 is analytic, so the plain coefficients fall geometrically, by 10 for every
0.73 a / T orders, and the sum of those left out bounds the error of every density a priori.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.fft import dct


@dataclass(frozen=True)
class SpectralWindow:
    """Half width ``a`` and centre ``b`` of an interval that holds the spectrum: x = (E - b) / a lies in [-1, 1]."""

    a: float
    b: float


def coefficients(function: Callable[[np.ndarray], np.ndarray], window: SpectralWindow, count: int) -> np.ndarray:
    """c_m with function(E) = sum_m c_m T_m((E - b) / a), for m < count; exact up to aliasing beyond 4 count."""
    points = 4 * count
    nodes = np.cos(np.pi * (np.arange(points) + 0.5) / points)
    values = dct(function(window.a * nodes + window.b), type=2) / points
    values[0] /= 2.0
    return values[:count]


def order_bound(window: SpectralWindow, temperature: float, tolerance: float) -> int:
    """An order at which the Fermi function's coefficients are far below ``tolerance``: its poles lie at i pi T from the axis."""
    decay = np.arcsinh(np.pi * temperature / window.a)
    return int(np.ceil(np.log(100.0 * (1.0 + 1.0 / decay) / tolerance) / decay)) + 8


def truncated(series: np.ndarray, tolerance: float) -> np.ndarray:
    """The shortest head of ``series`` whose left-out coefficients sum in modulus to at most ``tolerance``."""
    tails = np.cumsum(np.abs(series[::-1]))[::-1]
    return series[: max(2, int(np.searchsorted(-tails, -tolerance)))]
