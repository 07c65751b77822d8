"""The numbers of the study, as JSON and as a table."""

import numpy as np

from ennforce.analysis.growth import LENGTHS
from ennforce.io import provenance, read_dataset, read_json, write_atomically, write_json
from ennforce.workflow import Node, run_node


def number(value) -> float | None:
    """None, which JSON can hold, where a number could not be measured."""
    return float(value) if np.isfinite(float(value)) else None


def growth_row(name: str, exponent: dict) -> tuple[str, str]:
    if exponent["alpha"] is None or exponent["error"] is None:
        return f"growth exponent of L_{name}", "not measured: too few times with domains between noise and box / 4"
    return f"growth exponent of L_{name}, t > {exponent['from_time']:.0f}", f"{exponent['alpha']:.2f} ± {exponent['error']:.2f}"


def main(node: Node) -> None:
    metrics, check, comparison = (read_json(node.input[name]) for name in ("metrics", "check", "comparison"))
    growth = read_dataset(node.input["growth"], ["late_exponent"])
    exponents = {
        name: {
            "alpha": number(growth["late_exponent"].sel(definition=name)),
            "error": number(growth["late_exponent_error"].sel(definition=name)),
            "from_time": number(growth["late_from"].sel(definition=name)),
        }
        for name in LENGTHS
    }
    spread = number(growth["collapse_spread"])
    compared = {name: value for name, value in comparison.items() if isinstance(value, dict) and "p_value" in value}
    summary = {
        "force_error": metrics["errors"],
        "equivariance_error": metrics["equivariance_error"],
        "label_error": {kind: check[kind] for kind in ("random", "quench")},
        "dynamics_p_values": {name: value["p_value"] for name, value in compared.items()},
        "growth": exponents,
        "collapse_spread": spread,
    }
    rows = [
        ("quantity", "value"),
        ("---", "---"),
        *(
            (f"force error on held-out {kind} data, relative", f"{100 * e['relative']:.2f} %")
            for kind, e in metrics["errors"].items()
        ),
        *(
            (f"largest force error, {kind}, in std of the force", f"{e['max'] / e['std']:.2f}")
            for kind, e in metrics["errors"].items()
        ),
        (f"equivariance error over {metrics['group_elements']} elements, relative", f"{metrics['equivariance_error']:.1e}"),
        *(
            (f"labels against exact diagonalisation, {kind}, largest error of <n>", f"{check[kind]['max_density_error']:.1e}")
            for kind in ("random", "quench")
        ),
        *((f"network against KPM dynamics, {name}: p-value", f"{value['p_value']:.2f}") for name, value in compared.items()),
        *(growth_row(name, exponent) for name, exponent in exponents.items()),
        ("scaling collapse: rms spread of C(r/L) between late times", f"{spread:.3f}" if spread is not None else "not measured"),
    ]
    table = "".join(f"| {name} | {value} |\n" for name, value in rows)
    write_atomically(node.output["table"], lambda path: path.write_text(table, encoding="utf-8"))
    write_json(node.output["summary"], {**summary, "provenance": provenance(node.parents)})


run_node(main, globals())
