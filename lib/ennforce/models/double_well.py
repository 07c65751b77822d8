"""The staggered phi^4 model: order without electrons whose coarsening is known, Allen-Cahn's L ~ t^(1/2)."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numba
import numpy as np

from ennforce import threads
from ennforce.lattice import Lattice
from ennforce.models.fields import Real
from ennforce.models.order import Staggered

LEAST_SITES = 2**17  # for a thread of their own: a fifth of a millisecond


@dataclass(frozen=True)
class DoubleWell:
    """E = sum_i [Q_i^4/4 - Q_i^2/2] + D/2 sum_<ij> (Q_i + Q_j)^2 on a square torus of even lengths; a force field.

    For phi_i = (-1)^(x+y) Q_i it is a Ginzburg-Landau model with F = phi - phi^3 + D (lattice Laplacian of phi): wells at
    phi = +-1, walls phi = tanh(x / sqrt(2 D)). ``stiffness`` is D. Raises ValueError where it is not positive, or where the
    torus holds no staggered order. Velocity Verlet and BAOAB are stable for dt < 2 sqrt(m / (8 D + 2)).
    """

    lattice: Lattice
    _: KW_ONLY
    stiffness: float = 1.0
    space = Real()
    components = 1

    def __post_init__(self) -> None:
        if not 0 < self.stiffness < np.inf:
            raise ValueError(f"stiffness {self.stiffness} must be positive and finite: without it no site knows of its neighbours")
        if self.lattice.name != "square":
            raise ValueError(f"the double well lives on the square lattice, not on a {self.lattice}: use Lattice.square")
        self.lattice.stagger()  # raises on odd lengths

    @property
    def order(self) -> Staggered:
        return Staggered(self.lattice, "staggered field", r"\phi = (-1)^{x+y} Q")

    def forces(self, fields: np.ndarray) -> np.ndarray:
        """-dE/dQ, shape of ``fields`` (..., Ly, Lx)."""
        if fields.shape[-2:] != self.lattice.shape or not fields.size:
            raise ValueError(f"fields of shape {fields.shape} do not end in {self.lattice.shape}, the shape of one configuration")
        batch = np.ascontiguousarray(fields, dtype=float).reshape(-1, *self.lattice.shape)
        forces = np.empty_like(batch)
        parts = threads.parts(len(batch) * batch.shape[1], max(1, LEAST_SITES // batch.shape[2]))
        threads.mapped(lambda part: _forces(*part, batch, self.stiffness, forces), parts)
        return forces.reshape(fields.shape)

    def classical_energy(self, fields: np.ndarray) -> np.ndarray:
        """E, shape (...)."""
        bonds = sum(((fields + np.roll(fields, 1, axis=axis)) ** 2).sum(axis=(-2, -1)) for axis in (-2, -1))
        return (0.25 * fields**4 - 0.5 * fields**2).sum(axis=(-2, -1)) + 0.5 * self.stiffness * bonds


@numba.njit(cache=True, nogil=True)
def _forces(first, beyond, fields, stiffness, forces):  # pragma: no cover (compiled)
    height, width = fields.shape[1:]
    for index in range(first, beyond):
        n, y = index // height, index % height
        up, here, down = fields[n, y - 1 if y else height - 1], fields[n, y], fields[n, y + 1 if y + 1 < height else 0]
        for x in range(width):  # the columns at the edges are put right below: a loop without branches runs in vectors
            forces[n, y, x] = up[x] + down[x] + here[max(x - 1, 0)] + here[min(x + 1, width - 1)]
        forces[n, y, 0] += here[width - 1] - here[0]
        forces[n, y, width - 1] += here[0] - here[width - 1]
        for x in range(width):
            q = here[x]
            forces[n, y, x] = q - q * q * q - stiffness * (forces[n, y, x] + 4.0 * q)
