"""Errors on held-out data by kind and by size of the field, exactness of the symmetry, distance from a potential, and size."""

from pathlib import Path

import numpy as np
import torch
import xarray as xr

from ennforce.forces import NetworkForces
from ennforce.io import inherited, provenance, read_dataset, write_dataset, write_json
from ennforce.models import from_parameters
from ennforce.networks.export import load_model
from ennforce.training.dataset import Samples, kinds_of
from ennforce.training.metrics import (
    cropped,
    equivariance_error,
    errors_by_size,
    force_errors,
    jacobian_antisymmetry,
    symmetry_elements,
)
from ennforce.workflow import Node, run_node

CROP = 16  # least side of the torus on which all derivatives of the force are taken


def main(node: Node) -> None:
    folder = Path(node.input["model"]).parent
    told, facts = load_model(folder)
    model = from_parameters(facts["model"])
    network = told.at(model.conditions)
    forces = NetworkForces(network, model, facts["target"])
    dataset = read_dataset(node.input["dataset"], ["fields", "forces_electronic", "split"])
    metrics: dict = {
        "parameters": facts["parameters"],
        "multiply_adds": network.multiply_adds,
        "receptive_radius": network.receptive_radius,
        "errors": {},
        "errors_by_size": {},
    }
    kept = {}
    kinds = kinds_of(dataset, "test")
    for kind in kinds:
        samples = Samples.select(dataset, "test", kind)
        predicted = model.space.acting(forces.electronic_forces(samples.fields), samples.fields, axis=1)
        metrics["errors"][kind] = {"configurations": len(samples), **force_errors(predicted, samples.forces)}
        metrics["errors_by_size"][kind] = errors_by_size(samples.fields, predicted, samples.forces)
        for name, values in (("predicted", predicted), ("exact", samples.forces)):
            kept[f"{name}_{kind}"] = (
                f"sample_{kind}",
                values.ravel().astype(np.float32),
                {"long_name": f"{name} electronic force", "units": "t"},
            )
    some = torch.as_tensor(Samples.select(dataset, "test", kinds[-1]).fields[-4:])
    metrics["equivariance_error"] = equivariance_error(network, some.numpy())
    metrics["group_elements"] = symmetry_elements(model.field_type, model.lattice)
    expanded = forces.network.on_torus(some).numpy()
    metrics["expansion_error"] = float(np.abs(expanded - network.on_torus(some).detach().numpy()).max())
    side = max(CROP, network.receptive_radius)  # a halo wraps around once at most
    metrics["jacobian_antisymmetry"] = jacobian_antisymmetry(network, cropped(some.numpy()[-1], side, model.lattice.dimension))
    if "predictions" in node.output:
        predictions = xr.Dataset(kept, attrs=provenance(node.parents, **inherited(dataset)))
        write_dataset(predictions, node.output["predictions"])
    write_json(node.output["metrics"], {**metrics, "provenance": provenance(node.parents)})


run_node(main, globals())
