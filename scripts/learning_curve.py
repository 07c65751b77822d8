"""Held-out error against the number of training snapshots, with the exponent of a power law for each network."""

from ennforce.io import provenance, read_json, write_json
from ennforce.tables import as_markdown, write_table
from ennforce.training.frontier import power_law
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    rows, fits = [], {}
    members = zip(node.params["members"], node.input["models"], node.input["metrics"], strict=True)
    for (name, fraction), model, metrics in members:
        samples, errors = read_json(model)["samples"], read_json(metrics)["errors"]
        rows.append(
            {
                "name": name,
                "fraction": fraction,
                "snapshots": samples["quench"],
                "random_configurations": samples["random"],
                **{f"{kind}_{measure}": errors[kind][measure] for kind in ("quench", "random") for measure in ("relative", "rmse")},
            }
        )
    for name in dict.fromkeys(row["name"] for row in rows):
        own = [row for row in rows if row["name"] == name]
        fits[name] = power_law([row["snapshots"] for row in own], [row["quench_relative"] for row in own])
    before = "Networks trained on nested parts of the same data for the same time; errors on held-out configurations."
    law = "prefactor x snapshots^(-exponent); standard errors from the scatter about the fit"
    exponents = as_markdown([{"name": name, **fit} for name, fit in fits.items()])
    after = f"Fits of the error on quench snapshots: {law}.\n\n{exponents}"
    write_table(node.output, rows, before, after)
    write_json(node.output["curve"], {"points": rows, "fits": fits, "provenance": provenance(node.parents)})


run_node(main, globals())
