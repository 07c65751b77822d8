"""Snapshots of quenches that a network drives itself, those to be labelled drawn by its error on them, which the solver audits."""

from pathlib import Path

import numpy as np
import xarray as xr

from ennforce.corrected import FollowingForces
from ennforce.dynamics import log_spaced_steps
from ennforce.forces import NetworkForces
from ennforce.io import provenance, write_dataset, write_json
from ennforce.models import from_parameters
from ennforce.refining import audited, choose, explore
from ennforce.training.dataset import configurations, split_trajectories
from ennforce.workflow import Node, run_node

ACCURACY = 5e-3  # of the solver that audits: networks err by a percent and more


def main(node: Node) -> None:
    p, fractions = node.params, tuple(node.params["split"][name] for name in ("train", "validation", "test"))
    model, seed = from_parameters(p["model"]), node.seed(9, int(node.wildcards["round"]))
    network = NetworkForces.load(Path(node.input["model"][0]).parent, model)
    runs = [candidates(node, network, number, seed, fractions) for number in range(len(p["temperatures"]))]
    # In the order of their times, over which the draws are spread then.
    found = xr.concat(runs, "sample").sortby("time")
    training = found["split"].values == "train"
    errors = np.zeros(found.sizes["sample"])
    errors[training] = audited(
        network, FollowingForces(model, ACCURACY), found["fields"].values[training], seed,
        lambda done, total: node.progress(done, total, "snapshots audited"),
    )  # fmt: skip
    chosen = choose(errors, found["split"].values, p["labels"], fractions, np.random.default_rng(seed))
    drawn = training[chosen]
    dataset = found.isel(sample=chosen)
    dataset["audited_error"] = (
        "sample",
        np.where(drawn, np.sqrt(errors[chosen]), np.nan),
        {"long_name": "error of the network's force over the rms force, on drawn sites", "units": "1"},
    )
    dataset.attrs = provenance(
        node.parents, model=model.parameters(), seed=p["seed"], bath=p["bath"], solver="none", tolerance="none"
    )
    write_dataset(dataset, node.output["configurations"])
    told = {
        "candidates": int(training.sum()),
        "labels": len(chosen),
        # The first is that of the network of the round before, on its own runs.
        "relative_error": float(np.sqrt(errors[training].mean())),
        "largest_relative_error": float(np.sqrt(errors.max())),
        "relative_error_of_chosen": float(np.sqrt(errors[chosen[drawn]].mean())),
    }
    write_json(node.output["errors"], {**told, "provenance": provenance(node.parents)})


def candidates(
    node: Node, network: NetworkForces, number: int, seed: int, fractions: tuple[float, float, float]
) -> xr.Dataset:  # fmt: skip
    """All snapshots of the runs at the temperature of this number, split by run. A run takes seconds, so none is resumed."""
    p, model = node.params, network.model
    bath = {**p["bath"], "temperature": p["temperatures"][number] * p["bath"]["temperature"]}
    numbers = number * p["runs"] + np.arange(p["runs"])
    kept = log_spaced_steps(p["first_snapshot"], p["steps"], p["snapshots"])
    steps = [0, *kept] if p["first_snapshot"] == 0 else kept
    fields, times = explore(network, model, numbers, seed, bath, steps, node.progress)
    first = p["first"] + (int(node.wildcards["round"]) - 1) * p["runs"] * len(p["temperatures"])
    found = configurations(
        fields.reshape(-1, *fields.shape[2:]),
        model.lattice,
        kind="quench",
        time=np.tile(times, len(numbers)),
        trajectory=np.repeat(first + numbers, len(times)),
    )
    splits = split_trajectories(found["trajectory"].values, fractions)
    return found.assign_coords(split=("sample", np.array([splits[int(t)] for t in found["trajectory"].values])))


run_node(main, globals())
