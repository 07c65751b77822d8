"""Langevin dynamics of classical fields on a lattice (PHYSICS P5)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numba
import numpy as np
import torch

from ennforce import threads
from ennforce.dynamics import checks, device
from ennforce.dynamics.device import RUNAWAY
from ennforce.forces import Fields, ForceField, NoisyForceField
from ennforce.models import Hamiltonian
from ennforce.models.fields import WITH_MOMENTA
from ennforce.noise import FIELDS, LEAST_BLOCKS, MOMENTA, NOISE, counted, four_normals, normal

NOISIEST = 0.5  # share of the thermostat's noise that forces may bring themselves


class DivergenceError(RuntimeError):
    """The trajectory left the finite numbers; the message names the step."""


def require_bath(positive: Mapping[str, float], not_negative: Mapping[str, float]) -> None:
    """Raises ValueError, in one line, where a constant of the dynamics is out of its range or not finite."""
    for name, value in {**positive, **not_negative}.items():
        if not (value > 0 or (name in not_negative and value == 0)) or not np.isfinite(value):
            raise ValueError(f"{name} = {value} must be {'non-negative' if name in not_negative else 'positive'} and finite")


@dataclass(frozen=True)
class State:
    """Fields (replica, *shape of a configuration) after ``step`` steps; momenta of half a step before, or None without momenta.

    ``replicas`` numbers them for the noise. Arrays, or float64 tensors on any device (``on``), where the dynamics then stays. Of a
    part of a larger lattice, ``first_blocks`` says where its noise is counted from there (``noise.normal``).
    """

    fields: Fields
    momenta: Fields  # None of fields without momenta, as spins
    step: int
    seed: int
    replicas: np.ndarray
    first_blocks: tuple[int, ...] = (0,)

    @classmethod
    def uncorrelated(
        cls, shape: tuple[int, ...], replicas: np.ndarray, seed: int, *, sigma: float, mass: float, temperature: float
    ) -> State:
        """Fields ~ N(0, sigma^2) of ``shape`` and momenta ~ N(0, mass temperature), all independent."""
        replicas = np.asarray(replicas)
        fields = sigma * normal(seed, FIELDS, replicas, 0, shape)
        momenta = np.sqrt(mass * temperature) * normal(seed, MOMENTA, replicas, 0, shape)
        return cls(fields, momenta, 0, seed, replicas)

    @classmethod
    def before_quench(
        cls, model: Hamiltonian, replicas: np.ndarray, seed: int, bath: Mapping[str, Any], first_blocks: tuple[int, ...] = (0,)
    ) -> State:
        """The start that ``bath`` (``sections.Bath``) sets: fields spread by initial_sigma about initial_order, thermal momenta.

        Momenta ~ N(0, mass initial_temperature), where the dynamics has any; all is independent on every site. Raises ValueError
        for an initial order that is not linear in the fields.
        """
        replicas, space, lattice = np.asarray(replicas), model.space, model.lattice
        shape, order = space.shape(lattice), bath["initial_order"]
        centre = order * model.order.pattern() if order else 0.0
        fields = space.near(centre, bath["initial_sigma"], normal(seed, FIELDS, replicas, 0, shape, first_blocks), lattice)
        momenta = None
        if space.chosen(bath.get("dynamics")) in WITH_MOMENTA:
            spread = np.sqrt(bath["mass"] * bath["initial_temperature"])
            momenta = spread * normal(seed, MOMENTA, replicas, 0, shape, first_blocks)
        return cls(fields, momenta, 0, seed, replicas, first_blocks)

    def arrays(self) -> dict[str, Fields]:
        """Fields, and momenta where there are some, by name."""
        return {"fields": self.fields} if self.momenta is None else {"fields": self.fields, "momenta": self.momenta}

    def holding(self, arrays: Mapping[str, Any], **changes: Any) -> State:
        """This state with other ``arrays``, by the names that ``arrays()`` has, and other ``changes``."""
        return replace(self, **arrays, **changes)

    def on(self, device: str | torch.device) -> State:
        """Its arrays as float64 tensors on ``device``."""
        return self._each(lambda array: torch.as_tensor(array, device=device).clone())

    def as_arrays(self) -> State:
        """Its tensors as arrays of this process: what recorders and files take."""
        return self if isinstance(self.fields, np.ndarray) else self._each(lambda tensor: tensor.cpu().numpy())

    def _each(self, change: Callable[[Any], Any]) -> State:
        return self.holding({name: change(values) for name, values in self.arrays().items()})


class Dynamics(ABC):
    """Equations of motion of fields in a heat bath, driven by anything with ``forces(fields)``."""

    SETTINGS: ClassVar[tuple[str, ...]]  # constants that the class takes, by their names in ``sections.Bath``
    ON_DEVICES: ClassVar[bool] = True  # whether a state of tensors can be advanced, where these are

    def __init__(self, force_field: ForceField, **constants: float) -> None:
        self.force_field = force_field

    @classmethod
    def in_bath(cls, force_field: ForceField, bath: Mapping[str, Any], **changes: float) -> Self:
        """With the constants of ``bath`` (``sections.Bath``), but for ``changes``."""
        return cls(force_field, **{name: bath[name] for name in cls.SETTINGS} | changes)

    @abstractmethod
    def run(self, state: State, steps: int, recorder: Callable[[State], None] | None = None) -> State:
        """Advance by ``steps`` steps, showing the state to ``recorder`` after each; returns the last state."""

    @property
    @abstractmethod
    def thermal(self) -> float:
        """Variance of the noise that the thermostat adds to each component in a step, in units of a force's square."""

    def at(self, fields: Fields, step: int, replicas: np.ndarray) -> tuple[Fields, Fields]:
        """Forces as the loops take them, and by which factor the thermostat's noise is smaller on every site, shape of ``fields``.

        A force that is random itself (``NoisyForceField``) has its variance taken off the thermostat's.
        """
        if not isinstance(self.force_field, NoisyForceField):
            forces = checks.usable(self.force_field.forces(fields), fields)
            return forces, np.broadcast_to(1.0, fields.shape) if isinstance(fields, np.ndarray) else 1.0
        drawn = self.force_field.drawn(fields, step, replicas, NOISIEST * self.thermal)
        if not drawn.variance.max() <= self.thermal:
            raise ValueError(
                f"the noise that forces bring themselves, {drawn.variance.max():.3g}, exceeds the thermostat's, "
                f"{self.thermal:.3g}: solve more sites, or use more friction"
            )
        left = np.sqrt(1.0 - drawn.variance / self.thermal)
        if left.ndim < fields.ndim:
            left = left[:, None]
        return checks.usable(drawn.forces, fields), np.ascontiguousarray(np.broadcast_to(left, fields.shape))

    def begin(self, state: State) -> None:
        """What a run does first; raises ValueError where its force field is random and there is no thermostat to take that."""
        if not isinstance(self.force_field, NoisyForceField):
            return
        if not self.thermal > 0:
            raise ValueError(
                "forces with noise of their own need a thermostat: give a positive temperature and friction or damping"
            )
        if not isinstance(state.fields, np.ndarray):
            raise ValueError("forces with noise of their own are computed on the CPU alone: give arrays, not tensors")
        self.force_field.forget()

    @staticmethod
    def following(state: State, steps: int) -> range:
        """Numbers of the next ``steps`` steps; raises ValueError for fewer than none."""
        if steps < 0:
            raise ValueError(f"{steps} steps cannot be made: the run is over already, or count forwards")
        return range(state.step + 1, state.step + steps + 1)


