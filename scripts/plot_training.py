"""Figure (b): training curves."""

import numpy as np

from ennforce.io import read_json
from ennforce.plotting import style, training
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    history = np.loadtxt(node.input["history"], delimiter=",", skiprows=1, ndmin=2)
    drawing = training.draw(history, read_json(node.input["model"])["best_step"])
    style.save(drawing, node.output["svg"], node.output["png"])


run_node(main, globals())
