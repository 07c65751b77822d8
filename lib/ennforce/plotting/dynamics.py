"""Figure: network against KPM dynamics — correlations, structure factor and domain size, with error bands."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ennforce.plotting import style

TIMES = 3


def draw(network: xr.Dataset, kpm: xr.Dataset, comparison: dict) -> Figure:
    drawing, (left, middle, right) = style.figure(3)
    times = network["time"].values
    chosen = style.decade_times(times, TIMES)
    for name, ensemble, line in (("network", network, "-"), ("kpm", kpm, "--")):
        for position, n in enumerate(chosen):
            shade = style.TIME_MAP(position / max(len(chosen) - 1, 1))
            for axes, variable, coordinate in ((left, "correlation", "r"), (middle, "structure_factor", "k")):
                x = ensemble[coordinate].values
                mean, error = (ensemble[f"{variable}_{kind}"].isel(time=n).values for kind in ("mean", "error"))
                x = np.where(x <= np.pi, x, np.nan) if coordinate == "k" else x  # the zone's corners hold few wave vectors
                axes.plot(x, mean, line, color=shade, label=f"$t$ = {times[n]:.3g}" if name == "network" and axes is left else None)
                axes.fill_between(x, mean - error, mean + error, color=shade, alpha=0.25, lw=0)
        mean, error = (ensemble[f"length_structure_{kind}"].values for kind in ("mean", "error"))
        right.plot(times, mean, line, color=style.COLOURS[name], label={"kpm": "KPM", "network": "network"}[name])
        right.fill_between(times, mean - error, mean + error, color=style.COLOURS[name], alpha=0.2, lw=0)
    left.set(xlabel="$r$ (lattice constants)", ylabel="$C(r, t)$")
    left.legend(title="network solid, KPM dashed")
    middle.set(xlabel="$k$ from $(\\pi,\\pi)$", ylabel="$S(k, t)$", yscale="log")
    right.set(xlabel="time ($1/t$)", ylabel="domain size $L_k$", xscale="log", yscale="log")
    style.plain_log_ticks(right.yaxis)
    right.legend(title=f"$p$ = {comparison['length_structure']['p_value']:.2f}")
    for axes, letter in ((left, "a"), (middle, "b"), (right, "c")):
        style.panel(axes, letter)
    return drawing
