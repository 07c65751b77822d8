"""Figure: what domain growth depends on — box, start, time step — and how it changes with the temperature of the bath."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ennforce.plotting import style


def draw(growths: dict[str, xr.Dataset], labels: dict[str, str]) -> Figure:
    """``growths`` by the run's name, the large one first; ``labels`` say in what a run differs."""
    drawing, (left, right) = style.figure(2)
    for (name, growth), line in zip(growths.items(), style.series(len(growths)), strict=True):
        chosen = growth.sel(definition="half")
        times, line = growth["time"].values, {**line, "ms": 2.5, "lw": 0.9}
        for axes, variable in ((left, "length"), (right, "exponent")):
            mean, error = chosen[variable].values, chosen[f"{variable}_error"].values
            axes.plot(times, mean, label=labels[name], **line)
            axes.fill_between(times, mean - error, mean + error, color=line["color"], alpha=0.2, lw=0)
    left.set(xlabel="time ($1/t$)", ylabel="domain size $L_{1/2}$ (lattice constants)", xscale="log", yscale="log")
    style.plain_log_ticks(left.yaxis)
    left.legend()
    right.axhline(0.5, ls=":", color=style.COLOURS["reference"])
    shown = np.concatenate([g["time"].values[np.isfinite(g["length"].sel(definition="half").values)] for g in growths.values()])
    if len(shown):
        for axes in (left, right):
            axes.set_xlim(0.9 * shown.min(), 1.1 * shown.max())
    right.set(xlabel="time ($1/t$)", ylabel="effective exponent $\\alpha(t)$ of $L_{1/2}$", xscale="log", ylim=(-0.2, 1.2))
    style.panel(left, "a")
    style.panel(right, "b")
    return drawing
