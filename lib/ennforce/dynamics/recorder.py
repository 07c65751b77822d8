"""What is kept of a trajectory: observables at chosen steps, a few snapshots, and a checkpoint to go on from."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ennforce.dynamics.langevin import State
from ennforce.io import DataError, one_line, read_dataset, write_dataset

log = logging.getLogger("ennforce")


def log_spaced_steps(first: int, last: int, count: int) -> np.ndarray:
    """About ``count`` distinct step numbers from ``first`` to ``last``, evenly spaced in their logarithm, both ends included.

    Counted from 1, as a logarithm has no zero. Raises ValueError where the last comes before the first, or none is wanted.
    """
    first = max(first, 1)
    if last < first or count < 1:
        raise ValueError(f"{count} steps from {first} to {last} cannot be spaced in their logarithm: let the last not be before")
    return np.unique(np.round(np.geomspace(first, last, count)).astype(int))


def equally_spaced_steps(last: int, count: int) -> np.ndarray:
    """About ``count`` distinct step numbers up to ``last``, equally spaced, the last included; ValueError where there are none."""
    if not (last >= 1 and count >= 1):
        raise ValueError(f"there are no {count} steps up to {last}: ask for at least one of at least one")
    return np.unique(np.round(np.linspace(0, last, count + 1)[1:]).astype(int))


class Recorder:
    """Called with every state; keeps ``observe(state)`` at ``steps`` and the fields at ``snapshot_steps``.

    ``observe`` returns a Dataset without a time axis, of which a copy is kept. Every ``interval`` seconds all that was recorded,
    with the state, is written atomically to ``checkpoint`` (readable by xarray at any time); ``resume`` goes on from there.
    ``axes`` names those of one configuration (``FieldSpace.axes``). ``judge`` is shown every record, and may raise to end the run,
    whose checkpoint then holds all up to there. Checkpoints are written after multiples of ``aligned`` steps alone.
    """

    def __init__(
        self,
        observe: Callable[[State], xr.Dataset],
        steps: np.ndarray,
        snapshot_steps: np.ndarray,
        dt: float,
        checkpoint: str | Path | None = None,
        interval: float = 30.0,
        axes: tuple[str, ...] = ("y", "x"),
        judge: Callable[[xr.Dataset], None] = lambda record: None,
        aligned: int = 1,
    ) -> None:
        self.axes, self.judge, self.aligned = ("replica", *axes), judge, aligned
        self.observe, self.dt, self.interval = observe, dt, interval
        self.steps, self.snapshot_steps = frozenset(map(int, steps)), frozenset(map(int, snapshot_steps))
        self.checkpoint = Path(checkpoint) if checkpoint else None
        if self.checkpoint and self.checkpoint.is_dir():
            raise DataError(f"the checkpoint {self.checkpoint} is a folder: name a file, or move the folder away")
        self._records: list[xr.Dataset] = []
        self._snapshots: list[xr.Dataset] = []
        self._saved = time.monotonic()

    def __call__(self, state: State) -> None:
        moment = state.step * self.dt
        due = self.checkpoint and state.step % self.aligned == 0 and time.monotonic() - self._saved > self.interval
        if not (due or state.step in self.steps or state.step in self.snapshot_steps):
            return
        state = state.as_arrays()
        if (due or state.step in self.snapshot_steps) and state.fields.ndim != len(self.axes):
            raise ValueError(f"fields of shape {state.fields.shape} are not ({', '.join(self.axes)}): name their axes")
        if state.step in self.steps:
            # The next step works on the same arrays: what is kept must not be a view of them.
            self._records.append(self.observe(state).copy(deep=True).expand_dims(time=[moment]))
        if state.step in self.snapshot_steps:
            fields = xr.DataArray(
                state.fields.astype(np.float32)[None],
                dims=("snapshot_time", *self.axes),
                coords={"snapshot_time": [moment], "replica": state.replicas},
                attrs={"long_name": "field", "units": "1"},
            )
            self._snapshots.append(fields.to_dataset(name="fields"))
        if due:
            self.save(state)
        if state.step in self.steps:
            try:
                self.judge(self._records[-1])
            except ValueError:
                if self.checkpoint and state.step % self.aligned == 0:
                    self.save(state)
                raise

    def save(self, state: State) -> None:
        """Write the checkpoint now."""
        assert self.checkpoint is not None
        momentary = {f"state_{name}": (self.axes, values) for name, values in state.arrays().items()}
        dataset = self.dataset().assign(momentary).assign_attrs(step=state.step, seed=str(state.seed))
        write_dataset(dataset.assign_coords(replica=state.replicas), self.checkpoint)
        self._saved = time.monotonic()

    def resume(self, start: State) -> State:
        """The checkpoint's state, or ``start`` where there is none, or none that is whole and of the same replicas."""
        if self.checkpoint is None or not self.checkpoint.exists():
            return start
        try:
            saved = read_dataset(self.checkpoint, [f"state_{name}" for name in start.arrays()])
            state = self._saved_state(saved, start)
            self._records, self._snapshots = self._saved_records(saved, state)
        except (DataError, ValueError) as error:
            log.info("%s cannot be resumed (%s): the run starts afresh", self.checkpoint.name, one_line(error))
            return start
        for record in self._records[-1:]:
            self.judge(record)
        return state

    def _saved_state(self, saved: xr.Dataset, start: State) -> State:
        """The state of a checkpoint; raises ValueError if it is not one of this run."""
        if saved.attrs.get("seed") != str(start.seed) or not np.array_equal(saved.get("replica", []), start.replicas):
            raise ValueError("it is of another seed or of other replicas")
        step = saved.attrs.get("step")
        if not isinstance(step, np.integer) or not 0 <= step <= max(self.steps | self.snapshot_steps, default=0):
            raise ValueError(f"step {step} is none of this run")
        arrays: dict[str, Any] = {name: saved[f"state_{name}"].values for name in start.arrays()}
        for values in arrays.values():
            if (values.shape, values.dtype) != (start.fields.shape, start.fields.dtype) or not np.isfinite(values).all():
                raise ValueError(f"its state is not {start.fields.dtype} of shape {start.fields.shape}, all finite")
        return replace(start, **arrays, step=int(step))

    def _saved_records(self, saved: xr.Dataset, state: State) -> tuple[list[xr.Dataset], list[xr.Dataset]]:
        """Records and snapshots of a checkpoint; raises ValueError unless they are those that the run has made up to ``state``."""
        for name, steps in (("time", self.steps), ("snapshot_time", self.snapshot_steps)):
            due = np.array(sorted(step for step in steps if 0 < step <= state.step)) * self.dt
            if not np.array_equal(saved[name] if name in saved.coords else [], due):
                raise ValueError(f"its {name} is not that of a run up to step {state.step}")
        records: list[xr.Dataset] = []
        snapshots: list[xr.Dataset] = []
        if "time" in saved.dims:
            kept = saved.drop_dims("snapshot_time", errors="ignore").drop_vars([f"state_{name}" for name in state.arrays()])
            records = [kept.isel(time=[n]) for n in range(kept.sizes["time"])]
        if "snapshot_time" in saved.dims:
            if "fields" not in saved or saved["fields"].shape[1:] != state.fields.shape:
                raise ValueError("its snapshots are missing or of another shape")
            snapshots = [saved[["fields"]].isel(snapshot_time=[n]) for n in range(saved.sizes["snapshot_time"])]
        return records, snapshots

    def dataset(self) -> xr.Dataset:
        """All that was recorded so far."""
        parts = []
        if self._records:
            parts.append(
                xr.concat(self._records, "time", data_vars="minimal", coords="minimal", compat="override", join="override")
            )
        if self._snapshots:
            parts.append(xr.concat(self._snapshots, "snapshot_time"))
        dataset = xr.merge(parts, combine_attrs="override")
        dataset.attrs = {}
        for name in ("time", "snapshot_time"):
            if name in dataset.coords:
                dataset[name].attrs = {"long_name": "time since the quench", "units": "1/t"}
        return dataset
