"""Loss and gradients by the compiled kernel: forward and backward through whole tori, in single precision, on threads."""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass

import numpy as np
import torch

from ennforce.networks.base import ForceNetwork
from ennforce.networks.compiled.build import library
from ennforce.networks.compiled.inference import NativeNetwork, native, shared
from ennforce.networks.compiled.packing import Packing
from ennforce.networks.compiled.plan import Plan, dual_of, plan

ALIGNED = 16  # floats: positions begin at multiples of it, and are worked on in runs of twice as many


@dataclass(frozen=True, eq=False)
class Geometry:
    """How a torus, or a patch of one, lies in the kernel's sheets: ``sizes`` and tables of ``job`` in gradients.c."""

    sheets: int
    sizes: tuple[int, ...]
    source: np.ndarray
    wrap: np.ndarray
    valid: np.ndarray
    counted: np.ndarray
    inside: np.ndarray


class CompiledGradients:
    """A loss and its gradient by a network's weights, for batches of fields and forces on tori or patches.

    ``threads``: as many as torch used when this was made.
    """

    def __init__(self, network: ForceNetwork, made: Plan, kernel: ctypes.CDLL) -> None:
        self.packing = Packing(network, made)
        self.plan, self.kernel = made if made.reads < 0 else dual_of(made), kernel
        self.threads = torch.get_num_threads()
        self._job, self._memory = np.zeros(kernel.job_size(), dtype=np.uint8), np.zeros(0, dtype=np.uint8)

    def __call__(self, fields: torch.Tensor, forces: torch.Tensor, weights: torch.Tensor) -> float:
        """Mean over the batch of ``weights`` times the mean square error of a configuration; sets ``.grad`` of the parameters.

        ``forces`` are (batch, C, *lattice), ``weights`` (batch,), and ``fields`` on the same torus, or larger by the network's
        receptive radius on every side: the patch then does not close on itself.
        """
        values, targets, importance = (x.detach().to(torch.float32).contiguous().numpy() for x in (fields, forces, weights))
        loss, slope = self._run(values, targets, importance, self.packing.weights())
        self.packing.set_gradients(slope)
        return loss

    def _run(self, values: np.ndarray, targets: np.ndarray, importance: np.ndarray, told: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and slope by the kernel's weights ``told``."""
        g = geometry(self.plan, targets.shape[2:], values.shape[2:] != targets.shape[2:])
        threads = max(1, min(self.threads, g.sheets, 64))
        sizes = np.array([len(values), *g.sizes, threads], dtype=np.int64)
        needed = self.kernel.gradient_size(sizes.ctypes.data)
        if needed > len(self._memory):
            self._memory = np.zeros(needed, dtype=np.uint8)
        slope = np.empty_like(told)
        job = self._job.ctypes.data
        arrays = (sizes, g.source, g.wrap, g.valid, g.counted, g.inside, values, targets, importance, told, self._memory)
        self.kernel.begin(job, *(x.ctypes.data for x in arrays))
        shared(lambda number: self.kernel.work(job, number), threads)
        return float(self.kernel.finish(job, slope.ctypes.data)), slope


class EnergyGradients(CompiledGradients):
    """A conservative network's loss and gradient on tori: its forces, their errors as a direction of the fields, a dual network."""

    def __init__(self, network: ForceNetwork, made: Plan, kernel: ctypes.CDLL, forces: NativeNetwork) -> None:
        super().__init__(network, made, kernel)
        self.forces, self.single = forces, made

    def __call__(self, fields: torch.Tensor, forces: torch.Tensor, weights: torch.Tensor) -> float:
        if fields.shape != forces.shape:
            raise ValueError("gradients of energies are compiled for tori alone, without a halo: leave crops out")
        self.forces.weights = told = self.packing.weights()
        errors = self.forces.on_torus(fields).to(torch.float32) - forces
        per_site = weights.reshape(-1, *(1,) * (errors.dim() - 1)) / (len(errors) * errors[0].numel())
        _, slope = self._run(self._doubled(fields, 2.0 * per_site * errors), forces.numpy(), weights.numpy(), told)
        self.packing.set_gradients(slope)
        return float((per_site * errors.square()).sum())

    def _doubled(self, fields: torch.Tensor, directions: torch.Tensor) -> np.ndarray:
        """Components and then their directions, for each channel of each term."""
        parts, start = [], 0
        for n, m, _ in self.single.field:
            both = [x[:, start : start + n * m].unflatten(1, (n, m)) for x in (fields, directions)]
            parts.append(torch.cat(both, dim=2).flatten(1, 2))
            start += n * m
        return torch.cat(parts, dim=1).to(torch.float32).contiguous().numpy()


def compiled_gradients(network: ForceNetwork, halo: bool = False) -> CompiledGradients | None:
    """Gradients of a network by its kernel, or None where torch has to serve.

    That is on a GPU, without a compiler, for a kind without a kernel, and for energies of fields with a ``halo``.
    """
    made = plan(network)
    if made is None or (halo and made.reads >= 0):
        return None
    kernel = library(made if made.reads < 0 else dual_of(made), gradients=True)
    if kernel is None or made.reads < 0:
        return None if kernel is None else CompiledGradients(network, made, kernel)
    forces = native(network)
    return None if forces is None else EnergyGradients(network, made, kernel, forces)


@functools.lru_cache(maxsize=8)
def geometry(plan: Plan, shape: tuple[int, ...], patch: bool) -> Geometry:
    """The sheets of a torus of ``shape``, or of a ``patch`` whose forces on ``shape`` count."""
    spread, around = plan.radius * max(plan.dilations, default=1), plan.body if patch else 0
    lengths = tuple(length + 2 * around for length in shape)
    chain = len(shape) == 1
    inner, inner_shape = (lengths, shape) if chain else (lengths[1:], shape[1:])
    sheets, target_sheets = (1, 1) if chain else (lengths[0], shape[0])
    # In three dimensions a shift along a middle axis is a whole line: fields and features then share one length of a line.
    pads = (spread, plan.reach) if len(inner) == 1 else (max(spread, plan.reach),) * 2
    (start, stride, count, place), (field_start, field_stride, _, field_place) = (_line(inner, pad) for pad in pads)
    pitch = inner[-1] + 2 * pads[0] if len(inner) == 2 else 0
    own = _inside(place.shape, pads[0])
    valid, counted = np.zeros(stride, dtype=np.float32), np.zeros(stride, dtype=np.float32)
    where = place[own].reshape(inner)
    valid[where] = 1.0
    inside = where[tuple(slice(around, around + length) for length in inner_shape)].ravel()
    counted[inside] = 1.0
    halo = ~own
    wrap = np.stack([place[halo], where[_sites(place.shape, inner, pads[0])][halo]], axis=1)
    # Fields of a torus close on themselves, those of a patch have a halo of ``reach`` around its features.
    given = tuple(length + 2 * plan.reach for length in inner) if patch else inner
    source = np.zeros(field_stride, dtype=np.int32)
    taken = np.arange(int(np.prod(given))).reshape(given)
    source[field_place] = taken[_sites(field_place.shape, given, pads[1] - (plan.reach if patch else 0))]
    first = plan.reach if patch and not chain else 0
    sizes = (
        sheets, 0 if chain else around, target_sheets, int(np.prod(inner_shape)), first, sheets + 2 * first, int(np.prod(given)),
        start, count, stride, pitch, field_start, field_stride, len(wrap),
    )  # fmt: skip
    return Geometry(sheets, sizes, source, wrap.astype(np.int32), valid, counted, inside.astype(np.int32))


def _line(inner: tuple[int, ...], pad: int) -> tuple[int, int, int, np.ndarray]:
    """First position worked on, length of a sheet, how far positions reach, and the position of every place with its halo."""
    lengths = [length + 2 * pad for length in inner]
    pitch = lengths[-1]
    before = -(-(pad if len(inner) == 1 else pad * (pitch + 1)) // ALIGNED) * ALIGNED
    places = np.arange(int(np.prod(lengths))).reshape(lengths)
    # The first site of the lattice lies at ``before``, its halo ahead of it.
    position = places - (pad if len(inner) == 1 else pad * pitch + pad) + before
    count = inner[0] if len(inner) == 1 else (inner[0] - 1) * pitch + inner[1]
    # Runs of 2 ALIGNED may begin anywhere among the sites, and end beyond them.
    stride = max(before + count, int(position.max()) + 1) + max(before, 2 * ALIGNED)
    return before, -(-stride // ALIGNED) * ALIGNED, count, position


def _sites(places: tuple[int, ...], lengths: tuple[int, ...], pad: int) -> tuple[np.ndarray, ...]:
    """For every place of a box with a halo of ``pad`` its site on a torus of ``lengths``, as an index."""
    axes = [(np.arange(n) - pad) % length for n, length in zip(places, lengths, strict=True)]
    return np.ix_(*axes)


def _inside(places: tuple[int, ...], pad: int) -> np.ndarray:
    """Whether each place of a box is none of its halo of ``pad``."""
    inside = np.zeros(places, dtype=bool)
    inside[tuple(slice(pad, n - pad) for n in places)] = True
    return inside
