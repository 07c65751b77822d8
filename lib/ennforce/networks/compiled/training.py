"""Loss and gradients by the compiled kernel: forward and backward through whole tori, in single precision, on threads."""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass

import numpy as np
import torch

from ennforce.networks.base import ForceNetwork
from ennforce.networks.compiled.build import library
from ennforce.networks.compiled.packing import Packing
from ennforce.networks.compiled.plan import Plan, plan

ALIGNED = 16  # floats: positions begin at multiples of it, and are worked on in runs of twice as many


@dataclass(frozen=True, eq=False)
class Geometry:
    """How a torus lies in the kernel's sheets: numbers and tables of ``job`` in drivers.c."""

    sheets: int
    sites: int
    start: int
    count: int
    stride: int
    pitch: int
    field_start: int
    field_stride: int
    source: np.ndarray
    wrap: np.ndarray
    valid: np.ndarray
    inside: np.ndarray


class CompiledGradients:
    """A loss and its gradient by a network's weights, for batches of fields and forces on tori."""

    def __init__(self, network: ForceNetwork, made: Plan, kernel: ctypes.CDLL) -> None:
        self.plan, self.kernel, self.packing = made, kernel, Packing(network, made)
        self._memory = np.zeros(0, dtype=np.uint8)

    def __call__(self, fields: torch.Tensor, forces: torch.Tensor, weights: torch.Tensor) -> float:
        """Mean over the batch of ``weights`` times the mean square error of a configuration; sets ``.grad`` of the parameters.

        ``fields`` and ``forces`` are (batch, C, *lattice), ``weights`` (batch,); as many threads as torch uses.
        """
        values, targets, importance = (x.detach().to(torch.float32).contiguous().numpy() for x in (fields, forces, weights))
        g = geometry(self.plan, values.shape[2:])
        threads = max(1, min(torch.get_num_threads(), g.sheets, 64))
        sizes = np.array(
            [len(values), g.sheets, g.sites, g.start, g.count, g.stride, g.pitch, g.field_start, g.field_stride, len(g.source),
             len(g.wrap), threads], dtype=np.int64,
        )  # fmt: skip
        needed = self.kernel.gradient_size(sizes.ctypes.data)
        if needed > len(self._memory):
            self._memory = np.zeros(needed, dtype=np.uint8)
        told = self.packing.weights()
        slope = np.empty_like(told)
        loss = self.kernel.gradient(
            *(x.ctypes.data for x in (sizes, g.source, g.wrap, g.valid, g.inside, values, targets, importance, told, slope)),
            self._memory.ctypes.data,
        )
        self.packing.set_gradients(slope)
        return float(loss)


def compiled_gradients(network: ForceNetwork) -> CompiledGradients | None:
    """Gradients of a network by its kernel, or None where torch has to serve: energies, a GPU, no compiler, an unknown kind."""
    made = plan(network)
    if made is None or made.reads >= 0 or network.field_scale.device.type != "cpu":
        return None
    if any(parameter.dtype != torch.float32 for parameter in network.parameters()):
        return None
    kernel = library(made, gradients=True)
    return None if kernel is None else CompiledGradients(network, made, kernel)


@functools.lru_cache(maxsize=8)
def geometry(plan: Plan, shape: tuple[int, ...]) -> Geometry:
    """The sheets of a torus of ``shape``."""
    spread = plan.radius * max(plan.dilations, default=1)
    inner = shape if len(shape) == 1 else shape[1:]
    sheets = 1 if len(shape) == 1 else shape[0]
    # In three dimensions a shift along a middle axis is a whole line: fields and features then share one length of a line.
    pads = (spread, plan.reach) if len(inner) == 1 else (max(spread, plan.reach),) * 2
    lines = [_line(inner, pad) for pad in pads]
    pitch = inner[-1] + 2 * pads[0] if len(inner) == 2 else 0
    (start, stride, count, place, site), (field_start, field_stride, _, field_place, field_site) = lines
    valid = np.zeros(stride, dtype=np.float32)
    own = _inside(inner, pads[0])
    inside = place[own]
    valid[inside] = 1.0
    where = np.empty(int(np.prod(inner)), dtype=np.int64)
    where[site[own]] = inside
    halo = ~own
    source = np.zeros(field_stride, dtype=np.int32)
    source[field_place] = field_site
    return Geometry(
        sheets, int(np.prod(inner)), start, count, stride, pitch, field_start, field_stride, source,
        np.stack([place[halo], where[site[halo]]], axis=1).astype(np.int32), valid, where.astype(np.int32),
    )  # fmt: skip


def _line(inner: tuple[int, ...], pad: int) -> tuple[int, int, int, np.ndarray, np.ndarray]:
    """First position worked on, length of a sheet, positions worked on; and of all places with their halo position and site."""
    lengths = [length + 2 * pad for length in inner]
    pitch = lengths[-1]
    before = -(-(pad if len(inner) == 1 else pad * (pitch + 1)) // ALIGNED) * ALIGNED
    places = np.arange(int(np.prod(lengths))).reshape(lengths)
    # The first site of the lattice lies at ``before``, its halo ahead of it.
    first = pad if len(inner) == 1 else pad * pitch + pad
    position = places - first + before
    count = inner[0] if len(inner) == 1 else (inner[0] - 1) * pitch + inner[1]
    count = -(-count // (2 * ALIGNED)) * 2 * ALIGNED
    coordinates = np.meshgrid(*[(np.arange(n) - pad) % length for n, length in zip(lengths, inner, strict=True)], indexing="ij")
    site = coordinates[0] if len(inner) == 1 else coordinates[0] * inner[1] + coordinates[1]
    stride = max(before + count, int(position.max()) + 1) + before
    return before, -(-stride // ALIGNED) * ALIGNED, count, position, site


def _inside(inner: tuple[int, ...], pad: int) -> np.ndarray:
    axes = [(np.arange(n + 2 * pad) >= pad) & (np.arange(n + 2 * pad) < n + pad) for n in inner]
    return axes[0] if len(inner) == 1 else axes[0][:, None] & axes[1]
