"""Figure: how fast trajectories part."""

from ennforce.io import read_dataset, read_json
from ennforce.plotting import divergence, style
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    drawing = divergence.draw(read_dataset(node.input["distances"]), read_json(node.input["rates"]))
    style.save(drawing, node.output["svg"], node.output["png"])


run_node(main, globals())
