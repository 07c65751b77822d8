"""Figure: network against KPM dynamics — correlations, structure factor, domain sizes, energy, order and p-values."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ennforce.plotting import style

TIMES = 3
LINES = {"network": "-", "kpm": "--"}
NAMES = {
    "correlation": "$C(r, t)$",
    "structure_factor": "$S(k, t)$",
    "absolute_order": "$|m|$",
    "order_square": "$m^2$",
    "order_distribution": "law of $m$",
    "field_square": "$\\langle Q^2\\rangle$",
    "kinetic_temperature": "$\\langle P^2\\rangle/m$",
    "total_energy": "energy",
    **{f"length_{name}": label for name, label in style.LENGTH_LABELS.items()},
}


def draw(ensembles: dict[str, xr.Dataset], comparison: dict) -> Figure:
    """``ensembles``: network and kpm, each with ``total_energy``; ``comparison``: analysis/comparison.json."""
    drawing, axes = style.figure(3, 2, height=60)
    _curves(axes[0, 0], axes[0, 1], ensembles)
    _lengths(axes[0, 2], ensembles)
    _energy(axes[1, 0], ensembles)
    _order(axes[1, 1], ensembles)
    _p_values(axes[1, 2], comparison["observables"])
    for panel, letter in zip(axes.flat, "abcdef", strict=True):
        style.panel(panel, letter)
    return drawing


def _curves(left, middle, ensembles: dict[str, xr.Dataset]) -> None:
    times = ensembles["network"]["time"].values
    chosen = style.decade_times(times, TIMES)
    for name, ensemble in ensembles.items():
        for position, n in enumerate(chosen):
            shade = style.TIME_MAP(position / max(len(chosen) - 1, 1))
            for axes, variable, coordinate in ((left, "correlation", "r"), (middle, "structure_factor", "k")):
                x = ensemble[coordinate].values
                mean, error = (ensemble[f"{variable}_{kind}"].isel(time=n).values for kind in ("mean", "error"))
                x = np.where(x <= np.pi, x, np.nan) if coordinate == "k" else x  # the zone's corners hold few wave vectors
                label = f"$t$ = {times[n]:.3g}" if name == "network" and axes is left else None
                axes.plot(x, mean, LINES[name], color=shade, label=label)
                axes.fill_between(x, mean - error, mean + error, color=shade, alpha=0.25, lw=0)
    left.set(xlabel="$r$ (lattice constants)", ylabel="$C(r, t)$")
    left.legend(title="network solid,\nKPM dashed", loc="upper right")
    middle.set(xlabel="$k$ from $(\\pi,\\pi)$ (1/lattice constant)", ylabel="$S(k, t)$", yscale="log")


def _lengths(axes, ensembles: dict[str, xr.Dataset]) -> None:
    for definition, label in style.LENGTH_LABELS.items():
        for name, ensemble in ensembles.items():
            mean, error = (ensemble[f"length_{definition}_{kind}"].values for kind in ("mean", "error"))
            times, colour = ensemble["time"].values, style.LENGTH_COLOURS[definition]
            axes.plot(times, mean, LINES[name], color=colour, label=label if name == "network" else None)
            axes.fill_between(times, mean - error, mean + error, color=colour, alpha=0.2, lw=0)
    axes.set(xlabel="time ($1/t$)", ylabel="domain size (lattice constants)", xscale="log", yscale="log")
    style.plain_log_ticks(axes.yaxis)
    axes.legend()


def _energy(axes, ensembles: dict[str, xr.Dataset]) -> None:
    for name, ensemble in ensembles.items():
        energy = ensemble["total_energy"].transpose("replica", "snapshot_time").values
        mean, error = energy.mean(axis=0), energy.std(axis=0, ddof=1) / np.sqrt(len(energy))
        look = {"color": style.COLOURS[name], "fmt": f"o{LINES[name]}", "ms": 3, "capsize": 2}
        look["mfc"] = look["color"] if name == "network" else "white"
        axes.errorbar(ensemble["snapshot_time"].values, mean, error, label=style.ENGINES[name], **look)
    axes.set(xlabel="time ($1/t$)", ylabel="total energy a site ($t$)", xscale="log")
    axes.legend()


def _order(axes, ensembles: dict[str, xr.Dataset]) -> None:
    for name, ensemble in ensembles.items():
        values = np.sort(ensemble["order"].isel(time=-1).values)
        share = np.arange(1, len(values) + 1) / len(values)
        axes.step(values, share, LINES[name], where="post", color=style.COLOURS[name], label=style.ENGINES[name])
    axes.set(xlabel=f"order $m$ at $t$ = {float(ensemble['time'][-1]):.3g}", ylabel="share of replicas below", ylim=(0, 1.05))
    axes.legend(loc="upper left")


def _p_values(axes, observables: dict[str, dict]) -> None:
    shown = {name: row for name, row in observables.items() if name in NAMES}
    places = np.arange(len(shown))[::-1]
    axes.plot([row["p_value"] for row in shown.values()], places, "o", color="black", ms=4, label="each")
    corrected = [row["corrected_p_value"] for row in shown.values()]
    axes.plot(corrected, places, "o", color="black", mfc="white", ms=4, label="corrected", zorder=1)
    axes.axvline(0.05, ls=":", color=style.COLOURS["reference"])
    axes.set_yticks(places, [NAMES[name] for name in shown])
    axes.set(xlabel="$p$-value", xscale="log", xlim=(None, 1.2), ylim=(-0.7, len(shown) - 0.3))
    style.plain_log_ticks(axes.xaxis, multiples=(1.0,))
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.2, handletextpad=0.1, columnspacing=0.8)
