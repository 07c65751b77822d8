"""What a domain wall must climb to move by one site: constrained minima of the grand potential along one field (PHYSICS P7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.optimize import minimize

from ennforce.lattice import Lattice


class Potential(Protocol):
    """Forces that have a grand potential, as ``ExactForces`` and ``KPMForces``."""

    def forces(self, fields: np.ndarray) -> np.ndarray: ...
    def grand_potential(self, fields: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Path:
    """Energies (points,), from the start's, at prescribed values (points,) of the order of one site."""

    values: np.ndarray
    energies: np.ndarray

    @property
    def barrier(self) -> float:
        return float(self.energies.max())

    @property
    def gain(self) -> float:
        """Energy of the end less that of the start."""
        return float(self.energies[-1])


def relaxed(potential: Potential, fields: np.ndarray, held: tuple[int, int] | None = None) -> tuple[np.ndarray, float]:
    """The nearest minimum of the grand potential, with one site's field ``held`` where it is; fields and energy."""
    free = np.ones(fields.shape, dtype=bool)
    if held is not None:
        free[held] = False
    values = fields.copy()

    def energy(unknown: np.ndarray) -> tuple[float, np.ndarray]:
        values[free] = unknown
        return float(potential.grand_potential(values)), -potential.forces(values)[free]

    found = minimize(energy, fields[free], jac=True, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-6})
    values[free] = found.x
    return values.copy(), float(found.fun)


def ordered_amplitude(potential: Potential, guess: np.ndarray) -> float:
    """The mean modulus of the field in the ordered minimum near ``guess``."""
    fields, _ = relaxed(potential, guess)
    return float(np.abs(fields).mean())


def flip_path(
    potential: Potential, pattern: np.ndarray, sign: np.ndarray, site: tuple[int, int], amplitude: float, points: int
) -> Path:
    """Energy while a site's order is led from its side of the wall to the other, all other fields relaxed at every point.

    ``pattern`` (Ly, Lx) holds the fields of one domain, in units of the order, and ``sign`` (Ly, Lx) is +-1 on the domains. From
    the minimum near ``amplitude`` times ``sign`` to the value that the site has in the minimum near the same domains with its sign
    reversed; where there is none but the start, to the opposite of ``amplitude``.
    """
    moved = sign.copy()
    moved[site] *= -1.0
    fields, start = relaxed(potential, amplitude * sign * pattern)
    flipped, _ = relaxed(potential, amplitude * moved * pattern)
    first, last = (float(found[site] * pattern[site]) for found in (fields, flipped))
    if abs(last - first) < 0.05 * amplitude:
        last = -sign[site] * amplitude
    values = np.linspace(first, last, points)
    energies = [0.0]
    for value in values[1:]:
        fields = fields.copy()
        fields[site] = value * pattern[site]
        fields, energy = relaxed(potential, fields, held=site)
        energies.append(energy - start)
    return Path(values, np.array(energies))


def walls(lattice: Lattice) -> dict[str, tuple[np.ndarray, tuple[int, int]]]:
    """Two domains with flat walls, and with a kink in one; for each the signs and a site at the wall."""
    height, width = lattice.shape
    y, x = np.indices(lattice.shape)
    flat = np.where(y < height // 2, 1.0, -1.0)
    kink = np.where(y < height // 2 + (x < width // 2), 1.0, -1.0)
    return {"flat": (flat, (height // 2, width // 4)), "kink": (kink, (height // 2, width // 2))}
