"""Figure: is the corrected dynamics the solver's? Differences of network and corrected forces from it, against margins."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ennforce.figures import style
from ennforce.figures.dynamics import differences

CATEGORY = "Is the learned dynamics right?"
TARGETS = ("figures",)
STAGE = "audit"
INPUTS = {
    "network": "analysis/ensemble_comparison_network.nc",
    "corrected": "analysis/ensemble_comparison_corrected.nc",
    "kpm": "analysis/ensemble_comparison_kpm.nc",
    "comparison": "analysis/comparison.json",
    "corrections": "analysis/comparison_corrected.json",
}
CAPTION = """\
Quenches from the same initial states, by default with the same noise, driven by the network, by the network as the solver corrects
it on a few drawn sites at every step, and by the solver: (a) mean over replicas of the squared order (solid) of either over the
solver's, with one standard error of the paired difference; (b) differences of network and solver in each window of time, in units
of the margins stated beforehand (grey), with intervals of 95 %, all together; (c) the same of corrected forces.
"""


def draw(network: xr.Dataset, corrected: xr.Dataset, kpm: xr.Dataset, comparison: dict, corrections: dict) -> Figure:
    drawing, (left, middle, right) = style.figure(3, height=66)
    reference = kpm["structure_factor"]
    weights = kpm["k_modes"] / kpm["k_modes"].sum()
    for name, ensemble in (("network", network), ("corrected", corrected)):
        mine, other = ((e["structure_factor"] * weights).sum("k").transpose("replica", "time").values for e in (ensemble, kpm))
        ratio = mine.mean(axis=0) / other.mean(axis=0) - 1.0
        error = (mine / mine.mean(axis=0) - other / other.mean(axis=0)).std(axis=0, ddof=1) / np.sqrt(len(mine))
        look = style.ENGINES[name]
        time = reference["time"].values
        left.plot(time, 100 * ratio, look.line, color=look.color, label=look.label)
        left.fill_between(time, 100 * (ratio - error), 100 * (ratio + error), color=look.color, alpha=0.2, lw=0)
    left.axhline(0.0, ls=":", color=style.REFERENCE)
    left.set(xlabel="time ($1/t$)", ylabel=r"$\langle \phi^2 \rangle$ against the solver (%)", xscale="log")
    style.plain_log_ticks(left.xaxis, (1.0,))
    left.legend()
    differences(middle, comparison["rows"], "network less solver / margin")
    differences(right, corrections["rows"], "corrected less solver / margin")
    for axes, letter in zip((left, middle, right), "abc", strict=True):
        style.panel(axes, letter)
    return drawing
