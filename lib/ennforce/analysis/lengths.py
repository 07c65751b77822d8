"""Three measures of the domain size (PHYSICS P7); they must agree in their exponent."""

from __future__ import annotations

import numpy as np
import xarray as xr

K_MAX = np.pi / 2  # cut-off of the structure-factor length: the Porod tail makes it depend on one

SCALED_CUTOFF = 8.0  # k_max L_half of ``length_structure_scaled``: beyond the peak, below pi/2 for L_half > 5


def length_half(correlation: np.ndarray, r: np.ndarray) -> np.ndarray:
    """The first r at which C(r), scaled to 1 after removing its thermal spike at r = 0, falls to one half; (..., r) -> (...).

    C(0) holds uncorrelated thermal noise that C(1), C(2) do not; a straight line through C(1) and C(2) to r = 0 replaces it.
    Infinite where C never falls to a half; NaN where it is negligible at r = 1 already.
    """
    correlation = np.asarray(correlation, dtype=float)
    at_zero = correlation[..., 1] + (correlation[..., 1] - correlation[..., 2]) * r[1] / (r[2] - r[1])
    at_zero = np.clip(at_zero, None, correlation[..., 0])
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = correlation / at_zero[..., None]
    scaled[..., 0] = 1.0
    below = scaled < 0.5
    first = np.argmax(below, axis=-1)
    upper = np.maximum(first, 1)[..., None]
    high = np.take_along_axis(scaled, upper - 1, -1)[..., 0]
    low = np.take_along_axis(scaled, upper, -1)[..., 0]
    position = r[upper[..., 0] - 1] + (high - 0.5) / np.where(high > low, high - low, 1.0) * (
        r[upper[..., 0]] - r[upper[..., 0] - 1]
    )
    return np.where(at_zero > 0.02, np.where(below.any(axis=-1), position, np.inf), np.nan)


def thermal_background(structure_factor: np.ndarray, k: np.ndarray, modes: np.ndarray) -> np.ndarray:
    """Level of the flat S(k) of uncorrelated motion inside the domains: its mean over all |k| > pi; (..., k) -> (...)."""
    beyond = k > np.pi
    return (structure_factor[..., beyond] * modes[beyond]).sum(axis=-1) / modes[beyond].sum()


def length_structure(
    structure_factor: np.ndarray, k: np.ndarray, modes: np.ndarray, k_max: float | np.ndarray = K_MAX
) -> np.ndarray:
    """2 pi sum S / sum |k| S over all wave vectors with |k| <= k_max, less the thermal background; (..., k) -> (...).

    The k = 0 bin counts in the numerator: it is the peak itself once domains grow to the size of the box. NaN where S rises less
    than half above its background, before there is order. ``k_max`` is a number or of shape (...); what a fixed one does to the
    exponent of growth is in docs/coarsening.md.
    """
    inside = np.where(k <= np.asarray(k_max)[..., None], modes, 0)
    background = thermal_background(structure_factor, k, modes)
    weights = (structure_factor - background[..., None]) * inside
    signal = weights.sum(axis=-1)
    ordered = signal > 0.5 * background * inside.sum(axis=-1)
    return np.where(ordered, 2.0 * np.pi * signal / np.where(ordered, (weights * k).sum(axis=-1), 1.0), np.nan)


def length_structure_scaled(structure_factor: np.ndarray, k: np.ndarray, modes: np.ndarray, length: np.ndarray) -> np.ndarray:
    """``length_structure`` with a cut-off that shrinks as domains grow, k_max = 8 / ``length`` (at most pi/2).

    It cuts Porod's tail at the same point of the scaling function at all times, so that no logarithm of L is left. NaN where
    ``length`` is not finite.
    """
    cutoff = np.where(np.isfinite(length), np.minimum(SCALED_CUTOFF / length, K_MAX), np.nan)
    return length_structure(structure_factor, k, modes, cutoff)


def length_wall(wall_density: np.ndarray) -> np.ndarray:
    """Inverse density of domain walls, in lattice constants."""
    with np.errstate(divide="ignore"):
        return 1.0 / np.asarray(wall_density, dtype=float)


DEFINITIONS = {"half": "C(r) falls to one half", "structure": "inverse mean wave number", "wall": "inverse wall density"}


def lengths_of(
    observables: xr.Dataset, correlation: np.ndarray, structure_factor: np.ndarray, wall: np.ndarray
) -> dict[str, np.ndarray]:
    """The three lengths by name from arrays (..., r), (..., k) and (...), on the r and k of ``observables``."""
    return {
        "half": length_half(correlation, observables["r"].values),
        "structure": length_structure(structure_factor, observables["k"].values, observables["k_modes"].values),
        "wall": length_wall(wall),
    }


def mean_lengths(observables: xr.Dataset, weights: np.ndarray) -> dict[str, np.ndarray]:
    """The three lengths of *averaged* observables, (..., time), for replica weights (..., replica) that sum to 1.

    Averaging C and S before reading off a length is what the ensemble average means; single replicas of a small box may have
    no length at all.
    """
    ordered = observables.transpose("replica", "time", ...)
    arrays = (np.tensordot(weights, ordered[name].values, axes=1) for name in ("correlation", "structure_factor", "wall_density"))
    return lengths_of(observables, *arrays)
