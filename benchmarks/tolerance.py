"""How often the electronic solver keeps its tolerance: python benchmarks/tolerance.py --output docs/benchmarks

Configurations drawn to be hard, of all three models, against exact diagonalisation, with every site verified and with a sample
of sites alone. Clean metals, band edges and uniform fields are those where all sites agree by one accident; patches are what a
sample of sites misses; strongly coupled random fields are full of resonances. Writes tolerance.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ennforce.electrons import ExactElectrons, solve
from ennforce.lattice import Lattice
from ennforce.models import Hamiltonian, Holstein, Kondo, Peierls

TOLERANCES = (3e-2, 1e-2, 3e-3, 1e-3, 1e-4)
TEMPERATURES = (0.01, 0.02, 0.05, 0.1, 0.2)
SHAPE = (32, 30)
SMALL = (20, 18)  # of two complex orbitals
REGIMES = ({"g": 1.5, "K": 0.67}, {"g": 3.5, "K": 1.0, "kappa": 0.18})

Draw = Callable[[np.random.Generator], tuple[Hamiltonian, np.ndarray]]


def holstein(rng: np.random.Generator, regime: int = 0, **options) -> Holstein:
    return Holstein(Lattice.square(*SHAPE), **{"temperature": float(rng.choice(TEMPERATURES)), **REGIMES[regime], **options})


def stagger() -> np.ndarray:
    return Lattice.square(*SHAPE).stagger()


def noise(rng: np.random.Generator, scale: float) -> np.ndarray:
    return rng.normal(scale=scale, size=SHAPE)


def metal(rng):
    return holstein(rng, chemical_potential=rng.uniform(-4.0, 4.0)), np.zeros(SHAPE)


def edge(rng):
    return holstein(rng, chemical_potential=rng.choice([-1, 1]) * rng.uniform(3.7, 4.2)), np.zeros(SHAPE)


def uniform(rng):
    return holstein(rng), np.full(SHAPE, rng.uniform(-2.7, 2.7))


def stripes(rng):
    period = int(rng.choice([2, 3, 5, 10, 15]))
    wave = np.cos(2.0 * np.pi * np.arange(SHAPE[1]) / period)[None, :] * np.ones(SHAPE)
    return holstein(rng, chemical_potential=rng.uniform(-2.0, 2.0)), rng.uniform(0.1, 2.0) * wave


def weak_noise(rng):
    return holstein(rng, chemical_potential=rng.choice([0.0, rng.uniform(-4.0, 4.0)])), noise(rng, 10.0 ** rng.uniform(-3, -0.7))


def filling(rng):
    fields = rng.uniform(0.0, 2.0) * stagger() + noise(rng, rng.uniform(0.01, 0.3))
    return holstein(rng, filling=rng.uniform(0.05, 0.95)), fields


def gap_states(rng):
    """Ordered, with a few sites whose states lie in the gap, and about half filled by whole and half electrons."""
    fields = rng.uniform(0.8, 2.5) * stagger() + noise(rng, 0.05)
    for site in rng.choice(fields.size, 3, replace=False):
        fields.flat[site] *= rng.uniform(-0.2, 0.2)
    electrons = 0.5 * (fields.size + rng.integers(-3, 4))
    return holstein(rng, filling=electrons / fields.size, temperature=float(rng.choice(TEMPERATURES[1:]))), fields


def patch(rng):
    regime = int(rng.integers(2))
    fields = (0.75, 2.5)[regime] * stagger() + noise(rng, rng.choice([0.0, 0.03]))
    row, column, size = rng.integers(0, 20), rng.integers(0, 20), rng.integers(3, 10)
    fields[row : row + size, column : column + size] *= rng.choice([0.0, 0.1])
    return holstein(rng, regime), fields


def doped(rng):
    fields = rng.uniform(0.3, 1.0) * stagger() + noise(rng, 0.1)
    return holstein(rng, chemical_potential=rng.uniform(-3.0, 3.0)), fields


def walls(rng):
    regime = int(rng.integers(2))
    sign = np.where(np.arange(SHAPE[0]) < SHAPE[0] // 2, 1.0, -1.0)[:, None]
    scale = (0.7, 2.5)[regime] * rng.uniform(0.6, 1.4)
    return holstein(rng, regime), scale * sign * stagger() + noise(rng, 0.15 * scale)


def random(rng):
    return holstein(rng), noise(rng, rng.uniform(0.2, 1.0))


def strong(rng):
    return holstein(rng, 1), noise(rng, 5.3 * rng.uniform(0.2, 1.4))


def kondo(rng):
    rows, columns = np.indices(SMALL)
    kind, angle = rng.integers(4), rng.uniform(0.0, 2.0 * np.pi)
    if kind == 0:
        spins = rng.normal(size=(3, *SMALL))
    else:  # a ferromagnet, an antiferromagnet, a spiral, with a little noise
        phase = ((rows + columns) * (0.0, np.pi, 2.0 * np.pi * rng.integers(1, 5) / SMALL[0])[kind - 1]) + angle
        spins = np.stack([np.cos(phase), np.sin(phase), np.zeros(SMALL)]) + rng.normal(
            scale=rng.choice([0.0, 0.05]), size=(3, *SMALL)
        )
    model = Kondo(
        Lattice.square(*SMALL), J=rng.uniform(0.5, 3.0), temperature=float(rng.choice(TEMPERATURES[1:])),
        chemical_potential=rng.uniform(-5.0, 5.0),
    )  # fmt: skip
    return model, spins / np.linalg.norm(spins, axis=0)


def peierls(rng):
    fields = rng.normal(scale=rng.choice([0.0, 0.02, 0.3]), size=(2, *SHAPE))
    alternation = np.where(np.arange(SHAPE[1]) % 2 == 0, 1.0, -1.0)
    fields[0] += rng.choice([0.0, 0.1, 0.5, rng.uniform(0.0, 0.6)]) * alternation
    model = Peierls(
        Lattice.square(*SHAPE),
        temperature=float(rng.choice(TEMPERATURES)),
        chemical_potential=rng.choice([0.0, rng.uniform(-4.0, 4.0)]),
    )
    return model, fields


FAMILIES: dict[str, Draw] = {
    "clean metals": metal, "edges of the band": edge, "uniform fields": uniform, "stripes": stripes, "weak noise": weak_noise,
    "fixed filling, order to metal": filling, "fixed filling, states in the gap": gap_states, "metallic patches in order": patch,
    "doped order": doped, "walls": walls, "random": random, "random, strongly coupled": strong, "Kondo": kondo, "Peierls": peierls,
}  # fmt: skip


def ratios(draw: Draw, count: int, seed: int) -> np.ndarray:
    """Largest error over tolerance, shape (2: verified and sampled, configurations, tolerances); infinite where it was refused."""
    rng = np.random.default_rng(seed)
    found = np.zeros((2, count, len(TOLERANCES)))
    for index in range(count):
        model, fields = draw(rng)
        exact = ExactElectrons(model, fields).density
        for column, tolerance in enumerate(TOLERANCES):
            for row, sampled in enumerate((False, True)):
                solution = solve(model, fields, tolerance, method="local", sampled=sampled, energy=False)
                found[row, index, column] = solution.density.largest_difference(exact) / tolerance
                if found[row, index, column] > 1.0 and not sampled:
                    print(
                        "missed", index, tolerance, found[row, index, column], model, solution.radius, solution.method, flush=True
                    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--configurations", type=int, default=15, help="of each family and seed")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    everything = {}
    for name, draw in FAMILIES.items():
        each = [ratios(draw, arguments.configurations, seed) for seed in range(arguments.seeds)]
        everything[name] = np.concatenate(each, axis=1)
        print(row(name, everything[name]), flush=True)
    (arguments.output / "tolerance.md").write_text(page(everything))


def page(everything: dict[str, np.ndarray]) -> str:
    together = np.concatenate(list(everything.values()), axis=1)
    lines = [
        "| configurations | solutions | verified: above tolerance | worst error / tolerance | median "
        "| sampled: above tolerance | worst | median |",
        "|---|---|---|---|---|---|---|---|",
        *(row(name, values) for name, values in everything.items()),
        row("**all**", together),
        *(row(f"all, tolerance {tolerance:g}", together[..., column]) for column, tolerance in enumerate(TOLERANCES)),
    ]
    setting = (
        f"Tolerances 3e-2 to 1e-4, {SHAPE[0]} x {SHAPE[1]} sites (Kondo {SMALL[0]} x {SMALL[1]}), T = 0.01 to 0.2, method local, "
        "against exact diagonalisation: largest error of any element of the density matrix that the forces need. "
        "*sampled* checks 64 sites alone."
    )
    return f"# Does the solver keep its tolerance?\n\n{setting}" + "\n\n" + "\n".join(lines) + "\n"


def row(name: str, values: np.ndarray) -> str:
    cells = [name, str(values[0].size)]
    for each in values:
        cells += [str(int((each > 1.0).sum())), f"{each.max():.2f}", f"{np.median(each):.2f}"]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
