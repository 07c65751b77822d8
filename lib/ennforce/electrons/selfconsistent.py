"""Electrons that act on each other, in mean field: those of the fields that they see, at a fixed point (PHYSICS P17).

They are the electrons of *seen* fields, the given ones screened by the density, which is that of the seen fields again.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgWarning
from scipy.optimize import NoConvergence, anderson

MOST = 200  # solutions of the electrons
FIRST_STEP = 0.5  # share of the way to the next fields, before anything is known of the slope
MEMORY = 8  # earlier steps that a step learns from


class NotConverged(ValueError):
    """The self-consistency ended without a fixed point."""


@dataclass(frozen=True)
class FixedPoint:
    """The fields that the electrons see, shape of a configuration, and how often they were solved to find them."""

    seen: np.ndarray
    solutions: int


def fixed_point(answer: Callable[[np.ndarray], np.ndarray], start: np.ndarray, tolerance: float, most: int = MOST) -> FixedPoint:
    """The fields x = answer(x), to within ``tolerance`` in every one, by Anderson's mixing from ``start``.

    The same arguments give the same result. Raises NotConverged after ``most`` calls of ``answer``, with how far it came.
    """
    solutions, best = 0, np.inf

    def residual(fields: np.ndarray) -> np.ndarray:
        nonlocal solutions, best
        if solutions == most:
            raise NoConvergence
        solutions += 1
        difference = answer(fields) - fields
        best = min(best, float(np.abs(difference).max()))
        return difference

    try:
        with warnings.catch_warnings():
            # Of symmetric fields few numbers differ: earlier steps are then linear combinations of each other, which does no harm.
            warnings.simplefilter("ignore", LinAlgWarning)
            found = anderson(residual, start, alpha=FIRST_STEP, M=MEMORY, f_tol=tolerance, maxiter=most, line_search=None)
    except NoConvergence:
        raise NotConverged(
            f"no self-consistent density within {most} solutions: the fields that electrons see still change by {best:.2g}, "
            f"not {tolerance:.2g}; use a weaker interaction, a higher temperature, or a larger tolerance"
        ) from None
    return FixedPoint(np.asarray(found), solutions)
