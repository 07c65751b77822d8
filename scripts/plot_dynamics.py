"""Figure (d): network against KPM dynamics."""

from ennforce.io import read_dataset, read_json
from ennforce.plotting import dynamics, style
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    network, kpm = read_dataset(node.input["network"]), read_dataset(node.input["kpm"])
    drawing = dynamics.draw(network, kpm, read_json(node.input["comparison"]))
    style.save(drawing, node.output["svg"], node.output["png"])


run_node(main, globals())
