"""Figure (f): S(k, t)."""

from ennforce.io import read_dataset
from ennforce.plotting import structure_factor, style
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    drawing = structure_factor.draw(read_dataset(node.input["ensemble"], ["structure_factor_mean"]))
    style.save(drawing, node.output["svg"], node.output["png"])


run_node(main, globals())
