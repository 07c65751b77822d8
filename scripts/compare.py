"""Dynamics of an engine against the solver's, pair by pair: differences with intervals, held against margins stated beforehand."""

import json

from ennforce.analysis.comparison import compare, overall, total_energy
from ennforce.analysis.intervals import CONFIDENCE
from ennforce.io import provenance, read_dataset, write_json
from ennforce.tables import write_table
from ennforce.workflow import Node, run_node

VARIABLES = ["correlation", "structure_factor"]


def main(node: Node) -> None:
    p, ensembles, name = node.params, [], node.params["engine"]
    for engine in ("driven", "kpm"):
        ensemble = read_dataset(node.input[engine], VARIABLES)
        energies = read_dataset(node.input[f"energies_{engine}"], ["grand_potential"])
        ensembles.append(ensemble.assign(total_energy=total_energy(ensemble, energies["grand_potential"])))
    rows = compare(*ensembles, p["windows"], p["margins"], p["temperature"])
    found, pairs = overall(rows), ensembles[0].sizes["replica"]
    reference = json.loads(ensembles[1].attrs["force_error"])
    shared = "the same noise" if p["noise"] == "common" else "noise of their own"
    error = f"{reference['rms'] / reference['force_rms']:.1e} of the rms force, {reference['largest']:.1e} t at most"
    before = f"""All together: **{found}**. {name.capitalize()} less solver, {pairs} pairs of quenches from the same states
with {shared}; averages over ln t in each window of time. Intervals: {100 * CONFIDENCE:.0f} %, all together. Equivalent: the
interval lies within the margin, which was stated beforehand. Different: it does not hold zero. Used: share of the window in
which the observable is defined. The intervals hold for this one network; another training gives another. The solver's force
erred on its own trajectories by {error} ({reference["judge"]})."""
    write_table(node.output, rows, before)
    content = {"engine": name, "pairs": pairs, "noise": p["noise"], "verdict": found, "rows": rows, "solver_force_error": reference}
    write_json(node.output["comparison"], {**content, "provenance": provenance(node.parents)})


run_node(main, globals())
