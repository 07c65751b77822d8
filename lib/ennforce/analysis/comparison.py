"""Two engines' ensembles from the same initial states: which observables are compared, and how (PHYSICS P9)."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import numpy as np
import xarray as xr

from ennforce.analysis.lengths import DEFINITIONS, mean_lengths
from ennforce.analysis.swaps import NothingToCompare, curve_test, energy_distance_test, p_values, swaps

DISTANCES = (2.0, 5.0, 10.0)  # at which C(r, t) is also compared by itself


def paired(first: xr.Dataset, second: xr.Dataset, variables: list[str]) -> xr.Dataset:
    """The members of both ensembles, those of the first before those of the second, times of equal numbers of steps.

    Raises ValueError where the two do not hold the same replicas.
    """
    if not np.array_equal(first["replica"], second["replica"]):
        raise ValueError("the ensembles hold different replicas, so they are no pairs: make both with the same settings")
    both = [ensemble[variables].drop_vars("replica") for ensemble in (first, second)]
    return xr.concat(both, "replica", data_vars="minimal", coords="minimal", compat="override", join="override")


def total_energy(ensemble: xr.Dataset, grand_potential: xr.DataArray) -> xr.DataArray:
    """Grand potential and kinetic energy a site at the snapshots; the latter is interpolated between the recorded times."""
    kinetic = ensemble["kinetic_temperature"].interp(time=ensemble["snapshot_time"]).transpose("replica", "snapshot_time")
    return (grand_potential.transpose("replica", "snapshot_time") + 0.5 * kinetic.drop_vars("time")).assign_attrs(
        long_name="total energy a site, electrons included", units="t"
    )


def compare(both: xr.Dataset, count: int, rng: np.random.Generator) -> dict[str, dict]:
    """For each observable of ``both`` (see ``paired``, with ``total_energy``): p-value, corrected p-value, largest difference in
    standard errors, relative rms difference. Not of the two means alone: of their whole curves. Domain sizes that are undefined at
    all times are left out; NothingToCompare where another observable has no entry that differs."""
    order = both["order"].transpose("replica", "time").values
    curves = {
        "correlation": both["correlation"].transpose("replica", "time", "r").values[..., 1:],  # C(0) is 1
        **{
            f"correlation at r = {float(chosen['r']):.1f}": chosen.transpose("replica", "time").values
            for chosen in (both["correlation"].sel(r=distance, method="nearest") for distance in DISTANCES)
        },
        "structure_factor": both["structure_factor"].transpose("replica", "time", "k").values,
        "absolute_order": np.abs(order),
        "order_square": order**2,
        **{name: both[name].transpose("replica", "time").values for name in ("field_square", "kinetic_temperature")},
        "total_energy": both["total_energy"].transpose("replica", "snapshot_time").values,
    }
    signs = swaps(both.sizes["replica"] // 2, count, rng)
    tested = {name: curve_test(partial(np.tensordot, b=values, axes=1), signs) for name, values in curves.items()}
    for name in DEFINITIONS:
        with suppress(NothingToCompare):  # of small or short runs a domain size may be undefined throughout
            tested[f"length_{name}"] = curve_test(partial(_mean_length, both, name), signs)
    statistic, distance = energy_distance_test(order, signs)
    spread = 2.0 * np.mean(np.abs(order[:, None] - order[None]), axis=(0, 1))
    facts = {"relative_rms_difference": float(np.sqrt(np.mean(distance / np.where(spread > 0, spread, np.inf))))}
    tested["order_distribution"] = statistic, facts
    found = p_values({name: statistic for name, (statistic, _) in tested.items()})
    empty: dict = {"largest_difference": None, "used": 1.0}
    return {name: {**found[name], **empty, **facts} for name, (_, facts) in tested.items()}


def _mean_length(observables: xr.Dataset, name: str, weights: np.ndarray) -> np.ndarray:
    return mean_lengths(observables, weights)[name]
