"""Error against cost of every network, of kernel polynomials and of exact diagonalisation, in one table."""

from ennforce.io import provenance, read_json, write_atomically, write_json
from ennforce.tables import as_csv, as_markdown
from ennforce.training.frontier import cost_at_error
from ennforce.workflow import Node, run_node


def network_row(name: str, facts: dict, metrics: dict, microseconds: dict) -> dict:
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
        "microseconds_1_thread": microseconds["1"], "microseconds_all_threads": microseconds[threads], **errors,
        "equivariance_error": metrics["equivariance_error"], "jacobian_antisymmetry": metrics["jacobian_antisymmetry"],
    }  # fmt: skip


def main(node: Node) -> None:
    timing = read_json(node.input["timing"])
    networks = []
    for name, model, metrics in zip(node.params["names"], node.input["models"], node.input["metrics"], strict=True):
        networks.append(network_row(name, read_json(model), read_json(metrics), timing["networks"][name]))
    kpm_errors = [row["errors"]["against_exact"]["relative"] for row in timing["kpm"]]
    kpm_costs = [row["microseconds"]["1"] for row in timing["kpm"]]
    for row in networks:
        row["times_cheaper_than_kpm"] = cost_at_error(row["quench_relative"], kpm_errors, kpm_costs) / row["microseconds_1_thread"]
    empty = dict.fromkeys(networks[0])
    threads = str(timing["threads"])
    solvers = []
    for row in timing["kpm"]:
        errors = {
            f"quench_{measure}": row["errors"]["against_exact"][measure] for measure in ("relative", "rmse", "mae", "max", "mse")
        }
        cost = {"microseconds_1_thread": row["microseconds"]["1"], "microseconds_all_threads": row["microseconds"][threads]}
        solvers.append({**empty, "name": f"kpm {row['tolerance']:g}", "method": f"kpm ({row['method']})", **cost, **errors})
    for row in timing["exact"]:
        names = {"name": f"exact {row['size']} x {row['size']}", "method": "exact diagonalisation"}
        solvers.append({**empty, **names, "microseconds_all_threads": row["microseconds"]})
    rows = [*networks, *solvers]
    shown = [key for key in empty if key not in ("width", "depth", "receptive_radius", "quench_mse", "random_mse", "random_mae")]
    label_errors = timing["label_errors"]
    text = f"""Electronic forces: errors in units of t (relative: over the standard deviation of the force), microseconds a site.
Networks: trained on the same data for the same time, errors on held-out configurations, timed on a torus of side {timing["size"]}.
Kernel polynomials (sampled windows): timed on held-out snapshots, errors there against exact diagonalisation; the labels' own
error there is {label_errors["rmse"]:.2g}, {100 * label_errors["relative"]:.2g} %. All threads: {timing["threads"]}.
Times cheaper than KPM: at equal error on quench data, one thread each; where the network's error is larger than that of the loosest
tolerance, against that tolerance. Machine: {timing["machine"]}.

{as_markdown([{key: row[key] for key in shown} for row in rows])}"""
    write_atomically(node.output["csv"], lambda path: path.write_text(as_csv(rows), encoding="utf-8"))
    write_atomically(node.output["markdown"], lambda path: path.write_text(text, encoding="utf-8"))
    solved = {key: timing[key] for key in ("kpm", "exact", "label_errors", "machine", "threads", "size")}
    write_json(node.output["comparison"], {"networks": networks, **solved, "provenance": provenance(node.parents)})


run_node(main, globals())
