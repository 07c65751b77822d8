"""Figure (g): domain growth and effective exponents."""

from ennforce.io import read_dataset
from ennforce.plotting import growth, style
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    drawing = growth.draw(read_dataset(node.input["ensemble"]), read_dataset(node.input["growth"]))
    style.save(drawing, node.output["svg"], node.output["png"])


run_node(main, globals())
