"""Training, dynamics, and error against cost of networks and the solver on one GPU: ``python benchmarks/gpu.py``.

    python benchmarks/gpu.py [--device cuda] [--output docs/benchmarks]

Writes gpu.md. Training: steps of the default study's network on random configurations of 48² sites. Dynamics: steps of Langevin's
equation with a network's forces, fields on the device throughout. Error against cost: the networks of the shelf (``trained/``),
judged on the held-out configurations stored with them, and the solver on the same device, judged on the same. Without a GPU it says
so and ends.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from machine import description

from ennforce.dynamics import Langevin, State
from ennforce.forces import ForceField, KPMForces, NetworkForces
from ennforce.io import read_dataset
from ennforce.lattice import Lattice
from ennforce.models import Holstein
from ennforce.networks import Architecture, build
from ennforce.sections import Network, Training
from ennforce.shelf import read_entry
from ennforce.tables import as_markdown
from ennforce.training.dataset import Samples
from ennforce.training.frontier import on_square
from ennforce.training.loop import Recipe, fit

ROOT = Path(__file__).parents[1]
BATH = {"mass": 1.0, "friction": 0.2, "temperature": 0.05, "dt": 0.4}
TOLERANCES = (0.1, 0.05, 0.02, 1e-2, 3e-3)
BATCHES = (1, 4, 16, 64)


def finish(device: str) -> None:
    """Wait until all that was asked of the device is done: it answers late."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def seconds(device: str, call: Callable[[], object], repeats: int) -> float:
    """The median time of a call, after one that is not counted."""
    spent = []
    for _ in range(repeats + 1):
        finish(device)
        started = time.perf_counter()
        call()
        finish(device)
        spent.append(time.perf_counter() - started)
    return median(spent[1:])


def training(device: str, batches: tuple[int, ...], steps: int, side: int = 48) -> list[dict]:
    """Steps per second of the default network, by size of the batch. What a step learns does not matter here."""
    rng, rows = np.random.default_rng(0), []
    fields = rng.normal(scale=0.5, size=(max(batches), 1, side, side)).astype(np.float32)
    samples = Samples(fields, np.tanh(fields))
    for batch in batches:

        def run(count: int, batch: int = batch) -> float:
            recipe = Recipe(count, batch, Training().learning_rate, validate_every=count, seed=0)
            finish(device)
            started = time.perf_counter()
            fit(Architecture(**Network().model_dump()), samples, Samples(fields[:1], samples.forces[:1]), recipe, device=device)
            finish(device)
            return time.perf_counter() - started

        run(2)  # libraries choose their kernels
        step = (run(2 * steps) - run(steps)) / steps  # without what a training costs once
        rate = 1e-6 * batch * side**2 / step
        rows.append({"batch": batch, "ms per step": f"{1e3 * step:.2f}", "million site-steps/s": f"{rate:.3g}"})
    return rows


def dynamics(device: str, sizes: tuple[int, ...], steps: int) -> list[dict]:
    """Site-steps per second of Langevin dynamics with the default network's forces; weights do not change the time."""
    rows = []
    for size in sizes:
        torch.manual_seed(0)
        model = Holstein(Lattice.square(size, size), temperature=0.05)
        network = build(Architecture(**Network().model_dump()), 0.7, 0.01)  # forces too weak to blow the fields up
        engine = Langevin(NetworkForces(network, model, device=device), **BATH)
        state = State.uncorrelated((size, size), np.arange(1), 1, sigma=0.5, mass=1.0, temperature=0.05).on(device)
        spent = seconds(device, lambda engine=engine, state=state: engine.run(state, steps), 3) / steps
        row = {"lattice": f"{size} x {size}", "ms per step": f"{1e3 * spent:.3g}"}
        rows.append({**row, "million site-steps/s": f"{1e-6 * size**2 / spent:.4g}"})
        if torch.device(device).type == "cuda":
            rows[-1]["peak memory, GiB"] = f"{torch.cuda.max_memory_allocated() / 2**30:.2f}"
            torch.cuda.reset_peak_memory_stats()
    return rows


def frontier(device: str, folder: Path, size: int, tolerances: tuple[float, ...], repeats: int) -> list[dict]:
    """Error on an entry's stored quench configurations and time per site of its network, and of the solver for the same model."""
    entry = read_entry(folder)
    network = NetworkForces.load(folder, device=device)
    sample = read_dataset(folder / "sample.nc", ["fields", "forces_electronic", "kind"])
    quench = np.flatnonzero(sample["kind"].values == "quench")
    fields, exact = (sample[name].values[quench].astype(float) for name in ("fields", "forces_electronic"))
    model = network.model.resized(*fields.shape[-network.model.lattice.dimension :])
    solvers = {f"solver within {t:g}, sampled": t for t in tolerances}
    rows = []
    for name, tolerance in {f"network of `{folder.name}` ({entry.model['architecture']['kind']})": None, **solvers}.items():
        force_field: ForceField = network
        large = network
        if tolerance is not None:
            force_field, large = (KPMForces(m, tolerance, sampled=True, device=device) for m in (model, model.resized(size, size)))
        predicted = np.concatenate([force_field.electronic_forces(f[None]) for f in fields])
        error = float(np.sqrt(((predicted - exact) ** 2).mean()) / exact.std())
        tiled = on_square(fields[-1, 0], size)
        given = torch.as_tensor(tiled, device=device) if tolerance is None else tiled
        spent = seconds(device, lambda large=large, given=given: large.electronic_forces(given), repeats)
        rows.append({"what": name, "error": f"{100 * error:.2f} %", "µs per site": f"{1e6 * spent / size**2:.4g}"})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", help="a torch device; cpu tries the code, its numbers are of no use")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "benchmarks")
    parser.add_argument("--trial", action="store_true", help="tiny sizes: does it run?")
    arguments = parser.parse_args()
    if torch.device(arguments.device).type == "cuda" and not torch.cuda.is_available():
        print("no CUDA device on this machine: nothing is measured")
        return
    cuda = torch.device(arguments.device).type == "cuda"
    trial, name = arguments.trial, torch.cuda.get_device_name() if cuda else "no GPU, numbers of a trial"
    entries = sorted(path.parent for path in (ROOT / "trained").glob("*/entry.json"))
    square = [folder for folder in entries if NetworkForces.load(folder).model.lattice.is_square]
    parts = [
        "# On a GPU",
        f"Made by `python benchmarks/gpu.py`. {name}; {description()}.",
        "## Training",
        "The default network (width 8, depth 4, separable, far stencils), configurations of 48 × 48 sites; a step is everything: "
        "forward, backward, optimiser.",
        as_markdown(training(arguments.device, BATCHES[:1] if trial else BATCHES, 2 if trial else 100, 32 if trial else 48)),
        "## Dynamics",
        "Langevin dynamics with that network's forces: network, classical forces, noise and update, nothing observed.",
        as_markdown(dynamics(arguments.device, (32, 64) if trial else (256, 1024, 4096), 2 if trial else 20)),
        "## Error against cost",
        "Error: rms of the electronic force over its standard deviation, on the quench configurations stored with the network. "
        f"Cost: one force call on a torus of {64 if trial else 256}² sites filled with the last of them.",
    ]
    for folder in square:
        sizes = (64, TOLERANCES[:1], 1) if trial else (256, TOLERANCES, 5)
        parts += [f"### `{folder.name}`", as_markdown(frontier(arguments.device, folder, *sizes))]
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "gpu.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"written: {arguments.output / 'gpu.md'}")


if __name__ == "__main__":
    main()
