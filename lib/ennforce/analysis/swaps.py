"""Exact tests of two ensembles whose members share their initial states pair by pair but have noise of their own (PHYSICS P9).

Where both follow the same law, exchanging the two members of any pair changes nothing. These swaps form a group, and the share of
swaps after which a statistic is at least as large as observed is an exact p-value (Pesarin and Salmaso 2010), however the members
of a pair, the times of a curve or the observables are correlated.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

ROUNDING = 1e-9  # relative: statistics that are equal but for rounding count as equal


class NothingToCompare(ValueError):
    """Two ensembles share no entry of an observable that is finite and differs."""


def swaps(pairs: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Signs (swaps, pairs), -1 where a pair is swapped; the first row swaps none. All 2^pairs of them where ``count`` allows."""
    if 2**pairs <= count:
        return 1.0 - 2.0 * (np.arange(2**pairs)[:, None] >> np.arange(pairs) & 1)
    signs = rng.choice([-1.0, 1.0], size=(count, pairs))
    signs[0] = 1.0
    return signs


def weights(signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (swaps, 2 pairs) of all members, those of the first ensemble before those of the second, in the two groups after
    each swap; a pair of sign 0 is left out."""
    taking_part = np.abs(signs).sum(axis=1, keepdims=True)
    stay, go = (signs > 0) / taking_part, (signs < 0) / taking_part
    return np.hstack([stay, go]), np.hstack([go, stay])


def curve_test(curves: Callable[[np.ndarray], np.ndarray], signs: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    """The statistic after each swap, shape (swaps,), and the size of the observed difference.

    ``curves`` gives the values (rows, entries) of groups with weights (rows, 2 pairs). The statistic is the mean over entries of
    the squared difference of the groups, each in units of its mean square over all swaps: 1 on average under the null. Entries
    that are not finite after every swap are left out; ``used`` is the share kept. Facts: the largest difference in units of its
    standard error (jackknife over pairs) and the relative rms difference. Raises NothingToCompare where no entry is left.
    """
    pairs = signs.shape[1]
    left_out = np.vstack([np.ones(pairs), 1.0 - np.eye(pairs)])
    first, second = weights(np.vstack([signs, left_out]))
    values = [np.asarray(curves(group)).reshape(len(first), -1) for group in (first, second)]
    with np.errstate(invalid="ignore"):
        difference = values[0] - values[1]
        swapped, observed, jackknife = difference[: len(signs)], difference[len(signs)], difference[len(signs) + 1 :]
        scale = np.mean(swapped**2, axis=0)
        used = np.isfinite(difference).all(axis=0) & (scale > 0)
    if not used.any():
        raise NothingToCompare(
            "the ensembles share no entry that is finite and differs after every swap: record longer or larger runs"
        )
    statistic = np.mean(swapped[:, used] ** 2 / scale[used], axis=1)
    error = np.sqrt((pairs - 1) / pairs * np.sum((jackknife - jackknife.mean(axis=0))[:, used] ** 2, axis=0))
    reference = np.sqrt(np.mean(values[1][len(signs), used] ** 2))
    return statistic, {
        "largest_difference": float(np.max(np.abs(observed[used]) / np.maximum(error, 1e-300))),
        "relative_rms_difference": float(np.sqrt(np.mean(observed[used] ** 2)) / reference),
        "used": float(used.mean()),
    }


def p_values(statistics: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """For each observable's statistic (swaps,), from the same swaps: its p-value, and the one corrected for testing them all.

    The corrected one is Westfall and Young's (1993): the share of swaps whose smallest p-value among all observables is as small.
    The chance that any is below alpha under the null is at most alpha.
    """
    table = np.array(list(statistics.values()))
    count = table.shape[1]
    ranked = np.sort(table, axis=1)
    below = [np.searchsorted(row, values * (1 - ROUNDING)) for row, values in zip(ranked, table, strict=True)]
    each = 1.0 - np.array(below) / count
    smallest = each.min(axis=0)
    return {
        name: {"p_value": float(row[0]), "corrected_p_value": float(np.mean(smallest <= row[0] + 1e-12))}
        for name, row in zip(statistics, each, strict=True)
    }
