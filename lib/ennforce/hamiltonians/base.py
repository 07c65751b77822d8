"""What a lattice model of electrons on slow classical fields must say of itself (PHYSICS P2)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, asdict, dataclass, replace
from typing import Self

import numpy as np

from ennforce.lattice import Lattice, Shift
from ennforce.symmetry import FieldType


@dataclass(frozen=True)
class Hamiltonian(ABC):
    """One electron orbital a site, coupled to fields on the sites.

    ``temperature`` is that of the electrons (k_B = 1). Either the chemical potential is given or the ``filling`` (electrons a
    site, between 0 and 1), for which the chemical potential is then solved.
    """

    lattice: Lattice
    _: KW_ONLY
    temperature: float
    chemical_potential: float = 0.0
    filling: float | None = None

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(
                f"temperature {self.temperature} is not positive: the electronic force needs a finite electron temperature"
            )
        if self.filling is not None and not 0 < self.filling < 1:
            raise ValueError(f"filling {self.filling} must lie strictly between 0 and 1 electron a site")

    def resized(self, *shape: int) -> Self:
        """The same model on another torus."""
        return replace(self, lattice=self.lattice.resized(*shape))

    @property
    @abstractmethod
    def field_type(self) -> FieldType:
        """How the field transforms under the point group and the internal Z2."""

    @abstractmethod
    def onsite(self, fields: np.ndarray) -> np.ndarray:
        """On-site electron energies, shape (..., Ly, Lx)."""

    @abstractmethod
    def hoppings(self) -> dict[Shift, float]:
        """Matrix elements <r| H_e |r + shift>; for every shift its opposite with the conjugate element."""

    @abstractmethod
    def electronic_forces(self, density: np.ndarray) -> np.ndarray:
        """-<dH_e/d field> from the electron density, same shape."""

    @abstractmethod
    def electronic_energy_shift(self, fields: np.ndarray) -> np.ndarray:
        """Terms of the electronic Hamiltonian without electron operators (Holstein: + g/2 sum Q), shape (...)."""

    @abstractmethod
    def classical_energy(self, fields: np.ndarray) -> np.ndarray:
        """Elastic energy of the fields, shape (...)."""

    @abstractmethod
    def classical_forces(self, fields: np.ndarray) -> np.ndarray:
        """-d(classical energy)/d field, shape of ``fields``."""

    @property
    @abstractmethod
    def odd(self) -> bool:
        """Whether the force is exactly odd under the internal Z2 (particle-hole symmetry, P3)."""

    def parameters(self) -> dict:
        """Everything that fixes the model, as JSON-ready values; ``name`` is the class in lower case."""
        values = {key: value for key, value in asdict(self).items() if key != "lattice"}
        lattice = {"name": self.lattice.name, "shape": list(self.lattice.shape)}
        return {"name": type(self).__name__.lower(), "lattice": lattice, **values}

    def check_fields(self, fields: np.ndarray) -> np.ndarray:
        """The fields as float64; raises unless they are finite and have the lattice's shape."""
        fields = np.asarray(fields, dtype=float)
        if fields.shape[-self.lattice.dimension :] != self.lattice.shape:
            raise ValueError(f"fields of shape {fields.shape} do not end in the lattice's {self.lattice.shape}")
        if not np.isfinite(fields).all():
            raise ValueError(f"{np.count_nonzero(~np.isfinite(fields))} field values are NaN or infinite: no force exists there")
        return fields
