"""Late-time averages against the time step, and the largest step whose biases the study's own errors would hide."""

import numpy as np

from ennforce.analysis.timestep import biases, largest_unbiased, late_averages, stability_bound
from ennforce.io import provenance, read_dataset, write_atomically, write_json
from ennforce.tables import as_csv, as_markdown
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    p, dts = node.params, node.params["dts"]
    rng = np.random.default_rng(p["seed"])
    read = [read_dataset(path, ["structure_factor", "correlation", "kinetic_temperature"]) for path in node.input["ensembles"]]
    large = read_dataset(node.input["large"], ["structure_factor", "correlation", "kinetic_temperature"])
    last = min(p["time"], float(large["time"][-1]))
    window = 2.0 / 3.0 * last, last
    finest, *others = (late_averages(ensemble, *window, p["temperature"], p["bootstrap"], rng) for ensemble in read)
    target = late_averages(large, *window, p["temperature"], p["bootstrap"], rng)
    rows = [{"dt": dt, **row} for dt, other in zip(dts, [finest, *others], strict=True) for row in biases(finest, other, target)]
    for row in rows[: len(finest)]:  # the reference itself
        row |= {"relative_bias": 0.0, "biased": False}
    unbiased = largest_unbiased(dts, [any(row["biased"] is not False for row in rows if row["dt"] == dt) for dt in dts])
    bound = stability_bound(p["K"], p["kappa"], p["mass"])
    text = f"""Averages over the times from {window[0]:.3g} to {window[1]:.3g}, against those at dt = {dts[0]:g}; errors are bootstrap over
replicas. Statistical error: of the large run in the same times. Biased: the bias exceeds that error by more than its own
uncertainty (95 % for all observables of a time step together). Largest unbiased dt: {unbiased:g}; the scheme is unstable from {bound:.3g} on.

{as_markdown(rows)}"""
    write_atomically(node.output["csv"], lambda path: path.write_text(as_csv(rows), encoding="utf-8"))
    write_atomically(node.output["markdown"], lambda path: path.write_text(text, encoding="utf-8"))
    finite = [{key: value if value is None or not value != value else None for key, value in row.items()} for row in rows]
    content = {"largest_unbiased_dt": unbiased, "unstable_from": bound, "statistical_error_of": "large", "rows": finite}
    write_json(node.output["timestep"], {**content, "provenance": provenance(node.parents)})


run_node(main, globals())
