"""Overdamped dynamics of real classical fields in a heat bath: the limit of Langevin's equation without inertia (PHYSICS P5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from ennforce.dynamics import checks, device
from ennforce.dynamics.device import CHECK_EVERY, RUNAWAY
from ennforce.dynamics.langevin import DivergenceError, Dynamics, State, require_bath
from ennforce.forces import Fields, ForceField
from ennforce.noise import NOISE, counted, normal


class Overdamped(Dynamics):
    """m gamma dQ = F dt + sqrt(2 m gamma T) dW, with one force call a step; there are no momenta.

    ``friction`` is the rate gamma of Langevin's equation and ``mass`` its m: only their product counts. The noise of a step is the
    mean of two successive random numbers (Leimkuhler and Matthews, Appl. Math. Res. Express 2013, 34): thermal averages are then of
    second order in dt, and exact for a harmonic force of stiffness k and every stable dt, dt < 2 m gamma / k. The noise is a
    function of (seed, replica, step, site) alone. Where forces bring a share s of it themselves, <Q^2> comes out larger by a factor
    1 + s k dt / (2 m gamma).
    """

    SETTINGS = ("mass", "friction", "temperature", "dt")

    def __init__(self, force_field: ForceField, *, mass: float, friction: float, temperature: float, dt: float) -> None:
        super().__init__(force_field)
        require_bath(positive={"mass": mass, "friction": friction, "dt": dt}, not_negative={"temperature": temperature})
        self.drag, self.temperature, self.dt = mass * friction, temperature, dt

    @property
    def thermal(self) -> float:
        return 2.0 * self.temperature * self.drag / self.dt

    def run(self, state: State, steps: int, recorder: Callable[[State], None] | None = None) -> State:
        """Advance by ``steps`` steps, showing the state to ``recorder`` after each; returns the last state, as ``Langevin.run``.

        Raises ValueError where the state or what the force field returns cannot be used (``checks``), and DivergenceError where a
        field is NaN, infinite or absurdly large (for tensors within ``device.CHECK_EVERY`` steps).
        """
        following = self.following(state, steps)
        self.begin(state)
        on_host = isinstance(state.fields, np.ndarray)
        fields, _, numbers = checks.owned(replace(state, momenta=None))
        drift, kick = self.dt / self.drag, 0.5 * np.sqrt(2.0 * self.temperature * self.dt / self.drag)

        rows = [] if on_host else [torch.as_tensor(values, device=fields.device) for values in counted(numbers, state.first_blocks)]

        def noise(step: int) -> Fields:
            if on_host:
                return normal(state.seed, NOISE, numbers, step, fields.shape[1:], state.first_blocks)
            sites = fields[0].numel() // len(state.first_blocks)
            return device.normal(state.seed, NOISE, rows[0], step, sites, rows[1]).reshape(fields.shape)

        last = noise(state.step)
        for step in following:
            (forces, left), upcoming = self.at(fields, step, numbers), noise(step)
            fields += drift * forces + kick * left * (last + upcoming)
            last = upcoming
            if (on_host or step % CHECK_EVERY == 0) and not bool((abs(fields) < RUNAWAY).all()):
                raise DivergenceError(checks.why_lost(fields, forces, step, self.dt))
            state = replace(state, fields=fields, momenta=None, step=step)
            if recorder is not None:
                recorder(state)
        return state
