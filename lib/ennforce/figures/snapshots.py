"""Figure: domains of the staggered distortion after the quench."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ennforce.figures import style
from ennforce.lattice import Lattice

CATEGORY = "Coarsening"
TARGETS = ("figures", "sweep")
INPUTS = {"ensemble": "analysis/ensemble_large_network.nc"}
CAPTION = """\
Domains of the {order} after the quench, one replica, network forces.
"""

PANELS = 4


def draw(ensemble: xr.Dataset) -> Figure:
    times = ensemble["snapshot_time"].values
    chosen = np.unique(np.linspace(0, len(times) - 1, PANELS).round().astype(int))
    drawing, panels = style.figure(len(chosen), height=52)
    fields = ensemble["fields"].isel(replica=0).transpose("snapshot_time", "y", "x").values
    order = fields * Lattice.square(*fields.shape[1:]).stagger()
    limit = np.percentile(np.abs(order[-1]), 99)
    for axes, n, letter in zip(np.atleast_1d(panels), chosen, "abcdefgh", strict=False):
        image = axes.imshow(order[n], cmap=style.FIELD_MAP, vmin=-limit, vmax=limit, origin="lower", interpolation="nearest")
        axes.set_title(f"({letter})  $t$ = {times[n]:.4g}", loc="left")
        axes.set(xticks=[], yticks=[], xlabel=f"{order.shape[-1]} sites")
        axes.spines[:].set_visible(True)
    drawing.colorbar(image, ax=panels, shrink=0.8, label="$\\phi = (-1)^{x+y} Q$", pad=0.01)
    return drawing
