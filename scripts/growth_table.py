"""Growth of every network-driven ensemble in one table: what differs, exponents with errors, the law they follow."""

from ennforce.io import read_dataset
from ennforce.tables import scarce, write_table
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    rows = []
    for run, path in zip(node.params["runs"], node.input["growths"], strict=True):
        growth = read_dataset(path, ["late_exponent", "late_deviation", "law_curvature"])
        for name in growth["definition"].values:
            chosen = growth.sel(definition=name)
            length = chosen["length"].values
            kept = length[length == length]
            rows.append(
                {
                    **run,
                    "length": str(name),
                    "from time": float(chosen["late_from"]),
                    "last L": float(kept[-1]) if len(kept) else float("nan"),
                    "alpha": float(chosen["late_exponent"]),
                    "error": float(chosen["late_exponent_error"]),
                    "(alpha - 1/2) / error": float(chosen["late_deviation"]),
                    "alpha of (a + b t)^alpha": float(chosen["shifted_exponent"]),
                    "its error": float(chosen["shifted_exponent_error"]),
                    **{f"curvature, {law}": float(chosen["law_curvature"].sel(law=law)) for law in growth["law"].values},
                }
            )
    few = [run["run"] for run in node.params["runs"] if scarce(run["replicas"])]
    write_table(node.output, rows, after=f"Too few replicas for an error: {', '.join(few)}.\n" if few else "")


run_node(main, globals())