class Langevin(Dynamics):
    """dQ = P/m dt,  dP = (F - gamma P) dt + sqrt(2 m gamma T) dW, with one force call a step.

    BAOAB (Leimkuhler and Matthews 2013) with its two half kicks joined into one, the "middle" scheme (Zhang et al. 2019): kick,
    half drift, exact Ornstein-Uhlenbeck step, half drift. The fields are BAOAB's; the momenta are those of half a step before, and
    with a harmonic force the stationary distributions of both are exact for every stable dt, dt < 2 / omega. ``friction`` is the
    rate gamma; 0 gives leapfrog. ``force_field`` is anything with ``forces(fields)``; the noise is a function of (seed, replica,
    step, site) alone.
    """

    SETTINGS = ("mass", "friction", "temperature", "dt")

    def __init__(self, force_field: ForceField, *, mass: float, friction: float, temperature: float, dt: float) -> None:
        super().__init__(force_field)
        require_bath(positive={"mass": mass, "dt": dt}, not_negative={"friction": friction, "temperature": temperature})
        self.mass, self.friction, self.temperature, self.dt = mass, friction, temperature, dt

    @property
    def thermal(self) -> float:
        # A kick is damped in the very step in which the thermostat acts.
        return self.mass * self.temperature * float(np.expm1(2.0 * self.friction * self.dt)) / self.dt**2

    def run(self, state: State, steps: int, recorder: Callable[[State], None] | None = None) -> State:
        """Advance by ``steps`` steps, showing the state to ``recorder`` after each; returns the last state.

        The state shown is updated in place by the next step. Raises ValueError where the state or what the force field returns
        cannot be used (``checks``), and DivergenceError as soon as a field is NaN, infinite or absurdly large, naming the step and
        the cause (for tensors, whose device answers late, within ``device.CHECK_EVERY`` steps).
        """
        following = self.following(state, steps)
        self.begin(state)
        drift, damping = 0.5 * self.dt / self.mass, np.exp(-self.friction * self.dt)
        kick = np.sqrt(self.mass * self.temperature * (1.0 - damping**2))
        on_host = isinstance(state.fields, np.ndarray)
        fields, momenta, numbers = checks.owned(state)
        counts: tuple[Any, Any] = counted(numbers, state.first_blocks)
        replicas, starts = counts if on_host else (torch.as_tensor(values, device=fields.device) for values in counts)
        advance = _kick_drift_bath_drift if on_host else device.kick_drift_bath_drift
        rows = (len(replicas), -1)
        for step in following:
            forces, left = self.at(fields, step, numbers)
            lost = advance(
                fields.reshape(rows), momenta.reshape(rows), forces.reshape(rows), left.reshape(rows) if on_host else left,
                self.dt, drift, damping, kick, np.uint64(state.seed), replicas, step, starts,
            )  # fmt: skip
            if lost:
                raise DivergenceError(checks.why_lost(fields, forces, step, self.dt))
            state = replace(state, fields=fields, momenta=momenta, step=step)
            if recorder is not None:
                recorder(state)
        return state


