"""Figure: energy along the way of a wall that moves by one site."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ennforce.figures import style

CATEGORY = "Coarsening"
TARGETS = ("figures",)
STAGE = "barrier"
INPUTS = {"barrier": "analysis/barrier.json"}
CAPTION = """\
(a) Grand potential, over the temperature of the bath, while one site at a wall is led to the other domain and all others relax:
of a flat wall, and at a kink, by which walls move without getting longer. (b) The site's field on the way. Exact diagonalisation
of 12 × 12 sites at zero temperature of the fields. Far above one, growth waits for rare events; at zero there is no barrier, or
no wall: in a box of this size domains whose walls are wide vanish.
"""

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
    right.axhline(0.0, ls=":", color=style.REFERENCE)
    style.panel(left, "a")
    style.panel(right, "b")
    return drawing
