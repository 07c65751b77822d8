"""Error against cost of every network and solver, in one table."""

from ennforce.io import provenance, read_json, write_json
from ennforce.rivals import OWN
from ennforce.tables import write_table
from ennforce.training.frontier import cost_at_error
from ennforce.workflow import Node, run_node


def network_row(name: str, facts: dict, metrics: dict, timed: dict) -> dict:
    microseconds = timed["microseconds"]
    architecture, threads = facts["architecture"], str(max(map(int, microseconds)))
    errors = {
        f"{kind}_{measure}": metrics["errors"][kind][measure]
        for kind in ("quench", "random")
        for measure in ("relative", "rmse", "mae", "max", "mse")
    }
    return {
        "name": name, "method": architecture["kind"], "width": architecture["width"], "depth": architecture["depth"],
        "parameters": metrics["parameters"], "multiply_adds": metrics["multiply_adds"],
        "receptive_radius": metrics["receptive_radius"], "training_steps": facts["steps"],
        "microseconds_1_thread": microseconds["1"], "microseconds_all_threads": microseconds[threads],
        "reference_relative": timed["errors"]["against_exact"]["relative"], **errors,
        "equivariance_error": metrics["equivariance_error"], "jacobian_antisymmetry": metrics["jacobian_antisymmetry"],
    }  # fmt: skip


def main(node: Node) -> None:
    timing = read_json(node.input["timing"])
    networks = []
    for name, model, metrics in zip(node.params["names"], node.input["models"], node.input["metrics"], strict=True):
        networks.append(network_row(name, read_json(model), read_json(metrics), timing["networks"][name]))
    front_errors = [row["errors"]["against_exact"]["relative"] for row in timing["local"]]
    front_costs = [row["microseconds"]["1"] for row in timing["local"]]
    for row in networks:
        row["times_cheaper_than_solver"] = (
            cost_at_error(row["reference_relative"], front_errors, front_costs) / row["microseconds_1_thread"]
        )
    empty = dict.fromkeys(networks[0])
    threads = str(timing["threads"])
    solvers = []
    for row in [*timing["local"], *timing["kpm"]]:
        within = "tolerance" in row
        name = f"kpm {row['tolerance']:g}" if within else f"local {row['name']}"
        method = f"within a tolerance ({row['method']})" if within else "fixed effort"
        measures = ("relative", "rmse", "mae", "max", "mse")
        errors = {f"quench_{measure}": row["errors"]["against_exact"][measure] for measure in measures}
        cost = {"microseconds_1_thread": row["microseconds"]["1"], "microseconds_all_threads": row["microseconds"][threads]}
        reference = {"reference_relative": errors["quench_relative"]}
        solvers.append({**empty, "name": name, "method": method, **cost, **reference, **errors})
    for row in timing["corrected"]:
        bias = row["errors"]["against_exact"]["relative"]
        cost = {"microseconds_1_thread": row["microseconds"]["1"], "reference_relative": bias}
        times = cost_at_error(bias, front_errors, front_costs) / row["microseconds"]["1"]
        solvers.append({**empty, "name": row["name"], "method": "corrected network", **cost, "times_cheaper_than_solver": times})
    for row in timing["exact"]:
        names = {"name": f"exact {row['size']} x {row['size']}", "method": "exact diagonalisation"}
        solvers.append({**empty, **names, "microseconds_all_threads": row["microseconds"]})
    rows = [*networks, *solvers]
    shown = [key for key in empty if key not in ("width", "depth", "receptive_radius", "quench_mse", "random_mse", "random_mae")]
    label_errors = timing["label_errors"]
    before = f"""Electronic forces: errors in units of t (relative: over the standard deviation of the force), microseconds per
site. Networks: {OWN} is the study's own, the others were trained on its data for the same time; errors on held-out configurations.
All but diagonalisation timed in one run on a torus of side {timing["size"]}, all threads: {timing["threads"]}.
Reference: the error on {timing["references"]} held-out snapshots against exact diagonalisation, where that of the labels is
{label_errors["rmse"]:.2g}, {100 * label_errors["relative"]:.2g} %; the other errors of solvers are of these snapshots too.
Local: expansions of a fixed order and radius, or of so many Lanczos steps and poles and a radius, without a check; of the settings
tried, those that none beats in both error and cost. Corrected: a network that the solver corrects on a share of the sites at every
step; its error is that of the mean over draws, and its cost holds all that a step takes, the search for an effort included.
KPM: every density within a tolerance, windows checked on a sample of sites.
Times cheaper than the solver: than local expansions of the same reference error, one thread each; beyond their ends, than the last.
Machine: {timing["machine"]}."""
    write_table(node.output, rows, before, shown=[{key: row[key] for key in shown} for row in rows])
    solved = {key: timing[key] for key in ("local", "kpm", "corrected", "exact", "label_errors", "machine", "threads", "size")}
    write_json(node.output["comparison"], {"networks": networks, **solved, "provenance": provenance(node.parents)})


run_node(main, globals())
