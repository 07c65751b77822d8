"""Figure (k): the barrier that walls must climb."""

from ennforce.io import read_json
from ennforce.plotting import barrier, style
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    style.save(barrier.draw(read_json(node.input["barrier"])), node.output["svg"], node.output["png"])


run_node(main, globals())
