"""Forces by the compiled kernel, on the CPU: a torus is cut into strips that are shared out among threads."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ennforce.networks.base import ForceNetwork
from ennforce.networks.compiled.build import library
from ennforce.networks.compiled.layout import PLANE, ROWS
from ennforce.networks.compiled.packing import Packing
from ennforce.networks.compiled.plan import Plan, plan


class Strip(NamedTuple):
    """Where the positions of a strip's sheets are read in a sheet of fields, and written in one of forces (-1: nowhere)."""

    source: np.ndarray
    target: np.ndarray


class NativeNetwork(nn.Module):
    """Forces of a network by its compiled kernel, in single precision; results depend on neither strips nor threads."""

    def __init__(self, network: ForceNetwork, made: Plan, kernel: ctypes.CDLL) -> None:
        super().__init__()
        self.halo = network.receptive_radius
        self.kernel, self.dimension = kernel, made.dimension
        self.columns, self.positions = kernel.columns(), kernel.field_sites()
        self.weights = Packing(network, made).weights()
        self._strips: dict[tuple, list[Strip]] = {}

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """Fields (batch, C, *lattice) with a halo of ``halo`` sites to forces (batch, C, *lattice) inside it."""
        inner = [length - 2 * self.halo for length in fields.shape[2:]]
        return self._forces(fields, inner, periodic=False)

    def on_torus(self, fields: torch.Tensor) -> torch.Tensor:
        """Forces (batch, C, *lattice) of fields on tori, in their dtype, by float32 arithmetic; no padded copy is made."""
        return self._forces(fields, list(fields.shape[2:]), periodic=True)

    def _forces(self, fields: torch.Tensor, inner: list[int], periodic: bool) -> torch.Tensor:
        values = fields.detach().double().contiguous().numpy()
        batch, components, *outer = values.shape
        forces = np.empty((batch, components, *inner))
        # A chain is one sheet; elsewhere the first axis counts the sheets.
        length, rows_out = (outer[0], inner[0]) if self.dimension > 1 else (1, 1)
        axes = slice(1 if self.dimension > 1 else 0, None)
        strips = self._cut(batch, components, tuple(outer), tuple(inner), periodic)
        first = 0 if periodic or self.dimension == 1 else self.halo
        sites, out_sites = int(np.prod(outer[axes])), int(np.prod(inner[axes]))
        step = 1 if self.dimension == 1 else PLANE if self.dimension == 3 else ROWS
        pieces = [(strip, y) for strip in strips for y in range(0, rows_out, step)]

        def mine(number: int) -> None:
            space = np.zeros(self.kernel.workspace_size(), dtype=np.uint8)
            for strip, y in pieces[number::threads]:
                self.kernel.forces(
                    values.ctypes.data, forces.ctypes.data, strip.source.ctypes.data, strip.target.ctypes.data, length, sites,
                    length * sites, out_sites, rows_out * out_sites, first + y, y, min(step, rows_out - y),
                    self.weights.ctypes.data, space.ctypes.data,
                )  # fmt: skip

        threads = min(torch.get_num_threads(), len(pieces))
        shared(mine, threads)
        return torch.from_numpy(forces).to(fields.dtype)

    def _cut(self, batch: int, components: int, outer: tuple[int, ...], inner: tuple[int, ...], periodic: bool) -> list[Strip]:
        key = (batch, components, outer, inner, periodic)
        if key not in self._strips:
            self._strips.clear()  # the tables of one shape: a dynamics asks for no other
            whole, whole_out = components * int(np.prod(outer)), components * int(np.prod(inner))
            make = self._planes if self.dimension == 3 else self._rows
            self._strips[key] = make(batch, whole, whole_out, outer, inner, periodic)
        return self._strips[key]

    def _rows(self, batch: int, whole: int, whole_out: int, outer: tuple, inner: tuple, periodic: bool) -> list[Strip]:
        """Strips of one inner axis. The replicas' rows lie behind each other in one long row, each with a halo of its own.

        So a strip may end one small lattice and begin the next.
        """
        width, pitch = inner[-1], inner[-1] + 2 * self.halo
        found = []
        for start in range(0, batch * pitch - 2 * self.halo, self.columns):
            place = np.arange(start, start + self.positions)  # in the long row that begins with a halo
            replica = np.minimum(place // pitch, batch - 1)
            column = place - replica * pitch - self.halo
            inside = (column >= 0) & (column < width) & (place >= start + self.halo) & (place < start + self.halo + self.columns)
            source = replica * whole + (column % width if periodic else np.clip(column + self.halo, 0, outer[-1] - 1))
            found.append(Strip(source, np.where(inside, replica * whole_out + column, -1)))
        return found

    def _planes(self, batch: int, whole: int, whole_out: int, outer: tuple, inner: tuple, periodic: bool) -> list[Strip]:
        """Tiles of two inner axes."""
        side = round(self.positions**0.5)
        found = []
        for replica in range(batch):
            for top in range(0, inner[1], self.columns):
                for left in range(0, inner[2], self.columns):
                    parts = []
                    for start, length, around in ((top, inner[1], outer[1]), (left, inner[2], outer[2])):
                        place = start - self.halo + np.arange(side)
                        own = (np.arange(side) >= self.halo) & (np.arange(side) < self.halo + self.columns) & (place < length)
                        parts.append((place % length if periodic else np.clip(place + self.halo, 0, around - 1), own, place))
                    (y, own_y, row), (x, own_x, column) = parts
                    source = replica * whole + y[:, None] * outer[2] + x
                    target = np.where(own_y[:, None] & own_x, replica * whole_out + row[:, None] * inner[2] + column, -1)
                    found.append(Strip(source.ravel(), target.ravel()))
        return found


def native(network: ForceNetwork) -> NativeNetwork | None:
    """The compiled network, or None where torch has to serve: a GPU, no compiler, a kind that the kernel does not know."""
    made = plan(network)
    kernel = None if made is None else library(made)
    return None if made is None or kernel is None else NativeNetwork(network, made, kernel)


def shared(work: Callable[[int], object], threads: int) -> None:
    """Call ``work`` with 0 to ``threads`` - 1, all at once: the first here, the others in threads that live on.

    The system gives a thread that has just been made no core of its own for some milliseconds.
    """
    others = [_pool(threads).submit(work, number) for number in range(1, threads)]
    work(0)
    for other in others:
        other.result()


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)
