"""The Holstein model (PHYSICS P1): spinless electrons, a classical oscillator on every site."""

from __future__ import annotations

import functools
import operator
from dataclasses import KW_ONLY, dataclass

import numpy as np

from ennforce.models.base import Hamiltonian
from ennforce.models.blocks import Blocks, DensityMatrix
from ennforce.models.order import OrderParameter, Staggered, Uniform, can_stagger
from ennforce.models.scaling import Scaling
from ennforce.sections import EitherEnergy, Energy
from ennforce.symmetry import FieldType

LARGEST_FIELD = 1e3  # fields of ten times that count as run away


@dataclass(frozen=True)
class Holstein(Hamiltonian):
    """H = -t sum_<ij> c+_i c_j - g sum_i (n_i - 1/2) Q_i + sum_i K Q_i^2/2 + kappa sum_<ij> Q_i Q_j.

    Energies in units of t; Q in units where K and g are as given. Raises ValueError where the elastic energy is unbounded,
    K <= z |kappa| with z neighbours (4 on the square lattice), or the temperature is not positive.
    """

    _: KW_ONLY
    t: Energy = 1.0
    g: Energy = 1.5
    K: Energy = 0.67
    kappa: EitherEnergy = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        neighbours = len(self.lattice.neighbours)
        if not self.K > neighbours * abs(self.kappa):
            raise ValueError(f"K = {self.K} with kappa = {self.kappa} is elastically unstable: K must exceed {neighbours} |kappa|")

    @property
    def field_type(self) -> FieldType:
        return FieldType.parse(f"{self.lattice.point_group.trivial}{'o' if self.odd else 'e'}")

    @property
    def odd(self) -> bool:
        return self.chemical_potential == 0.0 and self.filling is None and self.lattice.bipartite

    @property
    def order(self) -> OrderParameter:
        if not can_stagger(self.lattice):
            return Uniform(self.lattice, "distortion", "Q", growth_law=None)
        sign = "+".join(reversed(self.lattice.axes))
        return Staggered(self.lattice, "staggered distortion", rf"\phi = (-1)^{{{sign}}} Q")

    @property
    def stiffest(self) -> float:
        return self.K + len(self.lattice.neighbours) * abs(self.kappa)

    def validate(self) -> None:
        if not self.g < LARGEST_FIELD * 2.0 * self._ordered_stiffness:
            raise ValueError(
                f"g = {self.g} with K = {self.K} and kappa = {self.kappa} orders at fields beyond 1000: use a smaller g"
            )

    def ordered_guess(self) -> np.ndarray:
        """The distortion of the classical limit at strong coupling, where a site holds one electron or none."""
        return self.g / (2.0 * self._ordered_stiffness) * self.order.pattern()

    @property
    def _ordered_stiffness(self) -> float:
        """Stiffness of the wave that orders: neighbours move against each other where they can be staggered, else together."""
        return self.K + (-1 if can_stagger(self.lattice) else 1) * len(self.lattice.neighbours) * self.kappa

    @property
    def coupling(self) -> float:
        """lambda = g^2 / (4 K t)."""
        return self.g**2 / (4.0 * self.K * self.t)

    @property
    def scaling(self) -> Scaling | None:
        return Scaling.of(self.t, self.g)  # the density is a function of g Q / t; K and kappa are the lattice's

    def blocks(self, fields: np.ndarray) -> Blocks:
        return Blocks(self.lattice, -self.g * fields, {shift: np.array(-self.t) for shift in self.lattice.half_neighbours})

    def electronic_forces(self, density: DensityMatrix, fields: np.ndarray) -> np.ndarray:
        return self.g * (density.occupation - 0.5)

    @property
    def largest_force(self) -> float:
        return 0.5 * abs(self.g)  # no site holds less than no electron, or more than one

    @property
    def force_bound(self) -> float:
        return abs(self.g)

    def electronic_energy_shift(self, fields: np.ndarray) -> np.ndarray:
        return 0.5 * self.g * fields.sum(axis=self._axes)

    def classical_energy(self, fields: np.ndarray) -> np.ndarray:
        bonds = 0.5 * self.kappa * fields * self._neighbour_sum(fields)
        return (0.5 * self.K * fields**2 + bonds).sum(axis=self._axes)

    def classical_forces(self, fields: np.ndarray) -> np.ndarray:
        forces = -self.K * fields
        if self.kappa != 0.0:
            forces -= self.kappa * self._neighbour_sum(fields)
        return forces

    def _neighbour_sum(self, fields: np.ndarray) -> np.ndarray:
        return functools.reduce(operator.add, (self._at(fields, shift) for shift in self.lattice.neighbours))
