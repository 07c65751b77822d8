"""One data set from all labelled files, split by trajectory; without quenches it holds random configurations alone."""

from ennforce.io import provenance, read_dataset, write_dataset
from ennforce.training.dataset import assemble
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    wanted = ["fields", "forces_electronic", "kind", "trajectory"]
    random = read_dataset(node.input["random"], wanted)
    quenches = [read_dataset(path, wanted) for path in node.input["quenches"]]
    split = node.params["split"]
    dataset = assemble(random, quenches, (split["train"], split["validation"], split["test"]))
    facts = {key: random.attrs[key] for key in ("model", "solver", "tolerance", "seed")}
    bath = {"bath": quenches[0].attrs["bath"]} if quenches else {}
    dataset.attrs = provenance(node.parents, **facts, **bath, split=split)
    write_dataset(dataset, node.output["dataset"])


run_node(main, globals())
