"""Confidence intervals of paired differences, and what they say about a margin that was stated beforehand (PHYSICS P9)."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95


def leave_one_out(members: int) -> np.ndarray:
    """Weights (1 + members, members), each row summing to 1: of all members alike, then without each of them in turn."""
    others = (1.0 - np.eye(members)) / max(members - 1, 1)
    return np.vstack([np.full(members, 1.0 / members), others])


def jackknife(values: np.ndarray) -> tuple[float, float]:
    """Estimate and standard error from a statistic (1 + members,) of the weights of ``leave_one_out``."""
    members = len(values) - 1
    spread = values[1:] - values[1:].mean()
    return float(values[0]), float(np.sqrt((members - 1) / members * np.sum(spread**2)))


def half_width(error: float, members: int, claims: int = 1, confidence: float = CONFIDENCE) -> float:
    """Half the width of an interval about an estimate with standard ``error`` from ``members`` independent members.

    Student's t with members - 1 degrees of freedom. ``claims`` intervals made so hold all together with probability
    ``confidence`` at least, however they depend on each other (Bonferroni).
    """
    return float(stdtrit(members - 1, 1.0 - 0.5 * (1.0 - confidence) / claims)) * error


def verdict(low: float, high: float, margin: float) -> str:
    """ "equivalent": the whole interval lies within +-margin. Else "different": it does not hold zero. Else "cannot tell".

    A real difference that is surely smaller than the margin counts as equivalent: the margin says what matters.
    """
    if -margin < low and high < margin:
        return "equivalent"
    return "cannot tell" if low <= 0.0 <= high else "different"


def members_needed(error: float, margin: float, members: int, claims: int = 1) -> int:
    """How many members let the interval reach half a margin each way, so that equal things are found equivalent.

    ``error`` is the standard error with the present ``members``; of few of them it is itself uncertain.
    """
    spread = error * math.sqrt(members)
    needed = 2
    while half_width(spread / math.sqrt(needed), needed, claims) > 0.5 * margin:
        needed = math.ceil(1.02 * needed + 0.5)
    return needed
