"""Electronic forces of sampled configurations by KPM, at the tolerance of the study, or finer where forces are weak."""

import logging

import numpy as np

from ennforce.electrons import Electrons
from ennforce.electrons.selfconsistent import NotConverged
from ennforce.forces import KPMForces
from ennforce.io import DataError, provenance, read_dataset, write_dataset
from ennforce.models import Hamiltonian, from_parameters
from ennforce.workflow import Node, run_node

log = logging.getLogger("ennforce")
# A label's largest error is at most this share of the rms force of its configuration: small fields are labelled again, finer.
SHARE = 0.03
FINEST = 1e-6


def labelled(model: Hamiltonian, tolerance: float, fields: np.ndarray, **settings) -> tuple[np.ndarray, Electrons]:
    """Electronic forces of one configuration, and the solution that they come from."""
    while True:
        solver = KPMForces(model, tolerance, **settings)
        forces = solver.electronic_forces(fields)
        assert solver.last is not None
        finer = SHARE * float(np.sqrt(np.mean(forces**2))) / model.force_bound
        if tolerance <= max(finer, FINEST):
            return forces, solver.last
        tolerance = max(0.5 * finer, FINEST)


def main(node: Node) -> None:
    p = node.params
    model = from_parameters(p["model"])
    samples = read_dataset(node.input["configurations"], ["fields", "trajectory"])
    if samples["fields"].shape[-model.lattice.dimension :] != model.lattice.shape:
        raise DataError(
            f"{node.input['configurations']} holds configurations of shape {samples['fields'].shape[1:]}: sample it again"
        )
    forces, errors, steps, methods, kept = [], [], [], [], []
    for n, fields in enumerate(samples["fields"].values):
        try:
            force, electrons = labelled(model, p["tolerance"], fields, margin=p["margin"], method=p["method"])
        except NotConverged as failure:
            log.warning("configuration %d has no label and is left out: %s", n, failure)
            continue
        kept.append(n)
        forces.append(force)
        errors.append(electrons.error)
        steps.append(electrons.steps)
        methods.append(electrons.method)
        node.progress(n + 1, samples.sizes["sample"], f"{methods[-1]}, {steps[-1]} steps, error <= {errors[-1]:.1e}")
    if not kept:
        raise DataError(
            f"no configuration of {node.input['configurations']} has a self-consistent density: use a weaker interaction"
        )
    samples = samples.isel(sample=kept)
    long_name = "electronic force -<dH_e/dQ>"
    samples["forces_electronic"] = (
        samples["fields"].dims,
        np.array(forces, dtype=np.float32),
        {"long_name": long_name, "units": "t"},
    )
    samples["density_error"] = (
        "sample",
        np.array(errors),
        {"long_name": "estimated largest error of the density matrix", "units": "1"},
    )
    samples["solver_steps"] = ("sample", np.array(steps), {"long_name": "multiplications by H for each site", "units": "1"})
    samples["solver_method"] = ("sample", np.array(methods), {"long_name": "local expansion of the density matrix"})
    temperature = np.full(samples.sizes["sample"], model.temperature)
    samples = samples.assign_coords(
        temperature=("sample", temperature, {"long_name": "electron temperature of the label", "units": "t"})
    )
    samples.attrs |= provenance(node.parents, model=model.parameters(), solver="kpm", tolerance=p["tolerance"])
    write_dataset(samples, node.output["labelled"])


run_node(main, globals())
