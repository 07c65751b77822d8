"""A data set with the labels of a round of learning from audits."""

from ennforce.io import provenance, read_dataset, write_dataset
from ennforce.training.dataset import extended
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    wanted = ["fields", "forces_electronic", "kind", "trajectory", "split"]
    before, labelled = (read_dataset(node.input[name], wanted) for name in ("before", "labelled"))
    dataset = extended(before, labelled)
    facts = {key: before.attrs[key] for key in ("model", "solver", "tolerance", "seed", "split")}
    bath = before.attrs.get("bath", labelled.attrs["bath"])
    dataset.attrs = provenance(node.parents, **facts, bath=bath)
    write_dataset(dataset, node.output["dataset"])


run_node(main, globals())
