"""Order parameters: what a model's fields order into, and which domains they then have (PHYSICS P6, P14)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from ennforce.lattice import Lattice


@dataclass(frozen=True)
class OrderParameter(ABC):
    """An order field phi of ``components`` numbers per site, computed from the fields, and what is known of it.

    ``symbol`` is TeX without dollars. ``states``: domains that can be told apart, 2 for an Ising order, 0 where there are none, as
    for a vector that points anywhere. ``growth_law``: the exponent that the growth of its domains is held against, None where none
    is known (1/2: Allen and Cahn's, of an order that is not conserved).
    """

    lattice: Lattice
    name: str
    symbol: str = r"\phi"
    components: int = 1
    states: int = 2
    growth_law: float | None = 0.5

    @property
    @abstractmethod
    def wave_vector_label(self) -> str:
        """Where in the Brillouin zone the order has its peak, from which its own wave vectors are counted."""

    @property
    def modulation(self) -> np.ndarray:
        """Sign that the fields change by within one domain, (*lattice shape): with it the order's wave vector is moved to zero."""
        return np.ones(self.lattice.shape)

    @abstractmethod
    def project(self, fields: np.ndarray) -> np.ndarray:
        """phi of fields (..., *shape of a configuration), with an axis of components: (..., components, *lattice shape)."""

    def pattern(self) -> np.ndarray:
        """Fields of one domain, in units of the order; raises ValueError where an order cannot be written as fields."""
        raise ValueError(f"the {self.name} is not linear in the fields: set initial_order to 0")

    def domains(self, order: np.ndarray) -> np.ndarray:
        """Label of the domain of every site, (..., components, *lattice shape) to whole numbers (..., *lattice shape)."""
        if self.components == 1:
            return (np.take(order, 0, axis=-1 - self.lattice.dimension) > 0).astype(np.int8)
        raise ValueError(f"the {self.name} of {self.components} components has no domains: it points anywhere")

    def image(self, order: np.ndarray) -> np.ndarray:
        """One number per site to show of the order, (..., components, *lattice shape) to (..., *lattice shape): the first."""
        return np.take(order, 0, axis=-1 - self.lattice.dimension)


@dataclass(frozen=True)
class Uniform(OrderParameter):
    """The fields themselves: order at q = 0."""

    @property
    def wave_vector_label(self) -> str:
        return "0"

    def project(self, fields: np.ndarray) -> np.ndarray:
        return _with_components(fields, self.components, self.lattice)

    def pattern(self) -> np.ndarray:
        return _along_first(np.ones(self.lattice.shape), self.components)


@dataclass(frozen=True)
class Staggered(OrderParameter):
    """phi_i = (-1)^(x+y+...) times the field: order at the corner of the Brillouin zone of a bipartite torus of even lengths."""

    @property
    def wave_vector_label(self) -> str:
        return "π" if self.lattice.dimension == 1 else f"({', '.join('π' * self.lattice.dimension)})"

    @property
    def modulation(self) -> np.ndarray:
        return self.lattice.stagger()

    def project(self, fields: np.ndarray) -> np.ndarray:
        return _with_components(fields * self.lattice.stagger(), self.components, self.lattice)

    def pattern(self) -> np.ndarray:
        return _along_first(self.lattice.stagger(), self.components)


@dataclass(frozen=True)
class StaggeredComponent(Staggered):
    """(-1)^(x+y+...) times component ``of`` of a field of ``among`` components: an Ising order, which the others may follow."""

    of: int = 0
    among: int = 2

    def project(self, fields: np.ndarray) -> np.ndarray:
        component = np.take(fields, [self.of], axis=-1 - self.lattice.dimension)
        return component * self.lattice.stagger()

    def pattern(self) -> np.ndarray:
        values = self.lattice.stagger()
        return np.stack([values if n == self.of else np.zeros_like(values) for n in range(self.among)])


@dataclass(frozen=True)
class Chirality(OrderParameter):
    """S_i . (S_j x S_k) of unit spins, the mean over the triangles of a cell, in which i, j, k go counter-clockwise (PHYSICS P14).

    Its sign is an Ising order, and tetrahedral order has 4 / (3 sqrt 3). Triangular lattice only.
    """

    def __post_init__(self) -> None:
        if self.lattice.name != "triangular":
            raise ValueError(f"chirality needs triangles, and a {self.lattice} has none: use the triangular lattice")

    @property
    def wave_vector_label(self) -> str:
        return "0"

    def project(self, fields: np.ndarray) -> np.ndarray:
        def at(*shift: int) -> np.ndarray:
            return np.roll(fields, tuple(-s for s in shift), axis=(-2, -1))

        # Axes are a_1 = (1/2, sqrt 3 / 2) and a_2 = (1, 0): up triangles 0, a_2, a_1, and down triangles 0, a_1, a_1 - a_2.
        up, down = (fields, at(0, 1), at(1, 0)), (fields, at(1, 0), at(1, -1))
        triple = [(i * np.cross(j, k, axis=-3)).sum(axis=-3) for i, j, k in (up, down)]
        return 0.5 * (triple[0] + triple[1])[..., None, :, :]


def can_stagger(lattice: Lattice) -> bool:
    """Whether tori of this lattice have two sublattices, if their lengths are even."""
    return all(sum(shift) % 2 for shift in lattice.neighbours)


def _with_components(fields: np.ndarray, components: int, lattice: Lattice) -> np.ndarray:
    """Fields with an axis of components, also where there is one component and files have no such axis."""
    return np.expand_dims(fields, -1 - lattice.dimension) if components == 1 else fields


def _along_first(values: np.ndarray, components: int) -> np.ndarray:
    """A configuration whose first component has these values, and the others zero."""
    return values if components == 1 else np.stack([values, *(np.zeros_like(values) for _ in range(components - 1))])
