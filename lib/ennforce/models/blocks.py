"""The single-particle Hamiltonian that every lattice model shares, and the density matrix that answers it (PHYSICS P2).

H_e is a block on every site and a block on every bond of a few shifts. Each bond is given once; the opposite shift carries its
Hermitian conjugate. Blocks that are the same on every site are stored once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ennforce.lattice import Lattice, Shift

if TYPE_CHECKING:
    import scipy.sparse

HERMITIAN_TOLERANCE = 1e-12  # of the largest on-site element


@dataclass(frozen=True)
class Blocks:
    """H_e of one configuration: H[r, r] = onsite[r], H[r, r + shift] = bonds[shift][r].

    onsite: (*shape, b, b), or (*shape) for one orbital per site; bonds: shift to (b, b) or (*shape, b, b), or a number or (*shape)
    for one orbital; real or complex. Raises ValueError on blocks that are not Hermitian, not finite or misshapen, on a bond that
    is given twice, and on a torus not larger than twice a bond.
    """

    lattice: Lattice
    onsite: np.ndarray
    bonds: Mapping[Shift, np.ndarray]

    def __post_init__(self) -> None:
        shape = self.lattice.shape
        onsite = np.asarray(self.onsite)
        onsite = onsite[..., None, None] if onsite.shape == shape else onsite
        if onsite.shape[:-2] != shape or onsite.shape[-1] != onsite.shape[-2]:
            raise ValueError(f"on-site blocks of shape {onsite.shape} are not (*{shape}, b, b): give one square block per site")
        orbitals = onsite.shape[-1]
        bonds = {}
        for shift, block in self.bonds.items():
            block = np.asarray(block)
            block = block[..., None, None] if block.shape in ((), shape) and orbitals == 1 else block
            if block.shape not in ((orbitals, orbitals), (*shape, orbitals, orbitals)):
                raise ValueError(
                    f"the block of bond {shift} has shape {block.shape}: give ({orbitals}, {orbitals}), or one such block per site"
                )
            bonds[tuple(shift)] = block
        object.__setattr__(self, "onsite", onsite)
        object.__setattr__(self, "bonds", bonds)
        for block in (onsite, *bonds.values()):
            if not np.isfinite(block).all():
                raise ValueError(f"{np.count_nonzero(~np.isfinite(block))} elements of the Hamiltonian are NaN or infinite")
        largest = np.abs(onsite).max()
        excess = np.abs(onsite - _dagger(onsite)).max()
        if excess > HERMITIAN_TOLERANCE * max(1.0, largest):
            raise ValueError(f"on-site blocks differ by {excess:.2g} from their Hermitian conjugates: make them Hermitian")
        for shift in bonds:
            self._check_bond(shift)

    def _check_bond(self, shift: Shift) -> None:
        if len(shift) != self.lattice.dimension or not any(shift):
            raise ValueError(f"bond {shift} does not join two sites of a {self.lattice}: give a non-zero shift for every axis")
        if tuple(-s for s in shift) in self.bonds:
            raise ValueError(f"bond {shift} is also given as its opposite: give each bond once, the conjugate follows")
        if any(2 * abs(s) >= length for s, length in zip(shift, self.lattice.shape, strict=True)):
            raise ValueError(f"a {self.lattice} torus is not larger than twice the hopping range {shift}: use a larger lattice")

    @property
    def orbitals(self) -> int:
        return self.onsite.shape[-1]

    @property
    def is_complex(self) -> bool:
        return any(np.iscomplexobj(block) for block in (self.onsite, *self.bonds.values()))

    def hops(self) -> Iterator[tuple[Shift, np.ndarray]]:
        """Every bond in both directions: (shift, block), uniform (b, b) or one block per site (*shape, b, b)."""
        axes = tuple(range(self.lattice.dimension))
        for shift, block in self.bonds.items():
            yield shift, block
            back = _dagger(block)
            yield tuple(-s for s in shift), back if block.ndim == 2 else np.roll(back, shift, axis=axes)

    def sparse(self) -> scipy.sparse.csr_array:
        """H_e as a sparse matrix (N b, N b), site-major."""
        import scipy.sparse  # here alone: models are imported for every job, before anything is solved

        count, orbitals = self.lattice.num_sites, self.orbitals
        sites = np.arange(count).reshape(self.lattice.shape)
        axes = tuple(range(self.lattice.dimension))
        rows, columns, values = [], [], []
        zero = (0,) * self.lattice.dimension
        for shift, block in ((zero, self.onsite), *self.hops()):
            target = np.roll(sites, [-s for s in shift], axis=axes).ravel()
            every = np.broadcast_to(block, (*self.lattice.shape, orbitals, orbitals)).reshape(count, orbitals, orbitals)
            for a in range(orbitals):
                for b in range(orbitals):
                    rows.append(sites.ravel() * orbitals + a)
                    columns.append(target * orbitals + b)
                    values.append(every[:, a, b])
        size = count * orbitals
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        matrix = scipy.sparse.coo_array(entries, shape=(size, size)).tocsr()
        matrix.eliminate_zeros()
        return matrix

    def dense(self) -> np.ndarray:
        """H_e as a dense matrix (N b, N b), site-major."""
        return self.sparse().toarray()


@dataclass(frozen=True)
class DensityMatrix:
    """Elements of rho = f(H_e): ``onsite`` rho[r, r], (*shape, b, b), and ``bonds``: shift to rho[r, r + shift], (*shape, b, b)."""

    onsite: np.ndarray
    bonds: Mapping[Shift, np.ndarray]

    @property
    def occupation(self) -> np.ndarray:
        """Electrons on every site, summed over orbitals, shape (*shape)."""
        return np.trace(self.onsite, axis1=-2, axis2=-1).real

    def largest_difference(self, other: DensityMatrix) -> float:
        """The largest modulus of the differences of all elements that both hold."""
        pairs = [(self.onsite, other.onsite), *((self.bonds[s], other.bonds[s]) for s in self.bonds if s in other.bonds)]
        return max(float(np.abs(mine - theirs).max()) for mine, theirs in pairs)


def _dagger(block: np.ndarray) -> np.ndarray:
    return np.swapaxes(block, -1, -2).conj()
