"""Mulliken labels of irreducible representations, from characters alone (P3).

Letter: A or B by the principal axis, E and T by dimension. Number: A1/A2 by a twofold axis across the principal one or a mirror
along it, T1/T2 by the fourfold axis, E1, E2 by growing angular momentum. Suffix: g/u under inversion, else '/'' under the
horizontal mirror. (Mulliken, J. Chem. Phys. 23, 1997 (1955).)
"""

from __future__ import annotations

import numpy as np


def mulliken_order(cartesian: np.ndarray, orders: np.ndarray, characters: list[np.ndarray]) -> list[tuple[str, int]]:
    """Labels with the position of each in ``characters``, in the order of character tables.

    ``cartesian``: (order, d, d), d <= 3; ``orders``: of the elements; ``characters``: one array (order) for every real irrep.
    """
    axes = _Axes(cartesian, orders)

    def key(n: int) -> tuple[float, ...]:
        chi = characters[n]
        return -axes.mirrored(chi), round(chi[0]), -round(chi[axes.principal], 6), -round(chi[axes.secondary], 6)

    ranked = sorted(range(len(characters)), key=key)
    stems = [(axes.letter(characters[n]), axes.suffix(characters[n])) for n in ranked]
    labels = []
    for position, (letter, suffix) in enumerate(stems):
        number = str(stems[:position].count((letter, suffix)) + 1) if stems.count((letter, suffix)) > 1 else ""
        labels.append(letter + number + suffix)
    return list(zip(labels, ranked, strict=True))


class _Axes:
    """The elements by whose characters labels are given; where there is none, the identity."""

    def __init__(self, cartesian: np.ndarray, orders: np.ndarray) -> None:
        dimension = cartesian.shape[1]
        proper = np.linalg.det(cartesian) > 0
        traces = np.round(np.trace(cartesian, axis1=1, axis2=2), 6)

        def first(candidates: np.ndarray, axis: int) -> int:
            """The candidate that keeps the Cartesian ``axis`` best; the identity where there is none."""
            found = np.flatnonzero(candidates)
            return int(found[np.argmax(cartesian[found, axis, axis])]) if len(found) else 0

        improper_fourfold = (orders == 4) & ~proper & (dimension == 3)
        threefold = proper & (orders == 3)
        cubic = dimension == 3 and threefold.sum() == 8
        if cubic:
            self.principal = first(threefold, 0)
            fourfold = proper & (orders == 4)
            self.secondary = first(fourfold if fourfold.any() else improper_fourfold, -1)
        else:
            highest = orders[proper].max()
            turns = improper_fourfold if highest == 2 and improper_fourfold.any() else proper & (orders == highest)
            self.principal = first(turns & (traces == traces[turns].max()), -1)
            along = self._along(cartesian[self.principal], orders[self.principal])
            if dimension == 3:
                # A twofold axis or mirror normal n is n n^T = (1 -/+ g) / 2; along or across the principal axis.
                normals = 0.5 * (np.eye(3) + np.where(proper, 1.0, -1.0)[:, None, None] * cartesian)
                across = np.abs(np.einsum("gij,ij->g", normals, along)) < 1e-6
                twofold, mirrors = (orders == 2) & proper & across, (orders == 2) & (traces == 1.0) & ~proper & across
                # D2: B1 is symmetric under the turn about z, B2 about y.
                self.secondary = first(twofold, 1 if highest == 2 and turns[twofold].any() else 0) or first(mirrors, 0)
            else:
                self.secondary = first(~proper, 0)
        self.same_kind = np.arange(len(orders)) == self.principal if cubic else turns
        inversion = (dimension == 3) & (orders == 2) & (traces == -3.0)
        self.suffixes = ("g", "u") if inversion.any() else ("'", "''")
        if inversion.any() or cubic or dimension < 3:
            self.mirror = first(inversion, 0)
        else:
            horizontal = (traces == 1.0) & ~proper & (np.abs(np.einsum("gij,ij->g", cartesian, along) + 1.0) < 1e-6)
            self.mirror = first(horizontal, 0)

    @staticmethod
    def _along(rotation: np.ndarray, order: int) -> np.ndarray:
        """Projection on the axis of a rotation, or on z for the identity."""
        if order == 1:
            return np.diag([0.0] * (len(rotation) - 1) + [1.0])
        turn = rotation * np.sign(np.linalg.det(rotation))
        return np.mean([np.linalg.matrix_power(turn, n) for n in range(order)], axis=0)

    def mirrored(self, character: np.ndarray) -> float:
        return float(np.sign(character[self.mirror]))

    def letter(self, character: np.ndarray) -> str:
        if round(character[0]) > 1:
            return {2: "E", 3: "T"}[round(character[0])]
        return "A" if (character[self.same_kind] > 0).all() else "B"

    def suffix(self, character: np.ndarray) -> str:
        return self.suffixes[self.mirrored(character) < 0] if self.mirror else ""
