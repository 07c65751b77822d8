"""Figure: linear response of network and electrons."""

from ennforce.io import read_json
from ennforce.plotting import response, style
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    style.save(response.draw(read_json(node.input["response"])), node.output["svg"], node.output["png"])


run_node(main, globals())
