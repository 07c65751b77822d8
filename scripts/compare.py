"""Network against KPM dynamics: for each observable a permutation test of the two ensembles, and their largest difference."""

import numpy as np

from ennforce.analysis.ensemble import two_sample_p_value
from ennforce.io import provenance, read_dataset, write_json
from ennforce.workflow import Node, run_node

OBSERVABLES = ("length_structure", "length_wall", "field_square", "energy", "kinetic_temperature")
DISTANCES = (2.0, 5.0, 10.0)  # at which C(r, t) is compared
PERMUTATIONS = 2000


def main(node: Node) -> None:
    ensembles = [read_dataset(node.input[name], [*OBSERVABLES, "correlation"]) for name in ("network", "kpm")]
    rng = np.random.default_rng(node.params["seed"])
    curves = {name: [ensemble[name] for ensemble in ensembles] for name in OBSERVABLES}
    for distance in DISTANCES:
        chosen = [ensemble["correlation"].sel(r=distance, method="nearest") for ensemble in ensembles]
        curves[f"correlation at r = {float(chosen[0]['r']):.1f}"] = chosen
    result: dict = {
        "replicas": {name: ensemble.sizes["replica"] for name, ensemble in zip(("network", "kpm"), ensembles, strict=True)}
    }
    for name, pair in curves.items():
        first, second = (curve.transpose("replica", "time").values for curve in pair)
        statistic, p_value = two_sample_p_value(first, second, PERMUTATIONS, rng)
        difference = first.mean(axis=0) - second.mean(axis=0)
        result[name] = {
            "statistic": statistic,
            "p_value": p_value,
            "rms_difference": float(np.sqrt(np.mean(difference**2))),
            "rms_value": float(np.sqrt(np.mean(second.mean(axis=0) ** 2))),
        }
    write_json(node.output["comparison"], {**result, "provenance": provenance(node.parents)})


run_node(main, globals())
