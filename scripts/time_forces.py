"""Microseconds a site of networks, kernel polynomials and exact diagonalisation, in one run; errors of the solvers."""

from pathlib import Path

import numpy as np

from ennforce.forces import ExactForces, KPMForces, NetworkForces
from ennforce.hamiltonians import from_parameters
from ennforce.io import attribute, provenance, read_dataset, write_json
from ennforce.training.dataset import Samples
from ennforce.training.frontier import machine, median_seconds, on_square
from ennforce.training.metrics import force_errors
from ennforce.workflow import Node, run_node, set_threads

PATIENCE = 4.0  # seconds after which a slow method is not timed once more


def main(node: Node) -> None:
    p, repeats = node.params, node.params["repeats"]
    dataset = read_dataset(node.input["dataset"], ["fields", "forces_electronic", "split"])
    model = from_parameters(attribute(dataset, "model"))
    held_out = Samples.select(dataset, "test", "quench")
    chosen = np.linspace(0, len(held_out) - 1, p["references"]).astype(int)
    fields, labels = held_out.fields[chosen].astype(float), held_out.forces[chosen]
    networks = {Path(path).parent.name: NetworkForces.load(Path(path).parent) for path in node.input["models"]}
    solvers = {t: KPMForces(model, t, sampled=True, margin=p["margin"], method=p["method"]) for t in p["tolerances"]}
    large = on_square(fields[0, 0], p["size"])
    threads = sorted({1, node.threads})

    def microseconds(call, sites: int, repeats: int = repeats) -> dict[str, float]:
        """By number of threads."""
        found = {}
        for count in threads:
            set_threads(count)
            found[str(count)] = 1e6 * median_seconds(call, repeats, PATIENCE) / sites
        return found

    exact = ExactForces(model).electronic_forces(fields)
    solved = []
    for tolerance, solver in solvers.items():
        forces = solver.electronic_forces(fields)
        errors = {"against_exact": force_errors(forces, exact), "against_labels": force_errors(forces, labels)}
        cost = microseconds(lambda solver=solver: solver.electronic_forces(fields), fields.size)
        solved.append({"tolerance": tolerance, "method": solver.last.method, "microseconds": cost, "errors": errors})
        node.progress(len(solved), len(solvers), f"tolerance {tolerance:g}")
    timing = {
        "machine": machine(),
        "threads": node.threads,
        "size": p["size"],
        "networks": {name: microseconds(lambda f=forces: f.forces(large), large.size) for name, forces in networks.items()},
        "kpm": solved,
        "exact": [diagonalisation(model, fields[0], size, repeats) for size in p["exact_sizes"]],
        "label_errors": force_errors(labels, exact),
    }
    write_json(node.output["timing"], {**timing, "provenance": provenance(node.parents)})


def diagonalisation(model, fields: np.ndarray, size: int, repeats: int) -> dict:
    """With all threads: the threads of LAPACK are fixed when the process starts."""
    solver, enlarged = ExactForces(model.resized(size, size)), on_square(fields, size)
    seconds = median_seconds(lambda: solver.electronic_forces(enlarged), repeats, PATIENCE)
    return {"size": size, "microseconds": 1e6 * seconds / size**2}


run_node(main, globals())
