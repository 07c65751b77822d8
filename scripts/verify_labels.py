"""Exact diagonalisation of a few labels of each kind: the deviation of KPM labels, recorded and bounded."""

import numpy as np

from ennforce.forces import ExactForces
from ennforce.io import DataError, attribute, provenance, read_dataset, write_json
from ennforce.models import from_parameters
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    dataset = read_dataset(node.input["dataset"], ["fields", "forces_electronic"])
    model = from_parameters(attribute(dataset, "model"))
    exact = ExactForces(model)
    result: dict = {"tolerance_of_density": float(dataset.attrs["tolerance"])}
    for kind in ("random", "quench"):
        members = np.flatnonzero(dataset["kind"].values == kind)
        chosen = members[np.linspace(0, len(members) - 1, node.params["samples"]).astype(int)]
        part = dataset.isel(sample=chosen)
        truth = exact.electronic_forces(part["fields"].values)
        deviation = part["forces_electronic"].values - truth
        sites = tuple(range(1, truth.ndim))
        result[kind] = {
            "samples": len(chosen),
            "rms_force_error": float(np.sqrt((deviation**2).mean())),
            "max_density_error": float(np.abs(deviation).max() / model.force_bound),
            "relative_force_error": float(np.sqrt((deviation**2).mean()) / truth.std()),
            # Each configuration's rms error by its own rms force: small fields have weak forces.
            "worst_relative_error": float(np.sqrt((deviation**2).mean(axis=sites) / (truth**2).mean(axis=sites)).max()),
        }
        if result[kind]["max_density_error"] > result["tolerance_of_density"]:
            raise DataError(
                f"{kind} labels miss their tolerance {result['tolerance_of_density']}: exact diagonalisation differs by "
                f"{result[kind]['max_density_error']:.2g}; lower solver.label_tolerance"
            )
    write_json(node.output["check"], {**result, "provenance": provenance(node.parents)})


run_node(main, globals())
