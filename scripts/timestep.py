"""Late-time averages against the time step, and the largest step whose biases the study's own errors would hide."""

import numpy as np

from ennforce.analysis.timestep import biases, largest_unbiased, late_averages, symbols
from ennforce.io import provenance, read_dataset, write_json
from ennforce.tables import write_table
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    p, dts = node.params, node.params["dts"]
    rng = np.random.default_rng(p["seed"])
    read = [read_dataset(path, ["structure_factor", "correlation"]) for path in node.input["ensembles"]]
    large = read_dataset(node.input["large"], ["structure_factor", "correlation"])
    last = min(p["time"], float(large["time"][-1]))
    window = 2.0 / 3.0 * last, last
    averages = [late_averages(ensemble, *window, p["temperature"], p["bootstrap"], rng) for ensemble in read]
    target = late_averages(large, *window, p["temperature"], p["bootstrap"], rng)
    named = symbols(large)
    rows = [
        {"dt": dt, **row, "symbol": named.get(row["observable"], row["observable"])}
        for dt, found in zip(dts, averages, strict=True)
        for row in biases(averages[0], found, target)
    ]
    unbiased = largest_unbiased(dts, [any(row["biased"] for row in rows if row["dt"] == dt) for dt in dts])
    bound = p["unstable_from"]
    stability = f"unstable from {bound:.3g} on" if bound is not None else "stable for every dt"
    before = f"""Averages over the times from {window[0]:.3g} to {window[1]:.3g}, against those at dt = {dts[0]:g}; errors are
bootstrap over replicas. Statistical error: of the large run in the same times. Biased: the bias exceeds that error by
more than its own uncertainty (95 % for all observables of a time step together). Largest unbiased dt: {unbiased:g};
{stability}."""
    write_table(node.output, rows, before)
    content = {"largest_unbiased_dt": unbiased, "unstable_from": bound, "statistical_error_of": "large", "rows": rows}
    write_json(node.output["timestep"], {**content, "provenance": provenance(node.parents)})


run_node(main, globals())
