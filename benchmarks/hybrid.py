"""Acceptance and cost of hybrid Monte Carlo driven by networks: ``python benchmarks/hybrid.py [--output docs/benchmarks]``.

The default model at T = 0.05, in its staggered order. A short Langevin run of the solver on 16 x 16 sites gives the data for a
small ``enn_energy``, whose reach of four sites allows 8 x 8 sites. It is trained for several numbers of steps, so that its error
varies. Each network drives proposals on lattices of several sizes, and the solver judges them; all start from the same equilibrium
states, sampled with the best network. Then the cost of an independent sample, as CPU time on one core, is compared with that of
Langevin dynamics driven by the solver.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.special import erfc

sys.path.insert(0, str(Path(__file__).parent))
from machine import description

from ennforce.dynamics import HybridMonteCarlo, Langevin, State
from ennforce.forces import ExactForces, KPMForces, NetworkForces
from ennforce.lattice import Lattice
from ennforce.models import Holstein
from ennforce.networks import Architecture, ForceNetwork
from ennforce.tables import as_markdown
from ennforce.training.dataset import Samples
from ennforce.training.loop import Recipe, fit
from ennforce.workflow import set_threads

TEMPERATURE = 0.05
BATH = {"mass": 1.0, "temperature": TEMPERATURE}
LANGEVIN = {**BATH, "friction": 0.2, "dt": 0.4}  # the study's
HYBRID = {**BATH, "dt": 0.2, "leaps": 10}
SIZES = (8, 12, 16, 24, 32)
TRAININGS = (30, 100, 300, 3000)  # steps of the optimiser
LARGEST_EXACT = 16  # sites each way, up to which diagonalisation is the faster solver
ORDER = 0.66  # <phi> at this temperature, from which all runs start


def model(size: int) -> Holstein:
    return Holstein(Lattice.square(size, size), temperature=TEMPERATURE)


def solver(size: int) -> ExactForces | KPMForces:
    """What judges: its Omega errs by less than 0.001 T on all these lattices."""
    return ExactForces(model(size)) if size <= LARGEST_EXACT else KPMForces(model(size), 1e-4, method="local")


def ordered(size: int, replicas: int, seed: int) -> State:
    state = State.uncorrelated((size, size), np.arange(replicas), seed, sigma=0.25, mass=1.0, temperature=TEMPERATURE)
    return replace(state, fields=state.fields + ORDER * Lattice.square(size, size).stagger())


def data() -> tuple[Samples, Samples]:
    """Training and validation samples of four replicas, of which validation has the last."""
    forces, kept = solver(16), []
    state = Langevin(forces, **LANGEVIN).run(ordered(16, 4, 1), 50)
    Langevin(forces, **LANGEVIN).run(state, 450, lambda state: kept.append(state.fields.copy()) if state.step % 10 == 0 else None)
    fields = np.array(kept, np.float32)
    electronic = forces.electronic_forces(fields).astype(np.float32)
    parts = ((fields[:, :3], electronic[:, :3]), (fields[:, 3:], electronic[:, 3:]))
    training, validation = (Samples(x.reshape(-1, 1, 16, 16), y.reshape(-1, 1, 16, 16)) for x, y in parts)
    return training, validation


def trained(steps: int, samples: tuple[Samples, Samples]) -> ForceNetwork:
    architecture = Architecture(kind="enn_energy", width=4, depth=1, first_radius=1, separable=True)
    return fit(architecture, *samples, Recipe(steps, 4, 3e-2, min(steps, 100), 1)).network


def equilibrium(network: ForceNetwork, size: int, replicas: int, seed: int) -> State:
    """States of the judge's ensemble: roughly by the network's Langevin dynamics, then exactly."""
    forces = NetworkForces(network, model(size))
    state = Langevin(forces, **LANGEVIN).run(ordered(size, replicas, seed), 100)
    return HybridMonteCarlo(forces, solver(size), **HYBRID).run(state, 10)


def accepted(name: str, proposal: NetworkForces | ExactForces, start: State, proposals: int) -> dict:
    """One line of the table of acceptances."""
    size, steps = start.fields.shape[-1], proposals // len(start.fields)
    judge, differences, kept = solver(size), [], []
    engine = HybridMonteCarlo(proposal, judge, **HYBRID)

    def measure(state: State) -> None:
        differences.append(engine.latest)
        if len(differences) % 5 == 0:
            kept.append(state.fields.copy())

    started = time.process_time()
    engine.run(start, steps, measure)
    spent = time.process_time() - started
    fields, found = np.array(kept), np.array(differences).ravel()
    electronic = judge.electronic_forces(fields)
    error = proposal.electronic_forces(fields) - electronic
    weights, spread = np.exp(-found), found.std()
    return {
        "proposal": name,
        "lattice": f"{size} x {size}",
        "error of the force": f"{np.sqrt(np.mean(error**2) / np.mean(electronic**2)):.2%}",
        "σ, standard deviation of ΔH/T": f"{spread:.2f}",
        "acceptance": f"{np.minimum(1.0, weights).mean():.2f}",
        "erfc(σ/√8)": f"{erfc(spread / np.sqrt(8.0)):.2f}",
        "⟨exp(−ΔH/T)⟩": f"{weights.mean():.2f} ± {weights.std() / np.sqrt(len(weights)):.2f}",
        "CPU ms a proposal": f"{1e3 * spent / len(found):.0f}",
    }


def correlation_time(series: np.ndarray) -> float:
    """Integrated autocorrelation time in steps of (step, replica), summed up to five times itself (Sokal); 1/2 without any."""
    steps = len(series)
    spectrum = np.fft.rfft(series - series.mean(), 2 * steps, axis=0)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, axis=0)[:steps].sum(axis=1) / np.arange(steps, 0, -1)
    times = 0.5 + np.cumsum(correlation[1:] / correlation[0])
    return float(times[np.argmax(np.arange(1, steps) >= 5.0 * times)])


def costs(name: str, engine: Langevin | HybridMonteCarlo, start: State, steps: int) -> dict:
    """One line of the table of costs."""
    size, kept = start.fields.shape[-1], []

    def measure(state: State) -> None:
        order = state.fields * Lattice.square(size, size).stagger()
        wave = np.abs(np.fft.fft2(order)) ** 2 / size**2
        kept.append([(state.fields**2).mean(axis=(1, 2)), 0.5 * (wave[:, 0, 1] + wave[:, 1, 0])])

    started = time.process_time()
    engine.run(start, steps, measure)
    spent = (time.process_time() - started) / (steps * len(start.fields))
    squares, waves = np.array(kept).transpose(1, 0, 2)
    tau = [correlation_time(squares), correlation_time(waves)]
    error = squares.std() * np.sqrt(2.0 * tau[0] / squares.size)
    return {
        "sampling": name,
        "lattice": f"{size} x {size}",
        "steps": squares.size,
        "⟨Q²⟩": f"{squares.mean():.4f} ± {error:.4f}",
        "τ of Q², steps": f"{tau[0]:.1f}",
        "τ of the longest wave, steps": f"{tau[1]:.1f}",
        "CPU ms a step": f"{1e3 * spent:.1f}",
        "CPU ms a sample, Q²": f"{2e3 * tau[0] * spent:.0f}",
        "CPU ms a sample, longest wave": f"{2e3 * tau[1] * spent:.0f}",
    }


def compared(network: ForceNetwork, size: int, steps: int) -> list[dict]:
    """Langevin dynamics by the solver as studies run it, hybrid Monte Carlo, and Langevin dynamics by the network alone."""
    forces = NetworkForces(network, model(size))
    start = equilibrium(network, size, 4, 3)
    sampled = KPMForces(model(size), 3e-3, sampled=True)
    return [
        costs("Langevin, solver", Langevin(sampled, **LANGEVIN), start, steps),
        costs("hybrid, network and solver", HybridMonteCarlo(forces, solver(size), **HYBRID), start, steps // 4),
        costs("Langevin, network: not exact", Langevin(forces, **LANGEVIN), start, steps),
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--proposals", type=int, default=160, help="of each line, from 8 states; half of it of the solver")
    parser.add_argument("--steps", type=int, default=1200, help="of Langevin dynamics on 16 x 16 sites; a third of it on 24 x 24")
    arguments = parser.parse_args()
    set_threads(1)
    samples = data()
    networks = {steps: trained(steps, samples) for steps in TRAININGS}
    best = networks[TRAININGS[-1]]
    starts = {size: equilibrium(best, size, 8, 2) for size in SIZES}
    rows = []
    for steps, network in networks.items():
        for size, start in starts.items():
            name = f"network, {steps} steps of training"
            rows.append(accepted(name, NetworkForces(network, model(size)), start, arguments.proposals))
            print(rows[-1], flush=True)
    for size in SIZES[:3]:
        rows.append(accepted("the solver itself", ExactForces(model(size)), starts[size], arguments.proposals // 2))
        print(rows[-1], flush=True)
    lines = compared(best, 16, arguments.steps) + compared(best, 24, arguments.steps // 3)
    print(*lines, sep="\n", flush=True)
    setting = (
        f"Holstein, g = 1.5, K = 0.67, T = T_e = {TEMPERATURE}, in its staggered order. Trajectories of {HYBRID['leaps']} leaps "
        f"of at most {HYBRID['dt']}; {arguments.proposals} proposals a line, and half as many of the solver. Langevin dynamics "
        f"with γ = {LANGEVIN['friction']} and steps of {LANGEVIN['dt']}, driven by KPMForces, sampled, at 3e-3. The judge: "
        f"diagonalisation up to {LARGEST_EXACT} x {LARGEST_EXACT}, KPMForces at 1e-4 beyond. Network: `enn_energy`, width 4, "
        f"depth 1. CPU times are of one core."
    )
    text = [
        "# Hybrid Monte Carlo: acceptance and cost", description(), f"Written by `benchmarks/hybrid.py`. {setting}",
        as_markdown(rows), as_markdown(lines),
    ]  # fmt: skip
    (arguments.output / "hybrid.md").write_text("\n\n".join(part.strip() for part in text) + "\n")


if __name__ == "__main__":
    main()
