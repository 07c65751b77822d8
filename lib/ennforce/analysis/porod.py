"""Porod's tail: S(k) ~ k^-p beyond the peak, p = d + n for thin defects of n components, 3 for walls in a plane (P7)."""

from __future__ import annotations

import numpy as np

from ennforce.analysis.laws import slope
from ennforce.analysis.lengths import SQUARE, Zone, thermal_background

TAIL = (4.0, 10.0)  # k L_half: beyond the peak and its shoulder, and long before the width of a wall for L_half > 10


def porod_exponent(
    structure_factor: np.ndarray,
    k: np.ndarray,
    modes: np.ndarray,
    length: np.ndarray,
    zone: Zone = SQUARE,
    tail: tuple[float, float] = TAIL,
) -> np.ndarray:
    """p of S(k) ~ k^-p for tail[0] <= k ``length`` <= tail[1] and |k| <= zone.cutoff, (..., k) and (...) to (...).

    A straight line through ln S against ln k, each bin with the weight of its ``modes``, after the thermal background is taken
    off as in ``length_structure``. NaN where ``length`` is not finite, or fewer than four bins of the tail stand above twice the
    background or rounding: an exponent needs a tail that is seen.
    """
    background = thermal_background(structure_factor, k, modes, zone)[..., None]
    scaled = np.maximum(k, 1e-12) * np.asarray(length)[..., None]  # not 0 times infinity
    inside = (scaled >= tail[0]) & (scaled <= tail[1]) & (k <= zone.cutoff)
    signal = structure_factor - background
    seen = (inside.sum(axis=-1) >= 4) & ~(inside & (signal <= background)).any(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(seen, -slope(np.log(np.where(inside, k, 1.0)), np.log(np.where(inside, signal, np.nan)), modes), np.nan)
