"""True total energy, by exact diagonalisation, along the trajectories that one engine drives: without friction, and with it."""

from pathlib import Path

import numpy as np
import xarray as xr

from ennforce.dynamics import State, equally_spaced_steps, integrator
from ennforce.forces import ExactForces, ForceField, KPMForces, NetworkForces
from ennforce.io import provenance, read_dataset, write_dataset
from ennforce.models import from_parameters
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    p, bath = node.params, node.params["bath"]
    model = from_parameters(p["model"])
    exact = ExactForces(model)
    forces: ForceField
    if p["tolerance"] is None:
        forces = NetworkForces.load(Path(node.input["model"][0]).parent, model)
    else:
        forces = KPMForces(model, p["tolerance"], sampled=True, margin=p["margin"], method=p["method"])
    start = read_dataset(node.input["state"], ["fields", "momenta"])
    # The noise is the same for every engine; the start's own is used up.
    seed = node.seed(5)
    state = State(start["fields"].values, start["momenta"].values, 0, seed, start["replica"].values)
    steps = round(p["time"] / bath["dt"])
    axes = tuple(range(1, state.fields.ndim))
    recorded = [0, *equally_spaced_steps(steps, p["observations"]).tolist()]
    runs = []
    for ensemble, friction in (("NVE", 0.0), ("NVT", bath["friction"])):
        energies, temperatures = [], []

        def observe(state: State, ensemble=ensemble, energies=energies, temperatures=temperatures) -> None:
            if state.step not in recorded:
                return
            temperatures.append((state.momenta**2).mean(axis=axes) / bath["mass"])
            momenta = state.momenta + 0.5 * bath["dt"] * forces.forces(state.fields)  # at the time of the fields
            kinetic = 0.5 * model.components * (momenta**2).mean(axis=axes) / bath["mass"]
            energies.append(exact.grand_potential(state.fields) / model.lattice.num_sites + kinetic)
            node.progress(state.step + 1, steps + 1, ensemble)

        observe(state)
        engine = integrator(model, forces, bath, friction=friction)
        engine.run(state, steps, observe)
        dims = ("time", "replica")
        run = {
            "energy": (dims, energies, {"long_name": "total energy per site, electrons included", "units": "t"}),
            "kinetic_temperature": (dims, temperatures, {"long_name": "<P^2>/m", "units": "t"}),
        }
        coordinates = {"time": np.array(recorded) * bath["dt"], "replica": state.replicas}
        runs.append(xr.Dataset(run, coordinates).expand_dims(ensemble=[ensemble]))
    result = xr.concat(runs, "ensemble")
    result.attrs = provenance(
        node.parents, model=p["model"], bath=bath, seed=p["seed"],
        solver="network" if p["tolerance"] is None else "kpm", tolerance=p["tolerance"] or "none",
    )  # fmt: skip
    write_dataset(result, node.output["energies"])


run_node(main, globals())
