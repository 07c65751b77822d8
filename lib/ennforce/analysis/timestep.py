"""What a finite time step does to late-time averages (PHYSICS P9)."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import xarray as xr

from ennforce.analysis.ensemble import bootstrap_weights, standard_error
from ennforce.analysis.equilibrium import stationary_numbers
from ennforce.analysis.lengths import SYMBOLS, Zone, mean_lengths

WAVE_NUMBERS = (0.2, 0.5, 1.0)  # at which S(k) is compared, in units of the zone's inner radius over pi
CONFIDENCE = 0.95  # of the statement about all observables together


def symbols(ensemble: xr.Dataset) -> dict[str, str]:
    """Symbols in TeX of the numbers and lengths among the ``late_averages``, by name."""
    numbers = {name: rf"\langle {ensemble[name].attrs['symbol']}\rangle" for name in stationary_numbers(ensemble)}
    return {**numbers, "kinetic_temperature / T": "T_\\mathrm{kin}/T", **{f"length_{name}": text for name, text in SYMBOLS.items()}}


def late_averages(
    ensemble: xr.Dataset, first: float, last: float, temperature: float, count: int, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Averages over the times from ``first`` to ``last``, with bootstrap errors over replicas, by name: the numbers that stationary
    states are told by, a kinetic temperature over the bath's, S at WAVE_NUMBERS, and the lengths of the averaged observables."""
    time, replicas = ensemble["time"].values, ensemble.sizes["replica"]
    late = ensemble.isel(time=(time >= first - 1e-9) & (time <= last + 1e-9))
    if not late.sizes["time"]:
        raise ValueError(f"nothing is recorded between the times {first:g} and {last:g}: record more observations")
    rows = np.vstack([np.full(replicas, 1.0 / replicas), bootstrap_weights(replicas, count, rng)])
    unit, numbers = Zone.of(ensemble).cutoff / (0.5 * np.pi), [name for name in stationary_numbers(ensemble) if name != "order"]
    values = {
        **({"kinetic_temperature / T": late["kinetic_temperature"] / temperature} if "kinetic_temperature" in late else {}),
        **{name: late[name] for name in numbers if name != "kinetic_temperature"},
        **{f"S(k = {k * unit:.3g})": late["structure_factor"].sel(k=k * unit, method="nearest") for k in WAVE_NUMBERS},
    }
    samples = {name: rows @ value.transpose("replica", "time").values.mean(axis=1) for name, value in values.items()}
    for name, length in mean_lengths(late, rows).items():
        samples[f"length_{name}"] = np.where(np.isfinite(length).all(), length, np.nan).mean(axis=1)
    return {name: (float(row[0]), float(standard_error(row[1:], replicas))) for name, row in samples.items()}


def biases(
    finest: dict[str, tuple[float, float]], other: dict[str, tuple[float, float]], target: dict[str, tuple[float, float]]
) -> list[dict]:
    """One row an observable: the relative bias against the finest time step, its standard error, the ``target``'s relative
    statistical error, and whether the bias exceeds it, beyond the bias's own uncertainty at CONFIDENCE for all rows together.
    None for what could not be measured, which is never biased."""
    deviations = NormalDist().inv_cdf(1.0 - 0.5 * (1.0 - CONFIDENCE) / len(finest))
    rows = []
    for name, (reference, reference_error) in finest.items():
        value, value_error = other[name]
        bias, error = value / reference - 1.0, np.hypot(value_error, 0.0 if other is finest else reference_error) / abs(reference)
        allowed = target[name][1] / abs(target[name][0])
        numbers = {"value": value, "relative_bias": bias, "standard_error": error, "statistical_error": allowed}
        row: dict = {"observable": name, **{key: float(x) if np.isfinite(x) else None for key, x in numbers.items()}}
        rows.append({**row, "biased": bool(abs(bias) - deviations * error > allowed)})
    return rows


def largest_unbiased(dts: list[float], biased: list[bool]) -> float:
    """The largest time step that is, with all finer ones, not biased; ``biased`` of dts[0], the reference, is False."""
    first = next((n for n, found in enumerate(biased) if found), len(dts))
    return dts[first - 1]
