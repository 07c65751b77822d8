"""Drift of a conserved quantity, and how fast neighbouring trajectories part (PHYSICS P9)."""

from __future__ import annotations

import numpy as np


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Mean over replicas and its standard error; NaN for the error of one."""
    values = np.asarray(values, dtype=float)
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def drift(time: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Slope of straight lines through (replicas, times), one a replica: mean and standard error over replicas.

    A line's own error would take its deviations for independent; between replicas they are.
    """
    return mean_and_error(np.polyfit(time, values.T, 1)[0])


def verdict(slope: float, width: float, change: float, fluctuation: float) -> str:
    """In words: what a slope with an interval of +-``width`` says. A drift is outside its interval, and its ``change`` over the
    run exceeds the energy's own ``fluctuation``; else the interval bounds what could not be seen.

    A wrong force lets the energy swing with collective modes, in step in all replicas that start alike: the slope of a few such
    swings is far from zero by the spread of replicas, and still no drift.
    """
    if abs(slope) > width and abs(change) > fluctuation:
        return "heats" if slope > 0 else "cools"
    return f"heats or cools by less than {abs(slope) + width:.1e}"


def first_above(time: np.ndarray, distance: np.ndarray, level: float) -> float:
    """The first time at which the geometric mean over replicas of distances (replicas, times) reaches ``level``; inf if never."""
    above = np.flatnonzero(np.log(np.maximum(distance, 1e-300)).mean(axis=0) >= np.log(level))
    return float(time[above[0]]) if len(above) else float("inf")


def exponential_rate(time: np.ndarray, distance: np.ndarray, highest: float) -> tuple[float, float, tuple[float, float]]:
    """Slope of ln d(t), d (replicas, times): mean and standard error over replicas, and the window of times it was fitted in.

    The window is common to the replicas. It begins after a tenth of the run, when the fastest direction has taken over, and ends
    where the geometric mean of the distances passes ``highest``. All NaN where it holds fewer than four times.
    """
    window = (time >= 0.1 * time[-1]) & (time < first_above(time, distance, highest))
    if window.sum() < 4:
        return float("nan"), float("nan"), (float("nan"), float("nan"))
    slope, error = drift(time[window], np.log(distance[:, window]))
    return slope, error, (float(time[window][0]), float(time[window][-1]))
