"""Figure: true energy without friction, its drift, and the kinetic temperature with friction, for every engine."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ennforce.figures import style

CATEGORY = "Is the learned dynamics right?"
TARGETS = ("figures",)
STAGE = "conservation"
INPUTS = {"conservation": "analysis/conservation.json", "runs": "analysis/conservation/{driver}.nc"}
CAPTION = """\
(a) True total energy (exact diagonalisation) without friction, from the same stationary states, driven by the networks and by
kernel polynomials of given tolerance. (b) Its drift: slope of a line for each replica after the first quarter, in which an engine
settles into its own stationary state. (c) Kinetic temperature with the study's friction. The table beside this figure says in
words what is seen, and bounds what is not. A force without a potential may pump energy in or out; a drift beyond its bar would
show it. Bars in (b) and (c): intervals of 95 % by the spread of replicas (Student's t); band in (a): one standard error.
"""


def label_of(engine: str) -> str:
    """KPM with its tolerance; networks by their names."""
    kpm = style.ENGINES["kpm"].label
    return f"{kpm}, {float(engine.removeprefix('kpm-')):g}" if engine.startswith("kpm-") else engine.replace("_", " ")


def draw(conservation: dict, runs: list[xr.Dataset]) -> Figure:
    """``runs`` hold the energies of the engines of ``conservation``'s rows, in their order."""
    drawing, (left, middle, right) = style.figure(3, width_ratios=(1.5, 1.0, 1.0))
    rows, looks = conservation["rows"], style.series(len(runs))
    for row, run, look in zip(rows, runs, looks, strict=True):
        energy = run["energy"].sel(ensemble="NVE").transpose("replica", "time").values
        change = 1e3 * (energy - energy[:, :1])
        mean, error = change.mean(axis=0), change.std(axis=0, ddof=1) / np.sqrt(len(change))
        time = run["time"].values
        left.plot(time, mean, color=look["color"], ls=look["ls"], label=label_of(row["engine"]))
        left.fill_between(time, mean - error, mean + error, color=look["color"], alpha=0.2, lw=0)
    for n, (row, look) in enumerate(zip(rows, looks, strict=True)):
        point = {"color": look["color"], "fmt": look["marker"], "ms": 5, "capsize": 2}
        middle.errorbar(n, 1e6 * row["energy_drift"], 1e6 * (row["energy_drift_high"] - row["energy_drift"]), **point)
        bath = row["bath_temperature"]
        right.errorbar(n, row["kinetic_temperature"] / bath, row["kinetic_temperature_width"] / bath, **point)
    left.axhline(0.0, lw=0.6, color="0.8", zorder=0)
    left.set(xlabel="time ($1/t$)", ylabel="change of energy per site ($10^{-3}\\,t$)")
    left.margins(y=0.3)
    left.legend(loc="upper left", ncols=2)
    middle.set(ylabel="drift of energy per site ($10^{-6}\\,t^2$)")
    middle.axhline(0.0, ls=":", color=style.REFERENCE)
    right.set(ylabel="kinetic temperature / bath's")
    right.axhline(1.0, ls=":", color=style.REFERENCE)
    for axes in (middle, right):
        axes.set_xticks(range(len(rows)), [label_of(row["engine"]) for row in rows], rotation=40, ha="right")
        axes.set_xlim(-0.5, len(rows) - 0.5)
    for axes, letter in ((left, "a"), (middle, "b"), (right, "c")):
        style.panel(axes, letter)
    return drawing
