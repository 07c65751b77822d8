"""Figure: relative bias of late-time averages against the time step."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ennforce.figures import style

CATEGORY = "Is the learned dynamics right?"
TARGETS = ("figures",)
INPUTS = {"timestep": "analysis/timestep.json"}
CAPTION = """\
Relative bias of averages over the last third of the run against those of the finest time step: (a) kinetic temperature, mean square
field and other numbers, (b) structure factor, (c) domain sizes. Bars: one standard error. Horizontal lines: statistical error of
the large run at the same times. Dotted, where there is one: the scheme is unstable beyond.
"""


def draw(timestep: dict) -> Figure:
    drawing, axes = style.figure(3)
    rows = timestep["rows"]
    names = list(dict.fromkeys(row["observable"] for row in rows))
    groups = (
        [name for name in names if not name.startswith(("S(", "length_"))],
        [name for name in names if name.startswith("S(")],
        [name for name in names if name.startswith("length_")],
    )
    for panel, letter, group in zip(axes, "abc", groups, strict=True):
        for n, (name, look) in enumerate(zip(group, style.series(len(group)), strict=True)):
            chosen = [row for row in rows if row["observable"] == name]
            dts = np.array([row["dt"] for row in chosen]) * (1.0 + 0.03 * (n - 0.5 * (len(group) - 1)))
            bias, error, allowed = (
                100 * np.array([np.nan if row[key] is None else row[key] for row in chosen])
                for key in ("relative_bias", "standard_error", "statistical_error")
            )
            label = f"${chosen[0]['symbol']}$"
            panel.errorbar(dts, bias, error, color=look["color"], fmt=look["marker"] + look["ls"], ms=3, capsize=2, label=label)
            if np.isfinite(allowed[0]):
                for side in (-1, 1):
                    panel.axhline(side * allowed[0], color=look["color"], ls=look["ls"], lw=0.5, alpha=0.7)
        panel.axhline(0.0, lw=0.6, color="0.8", zorder=0)
        if timestep["unstable_from"] is not None:
            panel.axvline(timestep["unstable_from"], ls=":", color=style.REFERENCE)
        panel.set(xlabel="time step ($1/t$)", xscale="log")
        style.plain_log_ticks(panel.xaxis)
        panel.legend()
        style.panel(panel, letter)
    axes[0].set(ylabel="relative bias (%)")
    return drawing
