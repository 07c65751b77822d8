"""Langevin dynamics of classical fields on a lattice (PHYSICS P5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numba
import numpy as np

from ennforce.dynamics.noise import FIELDS, MOMENTA, NOISE, four_normals, normal
from ennforce.forces import ForceField

RUNAWAY = 1e4  # a field this large never comes from a stable run


class DivergenceError(RuntimeError):
    """The trajectory left the finite numbers; the message names the step."""


@dataclass(frozen=True)
class State:
    """Fields and momenta (replica, Ly, Lx) after ``step`` steps; ``replicas`` numbers the replicas for the noise."""

    fields: np.ndarray
    momenta: np.ndarray
    step: int
    seed: int
    replicas: np.ndarray

    @classmethod
    def uncorrelated(
        cls, shape: tuple[int, ...], replicas: np.ndarray, seed: int, *, sigma: float, mass: float, temperature: float
    ) -> State:
        """Fields ~ N(0, sigma^2) and momenta ~ N(0, mass temperature), independent on every site: before a thermal quench."""
        replicas = np.asarray(replicas)
        fields = sigma * normal(seed, FIELDS, replicas, 0, shape)
        momenta = np.sqrt(mass * temperature) * normal(seed, MOMENTA, replicas, 0, shape)
        return cls(fields, momenta, 0, seed, replicas)


class Langevin:
    """dQ = P/m dt,  dP = (F - gamma P) dt + sqrt(2 m gamma T) dW, integrated by BAOAB with one force call a step.

    Leimkuhler and Matthews (2013): half kick, half drift, exact Ornstein-Uhlenbeck step, half drift, half kick; for a harmonic
    force the stationary distribution of Q is exact for every stable dt. ``friction`` is the rate gamma; 0 gives plain velocity
    Verlet. ``force_field`` is anything with ``forces(fields)``; the noise is a function of (seed, replica, step, site).
    """

    def __init__(self, force_field: ForceField, *, mass: float, friction: float, temperature: float, dt: float) -> None:
        for name, value, lowest in (
            ("mass", mass, None),
            ("friction", friction, 0),
            ("temperature", temperature, 0),
            ("dt", dt, None),
        ):
            if not (value > 0 or value == lowest) or not np.isfinite(value):
                raise ValueError(f"{name} = {value} must be {'non-negative' if lowest == 0 else 'positive'} and finite")
        self.force_field = force_field
        self.mass, self.friction, self.temperature, self.dt = mass, friction, temperature, dt

    def run(self, state: State, steps: int, recorder: Callable[[State], None] | None = None) -> State:
        """Advance by ``steps`` steps, showing the state to ``recorder`` after each; returns the last state.

        Raises DivergenceError, naming the step, as soon as a field is NaN, infinite or absurdly large.
        """
        half, drift = 0.5 * self.dt, 0.5 * self.dt / self.mass
        damping = np.exp(-self.friction * self.dt)
        kick = np.sqrt(self.mass * self.temperature * (1.0 - damping**2))
        fields, momenta = state.fields.copy(), state.momenta.copy()
        forces = np.ascontiguousarray(self.force_field.forces(fields))
        sites = (len(fields), -1)
        for step in range(state.step + 1, state.step + steps + 1):
            lost = _half_kick_drift_bath_drift(
                fields.reshape(sites), momenta.reshape(sites), forces.reshape(sites),
                half, drift, damping, kick, np.uint64(state.seed), state.replicas, step,
            )  # fmt: skip
            if lost:
                raise DivergenceError(
                    f"the trajectory diverged at step {step} (largest field {np.abs(fields).max():.3g}): use a smaller time step "
                    f"than {self.dt} or a force field that covers these configurations"
                )
            forces = np.ascontiguousarray(self.force_field.forces(fields))
            _half_kick(momenta.reshape(-1), forces.reshape(-1), half)
            state = replace(state, fields=fields, momenta=momenta, step=step)
            if recorder is not None:
                recorder(state)
        return state


@numba.njit(cache=True, parallel=True)
def _half_kick_drift_bath_drift(
    fields, momenta, forces, half, drift, damping, kick, seed, replicas, step
):  # pragma: no cover (compiled)
    """B A O A of one step in one pass over (replica, site); returns how many fields have run away."""
    sites = fields.shape[1]
    blocks = (sites + 3) // 4
    lost = 0
    for index in numba.prange(len(fields) * blocks):
        row, block = index // blocks, index % blocks
        noise = four_normals(seed, NOISE, replicas[row], step, block)
        for n in range(min(4, sites - 4 * block)):
            site = 4 * block + n
            momentum = momenta[row, site] + half * forces[row, site]
            field = fields[row, site] + drift * momentum
            momentum = damping * momentum + kick * noise[n]
            field += drift * momentum
            momenta[row, site], fields[row, site] = momentum, field
            lost += not abs(field) < RUNAWAY  # NaN too
    return lost


@numba.njit(cache=True, parallel=True)
def _half_kick(momenta, forces, half):  # pragma: no cover (compiled)
    for n in numba.prange(len(momenta)):
        momenta[n] += half * forces[n]
