"""Do labels of others agree with the study's own electrons, and if not, what makes them agree (PHYSICS P2, P13)?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ennforce.forces import ExactForces, KPMForces
from ennforce.io import DataError
from ennforce.limits import diagonalisable
from ennforce.models import Hamiltonian
from ennforce.training.foreign import Labelled

LETTERS = "xyz"
MOST_COMPONENTS = 3  # whose orders and signs are all tried


def truth(model: Hamiltonian, tolerance: float, **settings) -> ExactForces | KPMForces:
    """What labels are judged by: exact diagonalisation on small lattices, else local expansions of this tolerance."""
    return ExactForces(model) if diagonalisable(model) or not model.local else KPMForces(model, tolerance, **settings)


def differences(model: Hamiltonian, fields: np.ndarray, labels: np.ndarray, forces: np.ndarray) -> dict[str, float]:
    """rms of labels minus forces over that of the forces; of spins also for the part across them, 0.2 % of B^2 (P13)."""
    found = {"relative_force_error": _relative(labels, forces)}
    if model.space.fixed_length:
        across = (model.space.acting(values, fields, axis=1) for values in (labels, forces))
        found["relative_torque_error"] = _relative(*across)
    return found


def _relative(labels: np.ndarray, forces: np.ndarray) -> float:
    """Root of the ratio of squares; infinite where forces are zero and labels are not."""
    error, size = ((values**2).sum() for values in (labels - forces, forces))
    return float(np.sqrt(error / size)) if size > 0 else (np.inf if error > 0 else 0.0)


def check_labels(part: Labelled, model: Hamiltonian, solver: ExactForces | KPMForces, samples: int, bound: float) -> dict:
    """Differences of ``samples`` labels, spread over the file, from the solver's, as a dictionary of numbers.

    Raises DataError where a relative one exceeds ``bound``, with the change of sign, unit, axes or components, or the other
    mistake, that makes them agree, if one does.
    """
    chosen = np.unique(np.linspace(0, len(part.fields) - 1, samples).astype(int))
    fields, labels = part.fields[chosen], part.forces[chosen]
    forces = np.asarray(solver.electronic_forces(fields.reshape(-1, *model.field_shape))).reshape(labels.shape)
    found, deviation = differences(model, fields, labels, forces), labels - forces
    if max(found.values()) > bound:
        told = ", across the spins by {:.2g} %".format(100 * found["relative_torque_error"]) if len(found) > 1 else ""
        start = f"the forces of {part.file.path} differ from the model's by {100 * found['relative_force_error']:.2g} % rms{told}"
        raise DataError(f"{start}; {explained(part, model, chosen, forces, bound)}")
    sites = tuple(range(1, labels.ndim))
    return {
        "samples": len(chosen),
        "rms_force_error": float(np.sqrt((deviation**2).mean())),
        "max_density_error": float(np.abs(deviation).max() / model.force_bound),
        "worst_relative_error": float(np.sqrt((deviation**2).mean(axis=sites) / (forces**2).mean(axis=sites)).max()),
        **found,
    }


def explained(part: Labelled, model: Hamiltonian, chosen: np.ndarray, forces: np.ndarray, bound: float) -> str:
    """What makes the labels of the chosen samples agree with ``forces`` (sample, component, *lattice), in words."""
    fields, labels, file = part.fields[chosen], part.forces[chosen], part.file

    def agree(values: np.ndarray) -> bool:
        return max(differences(model, fields, values, forces).values()) <= bound

    for change in _changes(labels, forces, model):
        square = (change.labels**2).sum()
        factor = float((change.labels * forces).sum() / square) if square > 0 else 0.0
        for scale in (1.0, -1.0, factor):
            if scale and agree(scale * change.labels):
                return _advice(change, scale, part)
    classical = model.classical_forces(fields.reshape(-1, *model.field_shape)).reshape(labels.shape)
    if agree(labels - classical):
        return f"they agree without the classical force, which is added anyway: take that off {file.forces}"
    if agree(labels + classical):
        return f"they agree with the classical force added, which was taken off twice: put that back into {file.forces}"
    if model.space.fixed_length and agree(labels + forces - model.space.acting(forces, fields, axis=1)):
        return "they agree across the spins and have no part along them: give the whole exchange field, -dE/dS"
    places = _places(part.forces, forces)
    if (places != chosen).any() and agree(part.forces[places]):
        return f"they agree with the labels of other configurations: {file.fields} and {file.forces} are not in one order"
    correlation = float((labels * forces).sum() / np.sqrt((labels**2).sum() * (forces**2).sum()))
    return (
        f"no sign, unit, order of axes or of components makes them agree (their correlation is {correlation:.3g}): give the model "
        f"that they were made with (couplings, filling, electron_temperature), or raise data.label_bound = {bound:g} if they are "
        f"no better"
    )


@dataclass(frozen=True)
class _Change:
    """Labels with their axes or components changed, and that change in words, none for none."""

    labels: np.ndarray
    words: tuple[str, ...] = ()


def _changes(labels: np.ndarray, forces: np.ndarray, model: Hamiltonian) -> Iterator[_Change]:
    """The labels as they are, then with axes of the lattice, or components, or both in another order or direction."""
    yield _Change(labels)
    arranged = list(_rearranged(labels, model))
    yield from arranged
    for change in (_Change(labels), *arranged):
        for turned in _turned(change.labels, forces):
            yield _Change(turned.labels, change.words + turned.words)


def _rearranged(labels: np.ndarray, model: Hamiltonian) -> Iterator[_Change]:
    """Axes of the lattice in another order, or counted from the other end, where shapes allow it."""
    lattice, dimension = model.lattice, model.lattice.dimension
    for order in itertools.permutations(range(dimension)):
        moved = labels.transpose(0, 1, *(2 + axis for axis in order))
        for flipped in itertools.product((False, True), repeat=dimension):
            if moved.shape != labels.shape or (order == tuple(range(dimension)) and not any(flipped)):
                continue
            words = []
            if order != tuple(range(dimension)):
                words.append(f"the lattice axes of their array in the order {', '.join(lattice.axes[axis] for axis in order)}")
            reverse = [axis for axis in range(dimension) if flipped[axis]]
            if reverse:
                words.append(f"their sites counted from the other end of {', '.join(lattice.axes[axis] for axis in reverse)}")
            axes = tuple(2 + axis for axis in reverse)
            yield _Change(np.flip(moved, axes), tuple(words))
            if reverse:  # the origin kept
                yield _Change(np.roll(np.flip(moved, axes), 1, axes), tuple(words))


def _turned(labels: np.ndarray, forces: np.ndarray) -> Iterator[_Change]:
    """Components in another order, with other signs, or turned by the orthogonal matrix that fits best."""
    count = labels.shape[1]
    if count == 1:
        return
    names = LETTERS[:count] if count <= len(LETTERS) else "".join(chr(ord("a") + n) for n in range(count))
    if count <= MOST_COMPONENTS:
        for order in itertools.permutations(range(count)):
            for signs in itertools.product((1, -1), repeat=count):
                if order == tuple(range(count)) and len(set(signs)) == 1:
                    continue  # none, or a sign for all
                told = ", ".join(f"{'-' if sign < 0 else ''}{names[n]}" for n, sign in zip(order, signs, strict=True))
                values = labels[:, order] * np.reshape(signs, (-1, *(1,) * (labels.ndim - 2)))
                yield _Change(values, (f"the components {told} of their array as {', '.join(names)}",))
    axes = (0, *range(2, labels.ndim))
    left, _, right = np.linalg.svd(np.tensordot(forces, labels, (axes, axes)))
    matrix = left @ right
    rows = "; ".join(" ".join(f"{value:.4g}" for value in row) for row in matrix.round(4) + 0.0)
    yield _Change(np.einsum("ab,sb...->sa...", matrix, labels), (f"their components turned by the matrix [{rows}]",))


def _advice(change: _Change, scale: float, part: Labelled) -> str:
    """In words, what was changed and which settings, or what array, make it so."""
    file, words, give = part.file, list(change.words), []
    if scale < 0:
        words.append("the opposite sign")
        give.append("leave sign out" if file.sign < 0 else "give sign: -1")
    if abs(scale) != 1.0:
        words.append(f"a factor of {abs(scale):.6g}")
        give.append(f"give unit: {abs(scale) * file.unit:.6g}")
    if change.words:
        give.insert(0, f"change {file.forces}, or {file.fields}, in the file")
    return f"they agree with {' and '.join(words)}: {' and '.join(give)}"


def _places(labels: np.ndarray, forces: np.ndarray) -> np.ndarray:
    """For each of some forces, which label of the file is most like it."""
    flat = labels.reshape(len(labels), -1)
    sizes = np.maximum(np.sqrt((flat**2).sum(axis=1)), 1e-30)
    return np.asarray((forces.reshape(len(forces), -1) @ flat.T / sizes).argmax(axis=1))
