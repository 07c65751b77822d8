"""Dynamical scaling: how well C(r / L(t)) and S(k L(t)) / L(t)^d of different times fall onto one curve (PHYSICS P7)."""

from __future__ import annotations

import numpy as np

DISTANCES = np.linspace(0.2, 2.0, 37)  # r / L
WAVE_NUMBERS = np.geomspace(1.0, 6.0, 25)  # k L: from the peak into Porod's tail


def collapse_spread(radius: np.ndarray, correlation: np.ndarray, length: np.ndarray) -> float:
    """How badly C(r / L(t)) of several times (time, r) fall onto one curve: rms spread between times for 0.2 < r/L < 2.

    0 is a perfect collapse; the same number with one ``length`` for all times is what no rescaling gives.
    """
    curves = np.array(
        [np.interp(DISTANCES, radius / size, row, right=np.nan) for row, size in zip(correlation, length, strict=True)]
    )
    return _spread(curves)


def collapse_spread_structure(k: np.ndarray, structure_factor: np.ndarray, length: np.ndarray, dimension: int = 2) -> float:
    """How badly ln(S(k) / L(t)^d) of several times (time, k) fall onto one curve of k L: rms spread between times, 1 < k L < 6.

    d is the ``dimension`` of the lattice. A difference of logarithms, so the spread is relative. The mode k = 0 is left out. S
    should be divided by <phi^2>, as C is, and be free of the thermal background, which does not scale; values that are then not
    positive are left out.
    """
    curves = np.full((len(length), len(WAVE_NUMBERS)), np.nan)
    for n, (row, size) in enumerate(zip(structure_factor, length, strict=True)):
        kept = (k > 0) & (row > 0)
        x, y = np.log(k[kept] * size), np.log(row[kept] / size**dimension)
        curves[n] = np.interp(np.log(WAVE_NUMBERS), x, y, left=np.nan, right=np.nan) if kept.any() else np.nan
    return _spread(curves)


def _spread(curves: np.ndarray) -> float:
    """Root of the variance between curves (time, x), averaged over the x at which two or more of them have a value."""
    shared = np.isfinite(curves).sum(axis=0) > 1
    return float(np.sqrt(np.mean(np.nanvar(curves[:, shared], axis=0)))) if shared.any() else float("nan")
