"""The look of every figure: sizes in mm, colour-blind-safe colours, files whose bytes depend on the data alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import cmocean
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from ennforce.io import write_atomically

WIDTH = 178 / 25.4  # a journal's two columns, in inches
# Okabe and Ito's palette, dark to light so that it survives greyscale.
COLOURS = {"network": "#0072B2", "kpm": "#D55E00", "random": "#E69F00", "quench": "#0072B2", "reference": "#555555"}
ENGINES = {"network": "network", "kpm": "KPM"}
LENGTH_COLOURS = {"half": "#0072B2", "structure": "#D55E00", "wall": "#009E73"}
LENGTH_LABELS = {"half": "$L_{1/2}$", "structure": "$L_k$", "wall": "$L_\\mathrm{wall}$"}
TIME_MAP = cmocean.tools.crop_by_percent(cmocean.cm.dense, 15, which="min")
FIELD_MAP = cmocean.cm.balance
IRREP_MAP = cmocean.cm.haline

RC: Any = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "svg.hashsalt": "ennforce",
    "svg.fonttype": "path",
    "figure.constrained_layout.use": True,
}


def figure(columns: int = 1, rows: int = 1, height: float = 62.0, **arguments):
    """A figure of full width and ``height`` mm a row, with its axes."""
    plt.rcParams.update(RC)
    return plt.subplots(rows, columns, figsize=(WIDTH, rows * height / 25.4), squeeze=True, **arguments)


def save(drawing: Figure, svg: str | Path, png: str | Path) -> None:
    """Write both files atomically, without a date in them, and close the figure."""
    write_atomically(svg, lambda path: drawing.savefig(path, format="svg", metadata={"Date": None}))
    write_atomically(png, lambda path: drawing.savefig(path, format="png", metadata={"Software": None}))
    plt.close(drawing)


def panel(axes, letter: str) -> None:
    """The letter of a panel, above its upper left corner."""
    axes.set_title(f"({letter})", loc="left", fontweight="bold")


def plain_log_ticks(axis, multiples: tuple[float, ...] = (1.0, 2.0, 5.0)) -> None:
    """Ticks at these multiples of each power of ten of a logarithmic axis, written as plain numbers."""
    axis.set_major_locator(LogLocator(subs=multiples))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def decade_times(times: np.ndarray, count: int) -> list[int]:
    """Indices of about ``count`` times, evenly spaced in their logarithm, the last included."""
    targets = np.geomspace(max(times[0], times[-1] / 300), times[-1], count)
    return sorted({int(np.argmin(np.abs(np.log(times / target)))) for target in targets})


def series(count: int) -> list[dict[str, Any]]:
    """Colour, marker and dash of ``count`` lines that also print in grey."""
    colours = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#000000", "#D55E00")
    markers, dashes = "o^Dv<>P*X", ("-", "--", "-.")
    return [
        {"color": colours[n % len(colours)], "marker": markers[n % len(markers)], "ls": dashes[n % len(dashes)], "ms": 4}
        for n in range(count)
    ]
