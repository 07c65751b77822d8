"""Exact sampling of thermal equilibrium by hybrid Monte Carlo, whose proposals come from any force field (PHYSICS P2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ennforce.dynamics import checks
from ennforce.dynamics.device import MASK, RUNAWAY, philox
from ennforce.dynamics.langevin import DivergenceError, Dynamics, State, require_bath
from ennforce.forces import ForceField
from ennforce.models.fields import WITH_MOMENTA
from ennforce.noise import normal

MOVES, DECISIONS = 3, 4  # streams of the noise beside those of ``noise``
SHORTEST = 0.8  # of the time steps, as a share of dt


@runtime_checkable
class Judge(Protocol):
    """What accepts or refuses: Omega of one configuration, in units of t (``ExactForces``, ``KPMForces``)."""

    def grand_potential(self, fields: np.ndarray) -> Any: ...


class HybridMonteCarlo:
    """Samples exp(-Omega/T) of ``judge`` exactly, by trajectories that the force of ``proposal`` drives.

    A step draws momenta P ~ N(0, m T), makes ``leaps`` leapfrog steps of dQ = P/m dt, dP = F dt with the proposal's force F, and
    accepts where they end with probability min(1, exp(-(H_new - H_old)/T)), where H = P^2/2m + Omega (Duane, Kennedy, Pendleton and
    Roweth, Phys. Lett. B 195, 216 (1987)). Every drift and every kick shears phase space, whatever function of the fields F is: so
    the map keeps volumes, and with P reversed it leads back. Detailed balance asks no more of it. Averages are therefore those of
    the judge's Omega for every time step and every error of F, which need not even be a gradient; errors of F cost acceptance alone
    (with networks: Nagai, Okumura, Kobayashi and Shiga, Phys. Rev. B 102, 041124 (2020)).

    Two things bound "exactly". The judge's own error of Omega, in units of T, enters the averages. A network of single precision
    leads back to the rounding of its forces only.

    Each replica's time step is multiplied by a random number between 0.8 and 1, drawn apart from the state, so that no wave returns
    to its start in every step (Mackenzie, Phys. Lett. B 226, 369 (1989)). All random numbers are functions of (seed, replica, step,
    site) alone. ``mass``, ``temperature`` and ``dt`` are positive, in the units of ``Langevin``; ``leaps`` is a whole number from
    1. Raises ValueError for other constants, for a judge without ``grand_potential`` and for fields without momenta.
    """

    def __init__(self, proposal: ForceField, judge: Judge, *, mass: float, temperature: float, dt: float, leaps: int) -> None:
        require_bath(positive={"mass": mass, "temperature": temperature, "dt": dt}, not_negative={})
        if not (leaps >= 1 and leaps % 1 == 0):
            raise ValueError(f"leaps = {leaps} is no number of leapfrog steps: give a whole number from 1")
        if not isinstance(judge, Judge):
            raise ValueError(
                f"{type(judge).__name__} has no grand_potential(fields) to judge proposals by: give ExactForces or KPMForces"
            )
        for model in (getattr(proposal, "model", None), getattr(judge, "model", None)):
            if model is not None and not set(model.space.dynamics) & set(WITH_MOMENTA):
                raise ValueError(
                    f"{type(model.space).__name__} fields of the {type(model).__name__} model have no momenta, which hybrid Monte "
                    f"Carlo needs: sample them by SpinDynamics"
                )
        self.proposal, self.judge = proposal, judge
        self.mass, self.temperature, self.dt, self.leaps = mass, temperature, dt, int(leaps)
        self.latest = np.empty(0)  # (H_new - H_old)/T of the last step, (replica,); infinite where a trajectory ran away
        self._begin()

    def _begin(self) -> None:
        self.proposals, self._accepted, self._weights = 0, 0, 0.0

    @property
    def acceptance(self) -> float:
        """Share of the proposals of the latest ``run``, so far, that were accepted; NaN before the first."""
        return self._accepted / self.proposals if self.proposals else np.nan

    @property
    def mean_weight(self) -> float:
        """Mean of exp(-(H_new - H_old)/T) over the proposals of the latest ``run``, so far: 1 in equilibrium, but for chance."""
        return self._weights / self.proposals if self.proposals else np.nan

    def run(self, state: State, steps: int, recorder: Callable[[State], None] | None = None) -> State:
        """Advance by ``steps`` steps, showing the state to ``recorder`` after each; returns the last state, as ``Langevin.run``.

        Fields are arrays (replica, *shape of a configuration), and each replica is accepted or refused by itself. The momenta of a
        state that has some become those with which the step ended, of the thermal distribution; they do not enter the next step. A
        ``Recorder`` with ``dt=1`` counts steps as its time. A run goes on from any of its states to the bit, and a replica does
        not depend on those beside it, as far as Omega and forces are functions of the configuration alone (a network's forces may
        be rounded otherwise in batches of another size).

        A trajectory whose fields grow beyond all bounds is refused, which is exact as its reverse grows the same way; many of them
        show as a low acceptance, which is no error. Raises DivergenceError where the proposal's force is not finite for finite
        fields, and ValueError where the state, forces or Omega cannot be used.
        """
        following = Dynamics.following(state, steps)
        if not isinstance(state.fields, np.ndarray):
            raise ValueError("hybrid Monte Carlo runs on the CPU alone: give arrays, not tensors")
        fields, momenta, numbers = checks.owned(state)
        omega = self._omega(fields)
        self._begin()
        for step in following:
            drawn = np.sqrt(self.mass * self.temperature) * normal(state.seed, MOVES, numbers, step, fields.shape[1:])
            stretch, decision = _uniform(state.seed, numbers, step)
            times = self.dt * (SHORTEST + (1.0 - SHORTEST) * stretch)
            arrived, ended, safe = self.trajectory(fields, drawn, times)
            found = np.full(len(fields), np.inf)
            found[safe] = self._omega(arrived[safe])
            self.latest = (found - omega + self._kinetic(ended) - self._kinetic(drawn)) / self.temperature
            accepted = np.log(decision) < -self.latest
            fields[accepted], omega[accepted] = arrived[accepted], found[accepted]
            changes: dict[str, Any] = {"fields": fields}
            if momenta is not None:
                momenta[...] = drawn
                momenta[accepted] = ended[accepted]
                changes["momenta"] = momenta
            self.proposals += len(fields)
            self._accepted += int(accepted.sum())
            self._weights += float(np.exp(np.minimum(-self.latest, 700.0)).sum())  # what is larger overflows
            state = replace(state, **changes, step=step)
            if recorder is not None:
                recorder(state)
        return state

    def trajectory(
        self, fields: np.ndarray, momenta: np.ndarray, dt: float | np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Fields and momenta after ``leaps`` steps of ``dt``, a number or one for each replica, and which replicas stayed bounded.

        Half a drift, kicks with drifts between, half a drift: a force call for each kick. Reversible and of volume 1. Replicas that
        ran away (fields of ``RUNAWAY`` or more) are at rest at zero from then on, so that force fields need not answer for them.
        """
        fields, momenta = fields.copy(), momenta.copy()
        dt = np.broadcast_to(dt, len(fields)).reshape(-1, *[1] * (fields.ndim - 1))
        safe = np.ones(len(fields), dtype=bool)
        for leap in range(self.leaps + 1):
            fields += (1.0 if 0 < leap < self.leaps else 0.5) * dt / self.mass * momenta
            away = ~(abs(fields) < RUNAWAY).reshape(len(fields), -1).all(axis=1)
            safe &= ~away
            fields[~safe] = momenta[~safe] = 0.0
            if leap < self.leaps and safe.any():
                forces = checks.usable(self.proposal.forces(fields), fields)
                wrong = np.count_nonzero(~np.isfinite(forces[safe]))
                if wrong:
                    raise DivergenceError(
                        f"the proposal returned {wrong} forces that are NaN or infinite, for finite fields: mend it"
                    )
                momenta += dt * forces
        return fields, momenta, safe

    def _omega(self, fields: np.ndarray) -> np.ndarray:
        """Omega of every replica, (replica,)."""
        # One by one: in a batch, sums may round otherwise, and a resumed run must find the same bits.
        values = [np.asarray(self.judge.grand_potential(configuration), dtype=float) for configuration in fields]
        for value in values:
            if value.shape != () or not np.isfinite(value):
                given = f"{float(value)}" if value.shape == () else f"of shape {value.shape}"
                raise ValueError(
                    f"the judge's grand_potential is {given} for finite fields of shape {fields.shape[1:]}: return a finite number"
                )
        return np.array(values, dtype=float)

    def _kinetic(self, momenta: np.ndarray) -> np.ndarray:
        """P^2/2m of every replica, (replica,)."""
        return (momenta**2).reshape(len(momenta), -1).sum(axis=1) / (2.0 * self.mass)


def _uniform(seed: int, replicas: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Two uniform numbers between 0 and 1 for each replica, by the same counters as ``noise.normal``."""
    nothing = np.zeros_like(replicas)
    words = philox(nothing, step & MASK, nothing + DECISIONS, replicas, seed & MASK, seed >> 32)
    a, b, c, d = (np.asarray(word, dtype=float) for word in words)
    return (a + (b + 0.5) / 2.0**32) / 2.0**32, (c + (d + 0.5) / 2.0**32) / 2.0**32
