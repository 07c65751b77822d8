"""Averages of stationary states: staggered order, its fluctuations, the distribution of the field (PHYSICS P9)."""

from __future__ import annotations

import numpy as np
import xarray as xr


def stationary(ensemble: xr.Dataset, discard: float) -> xr.Dataset:
    """What is recorded after the first share ``discard`` of the run."""
    start = discard * float(ensemble["time"][-1])
    return ensemble.isel(time=ensemble["time"].values > start, snapshot_time=ensemble["snapshot_time"].values > start)


def stationary_numbers(ensemble: xr.Dataset) -> list[str]:
    """Names of the observables whose averages in stationary states are compared."""
    return [
        str(name) for name, variable in ensemble.data_vars.items() if variable.attrs.get("stationary") and "time" in variable.dims
    ]


def symbols(ensemble: xr.Dataset) -> dict[str, str]:
    """Names of the ``averages``, with their symbols in TeX."""
    numbers = {name: rf"\langle {ensemble[name].attrs['symbol']}\rangle" for name in stationary_numbers(ensemble)}
    order = ensemble["order"].attrs["symbol"]
    return {
        "order": rf"\langle|{order}|\rangle",
        "susceptibility": r"\chi",
        "binder": "U",
        **{k: v for k, v in numbers.items() if k != "order"},
    }


def averages(ensemble: xr.Dataset, weights: np.ndarray, temperature: float) -> dict[str, np.ndarray]:
    """By name, for weights (rows, replicas): <|m|>, chi = N (<m^2> - <|m|>^2) / T, 1 - n <m^4> / ((n + 2) <m^2>^2) of an order of n
    components, and every other number whose observable is ``stationary``."""

    def mean(values: xr.DataArray) -> np.ndarray:
        return weights @ values.transpose("replica", "time").values.mean(axis=1)

    order = ensemble["order"]
    sites, components = order.attrs["sites"], order.attrs["components"]
    first, second, fourth = mean(abs(order)), mean(order**2), mean(order**4)
    return {
        "order": first,
        "susceptibility": sites * (second - first**2) / temperature,
        "binder": 1.0 - components * fourth / ((components + 2.0) * second**2),
        **{name: mean(ensemble[name]) for name in stationary_numbers(ensemble) if name != "order"},
    }


def histograms(fields: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Density of the field values of each replica, (replicas, bins) from (replicas, ...)."""
    return np.array([np.histogram(values, edges, density=True)[0] for values in fields.reshape(len(fields), -1)])


def integrated_autocorrelation(series: np.ndarray) -> float:
    """Integrated autocorrelation time of (replicas, times) in intervals between them: 1/2 + sum of rho(n), 1/2 if uncorrelated.

    rho is averaged over replicas, about the common mean; the sum ends at five times its own value (Sokal 1997), or at half the run,
    and is then a lower bound. NaN where the series is constant.
    """
    deviations = series - series.mean()
    length = series.shape[1]
    variance = np.mean(deviations**2)
    if not variance > 0:
        return float("nan")
    total = 0.5
    for lag in range(1, length // 2):
        total += np.mean(deviations[:, lag:] * deviations[:, :-lag]) / variance
        if lag >= 5.0 * total:
            break
    return float(total)
