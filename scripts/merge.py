"""The data sets of a sweep's points as one, in the units of one of them: what the network that they share is trained on."""

from ennforce.io import provenance, read_dataset, write_dataset
from ennforce.models import from_parameters
from ennforce.training.shared import merged
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    model = from_parameters(node.params["model"])
    wanted = ["fields", "forces_electronic", "kind", "trajectory", "split"]
    parts = [read_dataset(path, wanted) for path in node.input["datasets"]]
    dataset = merged(parts, model)
    facts = {key: parts[0].attrs[key] for key in ("solver", "tolerance", "seed", "bath") if key in parts[0].attrs}
    dataset.attrs = provenance(node.parents, model=model.parameters(), **facts)
    write_dataset(dataset, node.output["dataset"])


run_node(main, globals())
