"""Cooperative Jahn-Teller distortions: two e_g orbitals per site on the square lattice (PHYSICS P16)."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np

from ennforce.models.base import Hamiltonian
from ennforce.models.blocks import Blocks, DensityMatrix
from ennforce.models.fields import FieldSpace, Real
from ennforce.models.order import OrderParameter, StaggeredComponent
from ennforce.models.scaling import Scaling
from ennforce.sections import EitherEnergy, Energy
from ennforce.symmetry import FieldType

TAU = np.array([[[1.0, 0.0], [0.0, -1.0]], [[0.0, 1.0], [1.0, 0.0]]])  # tau^z and tau^x in the basis (x^2 - y^2, 3z^2 - r^2)


@dataclass(frozen=True)
class JahnTeller(Hamiltonian):
    """H = -sum_<ij>ab T_ab(e_ij) (c+_ia c_jb + h.c.) - g sum_i (Q^z_i tau^z_i + Q^x_i tau^x_i) + E(Q).

    E = K/2 sum_i |Q_i|^2 + kappa sum_<ij> Q_i . Q_j. Fields: the distortions (Q^z, Q^x), shape (2, Ly, Lx). Spinless electrons in
    the orbitals x^2 - y^2 and 3z^2 - r^2 hop along x by T = t/4 [[3, -sqrt 3], [-sqrt 3, 1]], along y with + sqrt 3. Square lattice
    only. At mu = 0 there is one electron per site, and the force is odd. Raises ValueError on another lattice, and where the
    elastic energy is unbounded, K <= 4 |kappa|.
    """

    orbitals: ClassVar[int] = 2

    _: KW_ONLY
    t: Energy = 1.0
    g: Energy = 1.5
    K: Energy = 1.0
    kappa: EitherEnergy = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lattice.name != "square":
            raise ValueError(f"the hops of e_g orbitals are stated for the square lattice, not for a {self.lattice}")
        if not self.K > 4.0 * abs(self.kappa):
            raise ValueError(f"K = {self.K} with kappa = {self.kappa} is elastically unstable: K must exceed 4 |kappa|")

    @property
    def space(self) -> FieldSpace:
        return Real(2)

    @property
    def field_type(self) -> FieldType:
        # A quarter turn changes the sign of x^2 - y^2, and so that of tau^x; tau^z, which tells the orbitals apart, stays.
        parity = "o" if self.odd else "e"
        return FieldType.parse(f"A1{parity}+B1{parity}")

    @property
    def odd(self) -> bool:
        return self.chemical_potential == 0.0 and self.filling is None

    @property
    def order(self) -> OrderParameter:
        return StaggeredComponent(self.lattice, "staggered distortion", r"\phi = (-1)^{x+y} Q^x", of=1, among=2)

    @property
    def stiffest(self) -> float:
        return self.K + 4.0 * abs(self.kappa)

    def ordered_guess(self) -> np.ndarray:
        """The distortion of the classical limit at strong coupling, where every site holds one electron in its lower orbital."""
        return self.g / (self.K - 4.0 * self.kappa) * self.order.pattern()

    @property
    def scaling(self) -> Scaling | None:
        return Scaling.of(self.t, self.g)

    def blocks(self, fields: np.ndarray) -> Blocks:
        onsite = -self.g * np.tensordot(np.moveaxis(fields, 0, -1), TAU, axes=1)
        bonds = {}
        for shift in self.lattice.half_neighbours:
            along = np.asarray(shift) @ self.lattice.basis
            mixing = np.sqrt(3.0) * (along[1] ** 2 - along[0] ** 2)  # the lobes of x^2 - y^2 change sign from x to y
            bonds[shift] = -0.25 * self.t * np.array([[3.0, mixing], [mixing, 1.0]])
        return Blocks(self.lattice, onsite, bonds)

    def electronic_forces(self, density: DensityMatrix, fields: np.ndarray) -> np.ndarray:
        return self.g * np.einsum("kab,...ba->k...", TAU, density.onsite).real

    @property
    def largest_force(self) -> float:
        return abs(self.g)  # of one electron in one orbital; two on a site cancel

    @property
    def force_bound(self) -> float:
        return 2.0 * abs(self.g)

    def electronic_energy_shift(self, fields: np.ndarray) -> np.ndarray:
        return np.zeros(fields.shape[: fields.ndim - len(self.field_shape)])

    def classical_energy(self, fields: np.ndarray) -> np.ndarray:
        bonds = 0.5 * self.kappa * fields * self._neighbour_sum(fields)
        return (0.5 * self.K * fields**2 + bonds).sum(axis=(-3, *self._axes))

    def classical_forces(self, fields: np.ndarray) -> np.ndarray:
        return -self.K * fields - self.kappa * self._neighbour_sum(fields)

    def _neighbour_sum(self, fields: np.ndarray) -> np.ndarray:
        return sum((self._at(fields, shift) for shift in self.lattice.neighbours), np.zeros_like(fields))
