"""The protocol of a thermal quench (PHYSICS P5): uncorrelated start, bath switched at time 0, recorded and resumable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ennforce.dynamics.integrators import integrator
from ennforce.dynamics.langevin import State
from ennforce.dynamics.recorder import Recorder
from ennforce.forces import ForceField
from ennforce.models import Hamiltonian


def quench(
    force_field: ForceField,
    model: Hamiltonian,
    replicas: np.ndarray,
    seed: int,
    bath: Mapping[str, Any],
    steps: int,
    recorder: Recorder,
    *,
    noise_seed: int | None = None,
    device: str = "cpu",
    resumed: Callable[[int], None] = lambda step: None,
    progress: Callable[[int, int], None] = lambda step, total: None,
) -> State:
    """Run ``replicas`` for ``steps`` steps, from the recorder's checkpoint where there is one; returns the last state.

    ``bath`` (``sections.Bath``) holds what the dynamics needs, as temperature and dt, and, for the start, initial_sigma and
    initial_order of the fields and initial_temperature of the momenta. ``seed`` fixes the start and, without a ``noise_seed``, the
    noise. Fields are on ``device`` while they run, unless the dynamics is of the processor alone. ``resumed`` is told the step the
    run starts from, ``progress`` every step.
    """
    start = State.before_quench(model, replicas, seed, bath)
    start = replace(start, seed=seed if noise_seed is None else noise_seed)
    engine = integrator(model, force_field, bath)
    state = recorder.resume(start)
    resumed(state.step)

    def watch(state: State) -> None:
        recorder(state)
        progress(state.step, steps)

    stays = device == "cpu" or not engine.ON_DEVICES
    return engine.run(state if stays else state.on(device), steps - state.step, watch)
