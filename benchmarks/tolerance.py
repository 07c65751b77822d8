"""How often the electronic solver keeps its tolerance: python benchmarks/tolerance.py --output docs/benchmarks

Random configurations against exact diagonalisation, half of them drawn to be hard: strongly coupled and uncorrelated, where rare
resonances escape the comparison of two windows. Writes tolerance.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ennforce.electrons import ExactElectrons, solve
from ennforce.hamiltonians import Holstein
from ennforce.lattice import Lattice

REGIMES = {
    "default": ({"g": 1.5, "K": 0.67}, {"random": 0.7, "walls": 0.7, "hot": 0.1}),
    "paper": ({"g": 3.5, "K": 1.0, "kappa": 0.18}, {"random": 5.3, "walls": 2.5, "hot": 0.1}),
}
TOLERANCES = (3e-2, 1e-2, 1e-3, 1e-4)
SHAPE = (32, 30)


def draw(rng: np.random.Generator, hard: bool) -> tuple[str, str, float, np.ndarray]:
    """Regime, kind, temperature and fields of one configuration."""
    regime = "paper" if hard else str(rng.choice(list(REGIMES)))
    kind = "random" if hard else str(rng.choice(["random", "walls", "hot"]))
    scale = REGIMES[regime][1][kind] * rng.uniform(0.2 if hard else 0.6, 1.4)
    temperature = float(rng.choice([0.02, 0.1, 0.2] if hard else [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]))
    fields = rng.normal(scale=0.15 * scale if kind == "walls" else scale, size=SHAPE)
    if kind == "walls":
        sign = np.where(np.arange(SHAPE[0]) < SHAPE[0] // 2, 1.0, -1.0)[:, None]
        fields = fields + scale * sign * Lattice.square(*SHAPE).stagger()
    return regime, kind, temperature, fields


def ratios(count: int, hard: bool) -> dict[float, list[float]]:
    """Largest density error over tolerance, of ``count`` configurations at every tolerance."""
    rng = np.random.default_rng(1 if hard else 0)
    found: dict[float, list[float]] = {tolerance: [] for tolerance in TOLERANCES}
    for _ in range(count):
        regime, _, temperature, fields = draw(rng, hard)
        model = Holstein(Lattice.square(*SHAPE), temperature=temperature, **REGIMES[regime][0])
        exact = ExactElectrons(model, fields).density
        for tolerance in TOLERANCES:
            error = solve(model, fields, tolerance, energy=False).density.largest_difference(exact)
            found[tolerance].append(error / tolerance)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--configurations", type=int, default=150, help="of each kind")
    arguments = parser.parse_args()
    lines = [
        "| configurations | tolerance | solutions | above tolerance | worst error / tolerance | median |",
        "|---|---|---|---|---|---|",
    ]
    names = {False: "random, walls, hot; both regimes; T 0.01 to 0.5", True: "strongly coupled, uncorrelated; T 0.02 to 0.2"}
    for hard, name in names.items():
        for tolerance, values in ratios(arguments.configurations, hard).items():
            above = sum(value > 1.0 for value in values)
            lines.append(f"| {name} | {tolerance:g} | {len(values)} | {above} | {max(values):.2f} | {np.median(values):.2f} |")
            print(lines[-1], flush=True)
    setting = f"{SHAPE[0]} x {SHAPE[1]}, verified windows, method auto, against exact diagonalisation."
    (arguments.output / "tolerance.md").write_text(
        f"# Does the solver keep its tolerance?\n\n{setting}" + "\n\n" + "\n".join(lines) + "\n"
    )


if __name__ == "__main__":
    main()
