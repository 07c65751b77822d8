"""The regular representation in irreps, as C: where its maps are block-diagonal (PHYSICS P3).

A feature f has a value for each element h of the point group. Its irrep components are F_ij = sum_h D_ij(h) f(h). An equivariant
map between features mixes the columns j of an irrep, the same way for each row i. For D4 that is 12 products in place of 64.
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass

import numpy as np

from ennforce.networks.layers import point_group


@dataclass(frozen=True, eq=False)
class Transform:
    """``matrix[n, h]`` = D_ij(h), n running over irreps, then i, then j; ``blocks``: first n and dimension of each irrep."""

    matrix: np.ndarray
    blocks: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        return len(self.matrix)

    def packing(self) -> list[np.ndarray]:
        """For each irrep the array P (d, d, h) that makes its block of a map W: B[j', j] = sum_h P[j', j, h] W[h, 0], with norms.

        What W does is then: to irreps, blocks, and back by the transpose of ``matrix``.
        """
        found = []
        for start, d in self.blocks:
            elements = self.matrix[start : start + d * d].reshape(d, d, -1)  # D_ij(h)
            found.append(elements.swapaxes(0, 1) * d / self.size)
        return found


@functools.cache
def transform(lattice: str) -> Transform:
    """The transform of a lattice's point group, in the bases whose matrices hold the most zeros and ones.

    Raises ValueError for a group with irreps of complex type: joined over the reals, these mix rows too.
    """
    group = point_group(lattice)
    lines = [m[:, 0, 0] for m in group.irreps.values() if m.shape[1] == 1]
    rows: list[np.ndarray] = []
    blocks: list[tuple[int, int]] = []
    for matrices in group.irreps.values():
        candidates = [matrices] + [line[:, None, None] * other for line in lines for other in group.irreps.values()]
        character = np.trace(matrices, axis1=1, axis2=2)
        alike = [c for c in candidates if np.allclose(np.trace(c, axis1=1, axis2=2), character)]
        best = min(alike, key=lambda c: len(np.unique(np.round(np.abs(c), 6))))
        blocks.append((len(rows), best.shape[1]))
        rows += list(best.reshape(len(group), -1).T)
    if len(rows) != len(group):
        raise ValueError(f"the point group of the {lattice} lattice has irreps of complex type, which have no kernel")
    return Transform(np.array(rows), tuple(blocks))


@functools.cache
def _circuit(lattice: str) -> tuple[tuple[tuple[int, int, float], ...], tuple[tuple[int, float], ...]]:
    """The transform as steps (a, b, r), each a new value a + r b, and (value, factor) of each row; shared sums are made once."""
    matrix = transform(lattice).matrix
    rows = [{h: round(float(v), 12) for h, v in enumerate(row) if abs(v) > 1e-9} for row in matrix]
    steps: list[tuple[int, int, float]] = []
    while any(len(row) > 1 for row in rows):
        pairs: Counter = Counter()
        for row in rows:
            terms = sorted(row.items())
            for n, (a, x) in enumerate(terms):
                for b, y in terms[n + 1 :]:
                    pairs[a, b, round(y / x, 9)] += 1
        most = max(pairs.values())
        for (a, b, ratio), count in sorted(pairs.items(), key=lambda item: (-item[1], item[0])):
            if count < most:
                break
            new, made = matrix.shape[1] + len(steps), False
            for row in rows:
                if a in row and b in row and round(row[b] / row[a], 9) == ratio:
                    row[new] = row.pop(a)
                    row.pop(b)
                    made = True
            if made:
                steps.append((a, b, ratio))
    return tuple(steps), tuple(next(iter(row.items())) for row in rows)


def operations(lattice: str) -> int:
    """Additions and multiply-adds of the transform."""
    steps, rows = _circuit(lattice)
    return len(steps) + sum(abs(factor) != 1.0 for _, factor in rows)


def source(lattice: str) -> str:
    """C functions ``to_irreps(f, g)`` and its transpose ``from_irreps(g, f)`` on pairs of vectors."""
    steps, rows = _circuit(lattice)
    size = transform(lattice).size
    total = size + len(steps)
    into = [f"    pair v{n} = f[{n}];" for n in range(size)]
    into += [f"    pair v{size + n} = {_combined(f'v{a}', f'v{b}', r)};" for n, (a, b, r) in enumerate(steps)]
    into += [f"    g[{n}] = {_scaled(f'v{v}', x)};" for n, (v, x) in enumerate(rows)]
    # The transpose runs the steps backwards: what had been added is handed to both summands.
    held: dict[int, str] = {}
    back: list[str] = []

    def give(value: int, text: str) -> None:
        if value in held:
            back.append(f"    {held[value]} = add({held[value]}, {text});")
        else:
            held[value] = f"w{value}"
            back.append(f"    pair w{value} = {text};")

    for n, (v, x) in enumerate(rows):
        give(v, _scaled(f"g[{n}]", x))
    for n in range(total - 1, size - 1, -1):
        a, b, r = steps[n - size]
        give(a, held[n])
        if b in held and abs(r) == 1.0:
            back.append(f"    {held[b]} = {'add' if r > 0 else 'sub'}({held[b]}, {held[n]});")
        else:
            give(b, _scaled(held[n], r))
    back += [f"    f[{n}] = {held[n]};" for n in range(size)]
    return "\n".join([
        "static inline void to_irreps(const pair *f, pair *g) {", *into, "}",
        "static inline void from_irreps(const pair *g, pair *f) {", *back, "}",
    ])  # fmt: skip


def _combined(a: str, b: str, ratio: float) -> str:
    if abs(ratio) == 1.0:
        return f"{'add' if ratio > 0 else 'sub'}({a}, {b})"
    return f"fma1({ratio!r}f, {b}, {a})"


def _scaled(value: str, factor: float) -> str:
    return value if factor == 1.0 else f"scale({factor!r}f, {value})"
