"""Domain growth of an ensemble: L(t), effective exponents with errors."""

import numpy as np

from ennforce.analysis.growth import growth
from ennforce.io import inherited, provenance, read_dataset, write_dataset
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    p = node.params["analysis"]
    ensemble = read_dataset(node.input["ensemble"], ["length_half_mean"])
    result = growth(
        ensemble, law=node.params["law"], first_time=p["first_time"], smoothing=p["smoothing"], count=p["bootstrap"],
        rng=np.random.default_rng(node.params["seed"]),
    )  # fmt: skip
    result.attrs = provenance(node.parents, **inherited(ensemble))
    write_dataset(result, node.output["growth"])


run_node(main, globals())
