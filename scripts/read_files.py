"""A data set from configurations that others labelled, once a few of their labels agree with the study's own electrons."""

import numpy as np

from ennforce.data import LabelledFile
from ennforce.io import provenance, write_dataset, write_json
from ennforce.models import from_parameters
from ennforce.training.agreement import check_labels, truth
from ennforce.training.foreign import described, joined, read_labelled
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    p = node.params
    model, split = from_parameters(p["model"]), p["split"]
    parts = [read_labelled(LabelledFile(**file), model) for file in p["files"]]
    dataset = joined(parts, model, (split["train"], split["validation"], split["test"]))
    # The judge must be much finer than what it judges.
    solver = truth(model, min(p["tolerance"], 0.1 * p["bound"]), margin=p["margin"], method=p["method"])
    checks = []
    for number, part in enumerate(parts):
        checks.append(check_labels(part, model, solver, p["samples"], p["bound"]))
        node.progress(number + 1, len(parts), f"{part.file.path} differs by {checks[-1]['worst_relative_error']:.1e}")
    facts = {"model": model.parameters(), "solver": "files", "tolerance": p["bound"], "seed": "none", "split": split}
    dataset.attrs = provenance(node.parents, **facts, files=described(parts))
    write_dataset(dataset, node.output["dataset"])
    # Of each kind the worst of the files that hold it: files are checked one by one, as each has a sign and unit of its own.
    result: dict = {"tolerance_of_density": None, "bound": p["bound"]}
    for kind in sorted(set(dataset["kind"].values)):
        held = [checks[n] for n in np.unique(dataset["source"].values[dataset["kind"].values == kind])]
        result[str(kind)] = {key: (sum if key == "samples" else max)(one[key] for one in held) for key in held[0]}
    files = {part.file.path: check for part, check in zip(parts, checks, strict=True)}
    write_json(node.output["check"], {**result, "files": files, "provenance": provenance(node.parents)})


run_node(main, globals())
