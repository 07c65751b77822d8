"""Growth laws: effective exponents with errors, and dynamical scaling (PHYSICS P7)."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ennforce.analysis.ensemble import bootstrap_weights, standard_error
from ennforce.analysis.lengths import DEFINITIONS, mean_lengths

LENGTHS = tuple(DEFINITIONS)


def effective_exponent(time: np.ndarray, length: np.ndarray, smoothing: float) -> np.ndarray:
    """alpha(t) = d ln L / d ln t by straight lines fitted in ln t with Gaussian weights of width ``smoothing``.

    NaN where L is NaN or fewer than three points carry weight; shape of ``time``.
    """
    x, y = np.log(time), np.log(length)
    valid = np.isfinite(y)
    exponents = np.full(len(time), np.nan)
    for n in np.flatnonzero(valid):
        weight = np.exp(-0.5 * ((x - x[n]) / smoothing) ** 2) * valid
        if np.count_nonzero(weight > 0.1) < 3:
            continue
        centred = x - np.sum(weight * x) / weight.sum()
        mean = np.sum(weight * np.where(valid, y, 0.0)) / weight.sum()
        exponents[n] = np.sum(weight * centred * np.where(valid, y - mean, 0.0)) / np.sum(weight * centred**2)
    return exponents


def line_exponent(time: np.ndarray, length: np.ndarray) -> float:
    """Slope of one straight line through ln L against ln t; NaN with fewer than three finite points."""
    valid = np.isfinite(length)
    if np.count_nonzero(valid) < 3:
        return float("nan")
    return float(np.polyfit(np.log(time[valid]), np.log(length[valid]), 1)[0])


def growth(
    ensemble: xr.Dataset, *, box: int, first_time: float, smoothing: float, count: int, rng: np.random.Generator
) -> xr.Dataset:
    """L(t) of the ensemble and alpha(t) for the three lengths, bootstrap errors over replicas, and one late exponent each.

    Times before ``first_time``, and from the first on at which L_half exceeds a quarter of the ``box`` (finite size), are left out.
    ``late_exponent`` is the slope over the last half, in ln t, of what remains.
    """
    time, replicas = ensemble["time"].values, ensemble.sizes["replica"]
    means = mean_lengths(ensemble, np.full(replicas, 1.0 / replicas))
    resampled = mean_lengths(ensemble, bootstrap_weights(replicas, count, rng))
    columns: dict[str, list] = {key: [] for key in ("length", "exponent", "late_exponent")}
    errors: dict[str, list] = {key: [] for key in columns}
    late_from = []
    grown = np.flatnonzero(means["half"] >= box / 4).min(initial=len(time))
    for name in LENGTHS:
        mean = means[name]
        usable = (time >= first_time) & np.isfinite(mean) & (np.arange(len(time)) < grown)
        late = usable & (time >= np.sqrt(time[usable][0] * time[usable][-1])) if usable.any() else usable
        late_from.append(time[late][0] if late.any() else np.nan)
        for key, statistic in (
            ("length", lambda length, usable=usable: np.where(usable, length, np.nan)),
            ("exponent", lambda length, usable=usable: effective_exponent(time, np.where(usable, length, np.nan), smoothing)),
            ("late_exponent", lambda length, late=late: line_exponent(time, np.where(late, length, np.nan))),
        ):
            columns[key].append(statistic(mean))
            errors[key].append(standard_error(np.array([statistic(length) for length in resampled[name]]), replicas))
    result = xr.Dataset(coords={"time": ensemble["time"], "definition": list(LENGTHS)})
    for key, unit in (("length", "lattice constant"), ("exponent", "1"), ("late_exponent", "1")):
        dims = ("definition", "time")[: np.ndim(columns[key])]
        result[key] = (dims, np.array(columns[key]), {"long_name": key.replace("_", " "), "units": unit})
        result[f"{key}_error"] = (
            dims,
            np.array(errors[key]),
            {"long_name": f"standard error of the {key.replace('_', ' ')}", "units": unit},
        )
    half = columns["length"][LENGTHS.index("half")]
    late = np.isfinite(half) & (time >= late_from[LENGTHS.index("half")])
    curves = ensemble["correlation"].transpose("replica", "time", "r").values.mean(axis=0)
    spread = collapse_spread(ensemble["r"].values, curves[late], half[late]) if late.sum() > 1 else np.nan
    result["collapse_spread"] = ((), spread, {"long_name": "rms spread of C(r/L) between late times", "units": "1"})
    result["late_from"] = ("definition", np.array(late_from), {"long_name": "first time of the late window", "units": "1/t"})
    return result


def collapse_spread(radius: np.ndarray, correlation: np.ndarray, length: np.ndarray) -> float:
    """How badly C(r / L(t)) of several times (time, r) fall onto one curve: rms spread between times for 0.2 < r/L < 2.

    0 is a perfect collapse; without rescaling the same number is of order 0.1 to 0.3.
    """
    grid = np.linspace(0.2, 2.0, 37)
    curves = np.array([np.interp(grid, radius / size, row, right=np.nan) for row, size in zip(correlation, length, strict=True)])
    return float(np.sqrt(np.nanmean(np.nanvar(curves, axis=0))))
