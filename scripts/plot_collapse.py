"""Figure (h): dynamical scaling."""

from ennforce.io import read_dataset
from ennforce.plotting import collapse, style
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    drawing = collapse.draw(read_dataset(node.input["ensemble"]), read_dataset(node.input["growth"]))
    style.save(drawing, node.output["svg"], node.output["png"])


run_node(main, globals())
