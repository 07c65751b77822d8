"""Accuracy against cost: timings, power laws of learning curves, and tables of both."""

from __future__ import annotations

import csv
import io
import math
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch
from scipy.stats import linregress


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


def cost_at_error(error: float, errors: Sequence[float], costs: Sequence[float]) -> float:
    """What a method costs at ``error``: ln cost by ln error between its points, beyond them the nearest point's cost."""
    order = np.argsort(errors)
    return float(np.exp(np.interp(np.log(error), np.log(errors)[order], np.log(costs)[order])))


def as_csv(rows: Sequence[dict]) -> str:
    """Rows of the same keys, with a header; None is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_markdown(rows: Sequence[dict]) -> str:
    """The same as a table, numbers to three digits."""

    def cell(value: object) -> str:
        return "–" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)

    lines = [list(rows[0]), ["---"] * len(rows[0]), *([cell(value) for value in row.values()] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
