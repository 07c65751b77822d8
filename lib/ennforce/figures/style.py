"""The look of every figure: sizes in mm, colour-blind-safe colours, files whose bytes depend on the data alone."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")
import cmocean
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from ennforce.analysis.lengths import SYMBOLS, definitions
from ennforce.io import write_atomically
from ennforce.lattice import Lattice

WIDTH = 178 / 25.4  # a journal's two columns, in inches
# Okabe and Ito's palette, dark to light so that it survives greyscale.
BLUE, VERMILION, GREEN, ORANGE, REFERENCE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#555555"


class Look(NamedTuple):
    """How one thing is drawn and called, in every figure."""

    label: str
    color: str
    line: str
    marker: str
    fill: str  # of its markers


ENGINES = {
    "network": Look("network", BLUE, "-", "o", BLUE),
    "kpm": Look("KPM", VERMILION, "--", "s", "white"),
    "corrected": Look("corrected", GREEN, "-.", "^", GREEN),
}
KINDS = {"quench": Look("quench", BLUE, "-", ".", BLUE), "random": Look("random", ORANGE, "--", ".", ORANGE)}
LENGTHS = {
    "half": Look(f"${SYMBOLS['half']}$", BLUE, "-", "o", BLUE),
    "structure": Look(f"${SYMBOLS['structure']}$", VERMILION, "-", "s", VERMILION),
    "wall": Look(f"${SYMBOLS['wall']}$", GREEN, "-", "^", GREEN),
}
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


def sites(axes, values: np.ndarray, lattice: Lattice, **arguments):
    """Draw a number per site where the sites are: a row of a chain, a plane, the middle plane of a torus of three dimensions.

    ``arguments`` go to matplotlib's ``imshow``, or to ``pcolormesh`` where the lattice is sheared. Returns what a colour bar needs.
    """
    plane = values[None] if values.ndim == 1 else values[(len(values) // 2,) * (values.ndim - 2)]
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(True)
    basis = lattice.basis[-2:, :2]
    if values.ndim == 1 or not basis.prod(axis=1).any():
        aspect = "auto" if values.ndim == 1 else "equal"
        return axes.imshow(plane, origin="lower", interpolation="nearest", aspect=aspect, **arguments)
    corners = np.moveaxis(np.indices([n + 1 for n in plane.shape]), 0, -1) - 0.5
    x, y = np.moveaxis(corners @ basis, -1, 0)
    axes.set_aspect("equal")
    return axes.pcolormesh(x, y, plane, rasterized=True, **arguments)


def lengths(observables: xr.Dataset) -> dict[str, Look]:
    """Looks of the domain sizes that an ensemble has, by name."""
    return {name: LENGTHS[name] for name in definitions(observables)}


def wave_number(observables: xr.Dataset) -> str:
    """What k is called on an axis, by where the order's wave vector puts its zero."""
    return observables["k"].attrs["long_name"].replace("wave number", "$k$")


def power(name: str, exponent: float) -> str:
    """A power law in TeX, the exponent as a fraction where it is a simple one."""
    return f"${name}^{{{Fraction(exponent).limit_denominator(6)}}}$"


def plain_log_ticks(axis, multiples: tuple[float, ...] = (1.0, 2.0, 5.0)) -> None:
    """Ticks at these multiples of each power of ten of a logarithmic axis, written as plain numbers.

    An axis without anything on it, as where no length could be measured, gets limits whose logarithm can be taken.
    """
    if not axis.get_data_interval()[1] > 0 or not np.isfinite(axis.get_data_interval()).all():
        axis.axes.set(**{f"{axis.axis_name}lim": (1.0, 10.0)})
    axis.set_major_locator(LogLocator(subs=multiples))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def decade_times(times: np.ndarray, count: int) -> list[int]:
    """Indices of about ``count`` times, evenly spaced in their logarithm, the last included."""
    targets = np.geomspace(max(times[0], times[-1] / 300), times[-1], count)
    return sorted({int(np.argmin(np.abs(np.log(times / target)))) for target in targets})


def series(count: int) -> list[dict[str, Any]]:
    """Colour, marker and dash of ``count`` lines that also print in grey."""
    colours = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#000000", VERMILION)
    markers, dashes = "o^Dv<>P*X", ("-", "--", "-.")
    return [
        {"color": colours[n % len(colours)], "marker": markers[n % len(markers)], "ls": dashes[n % len(dashes)], "ms": 4}
        for n in range(count)
    ]
