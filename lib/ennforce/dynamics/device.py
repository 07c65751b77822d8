"""The update of ``langevin`` and its noise for tensors, on whatever device they are: the same numbers up to rounding."""

from __future__ import annotations

import numpy as np
import torch

from ennforce.noise import NOISE

MASK = 0xFFFFFFFF
RUNAWAY = 1e4  # a field this large never comes from a stable run
CHECK_EVERY = 100  # steps: every look at a number waits for the device


def _products(a: int, b):
    """High and low words of a 32-bit product; int64 holds its bits, and masking undoes the sign of the shift."""
    product = a * b
    return (product >> 32) & MASK, product & MASK


def philox(c0, c1, c2, c3, k0: int, k1: int):
    """Philox4x32-10 (see ``noise``) of counters that are whole numbers or int64 tensors."""
    for _ in range(10):
        first_high, first_low = _products(0xD2511F53, c0)
        second_high, second_low = _products(0xCD9E8D57, c2)
        c0, c1, c2, c3 = second_high ^ c1 ^ k0, second_low, first_high ^ c3 ^ k1, first_low
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return c0, c1, c2, c3


def normal(seed: int, stream: int, replicas: torch.Tensor, step: int, sites: int, first_blocks: torch.Tensor) -> torch.Tensor:
    """Standard normal numbers (row, sites) of rows as ``noise.counted`` gives them: those of ``noise.normal`` up to rounding."""
    blocks = first_blocks[:, None] + torch.arange(-(-sites // 4), device=replicas.device)
    a, b, c, d = philox(blocks, step & MASK, stream, replicas[:, None], seed & MASK, seed >> 32)
    numbers = []
    for radius, angle in ((a, b), (c, d)):
        length = torch.sqrt(-2.0 * torch.log((radius.double() + 0.5) / 2.0**32))
        turn = angle.double() * (2.0 * np.pi / 2.0**32)
        numbers += [length * torch.cos(turn), length * torch.sin(turn)]
    return torch.stack(numbers, dim=-1).reshape(len(replicas), -1)[:, :sites]


def kick_drift_bath_drift(fields, momenta, forces, left, dt, drift, damping, kick, seed, replicas, step, first_blocks) -> bool:
    """One step in place, (row, site) tensors; the arguments are those of the compiled one. Says whether fields ran away."""
    momenta += dt * forces
    fields += drift * momenta
    momenta *= damping
    momenta += kick * left * normal(int(seed), NOISE, replicas, step, fields.shape[1], first_blocks)
    fields += drift * momenta
    return step % CHECK_EVERY == 0 and not bool((fields.abs() < RUNAWAY).all())
