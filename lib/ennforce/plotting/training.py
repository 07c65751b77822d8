"""Figure: training and validation error against the training step."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ennforce.plotting import style


def draw(history: np.ndarray, best_step: int) -> Figure:
    """``history``: rows (step, training error, validation error), relative; further columns are not shown."""
    drawing, axes = style.figure()
    step, training, validation = history.T[:3]
    axes.plot(step, 100 * training, color=style.COLOURS["reference"], lw=0.8, label="training (running weights)")
    axes.plot(step, 100 * validation, color=style.COLOURS["network"], label="validation (averaged weights)")
    best = 100 * validation[step == best_step][0]
    axes.plot(best_step, best, "o", color=style.COLOURS["kpm"], label=f"kept: step {best_step}, {best:.2f} %")
    axes.set(xlabel="training step", ylabel="relative force error (%)", yscale="log")
    style.plain_log_ticks(axes.yaxis)
    axes.set_ylim(bottom=80 * min(training.min(), validation.min()))
    axes.legend()
    return drawing
