"""Figure: walls between domains — where they are, which way they face, and the tail they give the structure factor."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ennforce.figures import style

CATEGORY = "Coarsening"
TARGETS = ("figures",)
INPUTS = {
    "walls": "analysis/walls.nc",
    "ensemble": "analysis/ensemble_large_network.nc",
    "growth": "analysis/growth_large_network.nc",
}
CAPTION = """\
(a) Domains of one replica at the end of the large quench, their walls in grey. (b) Distribution of the walls' normals, over that
of walls that face every way alike; bands: standard error over replicas. (c) One number for it, ⟨cos 4θ⟩ over the length of the
walls (1 along the axes, −1 along the diagonals), and the exponent of the structure factor's tail; sharp walls give 3.
"""


def draw(walls: xr.Dataset, ensemble: xr.Dataset, growth: xr.Dataset) -> Figure:
    drawing, (left, middle, right) = style.figure(3, height=58)
    order = walls["order"].values
    limit = np.percentile(np.abs(order), 99)
    left.imshow(order, cmap=style.FIELD_MAP, vmin=-limit, vmax=limit, origin="lower", interpolation="nearest", alpha=0.5)
    edge = np.ma.masked_equal(walls["wall"].values, 0)
    left.imshow(edge, cmap="gray", vmin=0, vmax=4, origin="lower", interpolation="nearest")
    left.set(xticks=[], yticks=[], xlabel=f"{order.shape[1]} sites, $t$ = {float(walls['snapshot_time'][-1]):.3g}")
    left.spines[:].set_visible(True)

    times = walls["snapshot_time"].values
    chosen = style.decade_times(times, 3)
    degrees = np.append(np.degrees(walls["angle"].values), 90.0)
    for n, line in zip(chosen, style.series(len(chosen)), strict=True):
        density = walls["normal_density"].isel(snapshot_time=n).transpose("replica", "angle").values
        density = np.append(density, density[:, :1], axis=1) * np.pi / 2  # 1 for walls that face every way alike
        mean, error = density.mean(axis=0), density.std(axis=0, ddof=1) / np.sqrt(len(density))
        middle.plot(degrees, mean, label=f"$t$ = {times[n]:.3g}", **{**line, "ms": 3})
        middle.fill_between(degrees, mean - error, mean + error, color=line["color"], alpha=0.2, lw=0)
    middle.axhline(1.0, ls=":", color=style.REFERENCE)
    middle.set(xlabel="angle of the wall's normal to the axes (degrees)", ylabel="density / isotropic", ylim=(0, None))
    middle.set_xticks([0, 45, 90])
    middle.legend()

    time = ensemble["time"].values
    mean, error = (ensemble[f"wall_anisotropy_{kind}"].values for kind in ("mean", "error"))
    colour, other = style.BLUE, style.VERMILION
    usable = np.isfinite(growth["length"].sel(definition="half").values)
    right.plot(time[usable], mean[usable], color=colour, marker="o", ms=2.5, label="$\\langle\\cos 4\\theta\\rangle$ (left)")
    right.fill_between(time[usable], (mean - error)[usable], (mean + error)[usable], color=colour, alpha=0.2, lw=0)
    right.axhline(0.0, ls=":", color=style.REFERENCE)
    right.set(xlabel="time ($1/t$)", ylabel="anisotropy $\\langle\\cos 4\\theta\\rangle$", xscale="log", ylim=(-0.5, 0.5))
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
