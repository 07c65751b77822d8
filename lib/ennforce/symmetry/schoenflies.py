"""Cartesian generators of the crystallographic point groups by Schoenflies symbol (P3)."""

from __future__ import annotations

import numpy as np

# Rows are the Cartesian steps of the axes, last axis along x, as in Lattice.
SQUARE = np.array([[0.0, 1.0], [1.0, 0.0]])
TRIANGULAR = np.array([[0.5, np.sqrt(3.0) / 2.0], [1.0, 0.0]])

INVERSION = -np.eye(3)
ACROSS_X = np.diag([1.0, -1.0, -1.0])  # C2' about the x axis
VERTICAL = np.diag([1.0, -1.0, 1.0])  # mirror that keeps x and z
HORIZONTAL = np.diag([1.0, 1.0, -1.0])
DIAGONAL = np.roll(np.eye(3), 1, axis=0)  # C3 about (1, 1, 1)


def _rotation(order: int) -> np.ndarray:
    angle = 2.0 * np.pi / order
    return np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])


def _symbols() -> dict[str, list[np.ndarray]]:
    symbols: dict[str, list[np.ndarray]] = {"Cs": [HORIZONTAL], "Ci": [INVERSION], "S4": [-_rotation(4)], "S6": [-_rotation(3)]}
    for n in (1, 2, 3, 4, 6):
        symbols[f"C{n}"] = [_rotation(n)]
    for n in (2, 3, 4, 6):
        symbols[f"C{n}v"] = [_rotation(n), VERTICAL]
        symbols[f"C{n}h"] = [_rotation(n), HORIZONTAL]
        symbols[f"D{n}"] = [_rotation(n), ACROSS_X]
        symbols[f"D{n}h"] = [_rotation(n), ACROSS_X, HORIZONTAL]
    symbols["D2d"] = [-_rotation(4), ACROSS_X]
    symbols["D3d"] = [_rotation(3), ACROSS_X, INVERSION]
    symbols["T"] = [_rotation(2), DIAGONAL]
    symbols["Th"] = [_rotation(2), DIAGONAL, INVERSION]
    symbols["Td"] = [-_rotation(4), DIAGONAL]
    symbols["O"] = [_rotation(4), DIAGONAL]
    symbols["Oh"] = [_rotation(4), DIAGONAL, INVERSION]
    return symbols


SYMBOLS = _symbols()
PLANE = tuple(f"C{n}{v}" for n in (1, 2, 3, 4, 6) for v in ("", "v") if f"C{n}{v}" in SYMBOLS)


def generators(symbol: str) -> tuple[list[np.ndarray], np.ndarray]:
    """Cartesian generators and a lattice basis (rows) that they keep; C_n and C_nv act in the plane, all others in space.

    Raises ValueError for a symbol that is none of the crystallographic ones.
    """
    if symbol not in SYMBOLS:
        raise ValueError(f"point group {symbol!r} is unknown: choose one of {', '.join(SYMBOLS)}")
    plane = TRIANGULAR if any(n in symbol for n in "36") else SQUARE
    if symbol in PLANE:
        return [g[:2, :2] for g in SYMBOLS[symbol]], plane
    basis = np.zeros((3, 3))
    basis[0, 2], basis[1:, :2] = 1.0, plane
    return SYMBOLS[symbol], basis
