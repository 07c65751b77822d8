"""Corrected forces against network and solver: bias, cost, noise, stationary states, and multiple time stepping.

    python benchmarks/corrected.py results/default/models/enn --output docs/benchmarks/corrected_default.md [--only cost states]

Writes tables, with the machine they were made on. All costs are on one thread, in one run, medians; a solver's cost is that of the
cheapest fixed effort that reaches the same measured error. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from ennforce.auditing import Audit as Auditing
from ennforce.auditing import audited_steps
from ennforce.corrected import CorrectedForces, FollowingForces
from ennforce.dynamics import Langevin, State, log_spaced_steps
from ennforce.electrons.local import Effort
from ennforce.electrons.tuning import efforts
from ennforce.forces import ForceField, KPMForces, LocalForces, NetworkForces
from ennforce.io import read_json
from ennforce.models import Hamiltonian
from ennforce.sections import Bath
from ennforce.supervision import Audit
from ennforce.tables import as_markdown
from ennforce.training.frontier import machine, median_seconds, seconds_of_correction
from ennforce.workflow import set_threads

ACCURACIES = (3e-2, 1e-2, 3e-3, 1e-3)
SHARES = (1 / 8, 1 / 16, 1 / 32)
TOLERANCES = (3e-2, 1e-2, 3e-3, 1e-3)
REPEATS = 5
PARTS = ("cost", "audit", "quench", "states")


def relative(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.sqrt(((found - exact) ** 2).mean()) / exact.std())


def microseconds(call, sites: int) -> float:
    return 1e6 * median_seconds(call, REPEATS, 20.0) / sites


def snapshot(network: NetworkForces, bath: dict, moment: float) -> np.ndarray:
    """A configuration of a quench at a time."""
    engine = Langevin.in_bath(network, bath)
    start = State.before_quench(network.model, np.arange(1), 1, bath)
    return engine.run(start, round(moment / bath["dt"])).fields[0]


def cost(network: NetworkForces, bath: dict, moments: list[float]) -> str:
    """Error and cost of the three on one configuration, at several times of a quench."""
    thermal, shape = Langevin.in_bath(network, bath).thermal, " x ".join(map(str, network.model.lattice.shape))
    text = ""
    for moment in moments:
        rows = at_moment(network, snapshot(network, bath, moment), thermal)
        text += f"\nt = {moment:g}, {shape} sites:\n\n{as_markdown(rows)}"
    return text


def at_moment(network: NetworkForces, fields: np.ndarray, thermal: float) -> list[dict]:
    model = network.model
    # The largest error is 1e-4, the typical one far smaller.
    exact = KPMForces(model, 1e-4, method="local").electronic_forces(fields)
    rows = [row("network", relative(network.electronic_forces(fields), exact), timed(network, fields))]
    tried = solvers(model, fields, exact)
    for accuracy in ACCURACIES:
        error, name, spent = next((found for found in tried if found[0] <= accuracy), (np.nan, "none", np.nan))
        rows.append(row(f"solver, {name}", error, spent))
    for tolerance in TOLERANCES:
        solver = KPMForces(model, tolerance, sampled=True)
        rows.append(row(f"solver within {tolerance:g}", relative(solver.electronic_forces(fields), exact), timed(solver, fields)))
    for accuracy in ACCURACIES:
        bias = relative(FollowingForces(model, accuracy).electronic_forces(fields), exact)
        rows += [corrected(network, fields, thermal, accuracy, share, bias) for share in SHARES]
    return rows


def timed(forces: ForceField, fields: np.ndarray) -> float:
    return microseconds(lambda: forces.forces(fields), fields.size)


def corrected(network: NetworkForces, fields: np.ndarray, thermal: float, accuracy: float, share: float, bias: float) -> dict:
    """Cost of a step, a share of the search for an effort included."""
    forces = CorrectedForces(network, FollowingForces(network.model, accuracy), share)
    spent = 1e6 * seconds_of_correction(forces, fields, REPEATS, 20.0) / fields.size
    noise = forces.drawn(fields[None], 1, np.array([0])).variance.mean() / thermal
    return row(f"corrected 1/{round(1 / share)}, {forces.efforts[0]}", bias, spent, noise)


def row(name: str, error: float, spent: float, noise: float | None = None) -> dict:
    return {
        "forces": name, "bias (%)": 100 * error, "microseconds per site": spent,
        "share of the thermostat's noise (%)": None if noise is None else 100 * noise,
    }  # fmt: skip


def solvers(model: Hamiltonian, fields: np.ndarray, exact: np.ndarray) -> list[tuple[float, str, float]]:
    """Error, name and cost of the fixed efforts that come into question, from the cheapest on by measured cost."""
    found: dict[Effort, float] = {}
    wanted = list(ACCURACIES)
    for effort in efforts(model, fields):
        if not wanted:
            break
        error = relative(_fixed(model, effort).electronic_forces(fields), exact)
        if error <= wanted[0]:
            found[effort] = error
            wanted = [accuracy for accuracy in wanted if accuracy < error]
    measured = [(error, str(effort), timed(_fixed(model, effort), fields)) for effort, error in found.items()]
    return sorted(measured, key=lambda one: one[2])


def _fixed(model: Hamiltonian, effort: Effort) -> LocalForces:
    return LocalForces(model, radius=effort.radius, order=effort.order, steps=effort.steps, poles=effort.poles)


class Impulse:
    """Multiple time stepping: the network's force at every step, and n times the solver's difference from it at every n-th."""

    def __init__(self, network: NetworkForces, solver: ForceField, every: int) -> None:
        self.network, self.solver, self.every, self.count = network, solver, every, 0

    def forces(self, fields: np.ndarray) -> np.ndarray:
        forces = self.network.forces(fields)
        if self.count % self.every == 0:
            forces = forces + self.every * (self.solver.forces(fields) - forces)
        self.count += 1
        return forces


def states(network: NetworkForces, bath: dict, steps: int, replicas: int, bad: NetworkForces | None) -> str:
    """Stationary averages of the solver's dynamics, the network's, the corrected one, and of impulses every n steps."""
    model = network.model
    sample = snapshot(network, bath, 60.0)
    solver = LocalForces.tuned(model, sample, 2e-3)
    engines: dict[str, ForceField] = {
        "solver": solver,
        "network": network,
        "corrected 1/16": CorrectedForces(network, FollowingForces(model, 1e-3), 1 / 16),
        "impulse every 4": Impulse(network, solver, 4),
        "impulse every 16": Impulse(network, solver, 16),
    }
    if bad is not None:
        engines["bad network"] = bad
        engines["bad network, corrected 1/16"] = CorrectedForces(bad, FollowingForces(model, 1e-3), 1 / 16)
    rows = []
    for name, forces in engines.items():
        rows.append({"engine": name, **averages(forces, model, bath, steps, replicas)})
        print(as_markdown(rows[-1:]).splitlines()[-1], flush=True)
    what = f"{replicas} replicas of {' x '.join(map(str, model.lattice.shape))}, {steps} steps of {bath['dt']:g}"
    return f"\n{what}, T = {bath['temperature']:g}; solver: {solver.effort}.\n\n{as_markdown(rows)}"


def averages(forces: ForceField, model: Hamiltonian, bath: dict, steps: int, replicas: int) -> dict[str, str]:
    """Of a stationary state, from the ordered start, the first eighth left out; with errors over replicas."""
    stagger, kept = model.lattice.stagger(), []

    def keep(state: State) -> None:
        if state.step > steps // 8 and state.step % 2 == 0:
            order = (state.fields * stagger).mean(axis=(1, 2))
            squares = [(values**2).mean(axis=(1, 2)) for values in (state.momenta, state.fields)]
            kept.append(np.stack([*squares, abs(order), order**2, order**4]))

    started = time.perf_counter()
    try:
        start = State.before_quench(model, np.arange(replicas), 1, bath | {"initial_order": 0.7})
        Langevin.in_bath(forces, bath).run(start, steps, keep)
    except (RuntimeError, ValueError):
        return dict.fromkeys(("<P^2>/mT", "<Q^2>", "<abs m>", "Binder", "microseconds"), "runs away")
    spent = 1e6 * (time.perf_counter() - started) / steps / replicas / model.lattice.num_sites
    means = np.mean(kept, axis=0)  # of every replica
    average, error = means.mean(axis=1), means.std(axis=1, ddof=1) / np.sqrt(replicas)
    average[0], error[0] = (values[0] / bath["mass"] / bath["temperature"] for values in (average, error))
    names = ("<P^2>/mT", "<Q^2>", "<abs m>")
    found = {name: f"{average[n]:.4f} ± {error[n]:.4f}" for n, name in enumerate(names)}
    return {**found, "Binder": f"{1 - average[4] / 3 / average[3] ** 2:.5f}", "microseconds": f"{spent:.2f}"}


def overhead(network: NetworkForces, bath: dict, steps: int) -> str:
    """What audits at their default settings take of the time of a run."""
    settings, model = Audit(), network.model
    observed = log_spaced_steps(1, steps, 60)
    chosen = audited_steps(observed, settings.times)
    audit, spent = Auditing(network, FollowingForces(model, settings.accuracy), chosen, settings.share), [0.0]

    def keep(state: State) -> None:
        if state.step in audit.steps:
            started = time.perf_counter()
            audit(state.fields, state.replicas, state.step)
            spent[0] += time.perf_counter() - started

    engine = Langevin.in_bath(network, bath)
    engine.run(State.before_quench(model, np.arange(1), 2, bath), 20, keep)  # compiles
    spent[0], started = 0.0, time.perf_counter()
    engine.run(State.before_quench(model, np.arange(1), 1, bath), steps, keep)
    share = spent[0] / (time.perf_counter() - started - spent[0])
    shape = " x ".join(map(str, model.lattice.shape))
    return f"\nAudits of {steps} steps of {shape}, at {len(chosen)} times: {100 * share:.1f} % of the run without them.\n"


def early(network: NetworkForces, bath: dict, steps: int, replicas: int) -> str:
    """<Q^2> in the first steps of a quench, against that of a very accurate solver; the same starts and the same noise."""
    model = network.model
    engines: dict[str, ForceField] = {
        "solver, 2e-4": CorrectedForces(network, FollowingForces(model, 2e-4), 1.0),
        "network": network,
        "corrected, 1e-3, 1/16": CorrectedForces(network, FollowingForces(model, 1e-3), 1 / 16),
        "corrected, 3e-4, 1/4": CorrectedForces(network, FollowingForces(model, 3e-4), 1 / 4),
        "KPMForces, 3e-3, sampled": KPMForces(model, 3e-3, sampled=True),
    }
    rows, reference = [], np.ones(steps)
    for name, forces in engines.items():
        squares: list[float] = []
        started = time.perf_counter()
        start = State.before_quench(model, np.arange(replicas), 5, bath)
        Langevin.in_bath(forces, bath).run(start, steps, lambda state, kept=squares: kept.append(float((state.fields**2).mean())))
        if not rows:
            reference = np.array(squares)
        off = 100.0 * (np.array(squares) / reference - 1.0)
        times = {f"t = {bath['dt'] * (n + 1):g}": f"{off[n]:.3f}" for n in range(0, steps, 3)}
        rows.append({"forces": name, **times, "seconds": f"{time.perf_counter() - started:.1f}"})
    shape = " x ".join(map(str, model.lattice.shape))
    return f"\n<Q^2> of {replicas} replicas of {shape} over that of the first line, less one, in per cent:\n\n{as_markdown(rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, help="folder of a trained network")
    parser.add_argument("--bad", type=Path, help="folder of a worse network for the same model")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--size", type=int, default=128, help="side of the lattice of the costs")
    parser.add_argument(
        "--moments", type=float, nargs="+", default=[2.0, 100.0], help="times of the quench at which costs are measured"
    )
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--temperature", type=float, default=0.6, help="of the stationary states, in units of the bath's")
    options = parser.parse_args()
    set_threads(1)
    model = NetworkForces.load(options.network).model
    bath = Bath(**read_json(options.network / "model.json")["bath"]).model_dump()
    text = f"Made by benchmarks/corrected.py on {machine()}, one thread.\n"
    if "cost" in options.only:
        text += cost(NetworkForces.load(options.network, model.resized(options.size, options.size)), bath, options.moments)
    if "audit" in options.only:
        text += overhead(NetworkForces.load(options.network, model.resized(256, 256)), bath, 1000)
    if "quench" in options.only:
        text += early(NetworkForces.load(options.network, model.resized(64, 64)), bath, 18, 8)
    if "states" in options.only:
        small = model.resized(28, 28)
        bad = NetworkForces.load(options.bad, small) if options.bad else None
        cold = bath | {"temperature": options.temperature * bath["temperature"]}
        text += states(NetworkForces.load(options.network, small), cold, options.steps, 8, bad)
    options.output.write_text(text)


if __name__ == "__main__":
    main()
