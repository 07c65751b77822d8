"""Figure: energy along the way of a wall that moves by one site."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ennforce.plotting import style

LABELS = {"flat": "flat wall", "kink": "wall at a kink"}


def draw(barrier: dict) -> Figure:
    drawing, (left, right) = style.figure(2)
    for (name, path), line in zip(barrier["walls"].items(), style.series(2), strict=True):
        energy = np.array(path["energy"]) / barrier["temperature"]
        way = np.linspace(0, 1, len(energy))
        left.plot(way, energy, label=f"{LABELS[name]}: {path['barrier_over_temperature']:.3g} $T$", **line)
        right.plot(way, np.array(path["field"]) / barrier["amplitude"], label=LABELS[name], **line)
    left.set(xlabel="way of the site from one domain to the other", ylabel="energy / $T$")
    left.legend(title="highest point")
    right.set(xlabel="way of the site from one domain to the other", ylabel="its field / field of the ordered state")
    right.axhline(0.0, ls=":", color=style.COLOURS["reference"])
    style.panel(left, "a")
    style.panel(right, "b")
    return drawing
