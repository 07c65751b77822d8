"""Two engines from the same states, with the same noise or with noise of their own: is one as good as the other (PHYSICS P9)?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from ennforce.analysis.intervals import half_width, jackknife, leave_one_out, members_needed, verdict
from ennforce.analysis.lengths import SYMBOLS, definitions, mean_lengths

DISTANCE = 5.0  # at which C(r, t) is compared
LENGTH = "length_"
OTHER = "other"  # the margin of observables that have none of their own


class Compared(NamedTuple):
    """What is compared of an observable: words for tables, a symbol for figures, and the margin of ``sections.Margins``."""

    text: str
    symbol: str
    margin: str


def compared(ensemble: xr.Dataset) -> dict[str, Compared]:
    """By name, what of an ensemble is compared: its numbers that say how, its lengths, S and C, and the total energy."""
    numbers = {name: averaged(variable.attrs, name) for name, variable in _numbers(ensemble).items()}
    lengths = {f"{LENGTH}{name}": Compared(f"ln L_{name}", SYMBOLS[name], "length") for name in definitions(ensemble)}
    return {
        **numbers,
        **lengths,
        "structure_factor": Compared("ln S, k <= 2 pi / L", r"S(k\to 0)", "structure_factor"),
        "correlation": Compared(f"ln C, r = {DISTANCE:g}", f"C({DISTANCE:g})", "correlation"),
        "energy": Compared("energy per site / T", "E", "energy"),
    }


def _numbers(ensemble: xr.Dataset) -> dict[str, xr.DataArray]:
    """By name, the observables of (replica, time) that say how engines are compared by them."""
    return {str(n): x for n, x in ensemble.data_vars.items() if x.attrs.get("compare") and "time" in x.dims}


def averaged(attributes: Mapping, name: str) -> Compared:
    """How the average of a number over replicas is called, by the attributes of its observable."""
    symbol, how = attributes["symbol"], attributes["compare"]
    inside, shown = (f"abs {symbol}", f"|{symbol}|") if how == "modulus" else (symbol, symbol)
    return Compared(f"{'ln ' if how != 'difference' else ''}<{inside}>", rf"\langle {shown}\rangle", name)


def paired(first: xr.Dataset, second: xr.Dataset, variables: list[str]) -> xr.Dataset:
    """The members of both ensembles, those of the first before those of the second, times of equal numbers of steps.

    Raises ValueError where the two do not hold the same replicas.
    """
    check_pairs(first, second)
    both = [ensemble[variables].drop_vars("replica") for ensemble in (first, second)]
    return xr.concat(both, "replica", data_vars="minimal", coords="minimal", compat="override", join="override")


def check_pairs(first: xr.Dataset, second: xr.Dataset) -> None:
    """Raises ValueError where two ensembles do not hold the same replicas."""
    if not np.array_equal(first["replica"], second["replica"]):
        raise ValueError("the ensembles hold different replicas, so they are no pairs: make both with the same settings")


def total_energy(ensemble: xr.Dataset, grand_potential: xr.DataArray) -> xr.DataArray:
    """Grand potential and kinetic energy per site at the snapshots; the latter is interpolated between the recorded times.

    Fields without momenta have no kinetic energy.
    """
    total = grand_potential.transpose("replica", "snapshot_time")
    if "kinetic_temperature" in ensemble:
        kinetic = ensemble["kinetic_temperature"].interp(time=ensemble["snapshot_time"]).transpose("replica", "snapshot_time")
        total = total + 0.5 * ensemble.sizes.get("component", 1) * kinetic.drop_vars("time")
    return total.assign_attrs(long_name="total energy per site, electrons included", units="t")


def curves(ensemble: xr.Dataset, weights: np.ndarray, temperature: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By name of ``compared``: times, and values (rows, times) of averages with ``weights`` (rows, replicas).

    Logarithms of the averages, but the energy, which is in units of the bath's ``temperature``. NaN where a logarithm is not
    defined, as of a domain size before there are domains. The structure factor is that of its two lowest bins, every wave vector
    with a weight of its own.
    """

    def mean(values: xr.DataArray, time: str = "time") -> np.ndarray:
        return weights @ values.transpose("replica", time).values

    time, lowest = ensemble["time"].values, ensemble.isel(k=slice(0, 2))
    structure = (lowest["structure_factor"] * lowest["k_modes"]).sum("k") / lowest["k_modes"].sum("k")
    correlation = ensemble["correlation"].sel(r=DISTANCE, method="nearest")
    numbers = _numbers(ensemble)
    averages = {
        **{name: mean(abs(x) if x.attrs["compare"] == "modulus" else x) for name, x in numbers.items()},
        **{f"{LENGTH}{name}": values for name, values in mean_lengths(ensemble, weights).items()},
        "structure_factor": mean(structure),
        "correlation": mean(correlation),
    }
    plain = {name for name, variable in numbers.items() if variable.attrs["compare"] == "difference"}
    found = {name: (time, x if name in plain else _logarithm(x)) for name, x in averages.items()}
    found["energy"] = ensemble["snapshot_time"].values, mean(ensemble["total_energy"], "snapshot_time") / temperature
    return found


def _logarithm(values: np.ndarray) -> np.ndarray:
    """ln of what is positive and finite, else NaN."""
    return np.log(np.where(np.isfinite(values) & (values > 0), values, np.nan))


