"""Network against KPM dynamics: for each observable a permutation test of the two ensembles, and their largest difference."""

import numpy as np

from ennforce.analysis.ensemble import two_sample_p_value
from ennforce.io import provenance, read_dataset, write_json
from ennforce.workflow import Node, run_node

OBSERVABLES = ("length_half", "length_structure", "length_wall", "field_square", "energy", "kinetic_temperature")
PERMUTATIONS = 2000


def main(node: Node) -> None:
    network, kpm = (read_dataset(node.input[name], OBSERVABLES) for name in ("network", "kpm"))
    rng = np.random.default_rng(node.params["seed"])
    result: dict = {"replicas": {"network": network.sizes["replica"], "kpm": kpm.sizes["replica"]}}
    for name in OBSERVABLES:
        first, second = (dataset[name].transpose("replica", "time").values for dataset in (network, kpm))
        statistic, p_value = two_sample_p_value(first, second, PERMUTATIONS, rng)
        with np.errstate(invalid="ignore"):
            difference = np.abs(first.mean(axis=0) / second.mean(axis=0) - 1.0)
        result[name] = {
            "statistic": statistic,
            "p_value": p_value,
            "rms_relative_difference": float(np.sqrt(np.nanmean(difference**2))),
        }
    write_json(node.output["comparison"], {**result, "provenance": provenance(node.parents)})


run_node(main, globals())
