"""Cost of network-driven dynamics against the bare network: ``python benchmarks/dynamics.py [--output docs/benchmarks]``.

Every line is a process of its own, so that its peak memory is its own. In each, bare calls of the network alternate with whole
steps (network, classical forces, noise, update) of the same fields; medians are compared, so that a change of the machine's speed
between lines does not enter the ratio. Observation is timed apart and shared out over a run that observes 60 times in 1000 steps.
Weights are random: they do not change the time.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from machine import description

from ennforce.dynamics import Langevin, State
from ennforce.forces import NetworkForces
from ennforce.lattice import Lattice
from ennforce.models import Holstein
from ennforce.networks import Architecture, build
from ennforce.observables import Observer, observables_of
from ennforce.sections import Network
from ennforce.tables import as_csv, as_markdown
from ennforce.workflow import set_threads

BATH = {"mass": 1.0, "friction": 0.2, "temperature": 0.05, "dt": 0.4}
OBSERVED = 60 / 1000  # observations a step
LINES = [  # size, replicas, threads
    (256, 1, 1), (512, 1, 1), (1024, 1, 1), (2048, 1, 1), (64, 16, 1), (64, 256, 1), (256, 16, 1),
    (256, 1, 2), (1024, 1, 2), (2048, 1, 2), (4096, 1, 2), (64, 256, 2),
]  # fmt: skip


def measure(size: int, replicas: int, threads: int, steps: int) -> dict:
    """One line of the table, in this process."""
    set_threads(threads)
    model = Holstein(Lattice.square(size, size), temperature=0.05)
    network = build(Architecture(**Network().model_dump()), 0.7, 0.01)  # forces too weak to blow the fields up
    forces = NetworkForces(network, model)
    state = State.uncorrelated((size, size), np.arange(replicas), 1, sigma=0.5, mass=1.0, temperature=0.05)
    whole: list[float] = []
    bare: list[float] = []

    def clocked(state: State) -> None:
        whole.append(time.perf_counter() - clock[0])
        bare_field = torch.as_tensor(state.fields).unsqueeze(1)
        started = time.perf_counter()
        forces.network.on_torus(bare_field)
        bare.append(time.perf_counter() - started)
        clock[0] = time.perf_counter()

    clock = [time.perf_counter()]
    last = Langevin(forces, **BATH).run(state, steps + 1, clocked)
    sites = replicas * size * size
    observer = Observer(model, observables_of(model))
    observer(last.fields[:1], last.momenta[:1], last.replicas[:1])
    started = time.perf_counter()
    observer(last.fields, last.momenta, last.replicas)
    observation = time.perf_counter() - started
    step, alone = median(whole[1:]), median(bare[1:])
    return {
        "lattice": f"{size} x {size}",
        "replicas": replicas,
        "threads": threads,
        "network, ns a site": 1e9 * alone / sites,
        "step, ns a site": 1e9 * step / sites,
        "with observation": 1e9 * (step + OBSERVED * observation) / sites,
        "network's share": alone / (step + OBSERVED * observation),
        "million sites/s": 1e-6 * sites / (step + OBSERVED * observation),
        "peak memory, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--line", type=int, nargs=4, metavar=("SIZE", "REPLICAS", "THREADS", "STEPS"))
    arguments = parser.parse_args()
    if arguments.line:
        print(json.dumps(measure(*arguments.line)))
        return
    rows = []
    for size, replicas, threads in LINES:
        steps = max(2, min(arguments.steps, round(arguments.steps * 2**20 / (size * size * replicas))))
        line = [str(number) for number in (size, replicas, threads, steps)]
        done = subprocess.run([sys.executable, __file__, "--line", *line], check=True, capture_output=True, text=True)
        rows.append(json.loads(done.stdout))
        print(rows[-1], flush=True)
    text = ["# Network-driven dynamics: cost of a step", description(), "Written by `benchmarks/dynamics.py`.", as_markdown(rows)]
    (arguments.output / "dynamics.md").write_text("\n\n".join(text) + "\n")
    (arguments.output / "dynamics.csv").write_text(as_csv(rows))


if __name__ == "__main__":
    main()
