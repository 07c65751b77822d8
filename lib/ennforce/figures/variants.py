"""Figure: what domain growth depends on — box, start, time step — and how it changes with the temperature of the bath."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ennforce.figures import style

CATEGORY = "Coarsening"
TARGETS = ("figures",)
INPUTS = {"growths": "analysis/growth_{quench}_network.nc"}
SETTINGS = {"shape": "large.shape", "temperature": "bath.temperature", "variants": "variants"}
CAPTION = """\
Domain size and effective exponent of the large quench and of quenches that differ in what the legend says; bands are one standard
error (bootstrap over replicas). A smaller box, another start or another time step should change nothing; the temperature may.
"""

TEXTS = {
    "shape": "{} sites",
    "temperature": "T = {}",
    "dt": "dt = {}",
    "initial_sigma": "start: spread {}",
    "initial_order": "start: order {}",
}


def difference(settings: dict) -> str:
    """In what a run differs, in a few words; empty where it differs in its number of replicas or its time alone."""
    texts = {key: " x ".join(map(str, value)) if key == "shape" else value for key, value in settings.items()}
    return ", ".join(TEXTS[key].format(value) for key, value in texts.items() if key in TEXTS)


def draw(growths: list[xr.Dataset], shape: list[int], temperature: float, variants: dict[str, dict]) -> Figure:
    """``growths`` of the large run, whose shape and temperature are given, and of ``variants``: what each sets otherwise."""
    drawing, (left, right) = style.figure(2)
    labels = [difference({"shape": shape, "temperature": temperature}), *(difference(v) or k for k, v in variants.items())]
    for growth, label, line in zip(growths, labels, style.series(len(growths)), strict=True):
        chosen = growth.sel(definition="half")
        times, line = growth["time"].values, {**line, "ms": 2.5, "lw": 0.9}
        for axes, variable in ((left, "length"), (right, "exponent")):
            mean, error = chosen[variable].values, chosen[f"{variable}_error"].values
            axes.plot(times, mean, label=label, **line)
            axes.fill_between(times, mean - error, mean + error, color=line["color"], alpha=0.2, lw=0)
    left.set(xlabel="time ($1/t$)", ylabel="domain size $L_{1/2}$ (lattice constants)", xscale="log", yscale="log")
    style.plain_log_ticks(left.yaxis)
    left.legend()
    right.axhline(growths[0]["late_deviation"].attrs["law"], ls=":", color=style.REFERENCE)
    shown = np.concatenate([g["time"].values[np.isfinite(g["length"].sel(definition="half").values)] for g in growths])
    if len(shown):
        for axes in (left, right):
            axes.set_xlim(0.9 * shown.min(), 1.1 * shown.max())
    right.set(xlabel="time ($1/t$)", ylabel="effective exponent $\\alpha(t)$ of $L_{1/2}$", xscale="log", ylim=(-0.2, 1.2))
    for axes in (left, right):
        style.plain_log_ticks(axes.xaxis)
    style.panel(left, "a")
    style.panel(right, "b")
    return drawing
