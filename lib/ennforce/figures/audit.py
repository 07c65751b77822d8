"""Figure: the error of the network's force along the quench that it drives, by class of site, beside its test error."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ennforce.figures import style

CATEGORY = "Is the learned dynamics right?"
TARGETS = ("figures",)
STAGE = "audit"
INPUTS = {"along": "analysis/audit.nc", "audit": "analysis/audit.json"}
CAPTION = """\
The network's force against the solver's on sites drawn from the large quench that the network drives: (a) rms error over the rms
force, of all sites and by class of site; dotted: the error on held-out snapshots of the training data; bars: one standard error
over the draws, of classes with 20 sites at least; (b) bias, the mean of error times force over the mean square force; (c) share of
the classes: sites in the bulk of a domain, in a wall, and where fields are small.
"""


FEWEST = 20  # sites: of fewer a point would be noise


def draw(along: xr.Dataset, audit: dict) -> Figure:
    drawing, (left, middle, right) = style.figure(3)
    names = [str(name) for name in along["site_class"].values if (along["sites"].sel(site_class=name) > 0).any()]
    for name, look in zip(names[::-1], style.series(len(names)), strict=True):
        one = along.sel(site_class=name).where(along["sites"].sel(site_class=name) >= FEWEST)
        time, scale = one["time"].values, one["force_rms"]
        left.errorbar(time, 100 * one["rms"] / scale, 100 * one["rms_error"] / scale, label=name, capsize=1.5, lw=0.9, **look)
        middle.plot(time, 100 * one["bias"], **look)
        if name != names[-1]:
            right.plot(time, along["share"].sel(site_class=name), **look)
    left.axhline(100 * audit["test_error"], ls=":", color=style.REFERENCE, label="test data")
    left.set(ylabel="force error (%)", yscale="log")
    style.plain_log_ticks(left.yaxis)
    middle.axhline(0.0, ls=":", color=style.REFERENCE)
    middle.set(ylabel="bias along the force (%)")
    right.set(ylabel="share of the sites", ylim=(-0.02, 1.02))
    for axes, letter in zip((left, middle, right), "abc", strict=True):
        axes.set(xlabel="time ($1/t$)", xscale="log")
        style.plain_log_ticks(axes.xaxis, (1.0,))
        style.panel(axes, letter)
    left.legend()
    if not np.isfinite(along["rms"].values).any():
        left.set(ylim=(0.1, 10.0))
    return drawing
