"""Growth of an ensemble's domains: L(t), exponents with errors, the law it follows, Porod's tail, scaling (PHYSICS P7)."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr

from ennforce.analysis.collapse import collapse_spread, collapse_spread_structure
from ennforce.analysis.ensemble import bootstrap_weights, standard_error
from ennforce.analysis.laws import LAWS, effective_exponent, law_misfit, line_exponent, shifted_exponent
from ennforce.analysis.lengths import Zone, definitions, length_structure_scaled, mean_lengths, thermal_background
from ennforce.analysis.porod import porod_exponent

HALF = 0  # the place of L_half among the lengths


def growth(
    ensemble: xr.Dataset, *, law: float | None, first_time: float, smoothing: float, count: int, rng: np.random.Generator
) -> xr.Dataset:
    """L(t) of the ensemble and alpha(t) for each of its lengths, bootstrap errors over replicas, and one late exponent each.

    Times before ``first_time``, and from the first on at which L_half exceeds half the inner radius of the torus (finite size), are
    left out. ``late_exponent`` is the slope over the last half, in ln t, of what remains; ``late_deviation`` its difference from
    the exponent ``law`` that the order is held against, in standard errors, NaN where that is None. In the same window:
    ``shifted_exponent``, the alpha of L = (a + b t)^alpha, ``law_curvature`` and ``law_residual`` of the laws of growth, the
    exponent of L_k with a scaled cut-off, and how well C and S scale with L_half. ``porod_exponent`` holds one number per time,
    like ``length``. Errors are those of the replicas alone: what another trained network would give is not in them.
    """
    time, replicas = ensemble["time"].values, ensemble.sizes["replica"]
    flat, weights = np.full(replicas, 1.0 / replicas), bootstrap_weights(replicas, count, rng)
    means, resampled = mean_lengths(ensemble, flat), mean_lengths(ensemble, weights)
    columns: dict[str, list] = {key: [] for key in ("length", "exponent", "late_exponent", "shifted_exponent")}
    errors: dict[str, list] = {key: [] for key in columns}
    late_from, misfits = [], []
    grown = np.flatnonzero(means["half"] >= 0.5 * ensemble["r"].attrs["inradius"]).min(initial=len(time))
    lengths = definitions(ensemble)
    for name in lengths:
        mean = means[name]
        usable = (time >= first_time) & np.isfinite(mean) & (np.arange(len(time)) < grown)
        late = usable & (time >= np.sqrt(time[usable][0] * time[usable][-1])) if usable.any() else usable
        late_from.append(time[late][0] if late.any() else np.nan)
        for key, statistic in (
            ("length", lambda length, usable=usable: np.where(usable, length, np.nan)),
            ("exponent", lambda length, usable=usable: effective_exponent(time, np.where(usable, length, np.nan), smoothing)),
            ("late_exponent", lambda length, late=late: line_exponent(time, np.where(late, length, np.nan))),
            ("shifted_exponent", lambda length, late=late: shifted_exponent(time[late], length[..., late])),
        ):
            columns[key].append(statistic(mean))
            errors[key].append(standard_error(statistic(resampled[name]), replicas))
        misfits.append([law_misfit(law, time[late], mean[late], resampled[name][:, late], replicas) for law in LAWS])
    result = xr.Dataset(coords={"time": ensemble["time"], "definition": list(lengths), "law": list(LAWS)})
    for key, unit in (("length", "lattice constant"), ("exponent", "1"), ("late_exponent", "1"), ("shifted_exponent", "1")):
        dims = ("definition", "time")[: np.ndim(columns[key])]
        _add(result, key, dims, key.replace("_", " "), np.array(columns[key]), np.array(errors[key]), unit)
    result["late_from"] = ("definition", np.array(late_from), {"long_name": "first time of the late window", "units": "1/t"})
    held = np.nan if law is None else law
    deviation = (result["late_exponent"] - held) / result["late_exponent_error"].where(lambda error: error > 0)
    text = f"late exponent less {held:g}, in standard errors"
    result["late_deviation"] = deviation.assign_attrs(long_name=text, units="1", law=held)
    for column, (key, text) in enumerate(
        (("law_curvature", "curvature against the law, in standard errors"), ("law_residual", "rms residual of the law over L"))
    ):
        attributes = {"long_name": f"{text}, late times", "units": "1"}
        result[key] = (("definition", "law"), np.array(misfits)[:, :, column], attributes)
    _add_tail_and_collapse(result, ensemble, flat, weights, time >= late_from[HALF], resampled["half"])
    return result


def _add_tail_and_collapse(
    result: xr.Dataset, ensemble: xr.Dataset, flat: np.ndarray, weights: np.ndarray, late: np.ndarray, resampled: np.ndarray
) -> None:
    """Porod's exponent at every usable time; of the ``late`` ones scaled L_k's exponent and the spreads of C(r/L), S(kL)/L^d."""
    length = result["length"].values[HALF]
    late = late & np.isfinite(length)
    ordered = ensemble.transpose("replica", "time", ...)
    r, k, modes = (ensemble[name].values for name in ("r", "k", "k_modes"))
    zone, dimension = Zone.of(ensemble), int(ensemble["r"].attrs["dimension"])
    keys = ("porod_exponent", "scaled_cutoff_exponent", "collapse_spread", "collapse_spread_structure")
    samples: dict[str, list] = {key: [] for key in keys}
    for weight, sizes in ((flat, length), *zip(weights, resampled, strict=True)):
        structure, curves = (np.tensordot(weight, ordered[name].values, axes=1) for name in ("structure_factor", "correlation"))
        square = (structure * modes).sum(axis=-1) / modes.sum()  # <phi^2>, by the sum rule of S
        sizes = np.where(np.isfinite(length), sizes, np.nan)
        samples["porod_exponent"].append(porod_exponent(structure, k, modes, sizes, zone))
        scaled = np.where(late, length_structure_scaled(structure, k, modes, sizes, zone), np.nan)
        samples["scaled_cutoff_exponent"].append(line_exponent(result["time"].values, scaled))
        signal = (structure - thermal_background(structure, k, modes, zone)[:, None]) / square[:, None]
        for key, spread, x, values in (
            ("collapse_spread", collapse_spread, r, curves),
            ("collapse_spread_structure", partial(collapse_spread_structure, dimension=dimension), k, signal),
        ):
            kept = late & np.isfinite(sizes)
            samples[key].append(spread(x, values[kept], sizes[kept]) if kept.sum() > 1 else np.nan)
            if weight is flat:
                middle = np.exp(np.log(sizes[kept]).mean()) if kept.any() else np.nan
                fixed = spread(x, values[kept], np.full(kept.sum(), middle)) if kept.sum() > 1 else np.nan
                result[f"{key}_unscaled"] = ((), fixed, {"long_name": f"{key.replace('_', ' ')} with one L for all", "units": "1"})
    for key, dims, text in (
        ("porod_exponent", ("time",), "p of S(k) ~ k^-p beyond the peak"),
        ("scaled_cutoff_exponent", (), "late exponent of the structure-factor length with k_max = 8/L_half"),
        ("collapse_spread", (), "rms spread of C(r/L) between late times"),
        ("collapse_spread_structure", (), "rms spread of ln S(kL)/L^d between late times"),
    ):
        values = np.array(samples[key])
        _add(result, key, dims, text, values[0], standard_error(values[1:], len(flat)), "1")


def _add(result: xr.Dataset, key: str, dims: tuple, text: str, values: np.ndarray, error: np.ndarray, unit: str) -> None:
    result[key] = (dims, values, {"long_name": text, "units": unit})
    result[f"{key}_error"] = (dims, error, {"long_name": f"standard error of the {text}", "units": unit})