def _kick_drift_bath_drift(fields: np.ndarray, *others: Any) -> int:
    """One step in one pass over (replica and component, site), shared out among threads; returns how many fields have run away."""
    parts = threads.parts(len(fields) * ((fields.shape[1] + 3) // 4), LEAST_BLOCKS)
    return sum(threads.mapped(lambda part: _kick_drift_bath_drift_part(*part, fields, *others), parts))


@numba.njit(cache=True, nogil=True)
def _kick_drift_bath_drift_part(
    first, beyond, fields, momenta, forces, left, dt, drift, damping, kick, seed, replicas, step, first_blocks
):  # pragma: no cover (compiled)
    sites = fields.shape[1]
    blocks = (sites + 3) // 4
    lost = 0
    for index in range(first, beyond):
        row, block = index // blocks, index % blocks
        noise = four_normals(seed, NOISE, replicas[row], step, first_blocks[row] + block)
        for n in range(min(4, sites - 4 * block)):
            site = 4 * block + n
            momentum = momenta[row, site] + dt * forces[row, site]
            field = fields[row, site] + drift * momentum
            part = left[row, site]
            momentum = damping * momentum + kick * part * noise[n]
            # Noise of a force acts half a step before the thermostat's: this takes its correlation with the fields back.
            field += drift * (momentum - (1.0 - part * part) / part * kick / damping * noise[n])
            momenta[row, site], fields[row, site] = momentum, field
            lost += not abs(field) < RUNAWAY  # NaN too
    return lost
