"""Train a network, or train one further; resumes after a kill."""

import platform
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from ennforce import processes
from ennforce.io import attribute, file_digest, provenance, read_dataset, write_atomically
from ennforce.models import from_parameters
from ennforce.networks import Architecture, build, register
from ennforce.networks.export import load_model, save_model
from ennforce.networks.ranges import FieldRange
from ennforce.training.dataset import KINDS, Samples, nested_subset, with_total_force
from ennforce.training.loop import Recipe, fit
from ennforce.training.shared import brought
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    count = min(node.training_processes, node.threads)  # Snakemake grants no more threads than it has cores
    if count > 1 and not torch.distributed.is_torchelastic_launched():
        node.in_processes(__file__, count)
        return
    with processes.joined() as device:
        train(node, device)


def train(node: Node, device: str) -> None:
    p, training = node.params, node.params["training"]
    dataset = with_total_force(read_dataset(node.input["dataset"], ["fields", "forces_electronic", "split"]))
    dataset = nested_subset(dataset, p["fraction"], p["seed"])
    model = from_parameters(attribute(dataset, "model"))
    network = {**p["network"], "kind": register(p["network"]["kind"])}
    architecture = Architecture(lattice=model.lattice.name, field_type=str(model.field_type), **network)
    reach = build(architecture).receptive_radius
    if min(model.lattice.shape) < 2 * reach:
        raise ValueError(
            f"the network reaches {reach} sites, and the data are of {model.lattice}: use at least {2 * reach} sites each way "
            f"(data.shape), or leave this network out (frontier.models)"
        )
    start = None
    if node.input.get("start"):
        start, known = load_model(Path(node.input["start"][0]).parent, model)
        if known["target"] != training["target"]:
            raise ValueError(
                f"training cannot go on from {node.input['start'][0]}, which learned the {known['target']} force: set "
                f"training.target to that, or start from another network (refine.start)"
            )
        if known["target"] == "electronic":
            start = brought(start, from_parameters(known["model"], model), model)
    target = f"forces_{training['target']}"
    samples, validation = (
        Samples.select(dataset, split, target=target, inputs=architecture.inputs) for split in ("train", "validation")
    )
    trained = fit(
        architecture,
        samples,
        validation,
        Recipe(
            steps=training["steps"], batch=training["batch"], learning_rate=training["learning_rate"],
            validate_every=training["validate_every"], seed=p["seed"], seconds=training["seconds"],
            patience=training["patience"], crop=training["crop"],
        ),
        start=start,
        device=device,
        checkpoint=node.checkpoint,
        interval=node.checkpoint_seconds,
        resumed=node.resumed,
        progress=node.progress,
    )  # fmt: skip
    if processes.number() > 0:
        return
    header, history, timed = "step,training_error,validation_error", trained.history, training["seconds"] is not None
    if timed:  # a training by steps repeats exactly, its times do not
        header, history = f"{header},seconds", np.column_stack([history, trained.seconds])
    write_atomically(
        node.output["history"], lambda path: np.savetxt(path, history, delimiter=",", header=header, comments="", fmt="%.8g")
    )
    facts = {
        "model": model.parameters(),
        "target": training["target"],
        "training": training,
        "steps": int(trained.history[-1, 0]),
        "best_step": trained.best_step,
        "stopped": trained.stopped,
        **({"seconds": float(trained.seconds[-1])} if timed else {}),
        "samples": {kind: len(Samples.select(dataset, "train", kind)) for kind in KINDS},
        "parameters": sum(weight.numel() for weight in trained.network.parameters()),
        "dataset": file_digest(node.input["dataset"]),
        "history": file_digest(node.output["history"]),
        "seen": asdict(FieldRange.of(samples.fields)),
        "field_range": [float(dataset["fields"].min()), float(dataset["fields"].max())],
        "size": list(model.lattice.shape),
        # Random configurations alone know none.
        "bath": attribute(dataset, "bath") if "bath" in dataset.attrs else None,
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "torch": torch.__version__},
        "provenance": provenance(node.parents),
    }
    save_model(Path(node.output["model"]).parent, trained.network, facts)
    node.checkpoint.unlink(missing_ok=True)


run_node(main, globals())
