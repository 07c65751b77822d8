"""Work shared by the processes that ``torchrun`` starts; everything here is trivial where there is one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import distributed


@contextlib.contextmanager
def joined(accelerator: bool = True) -> Iterator[str]:
    """The torch device of this process, and within it the group of all processes that torchrun started, if it did.

    gloo between CPUs, nccl between GPUs, one for each process. Raises ValueError where a machine has too few of them; without
    ``accelerator`` GPUs are left alone.
    """
    cuda = accelerator and torch.cuda.is_available()
    if not distributed.is_torchelastic_launched():
        yield "cuda" if cuda else "cpu"
        return
    place, here = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if cuda and here > torch.cuda.device_count():
        raise ValueError(
            f"{here} processes cannot share {torch.cuda.device_count()} GPU(s): start one a GPU, or hide the GPUs "
            f"(CUDA_VISIBLE_DEVICES=) to compute on the CPU"
        )
    device = f"cuda:{place}" if cuda else "cpu"
    if cuda:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if cuda else "gloo")
    yield device
    distributed.destroy_process_group()  # not after an error: the others may be waiting, and torchrun ends them


def number() -> int:
    """Which process this is, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def count() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def mean(value: float) -> float:
    """The mean over all processes, on each of them, to the rounding of double precision."""
    if count() == 1:
        return value
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    values = torch.tensor(value, dtype=torch.float64, device=device)
    distributed.all_reduce(values)
    return float(values) / count()


def from_first(make: Callable[[], Any]) -> Any:
    """What ``make`` gives on process 0, on all of them; the others do not call it."""
    if count() == 1:
        return make()
    made = [make() if number() == 0 else None]
    distributed.broadcast_object_list(made)
    return made[0]
