"""Does learning from audits pay: python benchmarks/refine.py CASE --study results/default --output docs/benchmarks

CASE is a trained network brought to another ``coupling``, bath ``temperature`` or ``start``, or ``nowhere``: error there against
the number of labels, chosen by audited error or plainly at random from the same snapshots of its own runs. Or it is ``unaided``:
training data of random configurations and of the network's own runs, without any trajectory that the solver drives, against
the study's usual data, at equal numbers of labels and training steps. Writes refine_CASE.csv, a line for each training.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ennforce.config import Study
from ennforce.corrected import FollowingForces
from ennforce.dynamics import log_spaced_steps
from ennforce.forces import ForceField, KPMForces, NetworkForces
from ennforce.io import read_dataset
from ennforce.models import Hamiltonian, Holstein
from ennforce.networks import Architecture, ForceNetwork
from ennforce.refining import audited, chances, drawn, explore
from ennforce.training import shared
from ennforce.training.dataset import Samples, soft, spreads
from ennforce.training.loop import Recipe, fit
from ennforce.training.metrics import force_errors

STUDY = Study()
# What of the model, and what of the bath, differs from the network's training. Where the model is the same, old labels still hold.
CASES: dict[str, tuple[dict, dict]] = {
    "coupling": ({"g": 1.8}, {}),
    "temperature": ({}, {"temperature": 0.5, "initial_temperature": 0.5}),
    "start": ({}, {"initial_sigma": 2.0}),
    "nowhere": ({}, {}),
}
LABELS = (8, 16, 32, 64)
RUNS, KEPT = 6, 20  # explored in a round, and snapshots of each
HELD_OUT = 8  # labels of validation, of one more run, drawn plainly at random
STEPS, RATE = 600, 1e-2  # of a training that goes on
ELSEWHERE = 10**6  # added to seeds of what is only tested on


def labelled(model: Hamiltonian, fields: np.ndarray) -> Samples:
    """Labels finer than the study's, so that weak forces are labelled as well as strong ones."""
    solver = KPMForces(model, 1e-3)
    shaped = fields.reshape(-1, *model.field_shape)
    forces = np.stack([solver.electronic_forces(configuration.astype(float)) for configuration in shaped])
    return Samples(fields.astype(np.float32), forces.reshape(fields.shape).astype(np.float32))


def some(samples: Samples, members: np.ndarray) -> Samples:
    return Samples(samples.fields[members], samples.forces[members])


def joined(*parts: Samples) -> Samples:
    return Samples(np.concatenate([p.fields for p in parts]), np.concatenate([p.forces for p in parts]))


def explored(driver: ForceField, model: Hamiltonian, runs: int, seed: int, elsewhere: dict) -> np.ndarray:
    """Snapshots (time x run, component, *lattice), ordered by time."""
    kept = [0, *log_spaced_steps(1, STUDY.data.steps, KEPT)]
    fields, _ = explore(driver, model, np.arange(runs), seed, STUDY.bath.model_dump() | elsewhere, kept)
    return fields.swapaxes(0, 1).reshape(-1, *fields.shape[2:])


