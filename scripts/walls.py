"""Domain walls in the snapshots of the large quench: where they are at the end, and which way they face at every time."""

import numpy as np
import xarray as xr

from ennforce.analysis.walls import normal_distribution, wall_bonds, wall_normals
from ennforce.io import inherited, provenance, read_dataset, write_dataset
from ennforce.lattice import Lattice
from ennforce.workflow import Node, run_node

BINS = 12  # of the normal's angle modulo 90 degrees; finer ones show the steps of the lattice


def main(node: Node) -> None:
    ensemble = read_dataset(node.input["ensemble"], ["fields", "wall_anisotropy_mean"])
    fields = ensemble["fields"].transpose("snapshot_time", "replica", "y", "x").values
    order = fields * Lattice.square(*fields.shape[2:]).stagger()
    densities = [[normal_distribution(*wall_normals(one), BINS) for one in replicas] for replicas in order]
    angle = densities[0][0][0]
    result = xr.Dataset(
        {
            "normal_density": (
                ("snapshot_time", "replica", "angle"),
                np.array([[density for _, density in replicas] for replicas in densities]),
                {"long_name": "probability density of the wall normal's angle modulo 90 degrees", "units": "1/rad"},
            ),
            "wall": (
                ("y", "x"),
                wall_bonds(order[-1, 0]).any(axis=0).astype(np.int8),
                {"long_name": "site at a wall, last snapshot of the first replica", "units": "1"},
            ),
            "order": (("y", "x"), order[-1, 0], {"long_name": "staggered field of the same snapshot", "units": "1"}),
        },
        coords={
            "snapshot_time": ensemble["snapshot_time"],
            "replica": ensemble["replica"],
            "angle": ("angle", angle, {"long_name": "angle of the normal from the nearest axis counted one way", "units": "rad"}),
        },
    )
    result.attrs = provenance(node.parents, **inherited(ensemble))
    write_dataset(result, node.output["walls"])


run_node(main, globals())
