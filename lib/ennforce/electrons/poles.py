"""The Fermi function as a short sum of poles, by rational approximation on the axis (AAA algorithm, as scipy has it)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.interpolate import AAA
from scipy.special import expit

GRID = 2000  # points on which the approximation is made and checked
GROWTH = 1.25  # widths are rounded up to powers of this, so that like spectra share one approximation


@lru_cache(maxsize=128)
def _unit_poles(level: int, tolerance: float) -> tuple[np.ndarray, np.ndarray, float]:
    """f(x) = 1 / (1 + e^x) on |x| <= GROWTH^level as constant + 2 Re sum residues / (poles - x), poles above the axis."""
    width = GROWTH**level
    # Dense where the function bends: the points of a sinh grid have constant steps near zero and constant ratios outside.
    x = np.sinh(np.linspace(-1.0, 1.0, GRID) * np.arcsinh(width))
    values = expit(-x)
    # A fit may put a pole into the interval, between two points; the next, a little sharper, is then another one.
    for sharper in 0.8 ** np.arange(12):
        fit = AAA(x, values, rtol=0.5 * sharper * tolerance, clean_up=False)
        poles, residues = fit.poles(), fit.residues()
        upper = poles.imag > 1e-6
        # A pole on the axis outside the interval is its own conjugate and counts half.
        real = (np.abs(poles.imag) <= 1e-6) & (np.abs(poles.real) > width)
        poles, residues = poles[upper | real], np.where(real, 0.5, 1.0)[upper | real] * residues[upper | real]
        sums = (residues / (x[:, None] - poles)).sum(axis=1).real
        rest = values - 2.0 * sums
        constant = 0.5 * (rest.max() + rest.min())
        if np.abs(rest - constant).max() <= tolerance:
            return poles, -residues, float(constant)
    raise ValueError(f"no sum of poles reaches {tolerance:.1g} over {width:.3g} temperatures: use the chebyshev solver")


def fermi_poles(half_width: float, temperature: float, mu: float, tolerance: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Poles, residues and constant with f(E) = constant + 2 Re sum_p residues / (poles - E), within ``tolerance``.

    Holds for |E - mu| <= ``half_width``; the poles lie in the upper half plane. Raises ValueError where none are found.
    """
    poles, residues, constant = _unit_poles(_level(half_width, temperature), tolerance)
    return mu + temperature * poles, temperature * residues, constant


def _level(half_width: float, temperature: float) -> int:
    """The power of GROWTH that holds the half width in temperatures."""
    return int(np.ceil(np.log(max(half_width / temperature, 10.0)) / np.log(GROWTH)))


def few_poles(count: int, half_width: float, temperature: float, mu: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Poles, residues and constant of f, as ``fermi_poles`` defines them, in the most accurate sum of at most ``count`` poles.

    Raises ValueError where no sum is as short.
    """
    poles, residues, constant = _few_unit_poles(_level(half_width, temperature), count)
    return mu + temperature * poles, temperature * residues, constant


@lru_cache(maxsize=32)
def _few_unit_poles(level: int, count: int) -> tuple[np.ndarray, np.ndarray, float]:
    found = None
    for tolerance in 0.2 * 0.5 ** np.arange(30):
        fit = _unit_poles(level, float(tolerance))
        if len(fit[0]) > count:
            break
        found = fit
    if found is None:
        raise ValueError(f"no sum of {count} poles is a Fermi function over {GROWTH**level:.3g} temperatures: allow more poles")
    return found