def trained(
    architecture: Architecture, data: Samples, validation: Samples, steps: int, seed: int, start: ForceNetwork | None = None
) -> ForceNetwork:
    recipe = Recipe(steps, 1, STUDY.training.learning_rate if start is None else RATE, max(steps // 6, 1), seed)
    return fit(architecture, data, validation, recipe, start=start).network


def errors(network: ForceNetwork, model: Hamiltonian, test: Samples) -> dict[str, float]:
    """``relative``: over the standard deviation of all forces; ``each``: every configuration in units of its own rms force."""
    found = force_errors(predicted(network, model, test), test.forces)
    each = float(np.sqrt(squares(network, model, test).mean()))
    return {"relative": found["relative"], "each": each, "max": found["max"]}


def predicted(network: ForceNetwork, model: Hamiltonian, samples: Samples) -> np.ndarray:
    """Electronic forces as the dynamics has them, in the shape of the samples' fields."""
    fields = samples.fields.reshape(-1, *model.field_shape)
    return NetworkForces(network, model).electronic_forces(fields).reshape(samples.fields.shape)


def squares(network: ForceNetwork, model: Hamiltonian, samples: Samples) -> np.ndarray:
    """Mean square error of every configuration in units of its mean square force, as ``audited`` estimates it."""
    residual = predicted(network, model, samples).astype(float) - samples.forces
    return (residual**2).reshape(len(samples), -1).mean(axis=1) * samples.weights()


class Table:
    """Lines of a file, written as they come."""

    def __init__(self, path: Path) -> None:
        self.path, self.began = path, time.monotonic()
        self.rows: list[dict] = []

    def add(self, **row) -> None:
        self.rows.append({name: f"{value:.4g}" if isinstance(value, float) else value for name, value in row.items()})
        with self.path.open("w", newline="") as stream:
            names = list(dict.fromkeys(name for each in self.rows for name in each))
            writer = csv.DictWriter(stream, names)
            writer.writeheader()
            writer.writerows(self.rows)
        print(f"{time.monotonic() - self.began:7.0f} s", self.rows[-1], flush=True)


def brought(study: Path, case: str, counts: list[int], seeds: int, table: Table) -> None:
    """A trained network at other parameters of the model: labels of its own runs there, chosen or plain."""
    old = NetworkForces.load(study / "models" / "enn")
    assert isinstance(old.model, Holstein)
    changed, elsewhere = CASES[case]
    model = replace(old.model, **changed)
    network = NetworkForces.load(study / "models" / "enn", model, extrapolate=True)
    start = shared.brought(old.trained, old.model, model)
    before = None if changed else Samples.select(read_dataset(study / "data" / "dataset.nc"), "train")
    test = labelled(model, explored(KPMForces(model, 2e-2, sampled=True), model, 3, ELSEWHERE, elsewhere))
    table.add(seed=0, way="not trained further", labels=0, **errors(start, model, test))
    for seed in range(1, seeds + 1):
        began = time.monotonic()
        fields = explored(network, model, RUNS, seed, elsewhere)
        ran = time.monotonic()
        weights = audited(network, FollowingForces(model, 5e-3), fields, seed)
        judged = time.monotonic()
        data = labelled(model, fields)
        seconds = (ran - began, judged - ran, time.monotonic() - judged)
        true = squares(start, model, data)
        held = labelled(model, explored(network, model, 1, seed + ELSEWHERE, elsewhere)[:: max(1, (KEPT + 1) // HELD_OUT)])
        table.add(
            seed=seed, way="exploring", labels=len(fields), run_seconds=seconds[0], audit_seconds=seconds[1],
            label_seconds=seconds[2], audited=float(np.sqrt(weights.mean())), true=float(np.sqrt(true.mean())),
            correlation=float(np.corrcoef(weights, true)[0, 1]), spread=float(np.std(true) / np.mean(true)),
        )  # fmt: skip
        if before is not None:
            table.add(
                seed=seed, way="trained further on the old data alone", labels=0,
                **errors(trained(start.architecture, before, held, STEPS, seed, start), model, test),
            )  # fmt: skip
        for labels in counts:
            for way, each in (("chosen", weights), ("plain", np.ones(len(weights)))):
                members = drawn(chances(each, labels), np.random.default_rng([seed, labels]))
                new = some(data, members)
                network_now = trained(start.architecture, joined(before, new) if before else new, held, STEPS, seed, start)
                table.add(seed=seed, way=way, labels=labels, **errors(network_now, model, test))
        if before is None:
            fresh = trained(start.architecture, new, held, 2 * STEPS, seed)
            table.add(seed=seed, way="plain, from fresh weights, twice the steps", labels=labels, **errors(fresh, model, test))


def unaided(study: Path, seeds: int, table: Table) -> None:
    """Without trajectories that the solver drives: 48 random configurations, then two rounds of 32 snapshots; 2000 steps in all."""
    dataset = read_dataset(study / "data" / "dataset.nc", ["fields", "forces_electronic", "split"])
    reference = NetworkForces.load(study / "models" / "enn")
    model, architecture = reference.model, reference.trained.architecture
    test, random = Samples.select(dataset, "test", "quench"), Samples.select(dataset, "train", "random")
    tests = {"": test, "random_": Samples.select(dataset, "test", "random")}
    driven, held_random = Samples.select(dataset, "train", "quench"), Samples.select(dataset, "validation", "random")
    held_driven = Samples.select(dataset, "validation", "quench")

    def told(network: ForceNetwork) -> dict[str, float]:
        return {f"{name}{key}": value for name, each in tests.items() for key, value in errors(network, model, each).items()}

    for seed in range(1, seeds + 1):
        members = np.sort(np.random.default_rng(seed).choice(len(driven), 64, replace=False))
        usual = trained(architecture, joined(random, some(driven, members)), joined(held_random, held_driven), 2000, seed)
        table.add(seed=seed, way="solver-driven quenches", labels=64, **told(usual))
        more = labelled(model, uncorrelated(model, 64, seed))
        alone = trained(architecture, joined(random, more), held_random, 2000, seed)
        table.add(seed=seed, way="random configurations alone", labels=64, **told(alone))
        first = trained(architecture, random, held_random, 1000, seed)
        table.add(seed=seed, way="first network", labels=0, **told(first))
        ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {"chosen": lambda w: w, "plain": np.ones_like}
        for way, weigh in ways.items():
            network, data, held = first, random, held_random
            for turn in (1, 2):
                forces = NetworkForces(network, model)
                fields = explored(forces, model, 4, 10 * seed + turn, {})
                weights = audited(forces, FollowingForces(model, 5e-3), fields, seed)
                members = drawn(chances(weigh(weights), 32), np.random.default_rng([seed, turn]))
                data = joined(data, labelled(model, fields[members]))
                apart = explored(forces, model, 1, 10 * seed + turn + ELSEWHERE, {})[:: max(1, (KEPT + 1) // HELD_OUT)]
                held = joined(held, labelled(model, apart))
                network = trained(architecture, data, held, 500, seed, network)
                table.add(
                    seed=seed, way=f"own runs, {way}", labels=32 * turn, audited=float(np.sqrt(weights.mean())), **told(network)
                )
            fresh = trained(architecture, data, held, 2000, seed)
            table.add(seed=seed, way=f"own runs, {way}, from fresh weights", labels=64, **told(fresh))


def uncorrelated(model: Hamiltonian, count: int, seed: int) -> np.ndarray:
    """Random configurations as the study's, (sample, component, *lattice)."""
    rng = np.random.default_rng([seed, ELSEWHERE])
    normals = rng.normal(size=(count, *model.field_shape))
    for field, length in zip(normals[1::2], spreads(1.0, 8.0, len(normals[1::2])), strict=True):
        field[:] = soft(field, model.order.modulation, length, model.lattice)
    low, high = STUDY.data.random_sigmas
    return (normals.T * spreads(low, high, count)).T[:, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", choices=(*CASES, "unaided"))
    parser.add_argument("--study", type=Path, default=Path("results/default"), help="folder of the trained default study")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--labels", type=int, nargs="+", default=LABELS)
    arguments = parser.parse_args()
    table = Table(arguments.output / f"refine_{arguments.case}.csv")
    if arguments.case == "unaided":
        unaided(arguments.study, arguments.seeds, table)
    else:
        brought(arguments.study, arguments.case, arguments.labels, arguments.seeds, table)


if __name__ == "__main__":
    main()
