"""Means over replicas, bootstrap errors, and the test of two ensembles against each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr


def bootstrap_indices(replicas: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Resampled replica numbers, shape (count, replicas)."""
    return rng.integers(0, replicas, size=(count, replicas))


def standard_error(samples: np.ndarray, replicas: int) -> np.ndarray:
    """Standard error from bootstrap ``samples`` (count, ...), corrected for the few replicas: the plain bootstrap of n values
    is too small by sqrt((n - 1) / n)."""
    return np.std(samples, axis=0) * np.sqrt(replicas / (replicas - 1))


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray], values: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A statistic of replicas ``values`` (replica, ...) and its standard error; the statistic maps (replica, ...) to anything."""
    samples = np.array([statistic(values[chosen]) for chosen in bootstrap_indices(len(values), count, rng)])
    return statistic(values), standard_error(samples, len(values))


def combine(chunks: list[xr.Dataset], count: int, rng: np.random.Generator) -> xr.Dataset:
    """One data set of all replicas; every variable over (replica, time, ...) gets ``_mean`` and ``_error`` partners."""
    merged = xr.concat(chunks, "replica", data_vars="minimal", coords="minimal", compat="override", join="exact").sortby("replica")
    merged.attrs = {}
    for name in list(merged.data_vars):
        variable = merged[name]
        if name == "fields" or "replica" not in variable.dims:
            continue
        variable = variable.transpose("replica", "time", ...)
        values = variable.values
        indices = bootstrap_indices(len(values), count, rng)
        # A resampled mean is a product with the counts of each replica: no copies of the data.
        weights = np.array([np.bincount(chosen, minlength=len(values)) for chosen in indices]) / len(values)
        means = np.einsum("br,r...->b...", weights, values)
        for suffix, result, text in (
            ("mean", values.mean(axis=0), "mean over replicas of"),
            ("error", standard_error(means, len(values)), "standard error of the mean of"),
        ):
            attributes = {**variable.attrs, "long_name": f"{text} {variable.attrs.get('long_name', name)}"}
            merged[f"{name}_{suffix}"] = (variable.dims[1:], result, attributes)
    return merged


def two_sample_p_value(first: np.ndarray, second: np.ndarray, count: int, rng: np.random.Generator) -> tuple[float, float]:
    """Permutation test that two ensembles of curves (replica, time) have the same mean curve: (statistic, p-value).

    The statistic is the mean over time of (difference of means)^2 / (its variance), about 1 where the ensembles agree. Labels are
    permuted between whole replicas, so correlations in time do no harm.
    """
    pooled = np.concatenate([first, second])
    pooled = pooled[:, np.isfinite(pooled).all(axis=0)]
    if pooled.shape[1] == 0:
        raise ValueError("the ensembles share no time at which every replica has a value: record longer or larger runs")
    split = len(first)

    def statistic(curves: np.ndarray) -> float:
        a, b = curves[:split], curves[split:]
        variance = a.var(axis=0, ddof=1) / len(a) + b.var(axis=0, ddof=1) / len(b)
        return float(np.mean((a.mean(axis=0) - b.mean(axis=0)) ** 2 / np.maximum(variance, 1e-30)))

    observed = statistic(pooled)
    permuted = [statistic(pooled[rng.permutation(len(pooled))]) for _ in range(count)]
    return observed, (1 + sum(value >= observed for value in permuted)) / (1 + count)
