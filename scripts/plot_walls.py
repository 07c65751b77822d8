"""Figure (j): domain walls."""

from ennforce.io import read_dataset
from ennforce.plotting import style, walls
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    drawing = walls.draw(*(read_dataset(node.input[name]) for name in ("walls", "ensemble", "growth")))
    style.save(drawing, node.output["svg"], node.output["png"])


run_node(main, globals())
