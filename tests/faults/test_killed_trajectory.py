"""A trajectory that is killed again and again, by SIGKILL, ends bit for bit like an undisturbed one."""

import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from ennforce import files
from ennforce.dynamics import Recorder, log_spaced_steps, quench
from ennforce.forces import NetworkForces
from ennforce.io import read_dataset, write_dataset
from ennforce.lattice import Lattice
from ennforce.models import Holstein
from ennforce.networks import Architecture, EquivariantNetwork
from ennforce.observables import Observer, observables_of

KILLS, STEPS = 20, 400
BATH = {
    "mass": 1.0, "friction": 0.2, "temperature": 0.05, "dt": 0.2,
    "initial_sigma": 0.1, "initial_temperature": 0.05, "initial_order": 0.0,
}  # fmt: skip


def trajectory(folder: Path, life: int | None = None, torn: bool = False) -> None:
    """Run, or go on with, one small network-driven quench; the result and the last state end in ``folder``.

    With a ``life`` every step leaves a checkpoint, and the process kills itself so many steps after its start: between two steps,
    or, ``torn``, while it writes the checkpoint of the last.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Holstein(Lattice.square(24, 24), temperature=0.05)
    network = EquivariantNetwork(Architecture(width=1, depth=2, first_radius=1, separable=True), 0.7, 0.2)
    observer = Observer(model, observables_of(model))
    recorder = Recorder(
        lambda state: observer(state.fields, state.momenta, state.replicas),
        log_spaced_steps(1, STEPS, 60), log_spaced_steps(10, STEPS, 8), BATH["dt"], folder / "checkpoint", -1.0 if life else 1e9,
    )  # fmt: skip
    begun: list[int] = []

    def kill(*_) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def watch(step: int, total: int) -> None:
        if life and torn and step == begun[0] + life - 1:
            files.os.replace = kill
        if life and step == begun[0] + life:
            kill()

    last = quench(
        NetworkForces(network, model), model, np.arange(3), 11, BATH, STEPS, recorder, resumed=begun.append, progress=watch
    )
    whole = recorder.dataset().assign(
        last_fields=(("replica", "y", "x"), last.fields), last_momenta=(("replica", "y", "x"), last.momenta)
    )
    write_dataset(whole, folder / "result.nc")


def step_of(checkpoint: Path) -> int:
    return int(read_dataset(checkpoint).attrs["step"])


def test_killed_twenty_times(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    undisturbed.mkdir(), disturbed.mkdir()

    def run(*arguments) -> int | None:
        process = context.Process(target=trajectory, args=arguments)
        process.start()
        process.join(600)
        return process.exitcode

    assert run(undisturbed) == 0
    rng, reached = np.random.default_rng(3), 0
    for number in range(KILLS):
        life, torn = int(rng.integers(2, STEPS // KILLS)), number % 2 == 1
        assert run(disturbed, life, torn) == -signal.SIGKILL
        reached += life - torn
        assert step_of(disturbed / "checkpoint") == reached
    assert run(disturbed) == 0
    with xr.open_dataset(undisturbed / "result.nc") as expected, xr.open_dataset(disturbed / "result.nc") as found:
        xr.testing.assert_identical(found.load().drop_attrs(), expected.load().drop_attrs())
