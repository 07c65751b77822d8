"""Growth laws: effective exponents with errors, and dynamical scaling (PHYSICS P7)."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ennforce.analysis.ensemble import bootstrap

LENGTHS = ("half", "structure", "wall")


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

    Times before ``first_time`` and lengths beyond a quarter of the ``box`` are left out (finite size). ``late_exponent`` is the
    slope over the last half, in ln t, of what remains.
    """
    time = ensemble["time"].values
    result = xr.Dataset(coords={"time": ensemble["time"], "definition": list(LENGTHS)})
    columns: dict[str, list] = {key: [] for key in ("length", "length_error", "exponent", "exponent_error", "late", "late_error", "from")}
    for name in LENGTHS:
        per_replica = ensemble[f"length_{name}"].transpose("replica", "time").values
        mean = per_replica.mean(axis=0)
        usable = (time >= first_time) & (mean < box / 4) & np.isfinite(mean)
        usable &= np.arange(len(time)) < (np.flatnonzero(mean >= box / 4).min(initial=len(time)))
        cut = np.where(usable, 0.0, np.nan)
        late = usable.copy()
        if usable.any():
            late &= time >= np.sqrt(time[usable][0] * time[usable][-1])

        def statistic(values: np.ndarray, cut=cut, late=late) -> np.ndarray:
            length = values.mean(axis=0) + cut
            return np.concatenate([length, effective_exponent(time, length, smoothing), [line_exponent(time, np.where(late, length, np.nan))]])

        with np.errstate(invalid="ignore"):
            value, error = bootstrap(statistic, per_replica, count, rng)
        size = len(time)
        for key, part in (("length", slice(0, size)), ("exponent", slice(size, 2 * size))):
            columns[key].append(value[part])
            columns[f"{key}_error"].append(error[part])
        columns["late"].append(value[-1])
        columns["late_error"].append(error[-1])
        columns["from"].append(time[late][0] if late.any() else np.nan)
    for key, unit in (("length", "lattice constant"), ("exponent", "1")):
        for suffix in ("", "_error"):
            result[key + suffix] = (("definition", "time"), np.array(columns[key + suffix]), {"units": unit})
    result["late_exponent"] = ("definition", np.array(columns["late"]), {"long_name": "slope of ln L over late times", "units": "1"})
    result["late_exponent_error"] = ("definition", np.array(columns["late_error"]), {"units": "1"})
    result["late_from"] = ("definition", np.array(columns["from"]), {"long_name": "first time of the late window", "units": "1/t"})
    return result


def collapse_spread(radius: np.ndarray, correlation: np.ndarray, length: np.ndarray) -> float:
    """How badly C(r / L(t)) of several times (time, r) fall onto one curve: rms spread between times for 0.2 < r/L < 2.

    0 is a perfect collapse; without rescaling the same number is of order 0.1 to 0.3.
    """
    grid = np.linspace(0.2, 2.0, 37)
    curves = np.array([np.interp(grid, radius / size, row, right=np.nan) for row, size in zip(correlation, length, strict=True)])
    return float(np.sqrt(np.nanmean(np.nanvar(curves, axis=0))))
