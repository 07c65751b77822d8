"""Network against KPM dynamics: for each observable an exact test of the two ensembles and their largest difference."""

import numpy as np

from ennforce.analysis.comparison import compare, paired, total_energy
from ennforce.io import provenance, read_dataset, write_atomically, write_json
from ennforce.tables import as_csv, as_markdown
from ennforce.workflow import Node, run_node

VARIABLES = ["correlation", "structure_factor", "wall_density", "order", "field_square", "kinetic_temperature", "total_energy"]
SWAPS = 4096


def main(node: Node) -> None:
    ensembles = []
    for engine in ("network", "kpm"):
        ensemble = read_dataset(node.input[engine], VARIABLES[:-1])
        energies = read_dataset(node.input[f"energies_{engine}"], ["grand_potential"])
        ensembles.append(ensemble.assign(total_energy=total_energy(ensemble, energies["grand_potential"])))
    found = compare(paired(*ensembles, VARIABLES), SWAPS, np.random.default_rng(node.params["seed"]))
    pairs = ensembles[0].sizes["replica"]
    rows = [{"observable": name, **facts} for name, facts in found.items()]
    text = f"""Network against kernel polynomials: {pairs} pairs of quenches from the same states, noise of their own. p-values:
exact, by swapping the members of pairs; corrected: for testing all of these at once. Largest difference: of the means, in
standard errors, over all times (and r, k). The distributions' difference is the root of their energy distance, over the
largest it could be.

{as_markdown(rows)}"""
    write_atomically(node.output["csv"], lambda path: path.write_text(as_csv(rows), encoding="utf-8"))
    write_atomically(node.output["markdown"], lambda path: path.write_text(text, encoding="utf-8"))
    smallest = min(facts["corrected_p_value"] for facts in found.values())
    content = {"pairs": pairs, "observables": found, "smallest_corrected_p_value": smallest}
    write_json(node.output["comparison"], {**content, "provenance": provenance(node.parents)})


run_node(main, globals())
