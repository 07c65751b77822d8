"""One lattice in many processes: the trajectory of one process, whatever the cut.

Run as a module, this file is the program that torchrun starts.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from ennforce import processes
from ennforce.dynamics import Recorder
from ennforce.dynamics.distributed import Slab, SlabForces, quench_in_slabs
from ennforce.forces import NetworkForces
from ennforce.lattice import Lattice
from ennforce.models import Holstein, Kondo, Peierls
from ennforce.networks import Architecture, build
from ennforce.noise import FIELDS, MOMENTA, NOISE, normal

ROOT = Path(__file__).parents[2]
SHAPE, STEPS, SEED, REPLICAS = (32, 26), 8, 7, np.array([2, 5])
BATH = {
    "mass": 1.3,
    "friction": 0.4,
    "temperature": 0.2,
    "dt": 0.15,
    "initial_sigma": 0.5,
    "initial_temperature": 0.1,
    "initial_order": 0.0,
}
RECORDED = (3, STEPS)


def network_forces(separable: bool = True) -> NetworkForces:
    """Random weights, and a classical force that couples neighbours across the borders of slabs."""
    torch.manual_seed(0)
    network = build(Architecture(width=1, depth=2, first_radius=2, separable=separable), 0.7, 0.9)
    return NetworkForces(network, Holstein(Lattice.square(*SHAPE), temperature=0.1, kappa=0.1))


def observe(state) -> xr.Dataset:
    return xr.Dataset({"state": (("part", "replica", "y", "x"), np.stack([state.fields, state.momenta]))})


def quench(separable: bool, checkpoint: Path | None = None, **options) -> np.ndarray | None:
    """Fields and momenta of the whole torus at the recorded steps, (time, part, replica, y, x); None but on process 0."""
    forces = network_forces(separable)
    recorder = Recorder(observe, np.array(RECORDED), np.array([]), BATH["dt"], checkpoint, interval=0.0)
    quench_in_slabs(
        forces, forces.network.radius, forces.model.resized(*SHAPE), REPLICAS, SEED, BATH, STEPS, recorder, 2, **options
    )
    return recorder.dataset()["state"].values if processes.number() == 0 else None


class Pull:
    """A force between neighbours across the rows, for any field: reach 1."""

    def forces(self, fields: np.ndarray) -> np.ndarray:
        return 0.4 * (np.roll(fields, 1, axis=-2) + np.roll(fields, -1, axis=-2)) - fields


# Vectors with momenta, vectors without, spins: model, and what the bath says of its dynamics.
OTHERS = {
    "vectors": (Peierls(Lattice.square(*SHAPE), temperature=0.1), "langevin"),
    "overdamped": (Peierls(Lattice.square(*SHAPE), temperature=0.1), "overdamped"),
    "spins": (Kondo(Lattice.square(*SHAPE), temperature=0.1), "spins"),
}


def quench_of(name: str) -> np.ndarray | None:
    """Everything that changes, at the last step, of a field of several components; None but on process 0."""
    model, dynamics = OTHERS[name]
    bath = {**BATH, "dynamics": dynamics, "damping": 0.3}
    kept = []

    def keep(state) -> xr.Dataset:
        kept.append(np.concatenate(list(state.arrays().values())))
        return xr.Dataset()

    axes = model.space.axes(model.lattice)
    recorder = Recorder(keep, np.array([STEPS]), np.array([]), bath["dt"], axes=axes)
    quench_in_slabs(Pull(), 2, model, REPLICAS, SEED, bath, STEPS, recorder, STEPS)
    return kept[-1] if processes.number() == 0 else None


class Killed(Exception):
    pass


def kill(step, total):
    if step == 5:
        raise Killed


def reference(forces: NetworkForces) -> np.ndarray:
    """The last fields and momenta, by the middle scheme written out on the whole torus."""
    mass, dt, damping = BATH["mass"], BATH["dt"], np.exp(-BATH["friction"] * BATH["dt"])
    fields = BATH["initial_sigma"] * normal(SEED, FIELDS, REPLICAS, 0, SHAPE)
    momenta = np.sqrt(mass * BATH["initial_temperature"]) * normal(SEED, MOMENTA, REPLICAS, 0, SHAPE)
    for step in range(1, STEPS + 1):
        momenta = momenta + dt * forces.forces(fields)
        fields = fields + dt / 2 * momenta / mass
        noise = normal(SEED, NOISE, REPLICAS, step, SHAPE)
        momenta = damping * momenta + np.sqrt(mass * BATH["temperature"] * (1 - damping**2)) * noise
        fields = fields + dt / 2 * momenta / mass
    return np.stack([fields, momenta])


def program(folder: Path) -> None:
    with processes.joined(accelerator=False):
        slab = Slab.of(SHAPE)
        results = {"native": quench(True), "torch": quench(False), **{name: quench_of(name) for name in OTHERS}}
        with pytest.raises(Killed):
            quench(True, folder / "state", progress=kill)
        if processes.number() == 0:
            shutil.copy(folder / "state", folder / "left")
        steps: list[int] = []
        results["resumed"] = quench(True, folder / "state", resumed=steps.append)
        assert steps == [4]
        if processes.number() == 0:
            np.savez(folder / "seen.npz", rows=slab.rows, **results)
        with pytest.raises(ValueError, match=f"thinner than the reach of the force, {SHAPE[0]}: use at most 1 processes"):
            SlabForces(network_forces(), slab, SHAPE[0])


@pytest.mark.parametrize("count", [2, 3])
def test_slabs_follow_the_trajectory_of_the_whole_torus(tmp_path, count):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    done = subprocess.run([*launcher, "--module", __name__, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    found = np.load(tmp_path / "seen.npz")
    assert tuple(found["rows"]) == {2: (16, 16), 3: (12, 10, 10)}[count]
    for name, separable in (("native", True), ("torch", False), ("resumed", True)):
        alone = quench(separable)
        assert found[name].shape == alone.shape == (len(RECORDED), 2, 2, *SHAPE)
        # The compiled kernel treats every site alike, wherever it is; torch may choose another algorithm for another size.
        np.testing.assert_allclose(found[name], alone, rtol=0, atol=1e-5 if name == "torch" else 0)
        np.testing.assert_allclose(alone[-1], reference(network_forces(separable)), rtol=0, atol=1e-5)
    for name, (model, _) in OTHERS.items():
        np.testing.assert_array_equal(found[name], quench_of(name))
        assert found[name].shape[1:] == model.field_shape
    # One process goes on from what several left.
    np.testing.assert_array_equal(quench(True, tmp_path / "left"), found["native"])


def test_a_torus_that_cannot_be_cut_is_refused():
    with pytest.raises(ValueError, match="a torus of 7 x 8 sites cannot be cut for 1 processes: lengths must be even"):
        Slab.of((7, 8))


if __name__ == "__main__":
    program(Path(sys.argv[1]))
