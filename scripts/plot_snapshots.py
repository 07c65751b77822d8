"""Figure (e): domains after the quench."""

from ennforce.io import read_dataset
from ennforce.plotting import snapshots, style
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    drawing = snapshots.draw(read_dataset(node.input["ensemble"], ["fields"]))
    style.save(drawing, node.output["svg"], node.output["png"])


run_node(main, globals())
