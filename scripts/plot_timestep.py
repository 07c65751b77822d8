"""Figure: biases against the time step."""

from ennforce.io import read_json
from ennforce.plotting import style, timestep
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    drawing = timestep.draw(read_json(node.input["timestep"]))
    style.save(drawing, node.output["svg"], node.output["png"])


run_node(main, globals())
