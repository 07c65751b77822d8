"""Figure: drift of the true energy and kinetic temperature."""

from ennforce.io import read_dataset, read_json
from ennforce.plotting import conservation, style
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    drawing = conservation.draw(read_json(node.input["conservation"]), [read_dataset(path) for path in node.input["energies"]])
    style.save(drawing, node.output["svg"], node.output["png"])


run_node(main, globals())
