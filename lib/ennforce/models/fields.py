"""What lives on a site: real numbers, which may have momenta, or classical spins of unit length (PHYSICS P2, P13)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ennforce.lattice import Lattice

WITH_MOMENTA = ("langevin",)  # of the dynamics


@dataclass(frozen=True)
class FieldSpace(ABC):
    """The values that a site's field may take; it knows shapes and names of axes, and random values.

    ``dynamics``: the equations of motion that act on it, the usual first; those of ``WITH_MOMENTA`` have momenta and a mass.
    """

    dynamics: ClassVar[tuple[str, ...]]
    fixed_length: ClassVar[bool] = False  # of every site's field, whose square then says nothing

    @property
    @abstractmethod
    def components(self) -> int:
        """Numbers per site."""

    def chosen(self, dynamics: str | None = None) -> str:
        """The dynamics asked for, the usual one where None is; raises ValueError where it does not act on these fields."""
        if dynamics not in (None, *self.dynamics):
            allowed = " or ".join(self.dynamics)
            raise ValueError(f"bath.dynamics = {dynamics} does not act on {type(self).__name__} fields: use {allowed}")
        return dynamics or self.dynamics[0]

    def shape(self, lattice: Lattice) -> tuple[int, ...]:
        """Shape of one configuration: the lattice's, behind an axis of components where there are several."""
        return lattice.shape if self.components == 1 else (self.components, *lattice.shape)

    def axes(self, lattice: Lattice) -> tuple[str, ...]:
        """Names of the axes of one configuration, as files have them."""
        return lattice.axes if self.components == 1 else ("component", *lattice.axes)

    @abstractmethod
    def near(self, centre: np.ndarray | float, sigma: float, normals: np.ndarray, lattice: Lattice) -> np.ndarray:
        """Values spread by ``sigma`` about ``centre``, from standard ``normals`` (..., *shape of a configuration)."""

    @abstractmethod
    def check(self, fields: np.ndarray, lattice: Lattice) -> None:
        """Raises ValueError, in one line, where fields are none of this space."""

    def acting(self, forces: np.ndarray, fields: np.ndarray, axis: int) -> np.ndarray:
        """The part of forces that moves the fields, both with components along ``axis``: all of it, unless lengths are fixed."""
        return forces


@dataclass(frozen=True)
class Real(FieldSpace):
    """``count`` real numbers per site, as displacements are."""

    dynamics: ClassVar[tuple[str, ...]] = ("langevin", "overdamped")

    count: int = 1

    @property
    def components(self) -> int:
        return self.count

    def near(self, centre: np.ndarray | float, sigma: float, normals: np.ndarray, lattice: Lattice) -> np.ndarray:
        """N(centre, sigma^2), independent for every number."""
        return centre + sigma * normals

    def check(self, fields: np.ndarray, lattice: Lattice) -> None:
        """Every real number will do."""


@dataclass(frozen=True)
class Sphere(FieldSpace):
    """A spin of unit length per site, in three components."""

    dynamics: ClassVar[tuple[str, ...]] = ("spins",)
    fixed_length: ClassVar[bool] = True
    TOLERANCE: ClassVar[float] = 1e-6  # of the length: single precision

    @property
    def components(self) -> int:
        return 3

    def near(self, centre: np.ndarray | float, sigma: float, normals: np.ndarray, lattice: Lattice) -> np.ndarray:
        """The directions of centre + sigma * normals: uniform on the sphere without a centre, within about sigma of it with one."""
        vectors = centre + (sigma if np.any(centre) else 1.0) * normals
        return vectors / np.linalg.norm(vectors, axis=-1 - lattice.dimension, keepdims=True)

    def acting(self, forces: np.ndarray, fields: np.ndarray, axis: int) -> np.ndarray:
        """The part across the spins: the other, nearly all of an exchange field, turns none (PHYSICS P13)."""
        return forces - fields * (fields * forces).sum(axis=axis, keepdims=True)

    def check(self, fields: np.ndarray, lattice: Lattice) -> None:
        """Raises ValueError where a spin is not of unit length."""
        lengths = np.sqrt((fields**2).sum(axis=-1 - lattice.dimension))
        wrong = abs(lengths - 1.0) > self.TOLERANCE
        if wrong.any():
            raise ValueError(
                f"{np.count_nonzero(wrong)} spins are not of unit length ({lengths[wrong].flat[0]:.6g}): divide each by its length"
            )
