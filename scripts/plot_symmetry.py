"""Figure (a): neighbour shells and their irreps."""

from ennforce.lattice import Lattice
from ennforce.plotting import style, symmetry
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    drawing = symmetry.draw(Lattice(node.params["lattice"], (2, 2)))
    style.save(drawing, node.output["svg"], node.output["png"])


run_node(main, globals())
