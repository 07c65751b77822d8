"""Does the network answer small fields as the electrons do? At zero field against Lindhard, at small fields against the solver."""

from pathlib import Path

import numpy as np

from ennforce.analysis.response import along_path, bare_response, distances, gains, network_response, shells
from ennforce.forces import KPMForces, NetworkForces
from ennforce.io import provenance, write_json
from ennforce.models import from_parameters
from ennforce.networks.export import load_model
from ennforce.workflow import Node, run_node

CONFIGURATIONS = 4
TOLERANCE = 1e-4
NEAR = 0.4  # distance from (pi, pi) within which wave vectors order


def main(node: Node) -> None:
    p = node.params
    folder = Path(node.input["model"]).parent
    model = from_parameters(p["model"])
    shape, far = model.lattice.shape, distances(model.lattice.shape)
    told, facts = load_model(folder)
    network = told.at(model.conditions)
    exact, learned = bare_response(model)[0, 0], network_response(network, shape)
    if facts["target"] == "total":  # what it learned holds the elastic force, which is linear
        impulse = np.zeros(shape)
        impulse[(0,) * len(shape)] = 1.0
        learned = learned - np.fft.fftn(model.classical_forces(impulse)).real
    inside = shells(shape)
    result: dict = {"shells": list(inside), "small": []}
    result["zero"] = {name: [chi[m].mean() for m in inside.values()] for name, chi in (("exact", exact), ("network", learned))}
    result["zero"]["worst_near_peak"] = np.abs(learned / exact - 1.0)[far < NEAR].max()
    path, _ = along_path(exact)
    result["path"] = {"length": path, "exact": along_path(exact)[1], "network": along_path(learned)[1]}
    rng = np.random.default_rng(node.seed(8))
    solver = KPMForces(model, TOLERANCE, margin=p["margin"], method=p["method"])
    forces = NetworkForces.load(folder, model)
    for sigma in p["sigmas"]:
        fields = sigma * rng.normal(size=(CONFIGURATIONS, *shape))
        truth, predicted = solver.electronic_forces(fields), forces.electronic_forces(fields)
        relative = float(np.sqrt(((predicted - truth) ** 2).mean() / (truth**2).mean()))
        gain = {"exact": gains(fields, truth), "network": gains(fields, predicted)}
        result["small"].append({"sigma": sigma, "relative": relative, **gain})
    write_json(node.output["response"], {**_listed(result), "provenance": provenance(node.parents)})


def _listed(value):
    """Nested dictionaries and lists with arrays as lists of numbers, for JSON."""
    if isinstance(value, dict):
        return {key: _listed(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_listed(entry) for entry in value]
    return float(value)


run_node(main, globals())
