"""Figure (i): growth under other boxes, starts, time steps and temperatures."""

from ennforce.io import read_dataset
from ennforce.plotting import style, variants
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    growths = {name: read_dataset(path) for name, path in zip(node.params["runs"], node.input["growths"], strict=True)}
    style.save(variants.draw(growths, node.params["labels"]), node.output["svg"], node.output["png"])


run_node(main, globals())