def window_weights(time: np.ndarray, first: float, last: float) -> np.ndarray:
    """Weights of recorded times (sorted) for an average over ln t from ``first`` to ``last``; zero outside, and if none is inside.

    Each time inside stands for the part of the window that is nearer to it, in ln t, than to its neighbours inside. Times crowd
    where a quench changes fast, early, and so does their weight.
    """
    inside = (time >= first * (1 - 1e-9)) & (time <= last * (1 + 1e-9))
    chosen = np.log(time[inside])
    middle = 0.5 * (chosen[1:] + chosen[:-1])
    weights = np.zeros(len(time))
    weights[inside] = np.diff(np.concatenate([[np.log(first)], middle, [np.log(last)]])) if len(chosen) else 0.0
    return weights


def windows(edges: Sequence[float], end: float) -> list[tuple[float, float]]:
    """Windows of time between ``edges`` that begin before the run's ``end``; the last one ends with the run."""
    begun = [edge for edge in edges if edge < end]
    return list(zip(begun, [*begun[1:], end], strict=True))


def compare(
    first: xr.Dataset, second: xr.Dataset, edges: Sequence[float], margins: Mapping[str, float], temperature: float
) -> list[dict]:
    """One row for all that is ``compared`` in each window: first less second, its simultaneous interval at 95 %, and the verdict.

    Both ensembles need ``total_energy``. A difference is the average, over ln t in the window, of the difference of the two
    engines' ``curves``; its standard error is a jackknife over pairs, so that whatever the members of a pair have in common, the
    start or the noise too, drops out. Times at which a value is not defined for all jackknife samples of both are left out, and the
    row's ``used`` is the share of the window that is left; a row without any has None in place of numbers and "not measured".
    Raises ValueError where the ensembles are no pairs.
    """
    check_pairs(first, second)
    pairs = first.sizes["replica"]
    rows_of = leave_one_out(pairs)
    both = [curves(ensemble, rows_of, temperature) for ensemble in (first, second)]
    estimates: dict[tuple, tuple[float, float, float] | None] = {}
    observables = compared(first)
    for start, end in windows(edges, float(first["time"][-1])):
        for name in observables:
            time, values = both[0][name]
            estimates[name, start, end] = _average(time, values - both[1][name][1], start, end)
    claims = sum(found is not None for found in estimates.values())
    rows = []
    for (name, start, end), found in estimates.items():
        what = observables[name]
        row = {"observable": name, "difference_of": what.text, "symbol": what.symbol, "from": start, "to": end}
        rows.append({**row, **_judged(found, margins.get(what.margin, margins[OTHER]), pairs, claims)})
    return rows


def _average(time: np.ndarray, difference: np.ndarray, start: float, end: float) -> tuple[float, float, float] | None:
    """Estimate, standard error and used share of the window's average of (1 + pairs, times); None where nothing is defined."""
    weights = window_weights(time, start, end)
    used = np.isfinite(difference).all(axis=0) & (weights > 0)
    if not used.any():
        return None
    share = weights[used] / weights[used].sum()
    return *jackknife(difference[:, used] @ share), float(weights[used].sum() / weights.sum())


def _judged(found: tuple[float, float, float] | None, margin: float, pairs: int, claims: int) -> dict:
    """Difference, interval and verdict of one row, from an estimate, its standard error and the used share of the window."""
    if found is None:
        numbers = dict.fromkeys(("difference", "standard_error", "low", "high"))
        return {**numbers, "margin": margin, "verdict": "not measured", "used": 0.0, "pairs_needed": None}
    difference, error, used = found
    width = half_width(error, pairs, claims)
    return {
        "difference": difference, "standard_error": error, "low": difference - width, "high": difference + width,
        "margin": margin, "verdict": verdict(difference - width, difference + width, margin), "used": used,
        "pairs_needed": members_needed(error, margin, pairs, claims),
    }  # fmt: skip


def overall(rows: Sequence[dict]) -> str:
    """ "different" if one row is, "equivalent" if all that could be measured are, else "cannot tell"."""
    found = {row["verdict"] for row in rows} - {"not measured"}
    return "different" if "different" in found else "equivalent" if found == {"equivalent"} else "cannot tell"


def over_networks(tables: Sequence[Sequence[dict]]) -> list[dict]:
    """One row for each row of ``compare`` that was measured for every one of several networks, from ``tables`` of one each.

    ``difference`` is the mean over the networks, ``spread`` their standard deviation, and the interval, 95 % for each row alone,
    that of the mean of all networks trained so (Student's t): it holds what trainings, and whatever else differs between the
    studies, do to the result.
    """
    rows, networks = [], len(tables)
    for same in zip(*tables, strict=True):
        values = np.array([row["difference"] for row in same], dtype=float)
        if not np.isfinite(values).all():
            continue
        mean, spread = float(values.mean()), float(values.std(ddof=1))
        width = half_width(spread / np.sqrt(networks), networks)
        row = {key: same[0][key] for key in ("observable", "difference_of", "symbol", "from", "to")}
        row |= {"networks": networks, "difference": mean, "spread": spread, "low": mean - width, "high": mean + width}
        rows.append({**row, "margin": same[0]["margin"], "verdict": verdict(mean - width, mean + width, same[0]["margin"])})
    return rows
