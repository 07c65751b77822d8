"""Errors of networks on quenches at bath temperatures and lattice sizes that they were not trained on."""

from pathlib import Path

from ennforce.forces import NetworkForces
from ennforce.io import attribute, read_dataset, write_atomically
from ennforce.tables import as_csv, as_markdown
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
    write_atomically(node.output["csv"], lambda path: path.write_text(as_csv(rows), encoding="utf-8"))
    write_atomically(node.output["markdown"], lambda path: path.write_text(as_markdown(rows), encoding="utf-8"))


run_node(main, globals())
