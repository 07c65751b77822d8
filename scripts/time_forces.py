"""Microseconds per site of networks and solvers on one lattice in one run, and their errors on the same held-out configurations."""

import itertools
import logging
from pathlib import Path

import numpy as np

from ennforce.corrected import CorrectedForces, FollowingForces
from ennforce.forces import ExactForces, KPMForces, LocalForces, NetworkForces
from ennforce.io import attribute, provenance, read_dataset, write_json
from ennforce.models import Hamiltonian, from_parameters
from ennforce.training.dataset import Samples
from ennforce.training.frontier import machine, median_seconds, on_square, pareto, seconds_of_correction
from ennforce.training.metrics import force_errors
from ennforce.workflow import Node, run_node, set_threads

log = logging.getLogger("ennforce")
PATIENCE = 4.0  # seconds after which a slow method is not timed once more


def main(node: Node) -> None:
    p, repeats = node.params, node.params["repeats"]
    dataset = read_dataset(node.input["dataset"], ["fields", "forces_electronic", "split"])
    model = from_parameters(attribute(dataset, "model"))
    held_out = Samples.select(dataset, "test", "quench")
    chosen = np.linspace(0, len(held_out) - 1, p["references"]).astype(int)
    fields, labels = held_out.fields[chosen].astype(float), held_out.forces[chosen]
    networks = dict(zip(p["names"], (NetworkForces.load(Path(path).parent) for path in node.input["models"]), strict=True))
    large, model_of_large = on_square(fields[0, 0], p["size"]), model.resized(p["size"], p["size"])
    threads = sorted({1, node.threads})
    exact = ExactForces(model).electronic_forces(fields)

    def microseconds(forces) -> dict[str, float]:
        """By number of threads, on the large lattice."""
        found = {}
        for count in threads:
            set_threads(count)
            found[str(count)] = 1e6 * median_seconds(lambda: forces.electronic_forces(large), repeats, PATIENCE) / large.size
        return found

    def errors(forces) -> dict:
        found = forces.electronic_forces(fields)
        return {"against_exact": force_errors(found, exact), "against_labels": force_errors(found, labels)}

    trained = {name: {"microseconds": microseconds(forces), "errors": errors(forces)} for name, forces in networks.items()}
    local = []
    settings = fixed_efforts(p, lanczos=model.filling is None)
    for options in settings:
        forces = LocalForces(model, **options)
        cost = microseconds(LocalForces(model_of_large, **options))
        local.append({"name": str(forces.effort), **options, "microseconds": cost, "errors": errors(forces)})
        node.progress(len(local), len(settings), str(forces.effort))
    kept = pareto([row["errors"]["against_exact"]["relative"] for row in local], [row["microseconds"]["1"] for row in local])
    solved = []
    for tolerance in p["tolerances"]:
        solver, larger = (
            KPMForces(m, tolerance, sampled=True, margin=p["margin"], method=p["method"]) for m in (model, model_of_large)
        )
        cost = microseconds(larger)
        row = {"tolerance": tolerance, "microseconds": cost, "errors": errors(solver)}
        solved.append({**row, "method": solver.last.method})
        node.progress(len(solved), len(p["tolerances"]), f"tolerance {tolerance:g}")
    corrected = []
    for name in dict.fromkeys((next(iter(networks)), min(networks, key=lambda name: trained[name]["microseconds"]["1"]))):
        for accuracy, share in itertools.product(p["accuracies"], p["shares"]):
            try:
                row = corrected_row(name, networks[name], model_of_large, large, share, accuracy, repeats)
                corrected.append(row | {"errors": errors(FollowingForces(model, accuracy))})
            except ValueError as refusal:
                log.warning("no corrected force within %g: %s", accuracy, refusal)
    timing = {
        "machine": machine(),
        "threads": node.threads,
        "size": p["size"],
        "references": len(fields),
        "networks": trained,
        "local": [local[number] for number in kept],
        "kpm": solved,
        "corrected": corrected,
        "exact": [diagonalisation(model, fields[0], size, repeats) for size in p["exact_sizes"]],
        "label_errors": force_errors(labels, exact),
    }
    write_json(node.output["timing"], {**timing, "provenance": provenance(node.parents)})


def corrected_row(
    name: str, network: NetworkForces, model: Hamiltonian, fields: np.ndarray, share: float, accuracy: float, repeats: int
) -> dict:
    """Cost of a corrected force on one thread, what is settled once for LONG steps shared out among them, and its noise."""
    set_threads(1)
    forces = CorrectedForces(network, FollowingForces(model, accuracy), share)
    seconds = seconds_of_correction(forces, fields, repeats, PATIENCE)
    drawn, effort = forces.drawn(fields[None], 1, np.array([0])), forces.efforts[0]
    return {
        "name": f"{name} + {effort}, 1/{round(1 / share)}", "network": name, "share": share, "accuracy": accuracy, "effort": effort,
        "microseconds": {"1": 1e6 * seconds / fields.size}, "noise": float(np.sqrt(drawn.variance.mean())),
    }  # fmt: skip


def fixed_efforts(p: dict, lanczos: bool) -> list[dict]:
    """Options of ``LocalForces``: every order with every radius, and the Lanczos settings where the model takes them."""
    found = [{"order": order, "radius": radius} for radius in p["radii"] for order in p["orders"]]
    return found + [dict(zip(("steps", "poles", "radius"), row, strict=True)) for row in p["lanczos"] if lanczos]


def diagonalisation(model, fields: np.ndarray, size: int, repeats: int) -> dict:
    """With all threads: the threads of LAPACK are fixed when the process starts."""
    solver, enlarged = ExactForces(model.resized(size, size)), on_square(fields, size)
    seconds = median_seconds(lambda: solver.electronic_forces(enlarged), repeats, PATIENCE)
    return {"size": size, "microseconds": 1e6 * seconds / size**2}


run_node(main, globals())
