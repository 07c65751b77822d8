"""How fast trajectories from the same states with the same noise part: network, kernel polynomials, a disturbed network."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from ennforce.analysis.stability import exponential_rate, first_above
from ennforce.dynamics import State, equally_spaced_steps, integrator
from ennforce.forces import ForceField, KPMForces, NetworkForces
from ennforce.io import provenance, write_dataset, write_json
from ennforce.models import from_parameters
from ennforce.workflow import Node, run_node

# Trajectories have parted when their distance is this share of that of unrelated fields; below, neighbours part exponentially.
LINEAR = 0.1


def main(node: Node) -> None:
    p, bath = node.params, node.params["bath"]
    model = from_parameters(p["model"])
    seed = node.seed(6)
    start = State.before_quench(model, np.arange(p["replicas"]), seed, bath)
    kick = np.random.default_rng(seed).normal(size=start.fields.shape)
    disturbed = replace(start, fields=model.space.near(start.fields, p["perturbation"], kick, model.lattice))
    steps = round(p["time"] / bath["dt"])
    recorded = equally_spaced_steps(steps, p["observations"])

    def fields_along(forces: ForceField, state: State) -> np.ndarray:
        kept = [state.fields.copy()]
        engine = integrator(model, forces, bath)
        engine.run(state, steps, lambda state: kept.append(state.fields.copy()) if state.step in recorded else None)
        return np.array(kept)

    network = NetworkForces.load(Path(node.input["model"][0]).parent, model)
    solvers = [
        KPMForces(model, tolerance, sampled=True, margin=p["margin"], method=p["method"])
        for tolerance in (p["dynamics_tolerance"], p["tolerance"])
    ]
    learned, nearby = fields_along(network, start), fields_along(network, disturbed)
    loose, tight = (fields_along(solver, start) for solver in solvers)
    pairs = {"network, disturbed": (learned, nearby), "network, KPM": (learned, tight), "KPM, KPM": (loose, tight)}
    time = np.array([0, *recorded]) * bath["dt"]
    distances = {name: np.sqrt(((a - b) ** 2).mean(axis=tuple(range(2, a.ndim)))).T for name, (a, b) in pairs.items()}
    coordinates = {"pair": list(pairs), "replica": start.replicas, "time": time}
    result = xr.Dataset({"distance": (("pair", "replica", "time"), np.array(list(distances.values())))}, coordinates)
    result["distance"].attrs = {"long_name": "rms difference of the fields", "units": "1"}
    result["spread"] = (
        ("time",),
        np.sqrt(2.0 * (tight**2).mean(axis=tuple(range(1, tight.ndim)))),
        {"long_name": "rms of unrelated fields"},
    )
    result.attrs = provenance(
        node.parents, model=p["model"], bath=bath, seed=p["seed"], solver="network, kpm", tolerance=p["tolerance"]
    )
    write_dataset(result, node.output["distances"])
    level = LINEAR * float(result["spread"][-1])
    rate, error, window = exponential_rate(time, distances["network, disturbed"], level)
    values = {"exponent": rate, "error": error, "from": window[0], "to": window[1]}
    parted = {name: first_above(time, distance, level) for name, distance in distances.items()}
    content = {
        "lyapunov": {key: value if np.isfinite(value) else None for key, value in values.items()},
        "time_to_part": {name: value if np.isfinite(value) else None for name, value in parted.items()},
        "final_distance": {name: float(distance[:, -1].mean()) for name, distance in distances.items()},
    }
    write_json(node.output["rates"], {**content, "provenance": provenance(node.parents)})


run_node(main, globals())
