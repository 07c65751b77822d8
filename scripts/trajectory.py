"""One chunk of replicas of a thermal quench, driven by one of three engines; observables are kept while it runs, and errors."""

from pathlib import Path

import numpy as np
import torch
import xarray as xr

from ennforce.accuracy import ReferenceForces
from ennforce.auditing import Audit, audited_steps
from ennforce.corrected import CorrectedForces, FollowingForces
from ennforce.dynamics import Recorder, State, equally_spaced_steps, log_spaced_steps, quench
from ennforce.forces import ForceField, NetworkForces
from ennforce.io import provenance, write_dataset
from ennforce.models import Hamiltonian, from_parameters
from ennforce.observables import Observer, observables_of, own_observables
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    p, bath, run = node.params, node.params["bath"], node.params["run"]
    model = from_parameters(p["model"])
    engine_name, chunk = node.wildcards["engine"], int(node.wildcards["chunk"])
    replicas = np.arange(chunk * run["chunk"], min((chunk + 1) * run["chunk"], run["replicas"]))
    # All engines start from the same states. With common noise their trajectories stay together until chaos parts them; with
    # noise of their own their ensembles are independent samples.
    seed = node.seed(3, *map(ord, node.wildcards["run"]))
    noise_seed = seed if run.get("noise") == "common" else node.seed(3, *map(ord, node.wildcards["run"] + engine_name))
    spaced = log_spaced_steps if run["spacing"] == "log" else lambda first, last, count: equally_spaced_steps(last, count)
    observed = spaced(1, run["steps"], run["observations"])
    forces, audit, device = engine(node, model, observed, noise_seed)
    measured = (*observables_of(model, bath["dynamics"]), *own_observables(p["observables"], model))
    observer = Observer(model, measured, bath["mass"])

    def observe(state: State) -> xr.Dataset:
        found = observer(state.fields, state.momenta, state.replicas)
        if isinstance(forces, CorrectedForces):
            solved = np.array([forces.solved[int(replica)] for replica in state.replicas])
            found["solved"] = ("replica", solved, {"long_name": "share of the sites that is solved", "units": "1"})
        return found if audit is None else found.merge(audit(state.fields, state.replicas, state.step))

    recorder = Recorder(
        observe,
        observed,
        spaced(max(1, run["steps"] // 100), run["steps"], run["snapshots"]),
        bath["dt"],
        node.checkpoint,
        node.checkpoint_seconds,
        model.space.axes(model.lattice),
        judge=audit.check if audit else lambda record: None,
        aligned=forces.aligned if isinstance(forces, CorrectedForces) else 1,
    )
    quench(
        forces, model, replicas, seed, bath, run["steps"], recorder,
        noise_seed=noise_seed, device=device, resumed=node.resumed, progress=node.progress,
    )  # fmt: skip
    dataset = recorder.dataset()
    facts = {"model": model.parameters(), "bath": bath, "engine": engine_name, "solver": engine_name, "seed": p["seed"]}
    if isinstance(forces, ReferenceForces):
        start = State.before_quench(model, replicas[:1], seed, bath)
        facts["force_error"] = real_error(forces, dataset["fields"], start)
    dataset.attrs = provenance(node.parents, **facts, tolerance=p["tolerance"] if engine_name == "kpm" else "none")
    write_dataset(dataset, node.output["observables"])
    node.checkpoint.unlink(missing_ok=True)


def engine(node: Node, model: Hamiltonian, observed: np.ndarray, seed: int) -> tuple[ForceField, Audit | None, str]:
    """What drives the run, what audits it, and the device that it runs on."""
    p, settings = node.params, node.params["settings"]
    name = node.wildcards["engine"]
    if name == "kpm":
        return ReferenceForces(model, p["tolerance"], margin=p["margin"], method=p["method"]), None, "cpu"
    device = "cuda" if name == "network" and torch.cuda.is_available() else "cpu"
    network = NetworkForces.load(Path(node.input["model"][0]).parent, model, device=device)
    audit = None
    if "audit" in settings:
        options = settings["audit"]
        steps, solver = audited_steps(observed, options["times"]), FollowingForces(model, options["accuracy"])
        # Corrected forces are right whatever the network's error.
        audit = Audit(network, solver, steps, options["share"], seed, node.audit_limit if name == "network" else None)
    if name == "network":
        return network, audit, device
    options = settings["corrected"]
    return CorrectedForces(network, FollowingForces(model, options["accuracy"]), options["share"], seed), audit, device


def real_error(reference: ReferenceForces, snapshots: xr.DataArray, start: State) -> dict[str, float | str]:
    """At the start, in the first, a middle and the last snapshot of the chunk's first replica."""
    chosen = sorted({0, (snapshots.sizes["snapshot_time"] - 1) // 2, snapshots.sizes["snapshot_time"] - 1})
    recorded = snapshots.isel(replica=0, snapshot_time=chosen).transpose("snapshot_time", ...).values
    return reference.error(np.concatenate([start.fields, recorded.astype(float)]))


run_node(main, globals())
