"""Three measures of the domain size (PHYSICS P7), which must agree in their exponent; the third needs domains with walls."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

SCALED_CUTOFF = 8.0  # k_max L_half of ``length_structure_scaled``: beyond the peak, below the zone's cut-off for L_half > 5


class Zone(NamedTuple):
    """Where |k| counts, in inverse lattice constants: up to ``cutoff`` for lengths, from ``background`` on for thermal motion.

    The cut-off is half the inner radius of the Brillouin zone: Porod's tail makes a length from S(k) depend on one. The background
    is read off beyond that radius, or in the outer tenth of a zone that ends before.
    """

    cutoff: float = np.pi / 2
    background: float = np.pi

    @classmethod
    def of(cls, observables: xr.Dataset) -> Zone:
        """From the radii that ``k`` holds of the lattice that was measured."""
        inner, outer = (float(observables["k"].attrs[name]) for name in ("zone", "zone_corner"))
        return cls(0.5 * inner, min(inner, 0.9 * outer))


SQUARE = Zone()


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


def thermal_background(structure_factor: np.ndarray, k: np.ndarray, modes: np.ndarray, zone: Zone = SQUARE) -> np.ndarray:
    """Level of the flat S(k) of uncorrelated motion inside the domains: its mean beyond ``zone.background``; (..., k) -> (...)."""
    beyond = k > zone.background
    return (structure_factor[..., beyond] * modes[beyond]).sum(axis=-1) / modes[beyond].sum()


def length_structure(
    structure_factor: np.ndarray, k: np.ndarray, modes: np.ndarray, zone: Zone = SQUARE, k_max: np.ndarray | None = None
) -> np.ndarray:
    """2 pi sum S / sum |k| S over all wave vectors with |k| <= k_max, less the thermal background; (..., k) -> (...).

    The k = 0 bin counts in the numerator: it is the peak itself once domains grow to the size of the box. NaN where S rises less
    than half above its background, before there is order. ``k_max`` has shape (...), and is the zone's cut-off if not given;
    what a fixed one does to the exponent of growth is in docs/coarsening.md.
    """
    inside = np.where(k <= np.asarray(zone.cutoff if k_max is None else k_max)[..., None], modes, 0)
    background = thermal_background(structure_factor, k, modes, zone)
    weights = (structure_factor - background[..., None]) * inside
    signal = weights.sum(axis=-1)
    ordered = signal > 0.5 * background * inside.sum(axis=-1)
    return np.where(ordered, 2.0 * np.pi * signal / np.where(ordered, (weights * k).sum(axis=-1), 1.0), np.nan)


def length_structure_scaled(
    structure_factor: np.ndarray, k: np.ndarray, modes: np.ndarray, length: np.ndarray, zone: Zone = SQUARE
) -> np.ndarray:
    """``length_structure`` with a cut-off that shrinks as domains grow, k_max = 8 / ``length`` (at most the zone's).

    It cuts Porod's tail at the same point of the scaling function at all times, so that no logarithm of L is left. NaN where
    ``length`` is not finite.
    """
    cutoff = np.where(np.isfinite(length), np.minimum(SCALED_CUTOFF / length, zone.cutoff), np.nan)
    return length_structure(structure_factor, k, modes, zone, cutoff)


def length_wall(wall_density: np.ndarray) -> np.ndarray:
    """Inverse density of domain walls, in lattice constants."""
    with np.errstate(divide="ignore"):
        return 1.0 / np.asarray(wall_density, dtype=float)


DEFINITIONS = {"half": "C(r) falls to one half", "structure": "inverse mean wave number", "wall": "inverse wall density"}
SYMBOLS = {"half": "L_{1/2}", "structure": "L_k", "wall": r"L_\mathrm{wall}"}
# The observables that each is read off.
NEEDED = {"half": "correlation", "structure": "structure_factor", "wall": "wall_density"}


def definitions(observables: xr.Dataset) -> tuple[str, ...]:
    """Names of the lengths that these observables have."""
    return tuple(name for name, needed in NEEDED.items() if needed in observables)


def lengths_of(observables: xr.Dataset, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The lengths by name, from ``arrays`` (..., r), (..., k) and (...) by the name of the observable, on its r and k."""
    r, k, modes = (observables[name].values for name in ("r", "k", "k_modes"))
    read_off = {
        "half": lambda values: length_half(values, r),
        "structure": lambda values: length_structure(values, k, modes, Zone.of(observables)),
        "wall": length_wall,
    }
    return {name: read_off[name](arrays[NEEDED[name]]) for name in definitions(observables)}


def mean_lengths(observables: xr.Dataset, weights: np.ndarray) -> dict[str, np.ndarray]:
    """The lengths of *averaged* observables, (..., time), for replica weights (..., replica) that sum to 1.

    Averaging C and S before reading off a length is what the ensemble average means; single replicas of a small box may have
    no length at all.
    """
    ordered = observables.transpose("replica", "time", ...)
    needed = (NEEDED[name] for name in definitions(observables))
    return lengths_of(observables, {name: np.tensordot(weights, ordered[name].values, axes=1) for name in needed})
