"""Figure: training and validation error against the training step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ennforce.figures import style
from ennforce.io import DataError, file_digest

CATEGORY = "Network"
TARGETS = ("figures",)
INPUTS = {"history": "models/enn/history.csv", "model": "models/enn/model.json"}
CAPTION = """\
Relative force error (root mean square over the standard deviation of the force) during training. Validation uses whole
trajectories that training never sees, and exponentially averaged weights; the best of them are kept.
"""


def draw(history: Path, model: dict) -> Figure:
    """``history``: CSV of step, relative training error and validation error; further columns are not shown.

    Raises DataError where that file is not the one that ``model``, model.json, was written with.
    """
    if model.get("history") not in (None, file_digest(history)):  # older models do not tell
        raise DataError(f"{history} is not the file that model.json describes: delete it and run again")
    drawing, axes = style.figure()
    step, training, validation = np.loadtxt(history, delimiter=",", skiprows=1, ndmin=2).T[:3]
    best_step = model["best_step"]
    axes.plot(step, 100 * training, color=style.REFERENCE, lw=0.8, label="training (running weights)")
    axes.plot(step, 100 * validation, color=style.ENGINES["network"].color, label="validation (averaged weights)")
    best = 100 * validation[step == best_step][0]
    axes.plot(best_step, best, "o", color=style.VERMILION, label=f"kept: step {best_step}, {best:.2f} %")
    axes.set(xlabel="training step", ylabel="relative force error (%)", yscale="log")
    style.plain_log_ticks(axes.yaxis)
    axes.set_ylim(bottom=80 * min(training.min(), validation.min()))
    axes.legend()
    return drawing
