"""Field types: how a field on lattice sites transforms under the point group and the internal symmetries (P3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ennforce.symmetry.groups import PointGroup
from ennforce.symmetry.rotations import check_degree, wigner

TERM = re.compile(
    r"(?:(?P<count>[1-9]\d*)x)?(?P<label>R/\d+(?:\.\d+)*|[A-Z][A-Za-z0-9]*?'{0,2})(?:l(?P<degree>\d+))?(?P<parity>[eo])"
)


class Term(NamedTuple):
    """So many ``copies`` of a point-group representation times an internal one: parity +1 or -1, degree l of O(3)."""

    copies: int
    label: str
    parity: int
    degree: int = 0

    def __str__(self) -> str:
        return f"{self.copies}x{self.label}{f'l{self.degree}' if self.degree else ''}{'e' if self.parity > 0 else 'o'}"

    def dim(self, group: PointGroup) -> int:
        """Number of channels of all copies."""
        return self.copies * group.representation(self.label).shape[1] * (2 * self.degree + 1)

    def internal(self, rotation: np.ndarray) -> np.ndarray:
        """The action of an orthogonal matrix Q (3, 3) on m: D(det(Q) Q), times the parity where det(Q) = -1."""
        sign = float(np.sign(np.linalg.det(rotation)))
        return wigner(self.degree, sign * rotation) * (self.parity if sign < 0 else 1.0)


@dataclass(frozen=True)
class FieldType:
    """A direct sum of terms: copies of a point-group representation with an internal parity and degree.

    Labels are Mulliken's of the irreps, ``R`` for the regular representation, ``R/a.b`` for its quotient by the subgroup that
    elements a and b generate. The internal symmetry is O(3), which knows nothing of the lattice's rotations; its element -1 is
    the Z2 under which parity e is even and o is odd: particle-hole for scalars, time reversal for spins. Channels run term by term,
    copy by copy, point-group index by index, then m.

    >>> FieldType.parse("A1o")            # a displacement: a scalar of the site, odd under particle-hole
    FieldType.parse('1xA1o')
    >>> FieldType.parse("A1l1o")          # a classical spin: three components, odd under time reversal
    FieldType.parse('1xA1l1o')
    >>> str(FieldType.parse("4xRo + 2xEe"))
    '4xRo+2xEe'
    """

    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", tuple(Term(*term) for term in self.terms))
        for term in self.terms:
            check_degree(term.degree)

    @classmethod
    def parse(cls, text: str) -> FieldType:
        """From text like ``4xRo+2xRl1e``; raises ValueError for what is not of that form or has a degree above 2."""
        terms = []
        for part in text.replace(" ", "").split("+"):
            match = TERM.fullmatch(part)
            if match is None:
                raise ValueError(
                    f"field type {text!r}: {part!r} is not like '4xRo' or 'A1l1o' (count x representation, degree, parity e or o)"
                )
            parity = 1 if match["parity"] == "e" else -1
            terms.append(Term(int(match["count"] or 1), match["label"], parity, int(match["degree"] or 0)))
        return cls(tuple(terms))

    def __str__(self) -> str:
        return "+".join(map(str, self.terms))

    def __repr__(self) -> str:
        return f"FieldType.parse({str(self)!r})"

    def __add__(self, other: FieldType) -> FieldType:
        """Channels of this type, then those of the other."""
        return FieldType(self.terms + other.terms)

    def dim(self, group: PointGroup) -> int:
        """Number of components (channels) at a site."""
        return sum(self.dims(group))

    def dims(self, group: PointGroup) -> list[int]:
        """Number of channels of every term."""
        return [term.dim(group) for term in self.terms]

    def matrices(self, group: PointGroup) -> np.ndarray:
        """The representation of the point group, shape (order, dim, dim)."""
        blocks = []
        for term in self.terms:
            rho = group.representation(term.label)
            size = rho.shape[1] * (2 * term.degree + 1)
            block = np.einsum("gij,mn->gimjn", rho, np.eye(2 * term.degree + 1)).reshape(len(group), size, size)
            blocks += [block] * term.copies
        return _direct_sum(blocks)

    def internal(self, group: PointGroup, rotation: np.ndarray) -> np.ndarray:
        """The action of an internal orthogonal matrix (3, 3), shape (dim, dim); ValueError if not orthogonal."""
        rotation = np.asarray(rotation, dtype=float)
        if rotation.shape != (3, 3) or not np.allclose(rotation @ rotation.T, np.eye(3)):
            raise ValueError(f"an internal rotation must be an orthogonal 3 x 3 matrix, not {np.round(rotation, 3).tolist()}")
        blocks = []
        for term in self.terms:
            blocks += [term.internal(rotation)] * (term.dim(group) // (2 * term.degree + 1))
        return _direct_sum([block[None] for block in blocks])[0]

    def parities(self, group: PointGroup) -> np.ndarray:
        """The sign of every channel under the internal Z2, shape (dim,)."""
        return np.concatenate([np.full(term.dim(group), term.parity) for term in self.terms])


def _direct_sum(blocks: list[np.ndarray]) -> np.ndarray:
    """Blocks (n, d, d) along the diagonal."""
    dim = sum(block.shape[1] for block in blocks)
    result = np.zeros((len(blocks[0]), dim, dim))
    start = 0
    for block in blocks:
        stop = start + block.shape[1]
        result[:, start:stop, start:stop] = block
        start = stop
    return result
