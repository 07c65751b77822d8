"""Figure: walls between domains — where they are, which way they face, and the tail they give the structure factor."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ennforce.figures import style
from ennforce.models import Hamiltonian

CATEGORY = "Coarsening"
TARGETS = ("figures",)
STAGE = "walls"
INPUTS = {
    "walls": "analysis/walls.nc",
    "ensemble": "analysis/ensemble_large_network.nc",
    "growth": "analysis/growth_large_network.nc",
}
SETTINGS = {"model": "large"}

CAPTION = """\
(a) Domains of one replica at the end of the large quench, their walls in grey. (b) Distribution of the walls' normals, over that
of walls that face every way alike; bands: standard error over replicas. (c) One number for it, ⟨cos nθ⟩ over the length of the
walls, n the order of the lattice's rotations (1 along the axes, −1 halfway between them), and the exponent of the structure
factor's tail; sharp walls give 3.
"""


def draw(walls: xr.Dataset, ensemble: xr.Dataset, growth: xr.Dataset, model: Hamiltonian) -> Figure:
    drawing, (left, middle, right) = style.figure(3, height=58)
    order = walls["order"].values
    limit = np.percentile(np.abs(order), 99)
    style.sites(left, order, model.lattice, cmap=style.FIELD_MAP, vmin=-limit, vmax=limit, alpha=0.5)
    edge = np.ma.masked_equal(walls["wall"].values, 0)
    style.sites(left, edge, model.lattice, cmap="gray", vmin=0, vmax=4)
    left.set(xlabel=f"{order.shape[1]} sites, $t$ = {float(walls['snapshot_time'][-1]):.3g}")

    times = walls["snapshot_time"].values
    chosen = style.decade_times(times, 3)
    fold = walls["normal_density"].attrs["fold"]
    period = 360.0 / fold
    degrees = np.append(np.degrees(walls["angle"].values), period)
    for n, line in zip(chosen, style.series(len(chosen)), strict=True):
        density = walls["normal_density"].isel(snapshot_time=n).transpose("replica", "angle").values
        density = np.append(density, density[:, :1], axis=1) * np.radians(period)  # 1 for walls that face every way alike
        mean, error = density.mean(axis=0), density.std(axis=0, ddof=1) / np.sqrt(len(density))
        middle.plot(degrees, mean, label=f"$t$ = {times[n]:.3g}", **{**line, "ms": 3})
        middle.fill_between(degrees, mean - error, mean + error, color=line["color"], alpha=0.2, lw=0)
    middle.axhline(1.0, ls=":", color=style.REFERENCE)
    middle.set(xlabel="angle of the wall's normal to the axes (degrees)", ylabel="density / isotropic", ylim=(0, None))
    middle.set_xticks([0, period / 2, period])
    middle.legend()

    time, cosine = ensemble["time"].values, f"$\\langle\\cos {fold}\\theta\\rangle$"
    mean, error = (ensemble[f"wall_anisotropy_{kind}"].values for kind in ("mean", "error"))
    colour, other = style.BLUE, style.VERMILION
    usable = np.isfinite(growth["length"].sel(definition="half").values)
    right.plot(time[usable], mean[usable], color=colour, marker="o", ms=2.5, label=f"{cosine} (left)")
    right.fill_between(time[usable], (mean - error)[usable], (mean + error)[usable], color=colour, alpha=0.2, lw=0)
    right.axhline(0.0, ls=":", color=style.REFERENCE)
    right.set(xlabel="time ($1/t$)", ylabel=f"anisotropy {cosine}", xscale="log", ylim=(-0.5, 0.5))
    style.plain_log_ticks(right.xaxis)
    tail = right.twinx()
    porod, spread = growth["porod_exponent"].values, growth["porod_exponent_error"].values
    tail.plot(time, porod, color=other, marker="s", ms=2.5, ls="--", label="Porod exponent (right)")
    tail.fill_between(time, porod - spread, porod + spread, color=other, alpha=0.2, lw=0)
    tail.axhline(3.0, ls="-.", lw=0.7, color=other)
    tail.set(ylabel="$p$ of $S \\sim k^{-p}$", ylim=(0, 6))
    tail.spines["right"].set_visible(True)
    handles = [*right.get_lines()[:1], *tail.get_lines()[:1]]
    right.legend(handles, [str(handle.get_label()) for handle in handles], loc="lower left")
    for axes, letter in ((left, "a"), (middle, "b"), (right, "c")):
        style.panel(axes, letter)
    return drawing
