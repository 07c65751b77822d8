"""Figure: domains of the order after the quench."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ennforce.figures import style
from ennforce.models import Hamiltonian

CATEGORY = "Coarsening"
TARGETS = ("figures", "sweep")
INPUTS = {"ensemble": "analysis/ensemble_large_network.nc"}
SETTINGS = {"model": "large"}
CAPTION = """\
Domains of the {order} after the quench, one replica, network forces.
"""

PANELS = 4


def draw(ensemble: xr.Dataset, model: Hamiltonian) -> Figure:
    times = ensemble["snapshot_time"].values
    chosen = np.unique(np.linspace(0, len(times) - 1, PANELS).round().astype(int))
    drawing, panels = style.figure(len(chosen), height=52)
    fields = ensemble["fields"].isel(replica=0).transpose("snapshot_time", ...).values
    order = model.order.project(fields)[:, 0]
    limit = np.percentile(np.abs(order[-1]), 99)
    for axes, n, letter in zip(np.atleast_1d(panels), chosen, "abcdefgh", strict=False):
        image = style.sites(axes, order[n], model.lattice, cmap=style.FIELD_MAP, vmin=-limit, vmax=limit)
        axes.set_title(f"({letter})  $t$ = {times[n]:.4g}", loc="left")
        axes.set(xlabel=f"{order.shape[-1]} sites")
    drawing.colorbar(image, ax=panels, shrink=0.8, label=f"${model.order.symbol}$", pad=0.01)
    return drawing
