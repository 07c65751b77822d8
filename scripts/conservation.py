"""Drift of the true energy without friction, and kinetic temperature with it, for every engine."""

import numpy as np

from ennforce.analysis.intervals import CONFIDENCE, half_width
from ennforce.analysis.stability import drift, mean_and_error, verdict
from ennforce.io import provenance, read_dataset, write_json
from ennforce.tables import write_table
from ennforce.workflow import Node, run_node

SETTLING = 0.25  # share of the run


def main(node: Node) -> None:
    rows = []
    for name, path in zip(node.params["names"], node.input["energies"], strict=True):
        data = read_dataset(path, ["energy", "kinetic_temperature"]).transpose("ensemble", "replica", "time")
        isolated, thermal = (data.sel(ensemble=ensemble) for ensemble in ("NVE", "NVT"))
        # Each engine first settles into its own stationary state: a jump, and no drift.
        settled = isolated["time"].values >= SETTLING * float(isolated["time"][-1])
        time, energy = isolated["time"].values[settled], isolated["energy"].values[:, settled]
        slope, slope_error = drift(time, energy)
        fluctuation = float(np.mean(energy.std(axis=1)))
        width = half_width(slope_error, len(energy))
        said = verdict(slope, width, slope * (time[-1] - time[0]), fluctuation)
        late = thermal["kinetic_temperature"].values[:, settled].mean(axis=1)
        kinetic, kinetic_error = mean_and_error(late)
        rows.append({
            "engine": name, "energy_drift": slope, "energy_drift_error": slope_error,
            "energy_drift_low": slope - width, "energy_drift_high": slope + width, "verdict": said,
            "energy_jump": float(np.mean(energy[:, 0] - isolated["energy"].values[:, 0])),
            "energy_fluctuation": fluctuation,
            "kinetic_temperature": kinetic, "kinetic_temperature_error": kinetic_error,
            "kinetic_temperature_width": half_width(kinetic_error, len(late)), "bath_temperature": node.params["temperature"],
        })  # fmt: skip
    before = f"""Energy per site (t) without friction: its slope per unit time after the first quarter of the run, by exact
diagonalisation, with an interval of {100 * CONFIDENCE:.0f} % from the spread of the replicas (Student's t). A drift has an
interval without zero and exceeds, over the run, the energy's own fluctuation; where none is seen, the interval bounds it.
Kinetic temperature: with friction, of momenta half a step behind the fields, whose mean is the bath's."""
    write_table(node.output, rows, before)
    write_json(node.output["conservation"], {"rows": rows, "provenance": provenance(node.parents)})


run_node(main, globals())
