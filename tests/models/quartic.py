"""A model of a user's own, outside the package: two displacements per site, hops to second neighbours, a quartic elastic energy."""

import math
from dataclasses import KW_ONLY, dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from ennforce.models import Blocks, DensityMatrix, FieldSpace, Hamiltonian, OrderParameter, Real, Scaling, Uniform
from ennforce.symmetry import FieldType


@dataclass(frozen=True)
class Quartic(Hamiltonian):
    """H = -t sum_<ij> c+c - s sum_<<ij>> c+c - g sum_i n_i |u_i|^2 / 2 + K/2 sum_i |u_i|^2 + B/4 sum_i |u_i|^4."""

    _: KW_ONLY
    t: Annotated[float, Field(gt=0)] = 1.0
    s: float = 0.2
    g: float = 0.5
    K: Annotated[float, Field(gt=0)] = 0.5
    B: Annotated[float, Field(ge=0)] = 0.3

    @property
    def space(self) -> FieldSpace:
        return Real(2)

    @property
    def field_type(self) -> FieldType:
        group = self.lattice.point_group
        vector = next(label for label, count in group.multiplicities(group.cartesian).items() if count)
        return FieldType.parse(f"{vector}e")

    @property
    def order(self) -> OrderParameter:
        return Uniform(self.lattice, "displacement", "u", 2, 0, None)

    @property
    def stiffest(self) -> float:
        return self.K + 3.0 * self.B  # at |u| = 1

    @property
    def scaling(self) -> Scaling | None:
        return Scaling.of(self.t, math.sqrt(max(self.g * self.t, 0.0)), s=self.s)  # the electrons see g u^2 / t

    def _second(self) -> list[tuple[int, ...]]:
        return [shift for shift in self.lattice.shells(3)[2] if shift > tuple(-s for s in shift)]

    def blocks(self, fields: np.ndarray) -> Blocks:
        near = {shift: np.array(-self.t) for shift in self.lattice.half_neighbours}
        far = {shift: np.array(-self.s) for shift in self._second()}
        return Blocks(self.lattice, -0.5 * self.g * (fields**2).sum(axis=-3), near | far)

    def electronic_forces(self, density: DensityMatrix, fields: np.ndarray) -> np.ndarray:
        return self.g * density.occupation * fields

    @property
    def force_bound(self) -> float:
        return 3.0 * abs(self.g)

    def electronic_energy_shift(self, fields: np.ndarray) -> np.ndarray:
        return np.zeros(fields.shape[:-3])

    def classical_energy(self, fields: np.ndarray) -> np.ndarray:
        square = (fields**2).sum(axis=-3)
        return (0.5 * self.K * square + 0.25 * self.B * square**2).sum(axis=(-2, -1))

    def classical_forces(self, fields: np.ndarray) -> np.ndarray:
        return -(self.K + self.B * (fields**2).sum(axis=-3, keepdims=True)) * fields
