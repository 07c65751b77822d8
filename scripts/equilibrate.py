"""One stationary state of several replicas, by KPM forces from the ordered state: where all the engines of `conserve` start."""

import numpy as np
import xarray as xr

from ennforce.dynamics import State, integrator
from ennforce.forces import KPMForces
from ennforce.io import provenance, write_dataset
from ennforce.models import from_parameters
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    p, bath = node.params, node.params["bath"]
    model = from_parameters(p["model"])
    forces = KPMForces(model, p["tolerance"], sampled=True, margin=p["margin"], method=p["method"])
    seed = node.seed(4)
    ordered = {"initial_sigma": p["sigma"], "initial_order": p["order"], "initial_temperature": bath["temperature"]}
    start = State.before_quench(model, np.arange(p["replicas"]), seed, {**bath, **ordered})
    engine = integrator(model, forces, bath)
    steps = round(p["time"] / bath["dt"])
    end = engine.run(start, steps, lambda state: node.progress(state.step, steps))
    dims = ("replica", *model.space.axes(model.lattice))
    variables = {
        "fields": (dims, end.fields, {"long_name": "field", "units": "1"}),
        "momenta": (dims, end.momenta, {"long_name": "momentum of half a step before", "units": "1"}),
    }
    facts = {"model": p["model"], "bath": bath, "seed": p["seed"], "solver": "kpm", "tolerance": p["tolerance"]}
    state = xr.Dataset(variables, {"replica": end.replicas}, provenance(node.parents, **facts))
    write_dataset(state, node.output["state"])


run_node(main, globals())
