"""Figure: stationary states, network against KPM — the field's distribution at each temperature, and averages with errors."""

from __future__ import annotations

import string

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ennforce.figures import style

CATEGORY = "Is the learned dynamics right?"
TARGETS = ("figures",)
STAGE = "equilibrium"
INPUTS = {"equilibrium": "analysis/equilibrium.json", "distributions": "analysis/equilibrium.nc"}
CAPTION = """\
Stationary states by the network and by kernel polynomials. Upper row: distribution of the field at each bath temperature, with the
p-value of an exact test. Lower row: order, susceptibility, Binder cumulant, and what else tells stationary states, a kinetic
temperature over the bath's. Bands and bars: one standard error, bootstrap over replicas. A p-value that is large proves nothing
equal: the table of the study gives the differences of order and mean square field with their intervals.
"""

# What is drawn of what is compared, and its words where a symbol alone says too little.
WORDS = {"order": "order ", "susceptibility": "susceptibility ", "binder": "Binder cumulant ", "kinetic_temperature": "kinetic "}
OMITTED = ("field_square",)  # the distributions above show it

COMPARED = ("network", "kpm")


def draw(equilibrium: dict, distributions: xr.Dataset) -> Figure:
    temperatures = distributions["temperature"].values
    symbols = {row["observable"]: row["symbol"] for row in equilibrium["rows"] if row["observable"] not in OMITTED}
    drawing, axes = style.figure(max(len(temperatures) + 1, len(symbols)), 2, height=58)
    for panel in axes.flat:
        panel.set_axis_off()
    panels = [*axes[0, : len(temperatures)], *axes[1, : len(symbols)]]
    for panel, letter in zip(panels, string.ascii_lowercase, strict=False):
        panel.set_axis_on()
        style.panel(panel, letter)
    for panel, temperature in zip(axes[0], temperatures, strict=False):
        _distribution(panel, distributions.sel(temperature=temperature))
        p_value = equilibrium["distributions"][f"{temperature:g}"]["p_value"]
        panel.set_title(f"$T$ = {temperature:.3g} $t$, $p$ = {p_value:.2g}", loc="right", fontsize=6.5)
    for panel, (name, symbol) in zip(axes[1], symbols.items(), strict=False):
        _averages(panel, name, symbol, [row for row in equilibrium["rows"] if row["observable"] == name])
    axes[0, -1].legend(*axes[0, 0].get_legend_handles_labels(), loc="center")
    return drawing


def _distribution(panel, chosen: xr.Dataset) -> None:
    values = np.flatnonzero(chosen["density"].max("engine").values > 1e-3 * float(chosen["density"].max()))
    seen = slice(values[0], values[-1] + 1)
    for engine in COMPARED:
        look = style.ENGINES[engine]
        x, mean, error = (chosen.sel(engine=engine)[key].values[seen] for key in ("field", "density", "density_error"))
        panel.plot(x, mean, look.line, color=look.color, label=look.label)
        panel.fill_between(x, mean - error, mean + error, color=look.color, alpha=0.25, lw=0)
    panel.set(xlabel="field $Q$", ylabel="density", ylim=(0, None))


def _averages(panel, name: str, symbol: str, rows: list[dict]) -> None:
    for engine, shift in zip(COMPARED, (-0.08, 0.08), strict=True):
        look = style.ENGINES[engine]
        scale = [row["temperature"] if name == "kinetic_temperature" else 1.0 for row in rows]
        values, errors = ([row[key] / s for row, s in zip(rows, scale, strict=True)] for key in (engine, f"{engine}_error"))
        points = {"color": look.color, "mfc": look.fill, "fmt": look.marker, "ms": 4, "capsize": 2}
        panel.errorbar([k + shift for k in range(len(rows))], values, errors, **points)
    if name == "kinetic_temperature":
        panel.axhline(1.0, ls=":", color=style.REFERENCE)
    if name == "susceptibility":
        panel.set_yscale("log")
        style.plain_log_ticks(panel.yaxis)
    panel.set_xticks(range(len(rows)), [f"{row['temperature']:.3g}" for row in rows])
    panel.set(
        xlabel="temperature ($t$)",
        ylabel=f"{WORDS.get(name, '')}${symbol}${' / $T$' if name == 'kinetic_temperature' else ''}",
        xlim=(-0.5, len(rows) - 0.5),
    )
