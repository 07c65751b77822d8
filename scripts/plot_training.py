"""Figure (b): training curves."""

import numpy as np

from ennforce.io import DataError, file_digest, read_json
from ennforce.plotting import style, training
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    facts = read_json(node.input["model"], ["best_step"])
    if facts.get("history") not in (None, file_digest(node.input["history"])):  # older models do not tell
        raise DataError(f"{node.input['history']} is not the file that model.json describes: delete it and run again")
    history = np.loadtxt(node.input["history"], delimiter=",", skiprows=1, ndmin=2)
    drawing = training.draw(history, facts["best_step"])
    style.save(drawing, node.output["svg"], node.output["png"])


run_node(main, globals())
