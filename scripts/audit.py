"""The force error of the network on the large quench that it drove, over time and by class of site, beside its test error."""

from ennforce.analysis.audits import ALL, errors_along, rows
from ennforce.io import provenance, read_dataset, read_json, write_dataset, write_json
from ennforce.tables import write_table
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    chunks = [read_dataset(path, ["audit_sites"]) for path in node.input["trajectories"]]
    along, tested = errors_along(chunks), read_json(node.input["metrics"])["errors"]["quench"]
    table = rows(along)
    all_sites = next(row for row in table if row["class"] == ALL)
    worst = along["rms"].sel(site_class=ALL) / along["force_rms"].sel(site_class=ALL)
    before = f"""The network's force against the solver's, on {all_sites["sites"]} sites drawn at {along.sizes["time"]} times
of its own large quench. Relative: over the rms force of the class. Largest: of the sites drawn. Bias: mean of error times
force over the mean square force; a response too strong by one per cent has 0.01. On held-out snapshots of the training
data's quenches the relative error is {100 * tested["relative"]:.2f} %."""
    write_table(node.output, table, before)
    content = {
        "rows": table,
        "test_error": tested["relative"],
        "largest_relative": float(worst.max()),
        "at": float(worst["time"][int(worst.argmax())]),
    }
    write_json(node.output["audit"], {**content, "provenance": provenance(node.parents)})
    along.attrs = provenance(node.parents, test_error=str(tested["relative"]))
    write_dataset(along, node.output["along"])


run_node(main, globals())
