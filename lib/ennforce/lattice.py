"""Bravais lattices on a torus: sites, neighbour shells, point group (PHYSICS P1, P3).

A field on the lattice is an array whose last axes are the lattice axes, ``(..., Ly, Lx)`` in two dimensions. A *shift* is
an integer vector in units of the Bravais vectors, ordered as the axes are: ``(dy, dx)``.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ennforce.symmetry.groups import PointGroup

Shift = tuple[int, ...]

BASES: dict[str, tuple[tuple[float, ...], ...]] = {
    "chain": ((1.0,),),
    # Axes are (y, x); Cartesian components are (x, y).
    "square": ((0.0, 1.0), (1.0, 0.0)),
    "triangular": ((0.5, np.sqrt(3.0) / 2.0), (1.0, 0.0)),
}


@dataclass(frozen=True)
class Lattice:
    """A torus of ``shape`` sites; row n of ``basis`` is the Cartesian step of axis n, in lattice constants."""

    name: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.name not in BASES:
            raise ValueError(f"lattice {self.name!r} is unknown: choose one of {', '.join(BASES)}")
        if len(self.shape) != len(BASES[self.name]):
            raise ValueError(f"a {self.name} lattice has {len(BASES[self.name])} axes, but shape is {self.shape}")
        if any(int(length) != length or length < 1 for length in self.shape):
            raise ValueError(f"lattice shape {self.shape} must hold positive whole numbers")
        object.__setattr__(self, "shape", tuple(int(length) for length in self.shape))

    @classmethod
    def chain(cls, length: int) -> Lattice:
        return cls("chain", (length,))

    @classmethod
    def square(cls, height: int, width: int) -> Lattice:
        return cls("square", (height, width))

    @classmethod
    def triangular(cls, height: int, width: int) -> Lattice:
        return cls("triangular", (height, width))

    def resized(self, *shape: int) -> Lattice:
        """The same lattice on another torus."""
        return Lattice(self.name, shape)

    def __str__(self) -> str:
        return f"{self.name} {'x'.join(map(str, self.shape))}"

    @property
    def dimension(self) -> int:
        return len(self.shape)

    @property
    def num_sites(self) -> int:
        return int(np.prod(self.shape))

    @property
    def basis(self) -> np.ndarray:
        """Bravais vectors as rows, shape (dimension, dimension)."""
        return np.array(BASES[self.name])

    @cached_property
    def point_group(self) -> PointGroup:
        """All integer matrices on shifts that keep every distance: C2v-like to D6, found, not typed in."""
        gram = self.basis @ self.basis.T
        dimension = self.dimension
        candidates = itertools.product((-1, 0, 1), repeat=dimension * dimension)
        matrices = [np.array(c).reshape(dimension, dimension) for c in candidates]
        kept = [w for w in matrices if np.allclose(w.T @ gram @ w, gram)]
        return PointGroup.from_matrices(kept, basis=self.basis)

    def distance(self, shift: Shift) -> float:
        """Length of a shift in lattice constants (no torus wrapping)."""
        return float(np.linalg.norm(np.asarray(shift) @ self.basis))

    def ball(self, radius: float) -> tuple[Shift, ...]:
        """All shifts no longer than ``radius``, nearest first, the zero shift included."""
        # A Bravais vector shorter than its component along the others' normal never occurs for these bases: 2R covers it.
        reach = int(np.ceil(2.0 * radius)) + 1
        shifts = itertools.product(range(-reach, reach + 1), repeat=self.dimension)
        inside = [s for s in shifts if self.distance(s) <= radius + 1e-9]
        return tuple(sorted(inside, key=lambda s: (round(self.distance(s), 9), s)))

    def shells(self, count: int) -> tuple[tuple[Shift, ...], ...]:
        """The first ``count`` neighbour shells: shell 0 is the site itself, shell 1 its nearest neighbours."""
        grouped = itertools.groupby(self.ball(count), key=lambda s: round(self.distance(s), 9))
        return tuple(tuple(shifts) for _, shifts in grouped)[:count]

    @cached_property
    def neighbours(self) -> tuple[Shift, ...]:
        """Shifts to the nearest neighbours."""
        return self.shells(2)[1]

    @property
    def half_neighbours(self) -> tuple[Shift, ...]:
        """One shift of every pair of opposite ones in ``neighbours``: each nearest-neighbour bond once."""
        return tuple(shift for shift in self.neighbours if shift > tuple(-s for s in shift))

    def stagger(self) -> np.ndarray:
        """The sign (-1)^(x+y+...), shape ``shape``; raises where the torus is not bipartite (P6)."""
        if any(length % 2 for length in self.shape) or self.name == "triangular":
            raise ValueError(f"a staggered order needs a bipartite torus with even lengths, not {self}: use even lengths")
        return 1.0 - 2.0 * (np.indices(self.shape).sum(axis=0) % 2)

    def transformed(self, field: np.ndarray, element: int) -> np.ndarray:
        """(g f)(r) = f(g^-1 r) for point-group element number ``element``; f has shape (..., *shape)."""
        inverse = self.point_group.matrices[self.point_group.inverse[element]]
        sites = np.indices(self.shape).reshape(self.dimension, -1)
        moved = (inverse @ sites) % np.array(self.shape)[:, None]
        source = np.ravel_multi_index(tuple(moved), self.shape)
        if np.unique(source).size != self.num_sites:
            raise ValueError(f"a {self} torus is not mapped onto itself by point-group element {element}: use equal lengths")
        return field.reshape(*field.shape[: -self.dimension], -1)[..., source].reshape(field.shape)
