"""Domain walls in the snapshots of the large quench: where they are at the end, and which way they face at every time."""

import numpy as np
import xarray as xr

from ennforce.io import inherited, provenance, read_dataset, write_dataset
from ennforce.models import from_parameters
from ennforce.observables.domains import normal_distribution, smoothed, wall_bonds, wall_normals
from ennforce.workflow import Node, run_node

BINS = 12  # of the normal's angle within one period of the lattice's rotations; finer ones show the steps of the lattice


def main(node: Node) -> None:
    model = from_parameters(node.params["model"])
    lattice, fold = model.lattice, model.lattice.point_group.largest_rotation
    ensemble = read_dataset(node.input["ensemble"], ["fields"])
    fields = ensemble["fields"].transpose("snapshot_time", "replica", ...).values
    order = [model.order.project(of_all)[:, 0] for of_all in fields]
    densities = [[normal_distribution(*wall_normals(one, lattice), BINS, fold) for one in replicas] for replicas in order]
    last = order[-1][0]
    result = xr.Dataset(
        {
            "normal_density": (
                ("snapshot_time", "replica", "angle"),
                np.array([[density for _, density in replicas] for replicas in densities]),
                {"long_name": "probability density of the angle of the walls' normals", "units": "1/rad", "fold": fold},
            ),
            "wall": (
                lattice.axes,
                wall_bonds(smoothed(last, lattice) > 0, lattice).any(axis=0).astype(np.int8),
                {"long_name": "site at a wall, last snapshot of the first replica", "units": "1"},
            ),
            "order": (lattice.axes, last, {"long_name": f"{model.order.name} of the same snapshot", "units": "1"}),
        },
        coords={
            "snapshot_time": ensemble["snapshot_time"],
            "replica": ensemble["replica"],
            "angle": ("angle", densities[0][0][0], {"long_name": "angle of the normal from the nearest axis", "units": "rad"}),
        },
    )
    result.attrs = provenance(node.parents, **inherited(ensemble))
    write_dataset(result, node.output["walls"])


run_node(main, globals())
