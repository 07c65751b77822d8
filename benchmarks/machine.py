"""What a benchmark ran on: the processor, its cores, the versions, and its measured multiply-add peak."""

from __future__ import annotations

import platform
import time
from pathlib import Path

import numba
import numpy as np
import scipy
import torch

VALUES = 192  # floats in registers: 12 independent chains of 16, enough to hide the latency of a multiply-add


def description() -> str:
    """One line for the head of a table."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    flags = ""
    if info.exists():
        lines = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        fields = {key.strip(): value.strip() for key, value in lines.items()}
        model = fields.get("model name", model)
        flags = ", AVX-512" if "avx512f" in fields.get("flags", "") else ", AVX2" if "avx2" in fields.get("flags", "") else ""
    return (
        f"{model}{flags}, {torch.get_num_threads()} threads; Python {platform.python_version()}, numpy {np.__version__}, "
        f"scipy {scipy.__version__}, torch {torch.__version__}, numba {numba.__version__}"
    )


@numba.njit(fastmath=True, nogil=True)
def _multiply_adds(rounds: int, factor: float) -> float:
    values = np.zeros(VALUES, np.float32)
    factor = np.float32(factor)
    for _ in range(rounds):
        for i in range(VALUES):
            values[i] = values[i] * factor + factor
    return values.sum()


def multiply_add_peak() -> float:
    """float32 multiply-adds a second on one core, in registers; the fastest of several runs."""
    rounds = 2_000_000
    _multiply_adds(10, 0.5)
    return max(rounds * VALUES / _seconds(lambda: _multiply_adds(rounds, 0.5)) for _ in range(5))


def _seconds(call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
