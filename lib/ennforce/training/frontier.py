"""Accuracy against cost: timings and power laws of learning curves."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch
from scipy.stats import linregress

from ennforce.corrected import LONG, CorrectedForces


def median_seconds(call: Callable[[], object], repeats: int, patience: float = math.inf) -> float:
    """Median wall time of ``repeats`` calls after one that is not counted; of fewer once ``patience`` s are spent."""
    started = time.perf_counter()
    found: list[float] = []
    call()
    while not found or (len(found) < repeats and time.perf_counter() - started < patience):
        before = time.perf_counter()
        call()
        found.append(time.perf_counter() - before)
    return median(found)


def seconds_of_correction(forces: CorrectedForces, fields: np.ndarray, repeats: int, patience: float = math.inf) -> float:
    """Median wall time of a corrected force of one configuration; what is settled for LONG steps counts by its LONG-th part."""
    one = np.array([0])

    def step() -> None:
        forces.drawn(fields[None], 1, one)

    def settling() -> None:
        forces.forget()
        step()

    usual = median_seconds(step, repeats, patience)
    return usual + max(median_seconds(settling, repeats, patience) - usual, 0.0) / LONG


def machine() -> str:
    """What the timings were made on: processor and versions."""
    model, info = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    return f"{model}; Python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}"


def on_square(fields: np.ndarray, size: int) -> np.ndarray:
    """Fields (..., Ly, Lx) repeated periodically, or cut, to (..., size, size): for timings, as it may leave a seam."""
    rows, columns = (np.arange(size) % length for length in fields.shape[-2:])
    return fields[..., rows[:, None], columns]


def power_law(counts: Sequence[float], errors: Sequence[float]) -> dict[str, float | None]:
    """Least squares of ln error = ln prefactor - exponent ln count, with the standard error of the exponent.

    None for what too few points leave open: the exponent of fewer than two different counts, its error of fewer than three points.
    """
    if len(set(counts)) < 2:
        return {"exponent": None, "exponent_error": None, "prefactor": None}
    fit = linregress(np.log(counts), np.log(errors))
    return {
        "exponent": float(-fit.slope),
        "exponent_error": float(fit.stderr) if len(counts) > 2 else None,
        "prefactor": float(np.exp(fit.intercept)),
    }


def pareto(errors: Sequence[float], costs: Sequence[float]) -> list[int]:
    """Numbers of the methods that none beats in both error and cost, from the cheapest to the most accurate."""
    best, found = math.inf, []
    for number in sorted(range(len(costs)), key=lambda n: (costs[n], errors[n])):
        if errors[number] < best:
            best = errors[number]
            found.append(number)
    return found


def cost_at_error(error: float, errors: Sequence[float], costs: Sequence[float]) -> float:
    """What a method costs at ``error``: ln cost by ln error between its points, beyond them the nearest point's cost."""
    order = np.argsort(errors)
    return float(np.exp(np.interp(np.log(error), np.log(errors)[order], np.log(costs)[order])))


def lowest_by(marks: Sequence[float], reached: Sequence[float], errors: Sequence[float]) -> list[float | None]:
    """The lowest of ``errors`` up to each mark, where ``reached`` says what each took; None before the first."""
    return [min((error for at, error in zip(reached, errors, strict=True) if at <= mark), default=None) for mark in marks]
