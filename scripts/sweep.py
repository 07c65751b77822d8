"""One line for each point of a sweep: what was swept, force errors, the verdict on the dynamics, growth exponents."""

from ennforce.analysis.comparison import over_networks
from ennforce.io import read_json
from ennforce.tables import as_markdown, write_table
from ennforce.workflow import Node, run_node


def numbers(summary: dict) -> dict[str, float | str | None]:
    """Of one point; None where nothing could be measured."""
    errors = {f"force_error_{kind}": error["relative"] for kind, error in summary["force_error"].items()}
    compared = summary["comparison"]["rows"]
    row = {**errors, "dynamics": summary["comparison"]["verdict"]}
    row["different"] = (
        ", ".join(f"{r['observable']} from t = {r['from']:g}" for r in compared if r["verdict"] == "different") or "none"
    )
    for name, exponent in summary["growth"].items():
        row |= {f"exponent_{name}": exponent["alpha"], f"exponent_{name}_error": exponent["error"]}
    return row


def main(node: Node) -> None:
    keys = ("force_error", "comparison", "growth")
    summaries = [read_json(path, keys) for path in node.input["summaries"]]
    found = [numbers(summary) for summary in summaries]
    rows = [{"point": n, **p, **f} for n, p, f in zip(node.params["names"], node.params["points"], found, strict=True)]
    header = [*node.params["points"][0], *(key for key in found[0] if not key.endswith("_error"))]
    readable = [{key: cell(row, key) for key in header} for row in rows]
    of_seeds = set(node.params["points"][0]) == {"seed"} and len(summaries) > 1
    after = seeds([summary["comparison"]["rows"] for summary in summaries]) if of_seeds else ""
    write_table(node.output, rows, after=after, shown=readable)


def seeds(tables: list[list[dict]]) -> str:
    """What studies that differ in their seed alone say together of network against solver: the error of the network included."""
    rows = over_networks(tables)
    text = f"""Network less solver over {len(tables)} seeds, each with data, training, starts and noise of its own: mean, standard
deviation between seeds, interval of the mean (95 %, each row by itself).

"""
    return text + as_markdown(rows) if rows else ""


def cell(row: dict, key: str) -> str:
    value = row[key]
    if key.startswith("force_error"):
        return f"{100 * value:.2f} %"
    if key.startswith("exponent"):
        return "not measured" if value is None or row[f"{key}_error"] is None else f"{value:.2f} ± {row[f'{key}_error']:.2f}"
    return str(value)


run_node(main, globals())
