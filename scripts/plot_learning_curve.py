"""Figure: error against the number of training snapshots."""

from ennforce.io import read_json
from ennforce.plotting import learning_curve, style
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    style.save(learning_curve.draw(read_json(node.input["curve"])), node.output["svg"], node.output["png"])


run_node(main, globals())
