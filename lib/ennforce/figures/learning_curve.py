"""Figure: force error on held-out quench snapshots against the number of training snapshots, with fitted power laws."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ennforce.figures import style

CATEGORY = "Error against cost"
TARGETS = ("frontier",)
STAGE = "frontier"
INPUTS = {"curve": "frontier/learning_curve.json"}
CAPTION = """\
Relative force error on held-out quench snapshots against the number of quench snapshots in the training data (nested subsets;
uncorrelated configurations are reduced in the same proportion), equal training time. Lines: fitted power laws, with the standard
error of the exponent.
"""


def draw(curve: dict) -> Figure:
    """``curve``: points (name, snapshots, quench_relative, …) and the fit of each name (frontier/learning_curve.json)."""
    drawing, axes = style.figure(height=75)
    for (name, fit), look in zip(curve["fits"].items(), style.series(len(curve["fits"])), strict=True):
        points = sorted((row["snapshots"], row["quench_relative"]) for row in curve["points"] if row["name"] == name)
        counts, errors = np.array(points).T
        axes.plot(counts, 100 * errors, label=f"{name.replace('_', ' ')}{_exponent(fit)}", **{**look, "ls": "none"})
        if fit["exponent"] is not None:
            axes.plot(counts, 100 * fit["prefactor"] * counts ** -fit["exponent"], color=look["color"], ls=look["ls"], lw=0.8)
    axes.set(xscale="log", yscale="log", xlabel="training snapshots", ylabel="relative force error (%)")
    for axis in (axes.xaxis, axes.yaxis):
        style.plain_log_ticks(axis)
    axes.legend()
    return drawing


def _exponent(fit: dict) -> str:
    if fit["exponent"] is None:
        return ""
    error = "" if fit["exponent_error"] is None else f" ± {fit['exponent_error']:.2f}"
    return f": exponent {fit['exponent']:.2f}{error}"
