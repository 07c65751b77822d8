"""What each network of the comparison reached: error on held-out data, steps, CPU time, and how the validation error fell."""

import numpy as np

from ennforce.io import read_json
from ennforce.tables import as_markdown, write_table
from ennforce.training.frontier import lowest_by
from ennforce.workflow import Node, run_node

STEPS = (300, 1000, 3000, 10000, 30000, 100000)
SECONDS = (30, 100, 300, 1000, 3600)


def main(node: Node) -> None:
    rows, curves = [], []
    for name, *files in zip(node.params["names"], *(node.input[k] for k in ("models", "metrics", "histories")), strict=True):
        facts, metrics = read_json(files[0]), read_json(files[1])
        steps, _, errors, *timed = np.loadtxt(files[2], delimiter=",", skiprows=1, ndmin=2).T
        row = {"name": name, "parameters": metrics["parameters"], "multiply_adds": metrics["multiply_adds"]}
        row |= {"steps": facts["steps"], "best_step": facts["best_step"], "seconds": facts.get("seconds")}
        row |= {"stopped_by": facts["stopped"], "validation": errors.min()}
        rows.append(row | {kind: metrics["errors"][kind]["relative"] for kind in ("quench", "random")})
        curve = {f"{mark} steps": error for mark, error in zip(STEPS, lowest_by(STEPS, steps, errors), strict=True)}
        if timed:
            curve |= {f"{mark} s": error for mark, error in zip(SECONDS, lowest_by(SECONDS, timed[0], errors), strict=True)}
        curves.append({"name": name, **curve})
    before = """Networks trained on the same data; relative errors on held-out configurations, multiply-adds per site.
"patience": the validation error had stopped falling, at reduced learning rates too. Seconds: CPU time of the steps."""
    after = f"""Lowest validation error after so many steps and after so much CPU time, of averaged weights:

{as_markdown(curves)}"""
    write_table(node.output, rows, before, after)


run_node(main, globals())
