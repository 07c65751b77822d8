"""The classical Kondo lattice, or s-d exchange model: electrons with spin on classical magnetic moments (PHYSICS P2)."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np

from ennforce.models.base import Hamiltonian
from ennforce.models.blocks import Blocks, DensityMatrix
from ennforce.models.fields import FieldSpace, Real, Sphere
from ennforce.models.order import Chirality, OrderParameter, Staggered
from ennforce.models.scaling import Scaling
from ennforce.symmetry import FieldType

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


@dataclass(frozen=True)
class Kondo(Hamiltonian):
    """H = -t sum_<ij>s (c+_is c_js + h.c.) - J sum_i S_i . c+_i sigma c_i - H_z sum_i S_i^z + A/2 sum_i (|S_i|^2 - 1)^2.

    Fields: the moments S, shape (3, *lattice.shape), of unit length; with A > 0 of about unit length, held there by A, and with
    momenta. Two orbitals per site, spin up and down; the force is the exchange field J <c+ sigma c> and what the classical terms
    add.
    """

    orbitals: ClassVar[int] = 2

    _: KW_ONLY
    t: float = 1.0
    J: float = 1.0
    H_z: float = 0.0
    A: float = 0.0

    @property
    def space(self) -> FieldSpace:
        return Real(3) if self.A > 0 else Sphere()

    @property
    def order(self) -> OrderParameter:
        if self.lattice.name == "triangular":
            return Chirality(self.lattice, "chirality", r"\chi", growth_law=None)
        return Staggered(self.lattice, "staggered moment", r"\mathbf{n}", 3, 0)

    @property
    def field_type(self) -> FieldType:
        # The electronic force turns with the spins, whatever the lattice does, and is odd under time reversal.
        return FieldType.parse(f"{self.lattice.point_group.trivial}l1o")

    @property
    def scaling(self) -> Scaling | None:
        # J S / t is all that enters, but a spin that stays of unit length cannot take up another J.
        return Scaling.of(self.t, self.t, J=self.J) if self.space.fixed_length else Scaling.of(self.t, self.J)

    def blocks(self, fields: np.ndarray) -> Blocks:
        onsite = -self.J * np.tensordot(np.moveaxis(fields, 0, -1), PAULI, axes=1)
        return Blocks(self.lattice, onsite, {shift: -self.t * np.eye(2) for shift in self.lattice.half_neighbours})

    def electronic_forces(self, density: DensityMatrix, fields: np.ndarray) -> np.ndarray:
        # <c+_a c_b> = rho_ba, so <c+ sigma c> = Tr(sigma rho).
        return self.J * np.einsum("kab,...ba->k...", PAULI, density.onsite).real

    @property
    def largest_force(self) -> float:
        return abs(self.J)  # of one electron, polarised; two on a site cancel

    @property
    def force_bound(self) -> float:
        return 2.0 * abs(self.J)

    def electronic_energy_shift(self, fields: np.ndarray) -> np.ndarray:
        return np.zeros(fields.shape[: fields.ndim - len(self.field_shape)])

    def classical_energy(self, fields: np.ndarray) -> np.ndarray:
        length = (fields**2).sum(axis=-1 - self.lattice.dimension)
        zeeman = np.take(fields, 2, axis=-1 - self.lattice.dimension)
        return (0.5 * self.A * (length - 1.0) ** 2 - self.H_z * zeeman).sum(axis=self._axes)

    def classical_forces(self, fields: np.ndarray) -> np.ndarray:
        axis = fields.ndim - 1 - self.lattice.dimension
        length = (fields**2).sum(axis=axis, keepdims=True)
        forces = -2.0 * self.A * (length - 1.0) * fields
        np.moveaxis(forces, axis, 0)[2] += self.H_z
        return forces
