"""The Hubbard-Holstein model in Hartree approximation: electrons with spin that repel each other (PHYSICS P17)."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np

from ennforce.models.blocks import DensityMatrix
from ennforce.models.holstein import Holstein
from ennforce.models.scaling import Scaling
from ennforce.sections import Energy


@dataclass(frozen=True)
class HubbardHolstein(Holstein):
    """H = -t sum_<ij>s c+_is c_js - g sum_i (n_i - 1) Q_i + U sum_i (n_i^ - 1/2)(n_iv - 1/2) + E(Q), E(Q) as in ``Holstein``.

    Two spins, alike, at half filling. In Hartree approximation each sees h_i = -g Q_i + (U/2)(<n_i> - 1), as a spinless electron
    would in the fields Q - (U / 2g)(<n> - 1), which depend on its density. Raises ValueError away from half filling, where the
    chemical potential would be another unknown, and without a coupling, where there is nothing to be seen.
    """

    local: ClassVar[bool] = False
    spins: ClassVar[int] = 2

    _: KW_ONLY
    U: Energy = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chemical_potential != 0.0 or self.filling is not None:
            given = f"chemical_potential = {self.chemical_potential}" if self.filling is None else f"filling = {self.filling}"
            raise ValueError(f"{given}: repelling electrons are solved at half filling alone; leave it out")
        if self.g == 0 or self.U < 0:
            raise ValueError(f"g = {self.g}, U = {self.U}: the coupling must not be zero, nor the repulsion negative")

    def ordered_guess(self) -> np.ndarray:
        """The distortion of the classical limit at strong coupling, where a site holds two electrons or none."""
        return 2.0 * super().ordered_guess()

    @property
    def scaling(self) -> Scaling | None:
        return Scaling.of(self.t, self.g, U=self.U)

    @property
    def screening(self) -> float:
        """Change of a seen field for a change of the density of one spin by one."""
        return self.U / self.g

    def seen(self, fields: np.ndarray, density: DensityMatrix) -> np.ndarray:
        # <n> - 1 = 2 rho - 1 with the density rho of one spin.
        return fields - self.screening * (density.occupation - 0.5)

    def double_counting(self, fields: np.ndarray, seen: np.ndarray) -> np.ndarray:
        # -(U / 4) sum (<n> - 1)^2, and <n> - 1 = 2 (Q - seen) / screening.
        return (
            -self.U * (((fields - seen) / self.screening) ** 2).sum(axis=self._axes)
            if self.U
            else np.zeros(fields.shape[: -self.lattice.dimension])
        )

    def electronic_forces(self, density: DensityMatrix, fields: np.ndarray) -> np.ndarray:
        return 2.0 * super().electronic_forces(density, fields)

    @property
    def largest_force(self) -> float:
        return 2.0 * super().largest_force

    @property
    def force_bound(self) -> float:
        return 2.0 * super().force_bound
