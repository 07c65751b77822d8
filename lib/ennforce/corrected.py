"""Forces of a network that a solver corrects on a few drawn sites at every step: right on average, at a share of its cost (P12)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from ennforce import noise
from ennforce.electrons import following
from ennforce.electrons.following import Settled, active
from ennforce.forces import Drawn, NetworkForces
from ennforce.models import Hamiltonian

log = logging.getLogger("ennforce")

CLASSES = 4  # of sites, equally many in each, by the strength of the network's force: errors are largest where it is weakest
FORGOTTEN = 0.5  # what errors of the steps before still count after each step
FLOOR = 0.25  # of the mean share, for sites on which the network seems to be right
MOST = 0.5  # mean share from which on all sites are solved: drawing costs, and half of the noise is gone
SHORT, EARLY, LONG = 8, 64, 32  # steps that an effort serves: SHORT each up to step EARLY of a run, LONG each afterwards
SAMPLED, FEWEST, MANY = 1 / 16, 128, 1024  # share of the sites on which an effort is settled, and how many these are at least, most


class FollowingForces:
    """Forces by local expansions whose effort follows the configuration, O(N): an rms error, and no bound on the largest.

    ``accuracy``: the rms error of the electronic force (of a spin's torque), in units of its standard deviation in the
    configuration at hand. It is met on a sample of sites, which ``seed`` draws; everything else follows from the configuration.
    """

    def __init__(self, model: Hamiltonian, accuracy: float = 1e-3, seed: int = 0) -> None:
        if not 1e-5 <= accuracy < 1.0:
            raise ValueError(f"accuracy {accuracy} of the force's standard deviation: choose one between 1e-5 and 1")
        self.model, self.accuracy, self.seed = model, accuracy, seed

    def settle(self, configuration: np.ndarray, sites: np.ndarray) -> tuple[Settled, np.ndarray]:
        """An effort for one configuration and those like it, and better electronic forces on ``sites``, (components, sites)."""
        return following.settle(self.model, configuration, self.accuracy, sites)

    def at(self, configuration: np.ndarray, settled: Settled, sites: np.ndarray) -> np.ndarray:
        """Electronic forces on ``sites``, by flat number, of one configuration, (components, sites)."""
        return following.electronic_forces(self.model, configuration, settled, sites)

    def electronic_forces(self, fields: np.ndarray) -> np.ndarray:
        """The electrons' part of the force, shape of ``fields`` (..., *field_shape)."""
        fields, shape = self.model.check_fields(fields), self.model.field_shape
        every, found = np.arange(self.model.lattice.num_sites), []
        for configuration in fields.reshape(-1, *shape):
            sample = noise.places(self.seed, noise.SAMPLES, 0, 0, sample_size(len(every)), len(every))
            found.append(self.at(configuration, self.settle(configuration, sample)[0], every).reshape(shape))
        return np.stack(found).reshape(fields.shape)

    def forces(self, fields: np.ndarray) -> np.ndarray:
        """Total force of P2, shape of ``fields``; raises ValueError on NaN, infinite or misshapen fields."""
        return self.electronic_forces(fields) + self.model.classical_forces(self.model.check_fields(fields))


def sample_size(sites: int) -> int:
    """On how many of so many sites an effort is settled."""
    return int(min(max(SAMPLED * sites, FEWEST), MANY))


class _Block:
    """What holds for a few steps of one replica: an effort, classes by the strength of the network's force, and their errors.

    edges: strengths between classes. The mean squares of the errors are those of the sample first, then more and more of what the
    steps before drew, since fields change: never of the step's own draws, which would bind the noise to its estimate.
    """

    def __init__(self, number: int, settled: Settled, edges: np.ndarray, sums: np.ndarray, counts: np.ndarray) -> None:
        self.number, self.settled, self.edges = number, settled, edges
        self._sums, self._counts = sums, counts
        self._latest: tuple[int, np.ndarray, np.ndarray] | None = None

    @property
    def squares(self) -> np.ndarray:
        """Mean square error of a site of every class; of a class without any, that of all."""
        every = self._sums.sum() / max(self._counts.sum(), 1e-9)
        return np.where(self._counts > 0, self._sums / np.maximum(self._counts, 1e-9), every)

    def before(self, step: int) -> None:
        """Take in what was drawn in an earlier step than this one."""
        if self._latest is not None and self._latest[0] < step:
            _, sums, counts = self._latest
            self._sums, self._counts = FORGOTTEN * self._sums + sums, FORGOTTEN * self._counts + counts
            self._latest = None

    def drew(self, step: int, labels: np.ndarray, squares: np.ndarray) -> None:
        """Square errors of the sites drawn in a step, and their classes; a second draw of the same sites counts as the first."""
        if self._latest is None:
            counts = np.bincount(labels, minlength=CLASSES).astype(float)
            self._latest = step, np.bincount(labels, squares, minlength=CLASSES), counts


def block_of(step: int) -> int:
    """The step after which the block of steps begins that ``step``, counted from 1, belongs to."""
    before = max(step - 1, 0)
    return before - before % (SHORT if before < EARLY else LONG)


class CorrectedForces:
    """F_i = F_i^network + (b_i / p_i) (F_i^solver - F_i^network) with b_i = 1 with probability p_i, else 0 (PHYSICS P12).

    The mean over draws is the solver's force on every site, whatever the network says; the variance, (1 - p_i) / p_i times the
    square of the network's error, is one that the dynamics takes off its thermostat. ``share`` is the mean of p_i; sites where the
    network errs more get more. The solver's effort and the classes of sites are found anew, on a sample of sites of every replica,
    every SHORT or LONG steps; the errors of a class follow what the steps before drew. Draws are functions of (seed, replica, step,
    site), so neither threads nor other replicas change a number. Where the network is so wrong that its noise would ask for more
    than half of the sites, or for more than the thermostat can give, all sites are solved, and the log says so.
    """

    aligned = LONG  # steps: a run that goes on from a multiple of it gives the numbers of one that was not interrupted

    def __init__(self, network: NetworkForces, solver: FollowingForces, share: float = 1 / 16, seed: int = 0) -> None:
        if not 0.0 < share <= 1.0:
            raise ValueError(f"share = {share} of the sites to be corrected: choose one above 0 and at most 1")
        if network.model.parameters() | {"lattice": 0} != solver.model.parameters() | {"lattice": 0}:
            raise ValueError("network and solver are of two models: build both from one")
        self.network, self.solver, self.share, self.seed = network, solver, share, seed
        self.model = solver.model
        self._blocks: dict[int, _Block] = {}
        self.solved: dict[int, float] = {}  # share of the sites that was solved at the latest step, by replica
        self._told: set[str] = set()

    def forget(self) -> None:
        """Find efforts and errors anew at the next step: what a run does when it starts."""
        self._blocks.clear()

    def forces(self, fields: np.ndarray, step: int = 0, replicas: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Total force with the draws of ``step``, shape of ``fields`` (..., *field_shape), which ``replicas`` number.

        Efforts and errors are found anew at every call; a dynamics, which calls ``drawn``, finds them once for several steps.
        """
        fields = self.model.check_fields(fields)
        flat = fields.reshape(-1, *self.model.field_shape)
        numbers = np.arange(len(flat)) if replicas is None else np.asarray(replicas)
        self.forget()
        return self.drawn(flat, step, numbers).forces.reshape(fields.shape)

    def drawn(self, fields: np.ndarray, step: int, replicas: np.ndarray, limit: float = np.inf) -> Drawn:
        """Total forces of ``fields`` (replica, *field_shape) at ``step``, and the variance that the draws add to each component.

        ``limit``: the largest such variance that the dynamics can take off its thermostat.
        """
        model = self.model
        electronic = np.asarray(self.network.electronic_forces(fields))
        flat = electronic.reshape(len(fields), model.components, -1)
        strength = np.abs(flat[:, 0]) if model.components == 1 else np.linalg.norm(flat, axis=1)
        labels = np.empty(strength.shape, dtype=np.uint8)
        shares, variances = np.empty((2, len(fields), CLASSES))
        blocks = []
        for row, (replica, configuration, forces, strong) in enumerate(zip(replicas, fields, flat, strength, strict=True)):
            block = self._block(int(replica), step, configuration, forces, strong)
            block.before(step)
            labels[row] = np.searchsorted(block.edges, strong)
            shares[row] = self._shares(block.squares, limit, block.number)
            variances[row] = block.squares * (1.0 - shares[row]) / shares[row]
            blocks.append(block)
        self.solved = {int(replica): float(mean) for replica, mean in zip(replicas, shares.mean(axis=1), strict=True)}
        hit = noise.drawn(self.seed, noise.SHARES, replicas, step, shares, labels)
        for row, block in enumerate(blocks):
            sites = np.flatnonzero(hit[row])
            if sites.size:
                exact = self.solver.at(fields[row], block.settled, sites)
                error = exact - flat[row][:, sites]
                block.drew(step, labels[row, sites], self._squares(error, fields[row], sites))
                flat[row][:, sites] += error / shares[row, labels[row, sites]]
        variance = variances[np.arange(len(blocks))[:, None], labels]
        forces = electronic + model.classical_forces(fields)
        return Drawn(forces, variance.reshape(len(fields), *model.lattice.shape))

    def _block(self, replica: int, step: int, fields: np.ndarray, forces: np.ndarray, strength: np.ndarray) -> _Block:
        number = block_of(step)
        known = self._blocks.get(replica)
        if known is None or known.number != number:
            known = self._blocks[replica] = self._found(replica, number, fields, forces, strength)
        return known

    def _found(self, replica: int, number: int, fields: np.ndarray, forces: np.ndarray, strength: np.ndarray) -> _Block:
        """Effort and classes for the steps that follow, from a sample of the sites."""
        sites = noise.places(self.seed, noise.SAMPLES, replica, number, sample_size(strength.size), strength.size)
        settled, exact = self.solver.settle(fields, sites)
        squares = self._squares(exact - forces[:, sites], fields, sites)
        edges = np.quantile(strength[sites], np.arange(1, CLASSES) / CLASSES)
        labels = np.searchsorted(edges, strength[sites])
        counts = np.bincount(labels, minlength=CLASSES).astype(float)
        return _Block(number, settled, edges, np.bincount(labels, squares, minlength=CLASSES), counts)

    def _squares(self, errors: np.ndarray, fields: np.ndarray, sites: np.ndarray) -> np.ndarray:
        """Mean square of a component of the error on some sites, of those components that move the fields."""
        free = self.model.components - (1 if self.model.space.fixed_length else 0)
        return (active(self.model, errors, fields, sites) ** 2).sum(axis=0) / free

    def _shares(self, squares: np.ndarray, limit: float, number: int) -> np.ndarray:
        """Shares of the classes, given the mean squares of their errors."""
        errors = np.sqrt(squares)
        typical = float(errors.mean())
        wanted = np.full(CLASSES, self.share) if not typical > 0 else self.share * (FLOOR + (1.0 - FLOOR) * errors / typical)
        least = squares / (squares + limit) if limit > 0 else np.ones(CLASSES)
        shares = np.clip(np.maximum(wanted, least), 0.0, 1.0)
        mean = float(shares.mean())
        if mean > MOST:
            if self.share <= MOST:
                self._say(
                    "far off", "after step %d the network is far off (rms error %.2g): all sites are solved while it is", number,
                    np.sqrt(squares.mean()),
                )  # fmt: skip
            return np.ones(CLASSES)
        if mean > 1.5 * self.share:
            self._say(
                "share", "after step %d a share of %.3g is too small for the thermostat to take its noise: %.3g is drawn", number,
                self.share, mean,
            )  # fmt: skip
        return shares

    def _say(self, what: str, text: str, *values: float) -> None:
        """Once for every run of the process: it would be said at every block."""
        if what not in self._told:
            self._told.add(what)
            log.warning(text, *values)

    @property
    def efforts(self) -> dict[int, str]:
        """The solver's effort in the latest block of steps, as tables show it, by replica."""
        return {replica: str(block.settled.effort) for replica, block in self._blocks.items()}
