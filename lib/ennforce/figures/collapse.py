"""Figure: dynamical scaling — C(r, t) against r / L(t) and S(k, t) / L^d against k L."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ennforce.figures import style

CATEGORY = "Coarsening"
TARGETS = ("figures",)
INPUTS = {"ensemble": "analysis/ensemble_large_network.nc", "growth": "analysis/growth_large_network.nc"}
CAPTION = """\
Dynamical scaling: (a) correlations against r / L(t), (b) structure factor over L^d, d the dimension, against k L(t).
"""

TIMES = 6


def draw(ensemble: xr.Dataset, growth: xr.Dataset) -> Figure:
    drawing, (left, right) = style.figure(2)
    times, r, k = (ensemble[name].values for name in ("time", "r", "k"))
    dimension, zone = ensemble["r"].attrs["dimension"], ensemble["k"].attrs["zone"]
    length = growth["length"].sel(definition="half").values
    usable = np.flatnonzero(np.isfinite(length))
    chosen = usable[style.decade_times(times[usable], TIMES)] if len(usable) else usable
    for position, n in enumerate(chosen):
        shade = style.TIME_MAP(position / max(len(chosen) - 1, 1))
        for axes, x, variable, scale in (
            (left, r / length[n], "correlation", 1.0),
            (right, np.where(k <= zone, k, np.nan) * length[n], "structure_factor", length[n] ** -float(dimension)),
        ):
            mean, error = (scale * ensemble[f"{variable}_{kind}"].isel(time=n).values for kind in ("mean", "error"))
            # The point at zero is the thermal background (C) or the mean order (S), not the domains.
            axes.plot(x[1:], mean[1:], ".-", ms=3, lw=0.7, color=shade, label=f"{times[n]:.3g}")
            axes.fill_between(
                x[1:],
                np.maximum(mean - error, 1e-9)[1:] if axes is right else (mean - error)[1:],
                (mean + error)[1:],
                color=shade,
                alpha=0.2,
                lw=0,
            )
    left.set(xlabel="$r / L_{1/2}(t)$", ylabel="$C(r, t)$", xlim=(0, 4))
    left.axhline(0, color="0.8", lw=0.6, zorder=0)
    if len(chosen):
        left.legend(title="time ($1/t$)", ncols=2)
    right.set(xlabel="$k L_{1/2}(t)$", ylabel=f"$S(k, t) / L_{{1/2}}^{dimension}$", xscale="log", yscale="log")
    style.panel(left, "a")
    style.panel(right, "b")
    return drawing
