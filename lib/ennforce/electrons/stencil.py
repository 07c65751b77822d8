"""H_e as real stencil terms, and the windows in which its Chebyshev or Lanczos recursion runs (PHYSICS P4).

A complex Hamiltonian of b orbitals is the real one [[Re, -Im], [Im, Re]] of 2 b *planes*; a real one has b planes. Real
arithmetic on the planes costs what complex arithmetic would, and one kernel serves every model. Lattices of one dimension are
two-dimensional ones of one row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from ennforce.lattice import Lattice, Shift
from ennforce.models import Blocks, DensityMatrix

Shift2 = tuple[int, int]


@dataclass(frozen=True)
class Stencil:
    """(H v)[p, r] = sum_u element_u v[source_u, r + shift_u] + the same with an array in place of each element.

    Every plane p has the same number of terms. uniform: per plane, tuples (source plane, shift, element); varying: per plane,
    tuples (source plane, shift, slot) with the coefficients in arrays[slot], shape (slots, Ly, Lx).
    """

    lattice: Lattice
    planes: int
    orbitals: int
    uniform: tuple[tuple[tuple[int, Shift2, float], ...], ...]
    varying: tuple[tuple[tuple[int, Shift2, int], ...], ...]
    arrays: np.ndarray

    @classmethod
    def of(cls, blocks: Blocks) -> Stencil:
        orbitals = blocks.orbitals
        lattice = blocks.lattice
        if lattice.dimension > 2:
            raise ValueError(f"local solvers work in one and two dimensions, not on a {lattice}: use ExactForces")
        planes = 2 * orbitals if blocks.is_complex else orbitals
        uniform: list[list] = [[] for _ in range(planes)]
        varying: list[list] = [[] for _ in range(planes)]
        arrays: list[np.ndarray] = []
        slots: dict[tuple[bool, bytes], int] = {}  # one for all equal elements, as the parts of a Hermitian block are
        zero = (0,) * lattice.dimension
        for shift, block in ((zero, blocks.onsite), *blocks.hops()):
            real = _real(block, planes // orbitals)
            for target in range(planes):
                for source in range(planes):
                    element = real[..., target, source]
                    if not element.any():
                        continue
                    if block.ndim == 2:
                        uniform[target].append((source, two_axes(shift), float(element)))
                    else:
                        diagonal = source == target and shift == zero  # it gets the centre of the spectrum subtracted
                        slot = slots.setdefault((diagonal, element.tobytes()), len(arrays))
                        varying[target].append((source, two_axes(shift), slot))
                        if slot == len(arrays):
                            arrays.append(element.reshape(two_axes(lattice.shape, 1)))
        # Planes of equal length let the compiler unroll their terms; the padding is multiplied by zero.
        longest = max(map(len, uniform))
        uniform = [terms + [(p, (0, 0), 0.0)] * (longest - len(terms)) for p, terms in enumerate(uniform)]
        longest = max(1, *map(len, varying))
        if any(len(terms) < longest for terms in varying):
            arrays.append(np.zeros(two_axes(lattice.shape, 1)))
        varying = [terms + [(p, (0, 0), len(arrays) - 1)] * (longest - len(terms)) for p, terms in enumerate(varying)]
        return cls(lattice, planes, orbitals, tuple(map(tuple, uniform)), tuple(map(tuple, varying)), np.stack(arrays))

    def scaled(self, half_width: float, centre: float, dtype: type) -> Stencil:
        """The stencil of (H - centre) / half_width, with arrays of ``dtype``."""
        arrays = self.arrays / half_width
        uniform = [[(q, s, e / half_width) for q, s, e in terms] for terms in self.uniform]
        shifted = set()
        # The identity is on the diagonal of every plane: in its on-site array where it has one, else as one more term.
        for plane, terms in enumerate(self.varying):
            slots = [slot for source, shift, slot in terms if source == plane and shift == (0, 0)]
            if slots and np.any(self.arrays[slots[0]]):
                if slots[0] not in shifted:  # planes share equal arrays
                    arrays[slots[0]] -= centre / half_width
                    shifted.add(slots[0])
            else:
                uniform[plane].append((plane, (0, 0), -centre / half_width))
        longest = max(map(len, uniform))
        padded = [terms + [(p, (0, 0), 0.0)] * (longest - len(terms)) for p, terms in enumerate(uniform)]
        return Stencil(self.lattice, self.planes, self.orbitals, tuple(map(tuple, padded)), self.varying, arrays.astype(dtype))

    @property
    def shape(self) -> Shift2:
        """Rows and columns of the torus."""
        return two_axes(self.lattice.shape, 1)

    @cached_property
    def shifts(self) -> tuple[Shift2, ...]:
        """All shifts but the zero shift, in order."""
        found = {shift for terms in (*self.uniform, *self.varying) for _, shift, _ in terms}
        return tuple(sorted(found - {(0, 0)}))

    @cached_property
    def reach(self) -> Shift2:
        """The longest hop along rows and along columns."""
        return (max((abs(s[0]) for s in self.shifts), default=0), max((abs(s[1]) for s in self.shifts), default=0))

    def density_matrix(self, values: np.ndarray, bonds: tuple[Shift, ...]) -> DensityMatrix:
        """Values (orbitals, elements, sites) as blocks: element (r + s, a) of column (r, o) is rho[r, r + s][o, a] conjugated."""
        parts = values.reshape(self.orbitals, -1, self.planes, *self.lattice.shape)
        elements = parts if self.planes == self.orbitals else parts[:, :, : self.orbitals] - 1j * parts[:, :, self.orbitals :]
        blocks = np.moveaxis(elements, (0, 2), (-2, -1))
        return DensityMatrix(blocks[0], dict(zip(bonds, blocks[1:], strict=True)))

    def gershgorin(self) -> tuple[float, float]:
        """An interval that surely holds the spectrum."""
        low, high = np.inf, -np.inf
        for plane in range(self.planes):
            centre, radius = np.zeros(self.shape), np.zeros(self.shape)
            for source, shift, element in self.uniform[plane]:
                if source == plane and shift == (0, 0):
                    centre = centre + element
                else:
                    radius = radius + abs(element)
            for source, shift, slot in self.varying[plane]:
                if source == plane and shift == (0, 0):
                    centre = centre + self.arrays[slot]
                else:
                    radius = radius + np.abs(self.arrays[slot])
            low, high = min(low, float((centre - radius).min())), max(high, float((centre + radius).max()))
        return low, high


@dataclass(frozen=True)
class Window:
    """Sites around a start site on which its recursion runs; rows and columns of a box, the start site at ``centre``.

    spans: (levels, rows, 2) first and last-but-one columns of every row that m = 0, 1, ... hops reach, the last level the whole
    window. torus: the box is the whole torus with its wrapped hops.
    """

    rows: int
    columns: int
    centre: Shift2
    spans: np.ndarray
    torus: bool

    @property
    def sites(self) -> int:
        return int((self.spans[-1, :, 1] - self.spans[-1, :, 0]).sum())

    def updates(self, steps: int) -> int:
        """Sites that ``steps`` steps of the recursion touch, the growing light cone counted."""
        sizes = (self.spans[:, :, 1] - self.spans[:, :, 0]).sum(axis=1)
        levels = np.minimum(np.arange(1, steps + 1), len(sizes) - 1)
        return int(sizes[levels].sum())


@lru_cache(maxsize=64)
def window_around(name: str, radius: int, shifts: tuple[Shift2, ...]) -> Window:
    """Sites whose projection on every nearest-neighbour direction is at most ``radius``: a square, or a hexagon.

    Its sides face the neighbours. Measured on the square lattice: at equal size such a window is two to four times as accurate as
    the diamond of equal hops.
    """
    lattice = Lattice(name, (1,) * (1 if name == "chain" else 2))
    grid = np.stack(np.meshgrid(*[np.arange(-2 * radius, 2 * radius + 1)] * lattice.dimension, indexing="ij"), axis=-1)
    projections = grid @ (np.array(lattice.neighbours) @ lattice.basis @ lattice.basis.T).T
    inside = projections.max(axis=-1) <= radius + 1e-9
    inside = inside.reshape(two_axes(inside.shape, 1))
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    inside = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    centre = (inside.shape[0] // 2, inside.shape[1] // 2)
    reached = np.zeros_like(inside)
    reached[centre] = True
    levels = [_spans(reached)]
    while True:
        grown = np.logical_or.reduce([reached, *(_moved(reached, shift) for shift in shifts)]) & inside
        if (grown == reached).all():
            return Window(inside.shape[0], inside.shape[1], centre, np.array(levels), False)
        reached = grown
        levels.append(_spans(reached))


def _spans(sites: np.ndarray) -> np.ndarray:
    """First and last-but-one occupied column of every row, (0, 0) where there is none."""
    first, last = sites.argmax(axis=1), sites.shape[1] - sites[:, ::-1].argmax(axis=1)
    return np.stack([first, last], axis=1) * sites.any(axis=1, keepdims=True)


def _moved(sites: np.ndarray, shift: Shift2) -> np.ndarray:
    """Occupied sites shifted, those that leave the box lost."""
    dy, dx = shift
    height, width = sites.shape
    moved = np.zeros_like(sites)
    moved[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = sites[
        max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
    ]
    return moved


def whole_torus(shape: Shift2) -> Window:
    spans = np.empty((1, shape[0], 2), dtype=np.int64)
    spans[..., 0], spans[..., 1] = 0, shape[1]
    return Window(shape[0], shape[1], (0, 0), spans, True)


def _real(block: np.ndarray, copies: int) -> np.ndarray:
    """Blocks (..., b, b) as real ones: themselves, or [[Re, -Im], [Im, Re]]."""
    if copies == 1:
        return block
    upper = np.concatenate([block.real, -block.imag], axis=-1)
    lower = np.concatenate([block.imag, block.real], axis=-1)
    return np.concatenate([upper, lower], axis=-2)


def two_axes(values: Shift, missing: int = 0) -> Shift2:
    """A shift or a shape with two entries, that of a chain with ``missing`` rows."""
    return (missing, values[0]) if len(values) == 1 else (values[0], values[1])
