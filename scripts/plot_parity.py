"""Figure (c): predicted against exact force."""

from ennforce.io import read_dataset, read_json
from ennforce.plotting import parity, style
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    drawing = parity.draw(read_dataset(node.input["predictions"]), read_json(node.input["metrics"])["errors"])
    style.save(drawing, node.output["svg"], node.output["png"])


run_node(main, globals())
