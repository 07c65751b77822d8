"""The error of a network's force on the very trajectory that it drives: measured by the solver on drawn sites (PHYSICS P12)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import xarray as xr

from ennforce import noise
from ennforce.corrected import FollowingForces
from ennforce.electrons.following import active
from ennforce.forces import NetworkForces
from ennforce.models import Hamiltonian
from ennforce.observables.domains import NEAR, smoothed

log = logging.getLogger("ennforce")

SITE_CLASSES = ("bulk", "wall", "small field")
FEWEST, SETTLING = 128, 256  # sites of a replica at one time, below which an error says little; of these settle the effort
COHERENT = 0.5  # of the strength of the order around a site, that its sum must keep for the site to be in the bulk
SMALL = 0.5  # of the rms field of training, below which the fields around a site are small

# What is summed over the drawn sites of a class, by name: errors are the network's force less the solver's.
SUMS = {
    "sites": "sites drawn",
    "squares": "sum of squares of the error",
    "fourth": "sum of fourth powers of the error",
    "largest": "largest error",
    "along": "sum of the error times the force",
    "force_square": "sum of squares of the force",
}


def site_classes(model: Hamiltonian, fields: np.ndarray, scale: float) -> np.ndarray:
    """Number in ``SITE_CLASSES`` of every site, (replica, *lattice), of fields (replica, *field_shape).

    Small fields come first: where the fields within ``NEAR`` have an rms below half of ``scale``, the rms field of training. Else a
    site is in a wall where the order around it cancels to less than half of its strength.
    """
    lattice = model.lattice

    def around(values: np.ndarray) -> np.ndarray:
        """The mean over all sites within ``NEAR``."""
        return smoothed(values, lattice) / len(lattice.ball(NEAR))

    squares = fields**2 if model.components == 1 else (fields**2).mean(axis=-1 - lattice.dimension)
    order = model.order.project(fields)
    along = np.sqrt((around(order) ** 2).sum(axis=-1 - lattice.dimension))
    strength = np.sqrt(around((order**2).sum(axis=-1 - lattice.dimension)))
    found = np.where(along < COHERENT * strength, 1, 0)
    if model.space.fixed_length:
        return found
    return np.where(np.sqrt(around(squares)) < SMALL * scale, 2, found)


def audited_steps(observed: np.ndarray, times: int) -> np.ndarray:
    """About ``times`` of the steps ``observed``, the first and the last included."""
    return observed[np.unique(np.linspace(0, len(observed) - 1, times).round().astype(int))]


class AuditError(ValueError):
    """The network's force errs by more than a run allows."""


class Audit:
    """Errors of a network's electronic force on drawn sites, after chosen ``steps`` of the trajectory that it drives.

    ``share``: of all sites of all steps since the audit before, but at least ``FEWEST`` sites; which these are is a function of
    (seed, replica, step). ``solver`` settles an effort for every configuration; its accuracy limits what can be told. ``limit``:
    the rms error, in units of the rms force, from which on ``check`` ends a run.
    """

    def __init__(
        self, network: NetworkForces, solver: FollowingForces, steps: Sequence[int] | np.ndarray, share: float = 1 / 1024,
        seed: int = 0, limit: float | None = None,
    ) -> None:  # fmt: skip
        if not 0.0 < share <= 1.0:
            raise ValueError(f"share = {share} of the sites to be audited: choose one above 0 and at most 1")
        if limit is not None and not limit > solver.accuracy:
            raise ValueError(f"limit = {limit} is not above the accuracy of the solver that audits, {solver.accuracy}: raise it")
        self.network, self.solver, self.share, self.seed, self.limit = network, solver, share, seed, limit
        self.steps = sorted(map(int, steps))

    def __call__(self, fields: np.ndarray, replicas: np.ndarray, step: int) -> xr.Dataset:
        """Sums of ``SUMS`` over the drawn sites of every replica and class, of ``fields`` (replica, *field_shape) after ``step``.

        They are zero after a step that is not audited. Of a spin's force only the torque counts.
        """
        found = {name: np.zeros((len(fields), len(SITE_CLASSES))) for name in SUMS}
        if step in self.steps:
            self._add(found, fields, replicas, step)
        return xr.Dataset(
            {
                f"audit_{name}": (("replica", "site_class"), values, {"long_name": f"audit: {SUMS[name]}"})
                for name, values in found.items()
            },
            coords={"replica": replicas, "site_class": list(SITE_CLASSES)},
        )

    def check(self, dataset: xr.Dataset) -> None:
        """Raises AuditError where the errors of the last audit of ``dataset``, over all its replicas, are beyond the limit."""
        if self.limit is None or "audit_sites" not in dataset:
            return
        last = dataset[["audit_sites", "audit_squares", "audit_force_square"]].isel(time=-1).sum()
        if not last["audit_sites"] > 0:
            return
        error = float(np.sqrt(last["audit_squares"] / last["audit_force_square"]))
        if error > self.limit:
            raise AuditError(
                f"at t = {float(dataset['time'][-1]):g} the network's force errs by {error:.2g} of its rms, more than the limit "
                f"{self.limit:g}: train it further, raise audit.limit, or let the solver correct it (engine corrected)"
            )

    def _add(self, found: dict[str, np.ndarray], fields: np.ndarray, replicas: np.ndarray, step: int) -> None:
        model = self.solver.model
        sites, components = model.lattice.num_sites, model.components
        passed = step - max((earlier for earlier in self.steps if earlier < step), default=0)
        count = int(min(max(round(self.share * passed * sites), FEWEST), sites))
        sample = min(count, SETTLING)
        predicted = np.asarray(self.network.electronic_forces(fields)).reshape(len(fields), components, -1)
        classes = site_classes(model, fields, self.network.field_scale).reshape(len(fields), -1)
        for row, (replica, configuration) in enumerate(zip(replicas, fields, strict=True)):
            drawn = noise.places(self.seed, noise.AUDITS, int(replica), step, count, sites)
            try:
                settled, exact = self.solver.settle(configuration, drawn[:sample])
            except ValueError as refusal:  # as of fields that run away, of which the dynamics has better words
                log.warning("no audit of replica %d after step %d: %s", replica, step, refusal)
                continue
            if count > sample:
                exact = np.concatenate([exact, self.solver.at(configuration, settled, drawn[sample:])], axis=1)
            force = active(model, exact, configuration, drawn)
            error = active(model, predicted[row][:, drawn] - exact, configuration, drawn)
            square = (error**2).sum(axis=0)
            values = {
                "sites": np.ones(count), "squares": square, "fourth": square**2, "along": (error * force).sum(axis=0),
                "force_square": (force**2).sum(axis=0),
            }  # fmt: skip
            for name, value in values.items():
                found[name][row] = np.bincount(classes[row, drawn], value, minlength=len(SITE_CLASSES))
            np.maximum.at(found["largest"][row], classes[row, drawn], np.sqrt(square))
