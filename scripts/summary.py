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


def check_rows(comparison: dict, equilibrium: dict, conservation: dict, divergence: dict, timestep: dict) -> list[tuple[str, str]]:
    exponent = divergence["lyapunov"]
    measured = exponent["exponent"] is not None
    return [
        ("the same, smallest p-value corrected for testing all", f"{comparison['smallest_corrected_p_value']:.2f}"),
        ("stationary states, smallest p-value corrected for testing all", f"{equilibrium['smallest_corrected_p_value']:.2f}"),
        *(
            (
                f"energy drift without friction, {row['engine']}, t a site and time",
                f"{row['energy_drift']:.1e} ± {row['energy_drift_error']:.0e}",
            )
            for row in conservation["rows"]
        ),
        *(
            (
                f"kinetic temperature with friction, {row['engine']}, over the bath's",
                f"{row['kinetic_temperature'] / row['bath_temperature']:.3f} ± "
                f"{row['kinetic_temperature_error'] / row['bath_temperature']:.3f}",
            )
            for row in conservation["rows"]
        ),
        (
            "rate at which neighbouring trajectories with the same noise part",
            f"{exponent['exponent']:.3f} ± {exponent['error']:.3f}" if measured else "not measured",
        ),
        ("largest time step without a bias that the study could see", f"{timestep['largest_unbiased_dt']:g}"),
    ]


def main(node: Node) -> None:
    metrics, check = (read_json(node.input[name]) for name in ("metrics", "check"))
    checks = {name: read_json(node.input[name]) for name in ("comparison", "equilibrium", "conservation", "divergence", "timestep")}
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
    compared = checks["comparison"]["observables"]
    summary = {
        "force_error": metrics["errors"],
        "equivariance_error": metrics["equivariance_error"],
        "label_error": {kind: check[kind] for kind in ("random", "quench")},
        "dynamics_p_values": {name: value["p_value"] for name, value in compared.items()},
        "smallest_corrected_p_value": {name: checks[name]["smallest_corrected_p_value"] for name in ("comparison", "equilibrium")},
        "energy_drift": {row["engine"]: [row["energy_drift"], row["energy_drift_error"]] for row in checks["conservation"]["rows"]},
        "divergence": {key: checks["divergence"][key] for key in ("lyapunov", "time_to_part")},
        "largest_unbiased_dt": checks["timestep"]["largest_unbiased_dt"],
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
        *check_rows(**checks),
        *(growth_row(name, exponent) for name, exponent in exponents.items()),
        ("scaling collapse: rms spread of C(r/L) between late times", f"{spread:.3f}" if spread is not None else "not measured"),
    ]
    table = "".join(f"| {name} | {value} |\n" for name, value in rows)
    write_atomically(node.output["table"], lambda path: path.write_text(table, encoding="utf-8"))
    write_json(node.output["summary"], {**summary, "provenance": provenance(node.parents)})


run_node(main, globals())
