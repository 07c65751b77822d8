"""Learning from audits: a network explores, the solver measures its errors on drawn sites, and what is worst is labelled next.

Runs by the network itself reach what it will meet, and need no trajectory that the solver drives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ennforce import noise
from ennforce.corrected import FollowingForces
from ennforce.dynamics import Recorder, State, quench
from ennforce.electrons.following import active
from ennforce.forces import ForceField, NetworkForces
from ennforce.limits import split_counts
from ennforce.models import Hamiltonian
from ennforce.training.dataset import FLOOR, SPLITS

SITES = 128  # drawn of a snapshot: its error is then known to about a tenth


def explore(
    force_field: ForceField,
    model: Hamiltonian,
    runs: Sequence[int] | np.ndarray,
    seed: int,
    bath: Mapping[str, Any],
    kept: Sequence[int] | np.ndarray,
    progress: Callable[[int, int], None] = lambda step, total: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Fields (run, step, component, *lattice) of quenches after the steps ``kept``, and the times of these, in 1/t.

    ``runs`` number the quenches, whose random numbers follow from them and ``seed``; ``bath`` is that of ``dynamics.quench``.
    Step 0 is the start. Fields are rounded to single precision, as data sets hold them.
    """
    numbers, steps = np.asarray(runs), sorted(set(map(int, kept)))
    recorder = Recorder(lambda state: xr.Dataset(), np.array([]), np.array(steps), bath["dt"], axes=model.space.axes(model.lattice))
    quench(force_field, model, numbers, seed, bath, steps[-1], recorder, progress=progress)
    fields = []
    if steps[0] == 0:
        fields.append(State.before_quench(model, numbers, seed, bath).fields[None].astype(np.float32))
    if steps[-1] > 0:
        fields.append(recorder.dataset()["fields"].values)
    shape = (len(numbers), len(steps), model.components, *model.lattice.shape)
    return np.concatenate(fields).swapaxes(0, 1).reshape(shape), bath["dt"] * np.array(steps)


def audited(
    network: NetworkForces,
    solver: FollowingForces,
    fields: np.ndarray,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """Mean square error of the network's electronic force over the mean square force, (sample,), on ``SITES`` drawn sites of each.

    fields: (sample, component, *lattice). The denominator has the floor of ``Samples.weights``, so that the mean over samples
    estimates the square of what training makes small. Of a spin's force only the torque counts.
    """
    model = solver.model
    squares = np.empty((2, len(fields)))
    for number, sample in enumerate(fields):
        configuration = sample.astype(float).reshape(model.field_shape)
        sites = noise.places(seed, noise.AUDITS, number, 0, SITES, model.lattice.num_sites)
        exact = solver.settle(configuration, sites)[1]
        predicted = np.asarray(network.electronic_forces(configuration)).reshape(model.components, -1)[:, sites]
        for row, forces in enumerate((predicted - exact, exact)):
            squares[row, number] = (active(model, forces, configuration, sites) ** 2).mean()
        progress(number + 1, len(fields))
    return squares[0] / (squares[1] + FLOOR**2 * squares[1].mean())


def chances(weights: np.ndarray, count: int) -> np.ndarray:
    """With which each of some candidates is drawn if ``count`` of them are, in proportion to ``weights`` as far as none exceeds 1.

    Candidates of weight zero are drawn where the others do not suffice. Raises ValueError for more draws than candidates.
    """
    weights = np.asarray(weights, dtype=float)
    if not 0 <= count <= len(weights):
        raise ValueError(f"{count} of {len(weights)} candidates cannot be drawn: ask for less, or give more")
    found, certain = np.zeros(len(weights)), np.zeros(len(weights), dtype=bool)
    while True:
        left, total = count - certain.sum(), weights[~certain].sum()
        found[certain] = 1.0
        found[~certain] = left * weights[~certain] / total if total > 0 else left / max((~certain).sum(), 1)
        if not (found > 1.0).any():
            return found
        certain |= found >= 1.0


def drawn(chances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Numbers of the candidates drawn, growing, each with its chance, spread evenly over the order in which they come.

    Systematic sampling: of the running sum of the chances, the candidates at which it passes a whole number from a random start on.
    """
    passed = np.floor(np.round(np.cumsum(chances), 9) + rng.random())
    return np.flatnonzero(np.diff(passed, prepend=0.0) > 0)


def choose(
    errors: np.ndarray, splits: np.ndarray, labels: int, fractions: tuple[float, float, float], rng: np.random.Generator
) -> np.ndarray:
    """Numbers of the candidates to be labelled, growing, of candidates in the order over which the draws shall be spread.

    errors: mean squares of ``audited``; splits: one of ``SPLITS`` for each. ``fractions`` of the ``labels`` go to each split.
    For training a candidate is drawn in proportion to its error; for validation and test all are equally likely, so that
    the errors there are those of the runs.
    """
    found = []
    for split, count in zip(SPLITS, split_counts(labels, fractions), strict=True):
        members = np.flatnonzero(splits == split)
        weights = errors[members] if split == "train" else np.ones(len(members))
        found.append(members[drawn(chances(weights, count), rng)])
    return np.sort(np.concatenate(found))
