"""Grand potential of an ensemble's snapshots, electrons included, by the verified solver: the same for whatever drove it."""

import numpy as np
import xarray as xr

from ennforce.forces import KPMForces
from ennforce.io import inherited, provenance, read_dataset, write_dataset
from ennforce.models import from_parameters
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    p = node.params
    model = from_parameters(p["model"])
    forces = KPMForces(model, p["tolerance"], sampled=True, margin=p["margin"], method=p["method"])
    ensemble = read_dataset(node.input["ensemble"], ["fields"])
    fields = ensemble["fields"].transpose("replica", "snapshot_time", ...)
    energies = []
    for n, replica in enumerate(fields.values.astype(float)):
        energies.append(forces.grand_potential(replica) / model.lattice.num_sites)
        node.progress(n + 1, len(fields))
    attributes = {"long_name": "grand potential per site of electrons and fields", "units": "t"}
    coordinates = {name: fields[name] for name in ("replica", "snapshot_time")}
    result = xr.Dataset({"grand_potential": (tuple(coordinates), np.array(energies), attributes)}, coordinates)
    facts = {"model": p["model"], "solver": "kpm", "tolerance": p["tolerance"]}
    result.attrs = provenance(node.parents, **{**inherited(ensemble), **facts})
    write_dataset(result, node.output["energies"])


run_node(main, globals())
