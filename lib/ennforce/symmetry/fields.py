"""Field types: how a field on lattice sites transforms under the point group and the internal Z2 (P3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from ennforce.symmetry.groups import PointGroup

TERM = re.compile(r"(?:(?P<count>[1-9]\d*)x)?(?P<label>[A-Z][A-Za-z0-9]*?)(?P<parity>[eo])")


@dataclass(frozen=True)
class FieldType:
    """A direct sum of (multiplicity, point-group representation, parity); parity is +1 (even) or -1 (odd under the internal Z2).

    >>> FieldType.parse("A1o")            # Holstein's Q: a scalar of the site, odd under particle-hole
    FieldType.parse('1xA1o')
    >>> str(FieldType.parse("4xRo + 2xEe"))
    '4xRo+2xEe'
    """

    terms: tuple[tuple[int, str, int], ...]

    @classmethod
    def parse(cls, text: str) -> FieldType:
        terms = []
        for part in text.replace(" ", "").split("+"):
            match = TERM.fullmatch(part)
            if match is None:
                raise ValueError(f"field type {text!r}: {part!r} is not like '4xRo' (count x representation, parity e or o)")
            terms.append((int(match["count"] or 1), match["label"], 1 if match["parity"] == "e" else -1))
        return cls(tuple(terms))

    def __str__(self) -> str:
        return "+".join(f"{count}x{label}{'e' if parity > 0 else 'o'}" for count, label, parity in self.terms)

    def __repr__(self) -> str:
        return f"FieldType.parse({str(self)!r})"

    def dim(self, group: PointGroup) -> int:
        """Number of components (channels) at a site."""
        return sum(count * group.representation(label).shape[1] for count, label, _ in self.terms)

    def matrices(self, group: PointGroup) -> np.ndarray:
        """The representation of the point group, shape (order, dim, dim); channels run copy by copy."""
        blocks = [group.representation(label) for count, label, _ in self.terms for _ in range(count)]
        result = np.zeros((len(group), self.dim(group), self.dim(group)))
        start = 0
        for block in blocks:
            stop = start + block.shape[1]
            result[:, start:stop, start:stop] = block
            start = stop
        return result

    def parities(self, group: PointGroup) -> np.ndarray:
        """The sign of every channel under the internal Z2, shape (dim,)."""
        return np.concatenate([np.full(count * group.representation(label).shape[1], p) for count, label, p in self.terms])
