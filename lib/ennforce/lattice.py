"""Bravais lattices on a torus: sites, neighbour shells, point group (PHYSICS P1, P3).

A field on the lattice is an array whose last axes are the lattice axes, ``(..., Ly, Lx)`` in two dimensions. Shapes, axes and
shifts have one order everywhere, in text as well: z, y, x. A *shift* is an integer vector in units of the Bravais vectors.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ennforce.symmetry.groups import PointGroup

Shift = tuple[int, ...]

BASES: dict[str, tuple[tuple[float, ...], ...]] = {
    # Axes are (z, y, x); Cartesian components are (x, y, z).
    "chain": ((1.0,),),
    "square": ((0.0, 1.0), (1.0, 0.0)),
    "triangular": ((0.5, np.sqrt(3.0) / 2.0), (1.0, 0.0)),
    "cubic": ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
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

    @classmethod
    def cubic(cls, depth: int, height: int, width: int) -> Lattice:
        return cls("cubic", (depth, height, width))

    def resized(self, *shape: int) -> Lattice:
        """A torus of another shape of this lattice."""
        return Lattice(self.name, shape)

    def __str__(self) -> str:
        return f"{self.name} {' x '.join(map(str, self.shape))}"

    @property
    def dimension(self) -> int:
        return len(self.shape)

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the lattice axes of a field: ("y", "x") in two dimensions."""
        return ("z", "y", "x")[-self.dimension :]

    @property
    def num_sites(self) -> int:
        return int(np.prod(self.shape))

    @property
    def basis(self) -> np.ndarray:
        """Bravais vectors as rows, shape (dimension, dimension)."""
        return np.array(BASES[self.name])

    @property
    def is_square(self) -> bool:
        """Whether this is the square lattice, for which some networks and drawings are made."""
        return self.dimension == 2 and np.array_equal(self.basis @ self.basis.T, np.eye(2))

    @property
    def point_group(self) -> PointGroup:
        """All integer matrices on shifts that keep every distance: of order 2, 8, 12 and 48, found, not typed in."""
        return _point_group(self.name)

    def distance(self, shift: Shift) -> float:
        """Length of a shift in lattice constants (no torus wrapping)."""
        return float(np.linalg.norm(np.asarray(shift) @ self.basis))

    def ball(self, radius: float) -> tuple[Shift, ...]:
        """All shifts no longer than ``radius``, nearest first, the zero shift included."""
        reach = np.floor(radius * np.linalg.norm(np.linalg.inv(self.basis), axis=0) + 1e-9).astype(int)
        shifts = itertools.product(*(range(-n, n + 1) for n in reach.tolist()))
        inside = [s for s in shifts if self.distance(s) <= radius + 1e-9]
        return tuple(sorted(inside, key=lambda s: (round(self.distance(s), 9), s)))

    def shells(self, count: int) -> tuple[tuple[Shift, ...], ...]:
        """The first ``count`` neighbour shells: shell 0 is the site itself, shell 1 its nearest neighbours."""
        grouped = itertools.groupby(self.ball(count), key=lambda s: round(self.distance(s), 9))
        return tuple(tuple(shifts) for _, shifts in grouped)[:count]

    @cached_property
    def neighbours(self) -> tuple[Shift, ...]:
        """Shifts to the nearest neighbours."""
        return _neighbours(self.name)

    @property
    def half_neighbours(self) -> tuple[Shift, ...]:
        """One shift of every pair of opposite ones in ``neighbours``: each nearest-neighbour bond once."""
        return tuple(shift for shift in self.neighbours if shift > tuple(-s for s in shift))

    def distances(self) -> np.ndarray:
        """|r| of every displacement by the shortest way round the torus, shape ``shape``, in lattice constants."""
        displacements = np.moveaxis(np.indices(self.shape), 0, -1) @ self.basis
        return np.hypot.reduce(_shortest(displacements, self._periods, self._ways_round), axis=-1, initial=0.0)

    def wave_vectors(self) -> np.ndarray:
        """Cartesian wave vectors of an FFT over the lattice axes, folded into the first Brillouin zone.

        Shape (*shape, dimension), in inverse lattice constants; on the zone's surface one of the equivalent vectors.
        """
        grid = np.meshgrid(*(np.fft.fftfreq(length) for length in self.shape), indexing="ij")
        return _shortest(np.stack(grid, axis=-1) @ self._reciprocal, self._reciprocal, 1)

    @property
    def zone_radius(self) -> float:
        """Radius of the largest sphere around k = 0 in the first Brillouin zone: pi on the chain, square and cubic lattices."""
        return 0.5 * _least(self._reciprocal, 1)

    @cached_property
    def zone_corner(self) -> float:
        """The largest |k| of the first Brillouin zone, in inverse lattice constants: pi sqrt(2) on the square lattice."""
        # A corner is as far from zero as from as many reciprocal vectors as there are dimensions, and no nearer to another.
        near = [np.array(n) @ self._reciprocal for n in itertools.product((-1, 0, 1), repeat=self.dimension) if any(n)]
        lengths = []
        for planes in map(np.array, itertools.combinations(near, self.dimension)):
            if abs(np.linalg.det(planes)) > 1e-9:
                corner = np.linalg.solve(planes, 0.5 * (planes**2).sum(axis=1))
                if all(corner @ g <= 0.5 * g @ g + 1e-9 for g in near):
                    lengths.append(np.linalg.norm(corner))
        return float(max(lengths))

    @property
    def inradius(self) -> float:
        """Radius of the largest sphere that fits on the torus without touching itself: half the shorter side of a rectangle."""
        return 0.5 * _least(self._periods, self._ways_round)

    @property
    def _reciprocal(self) -> np.ndarray:
        """Reciprocal vectors as rows: b_m . a_n = 2 pi if m = n, else 0."""
        return 2.0 * np.pi * np.linalg.inv(self.basis).T

    @property
    def _periods(self) -> np.ndarray:
        """Cartesian periods of the torus as rows."""
        return self.basis * np.array(self.shape)[:, None]

    @property
    def _ways_round(self) -> int:
        """How often the shortest way between two sites may wind round an axis: more than once on long sheared tori alone."""
        gram = self.basis @ self.basis.T
        return 1 if np.allclose(gram, np.diag(np.diag(gram))) else 1 + -(-max(self.shape) // min(self.shape))

    @property
    def bipartite(self) -> bool:
        """Whether the sites fall into two sublattices, (-1)^(x+y+...) = +-1, with no nearest neighbours in one of them."""
        return all(length % 2 == 0 for length in self.shape) and all(sum(shift) % 2 for shift in self.neighbours)

    def stagger(self) -> np.ndarray:
        """The sign (-1)^(x+y+...), shape ``shape``; raises where the torus is not bipartite (P6)."""
        if not self.bipartite:
            hint = "this lattice has triangles of neighbours" if self.name == "triangular" else "use even lengths"
            raise ValueError(f"a staggered order needs a bipartite torus with even lengths, not {self}: {hint}")
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


@functools.cache
def _neighbours(name: str) -> tuple[Shift, ...]:
    """Shifts to the nearest neighbours on a lattice, found once for all tori: one is made for every number of chosen sites."""
    return Lattice(name, (1,) * len(BASES[name])).shells(2)[1]


@functools.cache
def _point_group(name: str) -> PointGroup:
    basis = np.array(BASES[name])
    gram, dimension = basis @ basis.T, len(basis)
    matrices = np.array(list(itertools.product((-1, 0, 1), repeat=dimension * dimension))).reshape(-1, dimension, dimension)
    changes = np.abs(np.swapaxes(matrices, 1, 2) @ gram @ matrices - gram).max(axis=(1, 2))
    return PointGroup.from_matrices(list(matrices[changes < 1e-8]), basis=basis)


def _shortest(vectors: np.ndarray, periods: np.ndarray, ways: int) -> np.ndarray:
    """Each vector (..., d) plus multiples of ``periods`` (rows), up to ``ways``, that make it shortest (of equals the first)."""
    best, least = vectors, (vectors**2).sum(axis=-1)
    for n in itertools.product(range(-ways, ways + 1), repeat=len(periods)):
        moved = vectors + np.array(n) @ periods
        square = (moved**2).sum(axis=-1)
        shorter = square < least - 1e-9
        best, least = np.where(shorter[..., None], moved, best), np.where(shorter, square, least)
    return best


def _least(periods: np.ndarray, ways: int) -> float:
    """Length of the shortest non-zero whole combination of ``periods`` (rows)."""
    multiples = np.array([n for n in itertools.product(range(-ways, ways + 1), repeat=len(periods)) if any(n)])
    return float(np.linalg.norm(multiples @ periods, axis=1).min())
