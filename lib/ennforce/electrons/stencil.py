"""H_e as real stencil terms, and the windows in which its Chebyshev or Lanczos recursion runs (PHYSICS P4).

A complex Hamiltonian of b orbitals is the real one [[Re, -Im], [Im, Re]] of 2 b *planes*; a real one has b planes. Real
arithmetic on the planes costs what complex arithmetic would, and one kernel serves every model. Sites of a window lie in rows
along x, and the rows one after another, whatever the number of dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from ennforce.lattice import BASES, Lattice, Shift
from ennforce.models import Blocks, DensityMatrix


@dataclass(frozen=True)
class Stencil:
    """(H v)[p, r] = sum_u element_u v[source_u, r + shift_u] + sum_w array_w[r] v[source_w, r + shift_w].

    Every plane p has the same number of terms. uniform: per plane, tuples (source plane, shift, element); varying: per plane,
    tuples (source plane, shift, slot) with the coefficients in arrays[slot], shape (slots, *lattice.shape).
    """

    lattice: Lattice
    planes: int
    orbitals: int
    uniform: tuple[tuple[tuple[int, Shift, float], ...], ...]
    varying: tuple[tuple[tuple[int, Shift, int], ...], ...]
    arrays: np.ndarray

    @classmethod
    def of(cls, blocks: Blocks) -> Stencil:
        orbitals = blocks.orbitals
        lattice = blocks.lattice
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
                        uniform[target].append((source, shift, float(element)))
                    else:
                        diagonal = source == target and shift == zero  # it gets the centre of the spectrum subtracted
                        slot = slots.setdefault((diagonal, element.tobytes()), len(arrays))
                        varying[target].append((source, shift, slot))
                        if slot == len(arrays):
                            arrays.append(element.reshape(lattice.shape))
        # Planes of equal length let the compiler unroll their terms; the padding is multiplied by zero.
        longest = max(map(len, uniform))
        uniform = [terms + [(p, zero, 0.0)] * (longest - len(terms)) for p, terms in enumerate(uniform)]
        longest = max(1, *map(len, varying))
        if any(len(terms) < longest for terms in varying):
            arrays.append(np.zeros(lattice.shape))
        varying = [terms + [(p, zero, len(arrays) - 1)] * (longest - len(terms)) for p, terms in enumerate(varying)]
        return cls(lattice, planes, orbitals, tuple(map(tuple, uniform)), tuple(map(tuple, varying)), np.stack(arrays))

    def scaled(self, half_width: float, centre: float, dtype: type) -> Stencil:
        """The stencil of (H - centre) / half_width, with arrays of ``dtype``."""
        arrays = self.arrays / half_width
        uniform = [[(q, s, e / half_width) for q, s, e in terms] for terms in self.uniform]
        shifted = set()
        # The identity is on the diagonal of every plane: in its on-site array where it has one, else as one more term.
        for plane, terms in enumerate(self.varying):
            slots = [slot for source, shift, slot in terms if source == plane and shift == self.zero]
            if slots and np.any(self.arrays[slots[0]]):
                if slots[0] not in shifted:  # planes share equal arrays
                    arrays[slots[0]] -= centre / half_width
                    shifted.add(slots[0])
            else:
                uniform[plane].append((plane, self.zero, -centre / half_width))
        longest = max(map(len, uniform))
        padded = [terms + [(p, self.zero, 0.0)] * (longest - len(terms)) for p, terms in enumerate(uniform)]
        return Stencil(self.lattice, self.planes, self.orbitals, tuple(map(tuple, padded)), self.varying, arrays.astype(dtype))

    @property
    def zero(self) -> Shift:
        """The shift from a site to itself."""
        return (0,) * self.lattice.dimension

    @cached_property
    def shifts(self) -> tuple[Shift, ...]:
        """All shifts but the zero shift, in order."""
        found = {shift for terms in (*self.uniform, *self.varying) for _, shift, _ in terms}
        return tuple(sorted(found - {self.zero}))

    @cached_property
    def reach(self) -> Shift:
        """The longest hop along every axis."""
        return tuple(np.abs([self.zero, *self.shifts]).max(axis=0).tolist())

    def elements(self, values: np.ndarray) -> np.ndarray:
        """Values (orbitals, elements, sites) of start sites r as rho[r, r + shift][a, b], shape (a, 1 + shifts, b, sites).

        Element (r + shift, b) of column (r, a) is rho[r, r + shift][a, b] conjugated.
        """
        parts = values.reshape(self.orbitals, -1, self.planes, values.shape[-1])
        return parts if self.planes == self.orbitals else parts[:, :, : self.orbitals] - 1j * parts[:, :, self.orbitals :]

    def density_matrix(self, values: np.ndarray, bonds: tuple[Shift, ...]) -> DensityMatrix:
        """Values (orbitals, elements, sites) of all sites as blocks."""
        elements = self.elements(values)
        blocks = np.moveaxis(elements.reshape(*elements.shape[:-1], *self.lattice.shape), (0, 2), (-2, -1))
        return DensityMatrix(blocks[0], dict(zip(bonds, blocks[1:], strict=True)))

    def gershgorin(self) -> tuple[float, float]:
        """An interval that surely holds the spectrum."""
        low, high = np.inf, -np.inf
        for plane in range(self.planes):
            centre, radius = np.zeros(self.lattice.shape), np.zeros(self.lattice.shape)
            for source, shift, element in self.uniform[plane]:
                if source == plane and shift == self.zero:
                    centre = centre + element
                else:
                    radius = radius + abs(element)
            for source, shift, slot in self.varying[plane]:
                if source == plane and shift == self.zero:
                    centre = centre + self.arrays[slot]
                else:
                    radius = radius + np.abs(self.arrays[slot])
            low, high = min(low, float((centre - radius).min())), max(high, float((centre + radius).max()))
        return low, high


@dataclass(frozen=True)
class Window:
    """Sites around a start site on which its recursion runs: part of a ``box`` of so many sites along every axis.

    centre: the start site in the box. spans: (levels, rows, 2) first and last-but-one columns of every row of the box, rows in C
    order, that m = 0, 1, ... hops reach, the last level the whole window. torus: the box is the whole torus with its wrapped hops.
    """

    box: Shift
    centre: Shift
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
def window_around(name: str, radius: int, shifts: tuple[Shift, ...]) -> Window:
    """Sites whose projection on every nearest-neighbour direction is at most ``radius``: a square, a hexagon, a cube.

    Its sides face the neighbours. Measured on the square lattice: at equal size such a window is two to four times as accurate as
    the diamond of equal hops.
    """
    lattice = Lattice(name, (1,) * len(BASES[name]))
    grid = np.stack(np.meshgrid(*[np.arange(-2 * radius, 2 * radius + 1)] * lattice.dimension, indexing="ij"), axis=-1)
    projections = grid @ (np.array(lattice.neighbours) @ lattice.basis @ lattice.basis.T).T
    inside = projections.max(axis=-1) <= radius + 1e-9
    inside = inside[tuple(slice(places.min(), places.max() + 1) for places in np.nonzero(inside))]
    centre = tuple(length // 2 for length in inside.shape)
    reached = np.zeros_like(inside)
    reached[centre] = True
    levels = [_spans(reached)]
    while True:
        grown = np.logical_or.reduce([reached, *(_moved(reached, shift) for shift in shifts)]) & inside
        if (grown == reached).all():
            return Window(inside.shape, centre, np.array(levels), False)
        reached = grown
        levels.append(_spans(reached))


def _spans(sites: np.ndarray) -> np.ndarray:
    """First and last-but-one occupied column of every row, (0, 0) where there is none."""
    sites = sites.reshape(-1, sites.shape[-1])
    first, last = sites.argmax(axis=1), sites.shape[1] - sites[:, ::-1].argmax(axis=1)
    return np.stack([first, last], axis=1) * sites.any(axis=1, keepdims=True)


def _moved(sites: np.ndarray, shift: Shift) -> np.ndarray:
    """Occupied sites shifted, those that leave the box lost."""
    moved = np.zeros_like(sites)
    there = tuple(slice(max(s, 0), length + min(s, 0)) for s, length in zip(shift, sites.shape, strict=True))
    here = tuple(slice(max(-s, 0), length + min(-s, 0)) for s, length in zip(shift, sites.shape, strict=True))
    moved[there] = sites[here]
    return moved


def window_of(stencil: Stencil, radius: int | None) -> Window:
    """The window of a radius around a site; the whole torus for None, or where the window leaves no room on it.

    In a window that touches itself, paths that wind around the torus would be missed.
    """
    if radius is not None:
        window = window_around(stencil.lattice.name, radius, stencil.shifts)
        if all(side < length for side, length in zip(window.box, stencil.lattice.shape, strict=True)):
            return window
    return whole_torus(stencil.lattice.shape)


@lru_cache(maxsize=64)
def whole_torus(shape: Shift) -> Window:
    """The window that is the torus itself, with its wrapped hops."""
    spans = np.zeros((1, int(np.prod(shape[:-1])), 2), dtype=np.int64)
    spans[..., 1] = shape[-1]
    return Window(shape, (0,) * len(shape), spans, True)


def _real(block: np.ndarray, copies: int) -> np.ndarray:
    """Blocks (..., b, b) as real ones: themselves, or [[Re, -Im], [Im, Re]]."""
    if copies == 1:
        return block
    upper = np.concatenate([block.real, -block.imag], axis=-1)
    lower = np.concatenate([block.imag, block.real], axis=-1)
    return np.concatenate([upper, lower], axis=-2)


def strides(shape: Sequence[int] | np.ndarray) -> np.ndarray:
    """Steps of every axis in a flat array of that shape."""
    return np.append(np.cumprod(np.asarray(shape, dtype=np.int64)[:0:-1])[::-1], 1)
