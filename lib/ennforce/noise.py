"""Counter-based Gaussian noise: a pure function of (seed, stream, replica, step, site), by Philox4x32-10.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). No state to save, and no tiling,
thread count, batch or restart changes a number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np

from ennforce import threads
from ennforce.compiling import announce

announce()

NOISE, FIELDS, MOMENTA = 0, 1, 2  # streams: thermal noise, initial fields, initial momenta
SHARES, SAMPLES, AUDITS = 10, 11, 12  # sites drawn to be corrected, to settle an effort on, to be audited
LEAST_BLOCKS = 4096  # of four sites, for a thread of their own: half a millisecond


@numba.njit(inline="always")
def philox(c0, c1, c2, c3, k0, k1):  # pragma: no cover (compiled)
    """Ten rounds of Philox on a counter of four and a key of two 32-bit words, held in uint64."""
    mask = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    for _ in range(10):
        first = np.uint64(0xD2511F53) * c0
        second = np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (second >> shift) ^ c1 ^ k0, second & mask, (first >> shift) ^ c3 ^ k1, first & mask
        k0 = (k0 + np.uint64(0x9E3779B9)) & mask
        k1 = (k1 + np.uint64(0xBB67AE85)) & mask
    return c0, c1, c2, c3


@numba.njit(inline="always")
def four_normals(seed, stream, replica, step, block):  # pragma: no cover (compiled)
    """Standard normal numbers of sites 4 block to 4 block + 3, by Box and Muller; the half keeps the logarithm away from zero."""
    mask, scale = np.uint64(0xFFFFFFFF), 1.0 / 4294967296.0
    a, b, c, d = philox(
        np.uint64(block), np.uint64(step) & mask, np.uint64(stream), np.uint64(replica),
        np.uint64(seed) & mask, np.uint64(seed) >> np.uint64(32),
    )  # fmt: skip
    first = np.sqrt(-2.0 * np.log((np.float64(a) + 0.5) * scale))
    second = np.sqrt(-2.0 * np.log((np.float64(c) + 0.5) * scale))
    one, two = 2.0 * np.pi * np.float64(b) * scale, 2.0 * np.pi * np.float64(d) * scale
    return first * np.cos(one), first * np.sin(one), second * np.cos(two), second * np.sin(two)


@numba.njit(cache=True, nogil=True)
def _fill(first, beyond, values, seed, stream, replicas, step, first_blocks):  # pragma: no cover (compiled)
    sites = values.shape[1]
    blocks = (sites + 3) // 4
    for index in range(first, beyond):
        row, block = index // blocks, index % blocks
        numbers = four_normals(seed, stream, replicas[row], step, first_blocks[row] + block)
        for n in range(min(4, sites - 4 * block)):
            values[row, 4 * block + n] = numbers[n]


@numba.njit(cache=True, nogil=True)
def _draw(first, beyond, shares, labels, seed, stream, replicas, step, drawn):  # pragma: no cover (compiled)
    mask, scale = np.uint64(0xFFFFFFFF), 1.0 / 4294967296.0
    sites = labels.shape[1]
    blocks = (sites + 3) // 4
    for index in range(first, beyond):
        row, block = index // blocks, index % blocks
        words = philox(
            np.uint64(block), np.uint64(step) & mask, np.uint64(stream), np.uint64(replicas[row]),
            np.uint64(seed) & mask, np.uint64(seed) >> np.uint64(32),
        )  # fmt: skip
        for n in range(min(4, sites - 4 * block)):
            site = 4 * block + n
            drawn[row, site] = (np.float64(words[n]) + 0.5) * scale < shares[row, labels[row, site]]


def drawn(seed: int, stream: int, replicas: np.ndarray, step: int, shares: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which sites are drawn, bool (replica, site), each by itself with the probability ``shares[replica, label of the site]``.

    A function of (seed, stream, replica, step, site) and of that probability alone. labels: uint8, (replica, site).
    """
    found = np.empty(labels.shape, dtype=np.bool_)
    parts = threads.parts(len(labels) * ((labels.shape[1] + 3) // 4), LEAST_BLOCKS)
    rows = numbered(replicas)
    threads.mapped(lambda part: _draw(*part, shares, labels, np.uint64(seed), stream, rows, step, found), parts)
    return found


def places(seed: int, stream: int, replica: int, step: int, count: int, sites: int) -> np.ndarray:
    """``count`` numbers of sites below ``sites``, equally likely each, repetitions allowed; a function of the arguments alone."""
    words = [
        philox(*map(np.uint64, (block, step & 0xFFFFFFFF, stream, replica, seed & 0xFFFFFFFF, seed >> 32)))
        for block in range(-(-count // 4))
    ]
    return (np.array(words, dtype=np.uint64).ravel()[:count] * np.uint64(sites)) >> np.uint64(32)


def philox_words(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10 of one counter, for checks against its published answers."""
    return [int(word) for word in philox(*(np.uint64(word) for word in [*counter, *key]))]


def numbered(replicas: np.ndarray) -> np.ndarray:
    """Numbers of replicas as int64; raises ValueError unless they are a list of whole numbers of 32 bits, as the noise counts."""
    numbers = np.asarray(replicas)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not ((numbers >= 0) & (numbers < 2**32)).all():
        raise ValueError(f"replicas are {numbers.dtype} of shape {numbers.shape}: give a list of whole numbers from 0 to 2^32 - 1")
    return np.ascontiguousarray(numbers, dtype=np.int64)


def counted(replicas: np.ndarray, first_blocks: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Replica's number and first block of every row of numbers, one for each replica and each of ``first_blocks``."""
    starts = np.asarray(first_blocks, dtype=np.int64)
    return np.repeat(replicas, len(starts)), np.tile(starts, len(replicas))


def normal(
    seed: int, stream: int, replicas: np.ndarray, step: int, shape: tuple[int, ...], first_blocks: Sequence[int] = (0,)
) -> np.ndarray:
    """Standard normal numbers of shape (len(replicas), *shape), each fixed by (seed, stream, replica, step, number of its place).

    Places are numbered through. Of a part of a larger lattice, ``first_blocks`` holds for each component a quarter of the number
    that its first site has there, so that a part gets the whole's numbers.
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed {seed} does not fit into 64 bits: choose one between 0 and 2^64 - 1")
    rows, starts = counted(numbered(replicas), first_blocks)
    values = np.empty((len(rows), int(np.prod(shape)) // len(first_blocks)))
    parts = threads.parts(len(values) * ((values.shape[1] + 3) // 4), LEAST_BLOCKS)
    threads.mapped(lambda part: _fill(*part, values, np.uint64(seed), stream, rows, step, starts), parts)
    return values.reshape(-1, *shape)
