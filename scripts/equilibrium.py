"""Stationary states at several bath temperatures: network against KPM, with intervals of their differences and exact tests."""

import numpy as np
import xarray as xr

from ennforce.analysis.comparison import paired
from ennforce.analysis.ensemble import bootstrap_weights, standard_error
from ennforce.analysis.equilibrium import averages, histograms, integrated_autocorrelation, stationary, stationary_numbers, symbols
from ennforce.analysis.intervals import half_width, jackknife, leave_one_out
from ennforce.analysis.swaps import curve_test, p_values, swaps
from ennforce.io import inherited, provenance, read_dataset, write_dataset, write_json
from ennforce.tables import write_table
from ennforce.workflow import Node, run_node

ENGINES = ("network", "kpm")
BINS = 60
SWAPS = 4096


def main(node: Node) -> None:
    p, rng = node.params, np.random.default_rng(node.params["seed"])
    states = [
        [stationary(read_dataset(path, ["order", "fields"]), p["discard"]) for path in paths]
        for paths in zip(*(node.input[engine] for engine in ENGINES), strict=True)
    ]
    largest = 1.05 * max(float(abs(state["fields"]).max()) for pair in states for state in pair)
    edges = np.linspace(-largest, largest, BINS + 1)
    replicas = states[0][0].sizes["replica"]
    resampled, signs = bootstrap_weights(replicas, p["bootstrap"], rng), swaps(replicas, SWAPS, rng)
    rows, statistics, densities, errors = [], {}, [], []
    flat, removed = np.full((1, replicas), 1.0 / replicas), leave_one_out(replicas)
    titles = symbols(states[0][0])
    claims = len(titles) * len(p["temperatures"])
    for temperature, pair in zip(p["temperatures"], states, strict=True):
        both = paired(*pair, stationary_numbers(pair[0]))
        means = [averages(state, flat, temperature) for state in pair]
        spreads = [averages(state, resampled, temperature) for state in pair]
        interval = float(pair[0]["time"][1] - pair[0]["time"][0])
        without = [averages(state, removed, temperature) for state in pair]
        taus = [interval * integrated_autocorrelation(abs(state["order"]).transpose("replica", "time").values) for state in pair]
        for name in titles:
            values = [float(mean[name][0]) for mean in means]
            widths = [float(standard_error(spread[name], replicas)) for spread in spreads]
            key = f"{name} at T = {temperature:g}"
            statistics[key] = curve_test(lambda w, n=name, b=both, t=temperature: averages(b, w, t)[n], signs)[0]
            row = {"temperature": temperature, "observable": name, "symbol": titles[name]}
            for engine, value, width, tau in zip(ENGINES, values, widths, taus, strict=True):
                row |= {engine: value, f"{engine}_error": width, f"{engine}_autocorrelation_time_of_order": tau}
            difference, error = jackknife(without[0][name] - without[1][name])
            width = half_width(error, replicas, claims)
            rows.append({**row, "difference": difference, "low": difference - width, "high": difference + width})
        each = [histograms(state["fields"].transpose("replica", ...).values, edges) for state in pair]
        stacked = np.vstack(each)
        statistics[f"distribution at T = {temperature:g}"] = curve_test(lambda w, h=stacked: w @ h, signs)[0]
        densities.append([density.mean(axis=0) for density in each])
        errors.append([standard_error(resampled @ density, replicas) for density in each])
    found = p_values(statistics)
    for row in rows:
        row |= found[f"{row['observable']} at T = {row['temperature']:g}"]
    distributions = {f"{t:g}": found[f"distribution at T = {t:g}"] for t in p["temperatures"]}
    write_table(node.output, rows)
    smallest = min(value["corrected_p_value"] for value in found.values())
    content = {"replicas": replicas, "rows": rows, "distributions": distributions, "smallest_corrected_p_value": smallest}
    write_json(node.output["equilibrium"], {**content, "provenance": provenance(node.parents)})
    dims = ("temperature", "engine", "field")
    attributes = {"long_name": "distribution of the field", "units": "1"}
    coordinates = {"temperature": list(p["temperatures"]), "engine": list(ENGINES), "field": 0.5 * (edges[1:] + edges[:-1])}
    result = xr.Dataset({"density": (dims, densities, attributes), "density_error": (dims, errors, attributes)}, coordinates)
    result.attrs = provenance(node.parents, **{**inherited(states[0][-1]), "solver": "network, kpm"})
    write_dataset(result, node.output["distributions"])


run_node(main, globals())
