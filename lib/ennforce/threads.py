"""One number of threads for solvers, dynamics and networks alike: torch's (``torch.set_num_threads``, or OMP_NUM_THREADS at start).

Compiled kernels run in Python threads and release the GIL. Numba's own pool stays unused: its start, even the question for its
size, sets the number of OpenMP threads of the whole process, and so torch's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def number() -> int:
    """How many threads the caller grants."""
    import torch  # late: it takes a second, and not all who import this module compute

    return torch.get_num_threads()


def mapped(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """``function`` of every item, in order; in threads where there are several of both. Not to be called from within itself."""
    threads = number() if len(items) > 1 else 1
    if threads == 1:
        return [function(item) for item in items]
    return list(_pool(threads, os.getpid()).map(function, items))


def parts(count: int, least: int) -> list[tuple[int, int]]:
    """range(count) as (first, last but one) of at most one part for each thread, none much shorter than ``least``."""
    pieces = max(1, min(number(), count // least))
    edges = [count * piece // pieces for piece in range(pieces + 1)]
    return list(pairwise(edges))


@lru_cache(maxsize=4)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """One pool for each number of threads; a forked process has its own."""
    return ThreadPoolExecutor(threads, thread_name_prefix="ennforce")
