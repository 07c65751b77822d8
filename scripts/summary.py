"""The numbers of the study, as JSON and as a table."""

import numpy as np

from ennforce.io import provenance, read_dataset, read_json, write_json
from ennforce.tables import scarce, write_table
from ennforce.workflow import Node, run_node


def number(value) -> float | None:
    """None, which JSON can hold, where a number could not be measured."""
    return float(value) if np.isfinite(float(value)) else None


def growth_row(name: str, exponent: dict) -> tuple[str, str]:
    if exponent["alpha"] is None or exponent["error"] is None:
        return f"growth exponent of L_{name}", "not measured: too few times with domains between noise and box / 4"
    value = f"{exponent['alpha']:.2f} ± {exponent['error']:.2f}{scarce(exponent['replicas'])}"
    return f"growth exponent of L_{name}, t > {exponent['from_time']:.0f}", value


def percent(row: dict) -> str:
    """A difference of a comparison with its interval, its margin and the verdict."""
    if row["difference"] is None:
        return row["verdict"]
    difference, low, high, margin = (100.0 * row[key] for key in ("difference", "low", "high", "margin"))
    return f"{difference:+.2f} % [{low:+.2f}, {high:+.2f}], margin {margin:g} %: {row['verdict']}"


def audit_rows(audit: dict, corrected: dict) -> list[tuple[str, str]]:
    """How wrong the network was where it went, and whether corrected forces give the solver's dynamics; nothing without audits."""
    if not audit:
        return []
    every = next(row for row in audit["rows"] if row["class"] == "all sites")
    return [
        (
            f"force error on the large quench itself, {every['sites']} sites audited, relative; largest at one time",
            f"{100 * every['relative']:.2f} %; {100 * audit['largest_relative']:.2f} % at t = {audit['at']:.3g}",
        ),
        (
            f"corrected dynamics against the solver's, {corrected['pairs']} pairs, {corrected['noise']} noise",
            f"**{corrected['verdict']}**",
        ),
    ]


def comparison_rows(comparison: dict) -> list[tuple[str, str]]:
    """The verdict on the learned dynamics, and what it rests on."""
    error, text = comparison["solver_force_error"], f"{comparison['pairs']} pairs, {comparison['noise']} noise"
    return [
        (f"learned dynamics against the solver's, {text}", f"**{comparison['verdict']}**"),
        *(
            (f"{row['difference_of']}, {row['from']:g} < t < {row['to']:g}, 95 % all together", percent(row))
            for row in comparison["rows"]
        ),
        (
            "the solver's own force error on its trajectories, rms over the force's, largest",
            f"{error['rms'] / error['force_rms']:.1e}, {error['largest']:.1e} t",
        ),
    ]


def check_rows(few: str, divergence: dict, timestep: dict, equilibrium: dict, conservation: dict) -> list[tuple[str, str]]:
    """Of the checks that the model has: the last two are empty where it has no stationary start, or no momenta."""
    exponent = divergence["lyapunov"]
    measured = exponent["exponent"] is not None
    return [
        *(
            (
                f"stationary states, {row['observable']} at T = {row['temperature']:g}, network less KPM, 95 % all together",
                f"{row['difference']:+.1e} [{row['low']:+.1e}, {row['high']:+.1e}] of {row['kpm']:.3g}",
            )
            for row in equilibrium.get("rows", [])
            if row["observable"] in ("order", "field_square")
        ),
        *(
            (
                f"energy drift without friction, {row['engine']}, t per site and unit time, 95 %",
                f"{row['energy_drift']:+.1e} [{row['energy_drift_low']:+.1e}, {row['energy_drift_high']:+.1e}]: {row['verdict']}",
            )
            for row in conservation.get("rows", [])
        ),
        *(
            (
                f"kinetic temperature with friction, {row['engine']}, over the bath's, 95 %",
                f"{row['kinetic_temperature'] / row['bath_temperature']:.3f} ± "
                f"{row['kinetic_temperature_width'] / row['bath_temperature']:.3f}",
            )
            for row in conservation.get("rows", [])
        ),
        (
            "rate at which neighbouring trajectories with the same noise part",
            f"{exponent['exponent']:.3f} ± {exponent['error']:.3f}{few}" if measured else "not measured",
        ),
        ("largest time step without a bias that the study could see", f"{timestep['largest_unbiased_dt']:g}"),
    ]


def main(node: Node) -> None:
    replicas: dict[str, int] = node.params["replicas"]
    metrics, check = (read_json(node.input[name]) for name in ("metrics", "check"))
    names = ("comparison", "equilibrium", "conservation", "divergence", "timestep")
    checks = {name: read_json(node.input[name]) if name in node.input else {} for name in names}
    audit, corrected = (read_json(node.input[name]) if name in node.input else {} for name in ("audit", "comparison_corrected"))
    growth = read_dataset(node.input["growth"], ["late_exponent"])
    exponents = {
        name: {
            "alpha": number(growth["late_exponent"].sel(definition=name)),
            "error": number(growth["late_exponent_error"].sel(definition=name)),
            "from_time": number(growth["late_from"].sel(definition=name)),
            "replicas": replicas["large"],
        }
        for name in growth["definition"].values
    }
    spread = number(growth["collapse_spread"])
    compared = checks.pop("comparison")
    summary = {
        "force_error": metrics["errors"],
        "equivariance_error": metrics["equivariance_error"],
        "label_error": {kind: check[kind] for kind in ("random", "quench")},
        "comparison": {key: compared[key] for key in ("verdict", "pairs", "noise", "rows", "solver_force_error")},
        "audit": {key: audit[key] for key in ("rows", "largest_relative", "at") if key in audit},
        "corrected": {key: corrected[key] for key in ("verdict", "pairs", "noise", "rows") if key in corrected},
        "smallest_corrected_p_value": {"equilibrium": checks["equilibrium"].get("smallest_corrected_p_value")},
        "energy_drift": {
            row["engine"]: [row["energy_drift"], row["energy_drift_error"]] for row in checks["conservation"].get("rows", [])
        },
        "divergence": {key: checks["divergence"][key] for key in ("lyapunov", "time_to_part")},
        "largest_unbiased_dt": checks["timestep"]["largest_unbiased_dt"],
        "growth": exponents,
        "collapse_spread": spread,
    }
    rows = [
        *comparison_rows(compared),
        *audit_rows(audit, corrected),
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
        *check_rows(scarce(replicas["divergence"]), **checks),
        *(growth_row(name, exponent) for name, exponent in exponents.items()),
        ("scaling collapse: rms spread of C(r/L) between late times", f"{spread:.3f}" if spread is not None else "not measured"),
    ]
    write_table(node.output, [{"quantity": name, "value": value} for name, value in rows])
    write_json(node.output["summary"], {**summary, "provenance": provenance(node.parents)})


run_node(main, globals())
