"""Errors of networks on quenches at bath temperatures and lattice sizes that they were not trained on."""

from pathlib import Path

from ennforce.forces import NetworkForces
from ennforce.io import attribute, read_dataset
from ennforce.tables import write_table
from ennforce.training.metrics import force_errors
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    networks = dict(
        zip(node.params["names"], (NetworkForces.load(Path(path).parent) for path in node.input["models"]), strict=True)
    )
    rows = []
    for path in node.input["labelled"]:
        samples = read_dataset(path, ["fields", "forces_electronic"])
        shape = samples["fields"].shape[-2:]
        case = {
            "bath_temperature": attribute(samples, "bath")["temperature"],
            "shape": " x ".join(map(str, shape)),
            "snapshots": samples.sizes["sample"],
        }
        for name, forces in networks.items():
            predicted = forces.electronic_forces(samples["fields"].values)
            rows.append({"name": name, **case, **force_errors(predicted, samples["forces_electronic"].values)})
    write_table(node.output, rows)


run_node(main, globals())
