"""The start and snapshots of one quench, run with KPM forces; a kill loses no more than the time since the last checkpoint."""

import numpy as np
import xarray as xr

from ennforce.dynamics import Recorder, State, log_spaced_steps, quench
from ennforce.forces import KPMForces
from ennforce.io import provenance, write_dataset
from ennforce.models import from_parameters
from ennforce.training.dataset import configurations
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    p, bath = node.params, node.params["bath"]
    model = from_parameters(p["model"])
    number = int(node.wildcards["number"])
    seed = node.seed(2)
    forces = KPMForces(model, p["tolerance"], sampled=True, margin=p["margin"], method=p["method"])
    kept = log_spaced_steps(p["first_snapshot"], p["steps"], p["snapshots"])
    recorder = Recorder(
        lambda state: xr.Dataset(),
        np.array([]),
        kept,
        bath["dt"],
        node.checkpoint,
        node.checkpoint_seconds,
        model.space.axes(model.lattice),
    )
    replicas = np.array([number])
    quench(forces, model, replicas, seed, bath, p["steps"], recorder, resumed=node.resumed, progress=node.progress)
    recorded = recorder.dataset().isel(replica=0)
    fields, times = recorded["fields"].values, recorded["snapshot_time"].values
    if p["first_snapshot"] == 0:
        start = State.before_quench(model, replicas, seed, bath)
        fields, times = np.concatenate([start.fields, fields]), np.array([0.0, *times])
    dataset = configurations(
        fields.reshape(len(fields), model.components, *model.lattice.shape),
        model.lattice,
        kind="quench",
        time=times,
        trajectory=np.full(len(fields), number),
    )
    dataset.attrs = provenance(
        model=model.parameters(), seed=p["seed"], bath=bath, solver="kpm", tolerance=p["tolerance"], trajectory=number
    )
    write_dataset(dataset, node.output["configurations"])
    node.checkpoint.unlink(missing_ok=True)


run_node(main, globals())
