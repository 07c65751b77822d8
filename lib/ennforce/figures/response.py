"""Figure: linear response of the uniform state, network against electrons, and their ratio around (pi, pi)."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ennforce.figures import style

CATEGORY = "Network"
TARGETS = ("figures",)
STAGE = "response"
INPUTS = {"response": "models/enn/response.json"}
CAPTION = """\
Response of the force to small fields: (a) F_q / Q_q of the network at zero field against the electrons’ own (Lindhard) along a
path of wave vectors; (b) their ratio around {wave_vector}, where order sets in, at zero field and, against the solver, at small
random fields; grey: within 2 %.
"""


def draw(response: dict) -> Figure:
    drawing, (left, right) = style.figure(2)
    path = {key: np.array(values) for key, values in response["path"].items()}
    left.plot(path["length"], path["exact"], color=style.REFERENCE, label="electrons (Lindhard)")
    left.plot(path["length"], path["network"], "o", ms=2.5, color=style.ENGINES["network"].color, label="network")
    corners = [0.0, np.pi, 2 * np.pi, path["length"][-1]]
    left.set_xticks(corners, ["(0, 0)", r"(0, $\pi$)", r"($\pi$, $\pi$)", "(0, 0)"])
    left.set(ylabel=r"response $F_q / Q_q$ ($t$)")
    left.legend()
    style.panel(left, "a")
    shells = np.array(response["shells"])
    places = shells.mean(axis=1)
    right.axhspan(-2, 2, color="0.9", lw=0)
    right.axhline(0, color=style.REFERENCE, lw=0.7)
    curves = [("no field", response["zero"]), *((f"spread {case['sigma']:g}", case) for case in response["small"])]
    for (label, case), look in zip(curves, style.series(len(curves)), strict=True):
        right.plot(places, 100 * (np.array(case["network"]) / np.array(case["exact"]) - 1), label=label, **look)
    right.set(xlabel=r"distance from ($\pi$, $\pi$)", ylabel="network against electrons (%)")
    right.legend()
    style.panel(right, "b")
    return drawing
