"""Figure: stationary states, network against KPM — the field's distribution at each temperature, and averages with errors."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from ennforce.plotting import style

AVERAGES = {
    "order": "order $\\langle|m|\\rangle$",
    "susceptibility": "susceptibility $\\chi$ ($1/t$)",
    "binder": "Binder cumulant",
    "kinetic_temperature": "kinetic temperature / $T$",
}


def draw(equilibrium: dict, distributions: xr.Dataset) -> Figure:
    temperatures = distributions["temperature"].values
    drawing, axes = style.figure(1, 1, height=115)
    axes.remove()
    grid = drawing.add_gridspec(2, 12)
    width = 12 // len(temperatures)
    for n, temperature in enumerate(temperatures[: 12 // width]):
        panel = drawing.add_subplot(grid[0, n * width : (n + 1) * width])
        for engine, line in (("network", "-"), ("kpm", "--")):
            chosen = distributions.sel(temperature=temperature, engine=engine)
            x, mean, error = chosen["field"].values, chosen["density"].values, chosen["density_error"].values
            panel.plot(x, mean, line, color=style.COLOURS[engine], label=style.ENGINES[engine])
            panel.fill_between(x, mean - error, mean + error, color=style.COLOURS[engine], alpha=0.25, lw=0)
        p_value = equilibrium["distributions"][f"{temperature:g}"]["p_value"]
        panel.set(xlabel="field $Q$", ylabel="density", ylim=(0, None))
        panel.text(0.5, 1.03, f"$T$ = {temperature:.3g} $t$, $p$ = {p_value:.2f}", transform=panel.transAxes, ha="center")
        if n == 0:
            panel.legend(loc="upper center")
        style.panel(panel, "abcdefghijkl"[n])
    for n, (name, label) in enumerate(AVERAGES.items()):
        panel = drawing.add_subplot(grid[1, 3 * n : 3 * n + 3])
        rows = [row for row in equilibrium["rows"] if row["observable"] == name]
        for engine, marker, shift in (("network", "o", -0.08), ("kpm", "s", 0.08)):
            scale = [row["temperature"] if name == "kinetic_temperature" else 1.0 for row in rows]
            values, errors = ([row[key] / s for row, s in zip(rows, scale, strict=True)] for key in (engine, f"{engine}_error"))
            look = {"color": style.COLOURS[engine], "mfc": style.COLOURS[engine] if engine == "network" else "white"}
            panel.errorbar([k + shift for k in range(len(rows))], values, errors, fmt=marker, ms=4, capsize=2, **look)
        if name == "kinetic_temperature":
            panel.axhline(1.0, ls=":", color=style.COLOURS["reference"])
        if name == "susceptibility":
            panel.set_yscale("log")
        panel.set_xticks(range(len(rows)), [f"{row['temperature']:.3g}" for row in rows])
        panel.set(xlabel="temperature ($t$)", ylabel=label, xlim=(-0.5, len(rows) - 0.5))
        style.panel(panel, "abcdefghijkl"[len(temperatures) + n])
    return drawing
