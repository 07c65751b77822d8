"""Figure: neighbour shells around a site and what each holds of every irrep of the point group."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ennforce.figures import style
from ennforce.lattice import Lattice
from ennforce.symmetry.intertwiners import stencil_permutation

CATEGORY = "Network"
TARGETS = ("figures",)
STAGE = "symmetry"
SETTINGS = {"lattice": "model.lattice"}
CAPTION = """\
(a) Neighbour shells around a site. (b) How often each irrep of the point group occurs in each shell; below the labels the totals.
Both are computed from the lattice's group, as the network's filters are.
"""

SHELLS = 9  # 45 sites, the neighbourhood of the published descriptor


def draw(lattice: str) -> Figure:
    """Drawn from the code's own group theory: ``lattice``, by its name, fixes shells, point group and irreps."""
    drawing, (left, right) = style.figure(2, height=76, width_ratios=(1.0, 1.25))
    torus = Lattice(lattice, (2, 2))
    group, shells = torus.point_group, torus.shells(SHELLS)
    colours = style.IRREP_MAP(np.linspace(0.05, 0.95, SHELLS))
    for number, shell in enumerate(shells):
        points = np.array([np.asarray(shift) @ torus.basis for shift in shell])
        left.scatter(points[:, 0], points[:, 1], s=130, color=colours[number], edgecolor="white", zorder=2)
        dark = colours[number][:3].mean() < 0.55
        for x, y in points:
            left.text(x, y, str(number), ha="center", va="center", fontsize=6, color="white" if dark else "black", zorder=3)
        if number:
            ring = np.linspace(0, 2 * np.pi, 200)
            distance = np.hypot(*points[0])
            left.plot(distance * np.cos(ring), distance * np.sin(ring), color="0.85", lw=0.5, zorder=1)
    left.set(aspect="equal", xlabel="$x$ (lattice constants)", ylabel="$y$ (lattice constants)")
    style.panel(left, "a")

    labels = list(group.irreps)
    table = np.array([list(group.multiplicities(stencil_permutation(group, shell)).values()) for shell in shells])
    total = table.sum(axis=0)
    right.imshow(table, cmap="Greys", vmin=0, vmax=2.5 * max(table.max(), 1), aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        right.text(column, row, str(value) if value else "·", ha="center", va="center", fontsize=7)
    right.set_xticks(range(len(labels)), [f"${label[0]}_{{{label[1:]}}}$\n{n}" for label, n in zip(labels, total, strict=True)])
    right.set_yticks(range(SHELLS), [f"{n}  ({len(shell)} sites)" for n, shell in enumerate(shells)])
    right.set(xlabel=f"irrep of the point group ({len(group)} elements), total number", ylabel="shell")
    right.spines[:].set_visible(False)
    right.tick_params(length=0)
    style.panel(right, "b")
    return drawing
