"""The network that the points of a sweep share, as a plain network of one of them, in its units and under its conditions."""

import shutil
from dataclasses import asdict
from pathlib import Path

from ennforce.forces import NetworkForces
from ennforce.io import provenance, read_json
from ennforce.models import from_parameters
from ennforce.networks.export import save_model
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    folder, model = Path(node.input["model"]).parent, from_parameters(node.params["model"])
    shared = NetworkForces.load(folder, model)
    own = shared.folded()
    assert own.seen is not None
    facts = read_json(folder / "model.json") | {
        "model": model.parameters(),
        "seen": asdict(own.seen),
        "parameters": sum(weight.numel() for weight in own.trained.parameters()),
        "field_range": [-own.seen.largest, own.seen.largest],
        "size": list(model.lattice.shape),
        "bath": node.params["bath"],
        "provenance": provenance(node.parents),
    }
    shutil.copyfile(node.input["history"], node.output["history"])
    save_model(Path(node.output["model"]).parent, own.trained, facts)


run_node(main, globals())
