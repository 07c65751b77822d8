"""Dynamics of classical spins of unit length in a heat bath: the stochastic Landau-Lifshitz-Gilbert equation (PHYSICS P13)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numba
import numpy as np

from ennforce import threads
from ennforce.dynamics import checks
from ennforce.dynamics.langevin import DivergenceError, Dynamics, State, require_bath
from ennforce.forces import ForceField
from ennforce.noise import LEAST_BLOCKS, NOISE, four_normals


class SpinDynamics(Dynamics):
    """dS/dt = S x (B + b) - alpha S x [S x (B + b)] with noise <b_a(t) b_c(t')> = 2 alpha T / (1 + alpha^2) delta_ac delta(t - t').

    B = -dE/dS is what ``force_field.forces(fields)`` returns; only its part across S acts. ``damping`` is alpha, ``temperature``
    the bath's, ``dt`` the step. A step is the semi-implicit one of Mentink et al. (J. Phys.: Condens. Matter 22, 176001 (2010),
    SIB): a predictor, and a corrector at the middle of old spin and predictor, each a rotation that keeps |S| to rounding, with two
    force calls. The noise is a function of (seed, replica, step, site, component) alone and acts in both (Stratonovich).
    """

    SETTINGS = ("damping", "temperature", "dt")
    ON_DEVICES = False

    def __init__(self, force_field: ForceField, *, damping: float, temperature: float, dt: float) -> None:
        super().__init__(force_field)
        require_bath(positive={"dt": dt}, not_negative={"damping": damping, "temperature": temperature})
        self.damping, self.temperature, self.dt = damping, temperature, dt

    @property
    def thermal(self) -> float:
        return 2.0 * self.damping / (1.0 + self.damping**2) * self.temperature / self.dt

    def run(self, state: State, steps: int, recorder: Callable[[State], None] | None = None) -> State:
        """Advance by ``steps`` steps, showing the state to ``recorder`` after each; returns the last state.

        Fields are (replica, 3, *lattice shape), arrays of this process; the state shown is updated in place by the next step.
        Raises ValueError where the state or what the force field returns cannot be used, or spins are not of unit length, and
        DivergenceError where a field is not finite.
        """
        following = self.following(state, steps)
        self.begin(state)
        if not isinstance(state.fields, np.ndarray):
            raise ValueError("spins are advanced on the CPU alone: give arrays, not tensors")
        fields, _, numbers = checks.owned(state)
        if fields.ndim < 3 or fields.shape[1] != 3 or abs((fields**2).sum(axis=1) - 1.0).max() > 1e-6:
            raise ValueError("spins have three components and unit length, (replica, 3, ...): divide each by its length")
        strength = np.sqrt(2.0 * self.damping / (1.0 + self.damping**2) * self.temperature * self.dt)
        flat = (len(fields), 3, -1)
        start = fields.reshape(flat)
        blocks = (start.shape[2] + 3) // 4
        starts = np.array(state.first_blocks if len(state.first_blocks) == 3 else (0, blocks, 2 * blocks))
        predicted, middle = np.empty_like(start), np.empty_like(start)
        for step in following:
            settings = (self.dt, self.damping, strength, np.uint64(state.seed), numbers, step, starts)
            # What a force draws is that of the step: like the thermostat's noise, it is one in predictor and corrector.
            forces, left = self.at(fields, step, numbers)
            _rotated(start, start, forces.reshape(flat), left.reshape(flat), predicted, middle, *settings)
            forces, left = self.at(middle.reshape(fields.shape), step, numbers)
            _rotated(start, middle, forces.reshape(flat), left.reshape(flat), predicted, middle, *settings)
            start[...] = predicted
            if not np.isfinite(start).all():
                raise DivergenceError(checks.why_lost(fields, forces, step, self.dt))
            state = replace(state, fields=fields, step=step)
            if recorder is not None:
                recorder(state)
        return state


def _rotated(start: np.ndarray, *others: Any) -> None:
    """One rotation of every spin, shared out among threads; arrays are (replica, 3, site)."""
    parts = threads.parts(len(start) * ((start.shape[2] + 3) // 4), LEAST_BLOCKS)
    threads.mapped(lambda part: _rotated_part(*part, start, *others), parts)


@numba.njit(cache=True, nogil=True)
def _rotated_part(
    first, beyond, start, at, forces, left, turned, middle, dt, damping, strength, seed, replicas, step, first_blocks
):  # pragma: no cover (compiled)
    """S' - S = M x a with M = (S + S') / 2 and a = -[A + alpha at x A], A = dt B(at) + noise: a rotation, solved in closed form."""
    sites = start.shape[2]
    blocks = (sites + 3) // 4
    for index in range(first, beyond):
        row, block = index // blocks, index % blocks
        noise_x = four_normals(seed, NOISE, replicas[row], step, first_blocks[0] + block)
        noise_y = four_normals(seed, NOISE, replicas[row], step, first_blocks[1] + block)
        noise_z = four_normals(seed, NOISE, replicas[row], step, first_blocks[2] + block)
        for n in range(min(4, sites - 4 * block)):
            site = 4 * block + n
            bx = dt * forces[row, 0, site] + strength * left[row, 0, site] * noise_x[n]
            by = dt * forces[row, 1, site] + strength * left[row, 1, site] * noise_y[n]
            bz = dt * forces[row, 2, site] + strength * left[row, 2, site] * noise_z[n]
            px, py, pz = at[row, 0, site], at[row, 1, site], at[row, 2, site]
            # dS = S x [B - alpha S x B]: the axis of the rotation is a = B - alpha (S x B).
            ax = bx - damping * (py * bz - pz * by)
            ay = by - damping * (pz * bx - px * bz)
            az = bz - damping * (px * by - py * bx)
            sx, sy, sz = start[row, 0, site], start[row, 1, site], start[row, 2, site]
            # S' = S + (S + S') x a / 2, whose solution is (Cayley's form of the rotation)
            hx, hy, hz = 0.5 * ax, 0.5 * ay, 0.5 * az
            square, along = hx * hx + hy * hy + hz * hz, sx * hx + sy * hy + sz * hz
            scale = 1.0 / (1.0 + square)
            tx = scale * ((1.0 - square) * sx + 2.0 * (along * hx + sy * hz - sz * hy))
            ty = scale * ((1.0 - square) * sy + 2.0 * (along * hy + sz * hx - sx * hz))
            tz = scale * ((1.0 - square) * sz + 2.0 * (along * hz + sx * hy - sy * hx))
            turned[row, 0, site], turned[row, 1, site], turned[row, 2, site] = tx, ty, tz
            middle[row, 0, site] = 0.5 * (sx + tx)
            middle[row, 1, site] = 0.5 * (sy + ty)
            middle[row, 2, site] = 0.5 * (sz + tz)
