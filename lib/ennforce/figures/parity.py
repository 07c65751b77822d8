"""Figure: predicted against exact force on held-out data, and the residuals; random and quench configurations apart."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ennforce.figures import style

CATEGORY = "Network"
TARGETS = ("figures", "sweep")
INPUTS = {"predictions": "models/enn/predictions.nc", "metrics": "models/enn/metrics.json"}
CAPTION = """\
Predicted against exact electronic force on held-out trajectories: (a) snapshots of quenches, (b) uncorrelated configurations; (c)
residuals.
"""

POINTS = 8000


def draw(predictions: xr.Dataset, metrics: dict) -> Figure:
    errors, residuals = metrics["errors"], {}
    kinds = [kind for kind in style.KINDS if kind in errors]  # data of others may have one
    drawing, (*shown, right) = style.figure(1 + len(kinds))
    for axes, kind, letter in zip(shown, kinds, "ab", strict=False):
        exact, predicted = predictions[f"exact_{kind}"].values, predictions[f"predicted_{kind}"].values
        residuals[kind] = (predicted - exact) / errors[kind]["std"]
        chosen = np.random.default_rng(0).permutation(len(exact))[:POINTS]
        limit = 1.05 * np.abs(exact).max()
        axes.plot([-limit, limit], [-limit, limit], color=style.REFERENCE, lw=0.7)
        axes.scatter(exact[chosen], predicted[chosen], s=1.0, color=style.KINDS[kind].color, alpha=0.4, rasterized=True)
        axes.set(
            xlabel="exact force ($t$)", ylabel="predicted force ($t$)", aspect="equal", xlim=(-limit, limit), ylim=(-limit, limit)
        )
        axes.text(0.05, 0.95, f"{kind}\n{100 * errors[kind]['relative']:.2f} % rms", transform=axes.transAxes, va="top")
        style.panel(axes, letter)
    largest = max(np.abs(r).max() for r in residuals.values())
    bins = np.linspace(-largest, largest, 101)
    for kind in kinds:
        look = style.KINDS[kind]
        density, edges = np.histogram(residuals[kind], bins=bins, density=True)
        right.stairs(density, edges, color=look.color, ls=look.line, label=look.label)
    right.set(xlabel="residual / std of force", ylabel="density", yscale="log")
    right.legend()
    style.panel(right, "abc"[len(kinds)])
    return drawing
