"""Smooth nonlinearities on typed features: pointwise, saturating, gated, products (PHYSICS P3).

All act site by site and keep every symmetry of their types exactly. Features are (batch, C, *lattice) on any number of axes.
Where a term carries a permutation of the point group (``R``, ``R/a.b``), an operation may be done for each of its indices by
itself; where it carries an irrep, only invariants and Clebsch-Gordan couplings may be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ennforce.symmetry import FieldType, PointGroup, Term
from ennforce.symmetry.groups import is_permutation
from ennforce.symmetry.rotations import coupling


class Nonlinearity(nn.Module):
    """A map between features of ``in_type`` and ``out_type``; splits channels into terms and joins them again."""

    def __init__(self, group: PointGroup, in_type: FieldType, out_type: FieldType) -> None:
        super().__init__()
        self.in_type, self.out_type = in_type, out_type
        self.dims = in_type.dims(group)
        # (copies, permuted indices, components that mix): what is done for each index is one thing for the whole group.
        self.shapes = [_shape(group, term) for term in in_type.terms]

    def split(self, features: torch.Tensor) -> list[torch.Tensor]:
        """One tensor (batch, copies, permuted, mixing, sites) for every term."""
        parts = features.flatten(2).split(self.dims, dim=1)
        return [part.reshape(part.shape[0], *shape, part.shape[-1]) for part, shape in zip(parts, self.shapes, strict=True)]

    @staticmethod
    def join(parts: list[torch.Tensor], features: torch.Tensor) -> torch.Tensor:
        """The inverse, on the sites of ``features``."""
        return torch.cat([part.flatten(1, 3) for part in parts], dim=1).unflatten(2, features.shape[2:])


class Pointwise(Nonlinearity):
    """Functions of single channels on permuted scalars: SiLU on even ones, tanh on odd ones, SiLU on pairs of both.

    An odd o and an even e of the same label and number of copies make a permutation of group x Z2, which swaps e + o and e - o:
    any function of these is allowed, and makes products of odd features, which odd features alone cannot. Raises ValueError for
    irreps and degrees l > 0.
    """

    def __init__(self, group: PointGroup, field_type: FieldType) -> None:
        super().__init__(group, field_type, field_type)
        for term in field_type.terms:
            if not is_permutation(term.label) or term.degree:
                raise ValueError(f"a pointwise function breaks the symmetry of {term}: use Gated, or regular features with l = 0")
        self.partners = dict(_partners(field_type))
        paired = {*self.partners, *self.partners.values()}
        self.alone = {n: self._function(t.parity) for n, t in enumerate(field_type.terms) if n not in paired}

    @staticmethod
    def _function(parity: int) -> Callable[[torch.Tensor], torch.Tensor]:
        return torch.tanh if parity < 0 else functional.silu

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        parts = list(features.split(self.dims, dim=1))
        for n, function in self.alone.items():
            parts[n] = function(parts[n])
        for odd, even in self.partners.items():
            plus, minus = functional.silu(parts[even] + parts[odd]), functional.silu(parts[even] - parts[odd])
            parts[odd], parts[even] = plus - minus, plus + minus
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    @property
    def single(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """The one function of all channels in the basis of ``bases``; raises ValueError where terms need different ones."""
        functions = {*self.alone.values(), *([functional.silu] if self.partners else [])}
        if len(functions) != 1:
            raise ValueError(f"no one function acts on all channels of {self.in_type}")
        return functions.pop()

    def bases(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Matrices (C, C) into the basis in which ``single`` acts, where pairs are e + o and e - o, and back from its values."""
        into = torch.eye(sum(self.dims))
        starts = [sum(self.dims[:n]) for n in range(len(self.dims))]
        for odd, even in self.partners.items():
            one, o, e = torch.eye(self.dims[odd]), starts[odd], starts[even]
            rows, columns = slice(o, o + len(one)), slice(e, e + len(one))
            into[rows, columns], into[columns, rows] = one, -one
        return into, into.T.contiguous()


class Saturated(Nonlinearity):
    """x / sqrt(1 + |x|^2), with |x| over the components that the symmetries mix: smooth, of norm below 1, for every type."""

    def __init__(self, group: PointGroup, field_type: FieldType) -> None:
        super().__init__(group, field_type, field_type)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        parts = [x * torch.rsqrt(1.0 + x.square().sum(dim=3, keepdim=True)) for x in self.split(features)]
        return self.join(parts, features)


class Gated(Nonlinearity):
    """Features times the sigmoid of even scalars, one for each copy; ``in_type`` is ``out_type`` and then the gates.

    The gate of a permutation is of the same label, one for each of its indices; that of an irrep is invariant.
    """

    def __init__(self, group: PointGroup, out_type: FieldType) -> None:
        labels = [t.label if is_permutation(t.label) else group.trivial for t in out_type.terms]
        gates = FieldType(tuple(Term(t.copies, label, 1) for t, label in zip(out_type.terms, labels, strict=True)))
        super().__init__(group, out_type + gates, out_type)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        parts = self.split(features)
        half = len(parts) // 2
        return self.join([x * torch.sigmoid(gate) for x, gate in zip(parts[:half], parts[half:], strict=True)], features)


