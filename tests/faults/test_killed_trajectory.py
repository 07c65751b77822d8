"""A trajectory that is killed again and again, by SIGKILL, ends bit for bit like an undisturbed one."""

import multiprocessing
import time
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from ennforce.analysis.structure import OrderObserver
from ennforce.dynamics import Recorder, log_spaced_steps, quench
from ennforce.forces import NetworkForces
from ennforce.hamiltonians import Holstein
from ennforce.io import write_dataset
from ennforce.lattice import Lattice
from ennforce.networks import Architecture, EquivariantNetwork

KILLS, STEPS = 20, 2000
BATH = {
    "mass": 1.0, "friction": 0.2, "temperature": 0.05, "dt": 0.2,
    "initial_sigma": 0.1, "initial_temperature": 0.05, "initial_order": 0.0,
}  # fmt: skip


def trajectory(folder: Path, interval: float) -> None:
    """Run, or go on with, one small network-driven quench; the result and the last state end in ``folder``."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Holstein(Lattice.square(24, 24), temperature=0.05)
    network = EquivariantNetwork(Architecture(width=1, depth=2, first_radius=1, separable=True), 0.7, 0.2)
    observer = OrderObserver(model.lattice, 1.0, model.classical_energy)
    recorder = Recorder(
        lambda state: observer(state.fields, state.momenta, state.replicas),
        log_spaced_steps(1, STEPS, 60), log_spaced_steps(10, STEPS, 8), BATH["dt"], folder / "checkpoint", interval,
    )  # fmt: skip
    last = quench(NetworkForces(network, model), model.lattice, np.arange(3), 11, BATH, STEPS, recorder)
    whole = recorder.dataset().assign(
        last_fields=(("replica", "y", "x"), last.fields), last_momenta=(("replica", "y", "x"), last.momenta)
    )
    write_dataset(whole, folder / "result.nc")


def written(folder: Path) -> int:
    return (folder / "checkpoint").stat().st_mtime_ns if (folder / "checkpoint").exists() else 0


def test_killed_twenty_times_at_random_moments(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    undisturbed.mkdir(), disturbed.mkdir()
    whole = context.Process(target=trajectory, args=(undisturbed, 1e9))
    whole.start()
    whole.join(600)
    assert whole.exitcode == 0

    rng = np.random.default_rng(3)
    for _ in range(KILLS):
        process = context.Process(target=trajectory, args=(disturbed, 0.005))
        process.start()
        # Let it write a few checkpoints, then a little more: the kill may come while it steps, or while it writes.
        for _ in range(rng.integers(1, 4)):
            seen, deadline = written(disturbed), time.monotonic() + 60
            while written(disturbed) == seen and time.monotonic() < deadline:
                time.sleep(0.0005)
        time.sleep(rng.uniform(0, 0.03))
        process.kill()
        process.join(60)
        assert process.exitcode == -9, "it ended before it was killed: give it more steps"
    process = context.Process(target=trajectory, args=(disturbed, 0.1))
    process.start()
    process.join(600)
    assert process.exitcode == 0
    with xr.open_dataset(undisturbed / "result.nc") as expected, xr.open_dataset(disturbed / "result.nc") as found:
        xr.testing.assert_identical(found.load().drop_attrs(), expected.load().drop_attrs())
