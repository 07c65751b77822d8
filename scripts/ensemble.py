"""All replicas of an ensemble in one file, with means and bootstrap errors."""

import json

import numpy as np

from ennforce.analysis.ensemble import combine, pooled_error
from ennforce.io import inherited, provenance, read_dataset, write_dataset
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    observables = [read_dataset(path, ["structure_factor"]) for path in node.input["observables"]]
    # Audits are of their own analysis.
    observables = [chunk.drop_dims("site_class", errors="ignore") for chunk in observables]
    result = combine(observables, node.params["bootstrap"], np.random.default_rng(node.params["seed"]))
    errors = [json.loads(chunk.attrs["force_error"]) for chunk in observables if "force_error" in chunk.attrs]
    facts = {"force_error": pooled_error(errors)} if errors else {}
    result.attrs = provenance(node.parents, **inherited(observables[0]), engine=observables[0].attrs["engine"], **facts)
    write_dataset(result, node.output["ensemble"])


run_node(main, globals())
