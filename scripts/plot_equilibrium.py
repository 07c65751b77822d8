"""Figure: stationary states of both engines."""

from ennforce.io import read_dataset, read_json
from ennforce.plotting import equilibrium, style
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    drawing = equilibrium.draw(read_json(node.input["equilibrium"]), read_dataset(node.input["distributions"]))
    style.save(drawing, node.output["svg"], node.output["png"])


run_node(main, globals())
