"""Figure: the structure factor after the quench, S(k, t), with Porod's law."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ennforce.figures import style

CATEGORY = "Coarsening"
TARGETS = ("figures",)
INPUTS = {"ensemble": "analysis/ensemble_large_network.nc"}
CAPTION = """\
Circularly averaged structure factor of the {order} (a) against wave number, with Porod's law, and (b) against time for the
smallest wave numbers. Bands: one standard error over replicas.
"""

TIMES = 7
TAIL = (0.08, 0.38)  # where Porod's law is drawn, in units of the inner radius of the Brillouin zone


def draw(ensemble: xr.Dataset) -> Figure:
    drawing, (left, right) = style.figure(2)
    times, k = ensemble["time"].values, ensemble["k"].values
    chosen = style.decade_times(times, TIMES)
    zone = ensemble["k"].attrs["zone"]
    positive = (k > 0) & (k <= zone)  # beyond, the corners of the zone hold few wave vectors
    for position, n in enumerate(chosen):
        shade = style.TIME_MAP(position / max(len(chosen) - 1, 1))
        mean, error = (ensemble[f"structure_factor_{kind}"].isel(time=n).values[positive] for kind in ("mean", "error"))
        left.plot(k[positive], mean, color=shade, label=f"{times[n]:.3g}")
        left.fill_between(k[positive], np.maximum(mean - error, 1e-12), mean + error, color=shade, alpha=0.25, lw=0)
    last = ensemble["structure_factor_mean"].isel(time=-1).values[positive]
    tail = (k[positive] > TAIL[0] * zone) & (k[positive] < TAIL[1] * zone)
    porod = ensemble["r"].attrs["dimension"] + ensemble["order"].attrs["components"]
    if tail.any():
        amplitude = 1.6 * np.exp(np.mean(np.log(last[tail] * k[positive][tail] ** porod)))
        left.plot(
            k[positive][tail], amplitude / k[positive][tail] ** porod, ":", color=style.REFERENCE, label=style.power("k", -porod)
        )
    left.set(xlabel=f"{style.wave_number(ensemble)} (inverse lattice constants)", ylabel="$S(k, t)$", xscale="log", yscale="log")
    style.plain_log_ticks(left.xaxis)
    left.legend(title="time ($1/t$)", ncols=2)
    first_shell = np.flatnonzero(positive)[0]
    for number in range(first_shell, min(first_shell + 4, len(k))):
        mean, error = (ensemble[f"structure_factor_{kind}"].isel(k=number).values for kind in ("mean", "error"))
        shade = style.TIME_MAP((number - first_shell) / 3)
        right.plot(times, mean, color=shade, label=f"$k$ = {k[number]:.2f}")
        right.fill_between(times, np.maximum(mean - error, 1e-12), mean + error, color=shade, alpha=0.25, lw=0)
    right.set(xlabel="time ($1/t$)", ylabel="$S(k, t)$", xscale="log", yscale="log")
    right.legend()
    style.panel(left, "a")
    style.panel(right, "b")
    return drawing
