"""Figure: error against cost of networks and solvers."""

from ennforce.io import read_json
from ennforce.plotting import frontier, style
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    style.save(frontier.draw(read_json(node.input["comparison"])), node.output["svg"], node.output["png"])


run_node(main, globals())
