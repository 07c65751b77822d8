"""Equal accuracy for less: ``python benchmarks/cheaper.py DATA TEACHER [--output docs/benchmarks]``.

DATA is a study's data set, TEACHER the folder of an accurate network trained on it. Narrow networks learn, for equal steps and
three seeds,

- plainly, from the labels of the data set;
- from the teacher (distillation): its forces on the same configurations and on as many that lie between them, which cost nothing;
- from the labels, told what the electrons answer at low order: ``order`` Chebyshev moments in windows of ``radius`` sites, as the
  solver computes them; the network then learns what these moments leave.

Writes cheaper.md: error on held-out quenches and random configurations, cost of a force on one thread, all timed in one run.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from machine import description

from ennforce.forces import LocalForces
from ennforce.io import attribute, read_dataset
from ennforce.models import Hamiltonian, from_parameters
from ennforce.networks import Architecture, ForceNetwork
from ennforce.networks.export import TiledNetwork, load_model
from ennforce.tables import as_markdown
from ennforce.training.dataset import Samples
from ennforce.training.frontier import on_square
from ennforce.training.loop import Recipe, fit, predict

WIDTHS = (2, 4)
MOMENTS = ((8, 1), (12, 2), (16, 3))  # order and radius of the solver's part
SEEDS = (0, 1, 2)
SIZE = 256  # of the torus that is timed


def between(samples: Samples, generator: np.random.Generator) -> np.ndarray:
    """As many configurations, each a mixture of two and of opposite sign as often as not: fields a network will not have seen."""
    order = generator.permutation(len(samples))
    share = generator.uniform(size=(len(samples), *(1,) * (samples.fields.ndim - 1)))
    sign = generator.choice([-1.0, 1.0], size=share.shape)
    return (share * samples.fields + sign * (1.0 - share) * samples.fields[order]).astype(np.float32)


def error(forces: np.ndarray, samples: Samples) -> float:
    """Root mean square error over the standard deviation of the force."""
    return float(np.sqrt(np.mean((forces - samples.forces) ** 2)) / samples.forces.std())


def seconds(call, repeats: int = 7) -> float:
    spent = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        spent.append(time.perf_counter() - started)
    return median(spent)


class WithMoments:
    """What low moments give, and a network for what they leave, of fields (sample, 1, *lattice)."""

    def __init__(self, model: Hamiltonian, order: int, radius: int) -> None:
        self.model, self.order, self.radius = model, order, radius

    def answer(self, fields: np.ndarray) -> np.ndarray:
        shape = fields.shape[-self.model.lattice.dimension :]
        solver = LocalForces(self.model.resized(*shape), order=self.order, radius=self.radius)
        return np.stack([solver.electronic_forces(one.astype(float)) for one in fields[:, 0]])[:, None].astype(np.float32)

    def told(self, samples: Samples) -> Samples:
        """Fields beside the answer, and what is left of the force beside nothing."""
        answer = self.answer(samples.fields)
        left = samples.forces - answer
        return Samples(np.concatenate([samples.fields, answer], 1), np.concatenate([left, np.zeros_like(left)], 1))

    def forces(self, network: ForceNetwork, samples: Samples) -> np.ndarray:
        answer = self.answer(samples.fields)
        return answer + predict(network, np.concatenate([samples.fields, answer], 1))[:, :1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("teacher")
    parser.add_argument("--output", default="docs/benchmarks")
    parser.add_argument("--steps", type=int, default=4000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    dataset = read_dataset(given.data, ["fields", "forces_electronic", "split"])
    model = from_parameters(attribute(dataset, "model"))
    training, validation = (Samples.select(dataset, split) for split in ("train", "validation"))
    tests = {kind: Samples.select(dataset, "test", kind) for kind in ("quench", "random")}
    teacher, _ = load_model(given.teacher, model)
    large = on_square(tests["quench"].fields[-1:], SIZE)
    rows: list[dict] = []

    def add(name: str, width: int, seed: int, network: ForceNetwork, moments: WithMoments | None = None) -> None:
        found = {
            kind: error(predict(network, s.fields) if moments is None else moments.forces(network, s), s)
            for kind, s in tests.items()
        }
        tiled, field = TiledNetwork(network), torch.tensor(large, dtype=torch.float64)
        if moments is None:
            cost = seconds(lambda: tiled.on_torus(field))
        else:
            doubled = torch.cat([field, field], 1)
            cost = seconds(lambda: tiled.on_torus(doubled)) + seconds(lambda: moments.answer(large))
        rows.append(
            {"": name, "width": width, "seed": seed, **{k: 100 * v for k, v in found.items()}, "cost": 1e6 * cost / SIZE**2}
        )
        print(rows[-1], flush=True)

    add("the teacher", teacher.architecture.width, 0, teacher)
    mixed = np.concatenate([training.fields, between(training, np.random.default_rng(0))])
    distilled = Samples(mixed, predict(teacher, mixed))
    for seed in SEEDS:
        recipe = Recipe(given.steps, 1, 3e-2, given.steps // 5, seed)
        for width in WIDTHS:
            one = Architecture(width=width, depth=4, separable=True, wide=2, lattice=model.lattice.name)
            add("plain", width, seed, fit(one, training, validation, recipe).network)
            add("distilled", width, seed, fit(one, distilled, validation, recipe).network)
            for order, radius in MOMENTS:
                moments = WithMoments(model, order, radius)
                two = Architecture(width=width, depth=2, separable=True, field_type="2xA1o", lattice=model.lattice.name)
                network = fit(two, moments.told(training), moments.told(validation), recipe).network
                add(f"moments: order {order}, radius {radius}; depth 2", width, seed, network, moments)
    names = dict.fromkeys((row[""], row["width"]) for row in rows)
    table = []
    for name, width in names:
        own = [row for row in rows if (row[""], row["width"]) == (name, width)]
        line: dict = {"": name, "width": width}
        for kind in tests:
            found = [row[kind] for row in own]
            line[f"{kind}, %"] = f"{np.mean(found):.3g} ({min(found):.3g} to {max(found):.3g})"
        table.append({**line, "µs per site": median(row["cost"] for row in own)})
    head = f"# Equal accuracy for less\n\n{description()}; {given.steps} steps each, {len(SEEDS)} seeds: mean (least to largest)."
    Path(given.output, "cheaper.md").write_text(f"{head}\n\n{as_markdown(table)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
