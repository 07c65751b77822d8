"""Figure: domain growth by each definition, and the effective exponent against the law of growth."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ennforce.figures import style

CATEGORY = "Coarsening"
TARGETS = ("figures", "sweep")
INPUTS = {"ensemble": "analysis/ensemble_large_network.nc", "growth": "analysis/growth_large_network.nc"}
CAPTION = """\
(a) Domain size by three definitions. (b) Effective exponent d ln L / d ln t with one standard error (bootstrap over replicas);
dotted: the growth law that the order is held against. The legend gives the slope over the last half, in ln t, of the times with L
below half the inner radius of the torus.
"""


def draw(ensemble: xr.Dataset, growth: xr.Dataset) -> Figure:
    drawing, (left, right) = style.figure(2)
    times = ensemble["time"].values
    law = growth["late_deviation"].attrs["law"]
    for name, (label, colour, _, marker, _) in style.lengths(ensemble).items():
        mean, error = (ensemble[f"length_{name}_{kind}"].values for kind in ("mean", "error"))
        left.errorbar(times, mean, error, color=colour, marker=marker, ms=2.5, lw=0.8, elinewidth=0.6, label=label)
        chosen = growth.sel(definition=name)
        alpha, width = chosen["exponent"].values, chosen["exponent_error"].values
        slope, slope_error = float(chosen["late_exponent"]), float(chosen["late_exponent_error"])
        late = f"{label}: {slope:.2f} ± {slope_error:.2f}" if np.isfinite(slope) else f"{label}: not measured"
        right.plot(times, alpha, color=colour, marker=marker, ms=2.5, lw=0.8, label=late)
        right.fill_between(times, alpha - width, alpha + width, color=colour, alpha=0.2, lw=0)
    reference = growth["length"].sel(definition="half").values
    finite = np.isfinite(reference)
    if finite.any():
        start, last = times[finite][0], times[finite][-1]
        if np.isfinite(law):
            guide = 0.75 * reference[finite][-1] * np.array([(start / last) ** law, 1.0])
            left.plot([start, last], guide, ":", color=style.REFERENCE, label=style.power("t", law))
        right.set_xlim(0.9 * start, 1.1 * last)
    left.set(xlabel="time ($1/t$)", ylabel="domain size (lattice constants)", xscale="log", yscale="log")
    style.plain_log_ticks(left.yaxis)
    left.legend()
    right.axhline(law, ls=":", color=style.REFERENCE)
    right.set(xlabel="time ($1/t$)", ylabel="effective exponent $\\alpha(t)$", xscale="log", ylim=(-0.2, 1.2))
    style.plain_log_ticks(right.xaxis)
    right.legend(title="late-time slope")
    style.panel(left, "a")
    style.panel(right, "b")
    return drawing
