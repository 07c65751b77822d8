"""Local expansions of fixed effort against a network of the default architecture: error, and microseconds a site on one thread.

    OMP_NUM_THREADS=1 python benchmarks/effort.py [--size 256] [--output docs/benchmarks]

Writes effort.md. Snapshots of the `default` and the `paper` regime; timings of one regime are interleaved in one process, and the
network's weights are random: its cost does not depend on them, its error is told elsewhere.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from machine import description

from ennforce.dynamics.langevin import Langevin, State
from ennforce.forces import ExactForces, KPMForces, LocalForces, NetworkForces
from ennforce.lattice import Lattice
from ennforce.models import Holstein
from ennforce.networks import Architecture, build
from ennforce.tables import as_markdown
from ennforce.training.frontier import on_square, pareto

# Parameters, bath, and the steps after which snapshots are taken, of a quench from small fields.
REGIMES = {
    "default": (
        {"t": 1.0, "g": 1.5, "K": 0.67, "temperature": 0.05},
        {"mass": 1.0, "friction": 0.2, "temperature": 0.05, "dt": 0.4},
        (20, 60, 180),
    ),
    "paper": (
        {"t": 1.0, "g": 3.5, "K": 1.0, "kappa": 0.18, "temperature": 0.1},
        {"mass": 5.0, "friction": 0.2, "temperature": 0.1, "dt": 0.4},
        (60, 150, 300),
    ),
}
CHEBYSHEV = [(16, 3), (16, 4), (24, 3), (24, 4), (24, 5), (32, 4), (32, 5), (48, 4), (48, 5), (48, 6), (64, 5), (64, 6), (64, 7)]
LANCZOS = [(3, 4, 1), (4, 4, 1), (6, 4, 1), (6, 5, 1), (8, 5, 1), (8, 5, 2), (10, 6, 2)]
TOLERANCES = (0.1, 0.03)
REPEATS = 3


def snapshots(model: Holstein, bath: dict, steps: tuple[int, ...]) -> np.ndarray:
    engine = Langevin(LocalForces(model, order=64, radius=8), **bath)
    state = State.uncorrelated(model.lattice.shape, np.arange(1), 1, sigma=0.1, mass=bath["mass"], temperature=bath["temperature"])
    found = []
    for step in steps:
        state = engine.run(state, step - state.step)
        found.append(state.fields[0].copy())
    return np.array(found)


def table(regime: str, size: int) -> list[dict]:
    """Rows of every setting on the front, of the solver within a tolerance, and of the network."""
    parameters, bath, steps = REGIMES[regime]
    model = Holstein(Lattice.square(32, 32), **parameters)
    fields = snapshots(model, bath, steps)
    exact, large = ExactForces(model).electronic_forces(fields), on_square(fields[-1], size)
    options = [{"order": order, "radius": radius} for order, radius in CHEBYSHEV]
    options += [{"steps": count, "poles": poles, "radius": radius} for count, poles, radius in LANCZOS]
    rows, calls = [], []
    for name, maker in (
        *((str(LocalForces(model, **o).effort), lambda m, o=o: LocalForces(m, **o)) for o in options),
        *((f"within {t:g}, sampled", lambda m, t=t: KPMForces(m, t, sampled=True)) for t in TOLERANCES),
    ):
        error = np.sqrt(((maker(model).electronic_forces(fields) - exact) ** 2).mean()) / exact.std()
        rows.append({"setting": name, "error": float(error)})
        calls.append(maker(model.resized(size, size)).electronic_forces)
    network = NetworkForces(build(Architecture(kind="enn", width=8, depth=4, separable=True)), model.resized(size, size))
    rows.append({"setting": "network `enn`", "error": None})
    calls.append(network.electronic_forces)
    times: list[list[float]] = [[] for _ in calls]
    for repeat in range(REPEATS + 1):
        for call, spent in zip(calls, times, strict=True):
            before = process_time()
            call(large)
            if repeat:
                spent.append(process_time() - before)
    for row, spent in zip(rows, times, strict=True):
        row["microseconds"] = 1e6 * median(spent) / size**2
    fixed = rows[: len(options)]
    front = pareto([row["error"] for row in fixed], [row["microseconds"] for row in fixed])
    return [*(fixed[number] for number in front), *rows[len(options) :]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    parts = [
        "# Local expansions of fixed effort, and the cost of a network",
        "Made by `python benchmarks/effort.py`. Error: rms of the electronic force over its standard deviation, on three 32 × 32 "
        f"snapshots of a quench; microseconds a site on {arguments.size} × {arguments.size}, one thread, median "
        f"CPU time of {REPEATS} interleaved calls. Of the fixed settings, those that none beats in both. {description()}.",
    ]
    for regime in REGIMES:
        rows = [
            {
                "setting": row["setting"],
                "error": "" if row["error"] is None else f"{100 * row['error']:.2f} %",
                "µs per site": f"{row['microseconds']:.2f}",
            }
            for row in table(regime, arguments.size)
        ]
        parts += [f"## `{regime}`", as_markdown(rows)]
        print("\n\n".join(parts[-2:]), flush=True)
    (arguments.output / "effort.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
