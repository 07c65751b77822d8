"""Means over replicas, and bootstrap errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from ennforce.analysis.lengths import DEFINITIONS, SYMBOLS, mean_lengths


def bootstrap_weights(replicas: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Weights of the replicas in ``count`` resamplings, shape (count, replicas), each row summing to 1."""
    return rng.multinomial(replicas, np.full(replicas, 1.0 / replicas), size=count) / replicas


def standard_error(samples: np.ndarray, replicas: int) -> np.ndarray:
    """Standard error from bootstrap ``samples`` (count, ...), corrected for the few replicas: the plain bootstrap of n values
    is too small by sqrt((n - 1) / n). NaN where a resampling has no value."""
    with np.errstate(invalid="ignore"):
        return np.std(samples, axis=0) * np.sqrt(replicas / (replicas - 1))


def combine(chunks: list[xr.Dataset], count: int, rng: np.random.Generator) -> xr.Dataset:
    """All replicas in one data set; every variable over (replica, time, ...) gets ``_mean`` and ``_error`` partners.

    The mean lengths are the lengths of the averaged observables.
    """
    merged = xr.concat(chunks, "replica", data_vars="minimal", coords="minimal", compat="override", join="exact").sortby("replica")
    merged.attrs = {}
    replicas = merged.sizes["replica"]
    flat, weights = np.full(replicas, 1.0 / replicas), bootstrap_weights(replicas, count, rng)
    for name in map(str, list(merged.data_vars)):
        variable = merged[name]
        if name == "fields" or "replica" not in variable.dims:
            continue
        variable = variable.transpose("replica", "time", ...)
        mean, samples = (np.tensordot(w, variable.values, axes=1) for w in (flat, weights))
        _add(merged, name, variable.dims[1:], variable.attrs, mean, standard_error(samples, replicas))
    if "correlation" in merged:
        means, resampled = mean_lengths(merged, flat), mean_lengths(merged, weights)
        for name in means:
            attributes = {"long_name": f"domain size: {DEFINITIONS[name]}", "units": "lattice constant", "symbol": SYMBOLS[name]}
            _add(merged, f"length_{name}", ("time",), attributes, means[name], standard_error(resampled[name], replicas))
    return merged


def pooled_error(errors: Sequence[Mapping]) -> dict[str, float | str]:
    """One error from several ``accuracy.force_error`` of equally many configurations: rms of the rms, largest of the largest."""
    squares = {key: float(np.sqrt(np.mean([error[key] ** 2 for error in errors]))) for key in ("rms", "force_rms")}
    return {**errors[0], **squares, "largest": max(float(error["largest"]) for error in errors)}


def _add(dataset: xr.Dataset, name: str, dims: tuple, attributes: dict, mean: np.ndarray, error: np.ndarray) -> None:
    text = attributes.get("long_name", name)
    # What says how replicas are compared is of the replicas alone.
    attributes = {key: value for key, value in attributes.items() if key not in ("compare", "stationary")}
    dataset[f"{name}_mean"] = (dims, mean, {**attributes, "long_name": f"mean over replicas: {text}"})
    dataset[f"{name}_error"] = (dims, error, {**attributes, "long_name": f"standard error of the mean: {text}"})
