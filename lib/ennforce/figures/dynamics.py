"""Figure: network against solver dynamics — observables of both, and their differences against margins stated beforehand."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ennforce.analysis.comparison import total_energy
from ennforce.figures import style

CATEGORY = "Is the learned dynamics right?"
TARGETS = ("figures", "sweep")
INPUTS = {
    "network": "analysis/ensemble_comparison_network.nc",
    "kpm": "analysis/ensemble_comparison_kpm.nc",
    "energies_network": "analysis/energies_comparison_network.nc",
    "energies_kpm": "analysis/energies_comparison_kpm.nc",
    "comparison": "analysis/comparison.json",
}
CAPTION = """\
Quenches driven by the network (solid) and by the local solver (dashed) from the same initial states, by default with the same
noise, so that trajectories stay together until chaos parts them: (a) correlations, (b) structure factor, (c) three domain sizes,
(d) total energy, the electrons' by the verified solver for both, (e) cumulative distribution of the order of the replicas at the
last time, (f) difference of each observable in each window of time, in units of the margin that was stated beforehand (grey),
with intervals of 95 %, all together. Bands and bars in (a) to (d): one standard error over replicas. The intervals hold for this
one network: another training gives another.
"""

TIMES = 3
LARGEST = 30.0  # margins: beyond, an interval leaves the panel


def draw(network: xr.Dataset, kpm: xr.Dataset, energies_network: xr.Dataset, energies_kpm: xr.Dataset, comparison: dict) -> Figure:
    ensembles = {
        engine: ensemble.assign(total_energy=total_energy(ensemble, energies["grand_potential"]))
        for engine, ensemble, energies in (("network", network, energies_network), ("kpm", kpm, energies_kpm))
    }
    drawing, axes = style.figure(3, 2, height=60)
    _curves(axes[0, 0], axes[0, 1], ensembles)
    _lengths(axes[0, 2], ensembles)
    _energy(axes[1, 0], ensembles)
    _order(axes[1, 1], ensembles)
    differences(axes[1, 2], comparison["rows"])
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
                # The zone's corners hold few wave vectors.
                x = np.where(x <= ensemble["k"].attrs["zone"], x, np.nan) if coordinate == "k" else x
                label = f"$t$ = {times[n]:.3g}" if name == "network" and axes is left else None
                axes.plot(x, mean, style.ENGINES[name].line, color=shade, label=label)
                axes.fill_between(x, mean - error, mean + error, color=shade, alpha=0.25, lw=0)
    left.set(xlabel="$r$ (lattice constants)", ylabel="$C(r, t)$")
    left.legend(title="network solid,\nKPM dashed", loc="upper right")
    middle.set(xlabel=f"{style.wave_number(ensemble)} (1/lattice constant)", ylabel="$S(k, t)$", yscale="log")


def _lengths(axes, ensembles: dict[str, xr.Dataset]) -> None:
    for definition, look in style.lengths(ensembles["network"]).items():
        for name, ensemble in ensembles.items():
            mean, error = (ensemble[f"length_{definition}_{kind}"].values for kind in ("mean", "error"))
            times, label = ensemble["time"].values, look.label if name == "network" else None
            axes.plot(times, mean, style.ENGINES[name].line, color=look.color, label=label)
            axes.fill_between(times, mean - error, mean + error, color=look.color, alpha=0.2, lw=0)
    axes.set(xlabel="time ($1/t$)", ylabel="domain size (lattice constants)", xscale="log", yscale="log")
    style.plain_log_ticks(axes.yaxis)
    style.plain_log_ticks(axes.xaxis, (1.0,))
    axes.legend()


def _energy(axes, ensembles: dict[str, xr.Dataset]) -> None:
    for name, ensemble in ensembles.items():
        energy = ensemble["total_energy"].transpose("replica", "snapshot_time").values
        mean, error = energy.mean(axis=0), energy.std(axis=0, ddof=1) / np.sqrt(len(energy))
        look = style.ENGINES[name]
        points = {"color": look.color, "fmt": f"o{look.line}", "mfc": look.fill, "ms": 3, "capsize": 2}
        axes.errorbar(ensemble["snapshot_time"].values, mean, error, label=look.label, **points)
    axes.set(xlabel="time ($1/t$)", ylabel="total energy per site ($t$)", xscale="log")
    style.plain_log_ticks(axes.xaxis, (1.0,))
    axes.legend()


def _order(axes, ensembles: dict[str, xr.Dataset]) -> None:
    for name, ensemble in ensembles.items():
        values = np.sort(ensemble["order"].isel(time=-1).values)
        share = np.arange(1, len(values) + 1) / len(values)
        look = style.ENGINES[name]
        axes.step(values, share, look.line, where="post", color=look.color, label=look.label)
    axes.set(xlabel=f"order $m$ at $t$ = {float(ensemble['time'][-1]):.3g}", ylabel="share of replicas below", ylim=(0, 1.05))
    axes.legend(loc="upper left")


def differences(axes, rows: list[dict], label: str = "network less solver / margin") -> None:
    """Intervals in units of their margins, one line an observable, one colour a window of time."""
    starts, names = sorted({row["from"] for row in rows}), {row["observable"]: f"${row['symbol']}$" for row in rows}
    axes.axvspan(-1.0, 1.0, color="0.9", zorder=0)
    axes.axvline(0.0, ls=":", color=style.REFERENCE)
    for start, look in zip(starts, style.series(len(starts)), strict=True):
        chosen = [row for row in rows if row["from"] == start and row["difference"] is not None]
        shift = 0.15 - 0.3 * starts.index(start) / max(len(starts) - 1, 1)
        for row in chosen:
            value, low, high = (row[key] / row["margin"] for key in ("difference", "low", "high"))
            place = len(names) - 1 - list(names).index(row["observable"]) + shift
            bars = [[value - low], [high - value]]
            axes.errorbar(value, place, xerr=bars, fmt=look["marker"], ms=3.5, capsize=2, color=look["color"])
        if chosen:
            times = f"{start:g}–{chosen[0]['to']:.3g}"  # short: three of them stand beside the panel's letter
            told = times if axes.get_legend_handles_labels()[1] else f"$t$: {times}"
            axes.plot([], [], look["marker"], color=look["color"], ms=3.5, label=told)
    axes.set_xscale("symlog", linthresh=1.0)
    axes.set_xticks([-10, -1, 0, 1, 10], ["-10", "-1", "0", "1", "10"])
    axes.set_yticks(range(len(names))[::-1], list(names.values()))
    axes.set(xlabel=label, xlim=(-LARGEST, LARGEST), ylim=(-0.7, len(names) - 0.3))
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.2, handletextpad=0.0, columnspacing=0.5)
