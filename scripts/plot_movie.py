"""Movie (h): domains growing after the quench."""

from ennforce.io import read_dataset
from ennforce.plotting import movie
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    movie.save(movie.frames(read_dataset(node.input["ensemble"])), node.output["gif"])


run_node(main, globals())
