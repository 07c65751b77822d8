"""Drift of the true energy without friction, and kinetic temperature with it, for every engine."""

import numpy as np

from ennforce.analysis.stability import drift, mean_and_error
from ennforce.io import provenance, read_dataset, write_atomically, write_json
from ennforce.tables import as_csv
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    rows = []
    for name, path in zip(node.params["names"], node.input["energies"], strict=True):
        data = read_dataset(path, ["energy", "kinetic_temperature"]).transpose("ensemble", "replica", "time")
        isolated, thermal = (data.sel(ensemble=ensemble) for ensemble in ("NVE", "NVT"))
        time, energy = isolated["time"].values, isolated["energy"].values
        slope, slope_error = drift(time, energy)
        late = thermal["kinetic_temperature"].values[:, len(time) // 4 :].mean(axis=1)
        kinetic, kinetic_error = mean_and_error(late)
        rows.append({
            "engine": name, "energy_drift": slope, "energy_drift_error": slope_error,
            "drift_in_standard_errors": slope / slope_error,
            "energy_fluctuation": float(np.mean(energy.std(axis=1))),
            "kinetic_temperature": kinetic, "kinetic_temperature_error": kinetic_error,
            "bath_temperature": node.params["temperature"],
        })  # fmt: skip
    write_atomically(node.output["csv"], lambda path: path.write_text(as_csv(rows), encoding="utf-8"))
    write_json(node.output["conservation"], {"rows": rows, "provenance": provenance(node.parents)})


run_node(main, globals())
