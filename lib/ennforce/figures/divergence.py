"""Figure: rms distance of trajectories from the same states with the same noise."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ennforce.figures import style

CATEGORY = "Is the learned dynamics right?"
TARGETS = ("figures",)
INPUTS = {"distances": "analysis/divergence.nc", "rates": "analysis/divergence.json"}
CAPTION = """\
Distance of two trajectories from the same disordered states with the same noise: the network and itself disturbed by a tiny
amount, network and kernel polynomials, kernel polynomials of two tolerances. Geometric means and standard errors over replicas;
black: the fitted exponential, the Lyapunov exponent under common noise (negative: trajectories join). Different forces must part;
what counts is whether the network parts faster than a loose tolerance does.
"""


def draw(distances: xr.Dataset, rates: dict) -> Figure:
    drawing, axes = style.figure(height=75)
    time = distances["time"].values
    labels = {
        "network, disturbed": "network, disturbed",
        "network, KPM": "network and KPM",
        "KPM, KPM": "KPM, loose and tight",
    }
    for pair, look in zip(distances["pair"].values, style.series(distances.sizes["pair"]), strict=True):
        logarithm = np.log(np.maximum(distances["distance"].sel(pair=pair).values, 1e-300))
        logarithm = np.where(logarithm < -50, np.nan, logarithm)  # equal at the start
        mean, error = logarithm.mean(axis=0), logarithm.std(axis=0, ddof=1) / np.sqrt(len(logarithm))
        fit = rates["lyapunov"]
        label = labels[str(pair)]
        if pair == "network, disturbed" and fit["exponent"] is not None:
            label += f":\nrate {fit['exponent']:.3f} ± {fit['error']:.3f} $t$"
            window = (time >= fit["from"]) & (time <= fit["to"])
            line = fit["exponent"] * (time[window] - time[window].mean()) + mean[window].mean()
            axes.plot(time[window], np.exp(line), color="black", lw=0.6, zorder=3)
        axes.plot(time, np.exp(mean), color=look["color"], ls=look["ls"], label=label)
        axes.fill_between(time, np.exp(mean - error), np.exp(mean + error), color=look["color"], alpha=0.25, lw=0)
    axes.plot(time, distances["spread"].values, ":", color=style.REFERENCE, label="unrelated fields")
    axes.set(xlabel="time ($1/t$)", ylabel="rms difference of the fields", yscale="log")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return drawing