class TensorProduct(Nonlinearity):
    """Products of all pairs of terms of ``in_type`` (squares included) into every term of ``out_type`` that they can reach.

    Copies multiply one by one, so only terms of equal numbers of copies meet; a learned weight for each coupling and copy. The
    point group couples irreps by Clebsch-Gordan coefficients and equal permutations index by index; degrees couple by those of
    O(3); parities multiply. Raises ValueError where a term of ``out_type`` is reached by no product.
    """

    def __init__(self, group: PointGroup, in_type: FieldType, out_type: FieldType) -> None:
        super().__init__(group, in_type, out_type)
        self.paths: list[tuple[int, int, int]] = []
        self.out_shapes = [_shape(group, term) for term in out_type.terms]
        for o, target in enumerate(out_type.terms):
            found = [(i, j, c) for i, j, c in _couplings(group, in_type, target)]
            if not found:
                raise ValueError(f"no product of terms of {in_type} makes {target}: label, parity, degree or copies do not fit")
            for i, j, couplings in found:
                # Unit gain: couplings are of unit norm, spread over the components of the output.
                gain = (couplings.shape[1] / (len(couplings) * len(found))) ** 0.5
                self.register_parameter(f"weight_{o}_{i}_{j}", nn.Parameter(gain * torch.randn(len(couplings), target.copies)))
                self.register_buffer(f"coupling_{o}_{i}_{j}", torch.tensor(couplings), persistent=False)
                self.paths.append((o, i, j))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        parts = self.split(features)
        results: list[torch.Tensor | None] = [None] * len(self.out_shapes)
        for o, i, j in self.paths:
            weight, couplings = getattr(self, f"weight_{o}_{i}_{j}"), getattr(self, f"coupling_{o}_{i}_{j}")
            kernel = torch.einsum("nu,nkij->ukij", weight, couplings.to(weight.dtype))
            half = torch.einsum("ukij,zuhjs->zuhkis", kernel, parts[j])
            term = (half * parts[i].unsqueeze(3)).sum(dim=4)
            previous = results[o]
            results[o] = term if previous is None else previous + term
        return self.join([part for part in results if part is not None], features)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a site."""
        kernels = ((o, getattr(self, f"coupling_{o}_{i}_{j}")[0]) for o, i, j in self.paths)
        return sum(self.out_shapes[o][0] * self.out_shapes[o][1] * kernel.numel() for o, kernel in kernels)


def _shape(group: PointGroup, term: Term) -> tuple[int, int, int]:
    """(copies, permuted indices, components that the symmetries mix) of a term."""
    size, components = group.representation(term.label).shape[1], 2 * term.degree + 1
    return (term.copies, size, components) if is_permutation(term.label) else (term.copies, 1, size * components)


def _partners(field_type: FieldType) -> Iterator[tuple[int, int]]:
    """Positions (odd, even) of terms that are alike but for parity; each term is used once."""
    free = [n for n, term in enumerate(field_type.terms) if term.parity > 0]
    for n, term in enumerate(field_type.terms):
        match = next((m for m in free if field_type.terms[m] == term._replace(parity=1)), None)
        if term.parity < 0 and match is not None:
            free.remove(match)
            yield n, match


def _couplings(group: PointGroup, in_type: FieldType, target: Term) -> Iterator[tuple[int, int, np.ndarray]]:
    """Pairs of terms i <= j and the couplings (n, k, i, j) of their mixing components to those of ``target``."""
    for i, left in enumerate(in_type.terms):
        for j, right in enumerate(in_type.terms[i:], start=i):
            if left.parity * right.parity != target.parity or {left.copies, right.copies} != {target.copies}:
                continue
            internal = coupling(left.degree, right.degree, target.degree)
            labels = (left.label, right.label, target.label)
            if any(map(is_permutation, labels)):
                external = np.ones((1, 1, 1, 1)) if len(set(labels)) == 1 else np.zeros((0, 1, 1, 1))
            else:
                external = group.clebsch_gordan(*labels)
            couplings = np.einsum("nabc,muvw->nmaubvcw", external, internal)
            a, u, b, v, c, w = couplings.shape[2:]
            couplings = couplings.reshape(-1, a * u, b * v, c * w)
            if i == j:
                # A copy times itself: what is antisymmetric vanishes.
                couplings = 0.5 * (couplings + couplings.swapaxes(2, 3))
                couplings = couplings[np.abs(couplings).max(axis=(1, 2, 3)) > 1e-9]
            if len(couplings):
                yield i, j, couplings
