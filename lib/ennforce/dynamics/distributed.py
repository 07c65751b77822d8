"""One lattice in many processes: slabs of rows, halos exchanged in every step, noise by the number of a site on the whole torus.

Every process calls the same functions (``processes.joined``); arrays are of its slab, (replica, rows, ...), unless said otherwise.
A row is what the first axis of the lattice counts: a line of sites in the plane, a plane in space.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import distributed

from ennforce import processes
from ennforce.dynamics.integrators import integrator
from ennforce.dynamics.langevin import State
from ennforce.dynamics.recorder import Recorder
from ennforce.forces import ForceField
from ennforce.models import Hamiltonian


@dataclass(frozen=True)
class Slab:
    """The rows of a torus of ``shape`` that belong to this process: ``rows[n]`` to process n, from the first on."""

    shape: tuple[int, ...]
    rows: tuple[int, ...]

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> Slab:
        """Shares as equal as even numbers of rows allow; raises ValueError for odd lengths, or too few rows for all."""
        if any(length % 2 for length in shape) or len(shape) < 2 or shape[0] < 2 * processes.count():
            raise ValueError(
                f"a torus of {_text(shape)} sites cannot be cut for {processes.count()} processes: lengths must be even, "
                f"with at least 2 rows for each process"
            )
        pairs = np.full(processes.count(), shape[0] // 2 // processes.count())
        pairs[: shape[0] // 2 % processes.count()] += 1
        return cls(shape, tuple(int(2 * n) for n in pairs))

    @property
    def local_shape(self) -> tuple[int, ...]:
        return self.rows[processes.number()], *self.shape[1:]

    def first_blocks(self, components: int = 1) -> tuple[int, ...]:
        """Places before this slab's in each component, in blocks of four (of ``noise``): even lengths make whole blocks."""
        before = sum(self.rows[: processes.number()]) * int(np.prod(self.shape[1:]))
        return tuple((component * int(np.prod(self.shape)) + before) // 4 for component in range(components))

    def with_halo(self, fields: np.ndarray, reach: int) -> np.ndarray:
        """Fields (..., rows, ...) with ``reach`` rows of each neighbour above and below them, (..., rows + 2 reach, ...)."""
        self._require(fields, self.local_shape)
        before, after = (processes.number() - 1) % processes.count(), (processes.number() + 1) % processes.count()
        first, last = (
            torch.from_numpy(np.ascontiguousarray(fields[self._cut(part)])) for part in (slice(reach), slice(-reach, None))
        )
        above, below = torch.empty_like(last), torch.empty_like(first)
        # Two processes are each other's neighbours on both sides: the tag tells which halo it is.
        jobs = [
            distributed.isend(first, before, tag=0), distributed.isend(last, after, tag=1),
            distributed.irecv(below, after, tag=0), distributed.irecv(above, before, tag=1),
        ]  # fmt: skip
        for job in jobs:
            assert job is not None  # it is only outside the group
            job.wait()
        return np.concatenate([above.numpy(), fields, below.numpy()], axis=-len(self.shape))

    def _cut(self, part: slice) -> tuple:
        """An index that takes ``part`` of the rows of fields."""
        return (..., part, *(slice(None) for _ in self.shape[1:]))

    def within(self, fields: np.ndarray, reach: int) -> np.ndarray:
        """Fields without the ``reach`` rows that ``with_halo`` adds on either side."""
        return fields[self._cut(slice(reach, -reach))]

    def gathered(self, fields: np.ndarray) -> np.ndarray | None:
        """Fields of the whole torus on process 0, None on the others."""
        self._require(fields, self.local_shape)
        if processes.number() > 0:
            distributed.send(torch.from_numpy(np.ascontiguousarray(fields)), 0)
            return None
        parts = [fields]
        for process in range(1, processes.count()):
            part = torch.empty((*fields.shape[: -len(self.shape)], self.rows[process], *self.shape[1:]), dtype=torch.float64)
            distributed.recv(part, process)
            parts.append(part.numpy())
        return np.concatenate(parts, axis=-len(self.shape))

    def scattered(self, fields: np.ndarray | None, before: tuple[int, ...]) -> np.ndarray:
        """This process's rows of fields (*before, *shape) that process 0 holds: the inverse of ``gathered``."""
        if fields is None:
            mine = torch.empty((*before, *self.local_shape), dtype=torch.float64)
            distributed.recv(mine, 0)
            return mine.numpy()
        self._require(fields, self.shape, before)
        parts = np.split(fields, np.cumsum(self.rows)[:-1], axis=-len(self.shape))
        for process in range(1, processes.count()):
            distributed.send(torch.from_numpy(np.ascontiguousarray(parts[process])), process)
        return np.ascontiguousarray(parts[0])

    def _require(self, fields: np.ndarray, shape: tuple[int, ...], before: tuple[int, ...] | None = None) -> None:
        """Raise ValueError on fields of which a neighbour would receive another number of bytes than it waits for."""
        wanted = fields.shape[: -len(shape)] if before is None else before
        if fields.dtype != np.float64 or fields.shape != (*wanted, *shape):
            raise ValueError(
                f"fields are {fields.dtype} of shape {fields.shape}, but this part of the torus of {_text(self.shape)} "
                f"sites has {_text(shape)}: give float64 of shape {(*wanted, *shape)}"
            )


class SlabForces:
    """A force field on this process's slab: what ``forces`` gives of the whole torus, from the slab and its neighbours' rows.

    ``reach``: rows further away do not influence a force; a network's receptive radius, and at least 1 for the classical force. The
    slab with its halo is handed to ``force_field``, which must take any torus, as one of its own: the forces where it closes
    wrongly are dropped. Raises ValueError where a slab is thinner than the reach, or the reach is no positive whole number.
    """

    def __init__(self, force_field: ForceField, slab: Slab, reach: int) -> None:
        if reach != int(reach) or reach < 1:
            raise ValueError(f"a reach of {reach} rows: give a whole number, at least 1 for the classical force")
        if processes.count() > 1 and min(slab.rows) < reach:
            raise ValueError(
                f"slabs of {min(slab.rows)} rows are thinner than the reach of the force, {reach}: use at most "
                f"{slab.shape[0] // (2 * -(-reach // 2))} processes for {slab.shape[0]} rows"
            )
        self.force_field, self.slab, self.reach = force_field, slab, reach

    def forces(self, fields: np.ndarray) -> np.ndarray:
        """Total force, shape of ``fields`` (..., rows, ...)."""
        if processes.count() == 1:
            return self.force_field.forces(fields)
        return self.slab.within(self.force_field.forces(self.slab.with_halo(fields, self.reach)), self.reach)


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def quench_in_slabs(
    force_field: ForceField,
    reach: int,
    model: Hamiltonian,
    replicas: np.ndarray,
    seed: int,
    bath: Mapping[str, Any],
    steps: int,
    recorder: Recorder,
    checkpoint_every: int,
    *,
    resumed: Callable[[int], None] = lambda step: None,
    progress: Callable[[int, int], None] = lambda step, total: None,
) -> State:
    """A thermal quench of the torus of ``model`` in all processes; returns the last state of this process's slab.

    Arguments as in ``quench.quench``, and ``reach`` as in ``SlabForces``. At the recorder's steps, and every ``checkpoint_every``
    steps, the whole lattice is gathered and shown to the recorder of process 0, which alone reads and writes; any number of
    processes can go on from its checkpoint, and gives the same numbers if the force field does for any tiling.
    """
    if checkpoint_every < 1:
        raise ValueError(f"checkpoints every {checkpoint_every} steps: give at least 1")
    shape = model.lattice.shape
    mine = (list(map(int, replicas)), seed, tuple(shape), steps)
    if (first := processes.from_first(lambda: mine)) != mine:
        raise ValueError(f"this process was given (replicas, seed, shape, steps) = {mine}, the first {first}: give all the same")
    slab = Slab.of(shape)
    engine = integrator(model, SlabForces(force_field, slab, reach), bath)
    # A slab begins on an even row: its sign of the staggered order is the torus'.
    state = State.before_quench(model.resized(*slab.local_shape), replicas, seed, bath, slab.first_blocks(model.components))
    before = state.fields.shape[: -len(shape)]
    blank = np.broadcast_to(0.0, (*before, *shape))  # checkpoints are of the whole lattice
    whole = state.holding(dict.fromkeys(state.arrays(), blank))
    saved = recorder.resume(whole) if processes.number() == 0 else state
    step = processes.from_first(lambda: saved.step)
    if step > 0:
        wholes: dict[str, Any] = saved.arrays() if processes.number() == 0 else dict.fromkeys(state.arrays())
        parts = {name: slab.scattered(values, before) for name, values in wholes.items()}
        state = state.holding(parts, step=step)
        resumed(step)
    gathered_at = recorder.steps | recorder.snapshot_steps | set(range(checkpoint_every, steps + 1, checkpoint_every))

    def watch(state: State) -> None:
        if state.step in gathered_at:
            gathered = {name: slab.gathered(values) for name, values in state.arrays().items()}
            if processes.number() == 0:
                recorder(state.holding(gathered, first_blocks=(0,)))
        progress(state.step, steps)

    return engine.run(state, steps - state.step, watch)
