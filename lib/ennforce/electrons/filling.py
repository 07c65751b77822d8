"""The chemical potential of a fixed filling, and what its uncertainty does to the densities (PHYSICS P1, P4).

mu is corrected until the *verified* densities add up to the filling. Every density grows with mu, so what is not known of the sum
bounds the error of each; where the levels lie close it is far smaller, and is read from the densities at both ends of the interval
in which mu must lie.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ennforce.electrons.chebyshev import SpectralWindow, coefficients
from ennforce.electrons.exact import fermi, solve_chemical_potential

ROUNDS = 24  # solutions at most


@dataclass(frozen=True)
class NumberCurve:
    """Electrons against mu, from the moments of all sites: sum over sites and orbitals of <T_m>, shape (order)."""

    moments: np.ndarray
    bounds: SpectralWindow
    temperature: float

    def series(self, mu: float) -> np.ndarray:
        """Chebyshev coefficients of the Fermi function at ``mu``, as many as there are moments."""
        return coefficients(lambda e: fermi(e, mu, self.temperature), self.bounds, len(self.moments))

    def __call__(self, mu: float) -> float:
        return float(self.moments @ self.series(mu))

    def inverse(self, number: float) -> float:
        """The mu of a number of electrons; the end of the interval where the curve does not reach it."""
        low = self.bounds.b - self.bounds.a - 50.0 * self.temperature
        high = self.bounds.b + self.bounds.a + 50.0 * self.temperature
        if not self(low) < number < self(high):
            return low if number <= self(low) else high
        return solve_chemical_potential(number, self, low, high)

    def left_out(self, tolerance: float) -> float:
        """Electrons in the terms left out, whose coefficients add up to ``tolerance``: as large as the last moments make them."""
        return 2.0 * tolerance * float(np.abs(self.moments[-max(1, len(self.moments) // 4) :]).max())


class Bracket:
    """An interval of mu narrowed by what is measured: the filling lies above ``low`` and below ``high``."""

    def __init__(self) -> None:
        self.low, self.high = -np.inf, np.inf

    def narrowed(self, mu: float, missing: float, proposal: float) -> float:
        """The next mu after one at which ``missing`` electrons were missing: the proposal, or the middle where it lies outside."""
        if missing > 0:
            self.low = max(self.low, mu)
        else:
            self.high = min(self.high, mu)
        if self.low < proposal < self.high or not np.isfinite(self.low + self.high):
            return proposal
        return 0.5 * (self.low + self.high)


def spread(values: Callable[[np.ndarray], np.ndarray], curve: NumberCurve, mu: float, doubt: float) -> float:
    """The largest change of a density matrix element where the number of electrons changes by ``doubt`` either way.

    values: those of functions given by their series (functions, order), shape (functions, orbitals, elements, sites).
    """
    middle = curve(mu)
    ends = [curve.inverse(middle - doubt), mu, curve.inverse(middle + doubt)]
    below, here, above = values(np.array([curve.series(end) for end in ends]))
    return min(doubt, float(max(np.abs(above - here).max(), np.abs(here - below).max())))
