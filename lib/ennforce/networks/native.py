"""Separable networks compiled for the machine: ``separable.c``, built once for each size with the system's C compiler.

Where there is no compiler, or for networks that the kernel does not cover, torch computes the same forces more slowly.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn

from ennforce.networks.layers import SeparableConv, point_group
from ennforce.networks.wide import WideConv

if TYPE_CHECKING:
    from ennforce.networks.models import EquivariantNetwork

log = logging.getLogger("ennforce")
SOURCE = Path(__file__).with_name("separable.c")
# Not -ffast-math: it would change the processor's mode for the whole process, and reorder sums whose order is accuracy.
FLAGS = ("-O3", "-march=native", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-shared", "-fPIC")
ROWS = 128  # of a strip that one thread works on at a time
# Elements of D4 in the order that the kernel's butterflies expect, as integer matrices.
ELEMENTS = [np.diag(s) for s in ((1, 1), (-1, -1), (1, -1), (-1, 1))] + [
    np.diag(s)[:, ::-1] for s in ((1, 1), (-1, -1), (1, -1), (-1, 1))
]
# The kernel's components (D11, D12) and (D22, D21): a map that commutes with the group mixes within a row.
E_ROWS = ((4, 6), (5, 7))


class NativeNetwork(nn.Module):
    """Forces of a separable ``enn`` network by the compiled kernel, on the CPU; it cuts fields into strips itself."""

    def __init__(self, network: EquivariantNetwork, library: ctypes.CDLL) -> None:
        super().__init__()
        self.halo = network.receptive_radius
        self.kernel = library
        self.columns = library.columns()
        self.weights = packed_weights(network)

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """Fields (batch, 1, Ly + 2 radius, Lx + 2 radius) with their halo to forces (batch, 1, Ly, Lx)."""
        batch, _, height, width = fields.shape
        height, width = height - 2 * self.halo, width - 2 * self.halo
        strips = -(-width // self.columns)
        # The kernel reads whole rows: zeros to the right of the last strip, whose results are not kept.
        room = strips * self.columns + 2 * self.halo
        padded = np.zeros((batch, height + 2 * self.halo, room), dtype=np.float32)
        padded[..., : width + 2 * self.halo] = fields[:, 0].numpy()
        forces = np.empty((batch, height, width), dtype=np.float32)

        def strip(space: int, n: int, x: int, y: int, rows: int) -> None:
            self.kernel.forces(
                padded[n, y:, x:].ctypes.data, room, rows, min(self.columns, width - x),
                forces[n, y:, x:].ctypes.data, width, self.weights.ctypes.data, space,
            )  # fmt: skip

        self._share(
            [(n, x, y) for n in range(batch) for x in range(0, width, self.columns) for y in range(0, height, ROWS)], height, strip
        )
        return torch.from_numpy(forces).unsqueeze(1)

    def on_torus(self, fields: torch.Tensor) -> torch.Tensor:
        """Forces (batch, 1, Ly, Lx) of fields on tori, in their dtype, by float32 arithmetic; no padded copy is made."""
        values = fields.detach().double().contiguous().numpy()
        batch, _, height, width = values.shape
        forces = np.empty_like(values)
        columns = batch * (width + 2 * self.halo) - 2 * self.halo  # of the kernel's long row

        def strip(space: int, x: int, y: int, rows: int) -> None:
            self.kernel.torus(
                values.ctypes.data, batch, height, width, x, y, rows, forces.ctypes.data, self.weights.ctypes.data, space
            )

        self._share([(x, y) for x in range(0, columns, self.columns) for y in range(0, height, ROWS)], height, strip)
        return torch.from_numpy(forces).to(fields.dtype)

    def _share(self, strips: list[tuple[int, ...]], height: int, work: Callable[..., None]) -> None:
        """Call ``work(space, *strip, rows)`` for strips that end in their first row, shared out among torch's threads."""

        def mine(first: int) -> None:
            space = np.zeros(self.kernel.workspace_size(), dtype=np.uint8)
            for strip in strips[first::threads]:
                work(space.ctypes.data, *strip, min(ROWS, height - strip[-1]))

        threads = min(torch.get_num_threads(), len(strips))
        if threads > 1:
            list(_pool(threads).map(mine, range(threads)))
        else:
            mine(0)


def native(network: EquivariantNetwork) -> NativeNetwork | None:
    """The compiled network, or None where torch has to serve: a GPU, no compiler, another lattice or field, other stencils."""
    a = network.architecture
    stencils = (a.separable, a.mixed, a.radius, set(a.spacings))
    covered = (a.lattice, a.field_type, *stencils) == ("square", "1xA1o", True, True, 1, {1})
    if not covered or network.field_scale.device.type != "cpu" or os.environ.get("ENNFORCE_NATIVE") == "0":
        return None
    library = _library(a.width, a.depth, a.first_radius, a.wide, a.wide_radius if a.wide else 0)
    return None if library is None else NativeNetwork(network, library)


def packed_weights(network: EquivariantNetwork) -> np.ndarray:
    """All weights in the order of the kernel's ``weights``, scales folded in, float32."""
    copies, order = network.architecture.width, _element_order()
    channels = (8 * np.arange(2 * copies)[:, None] + order).ravel()
    with torch.no_grad():
        embed = network.embed
        near = embed.near if isinstance(embed, WideConv) else embed
        first, constant = (v.double().numpy() for v in near.filter())  # type: ignore[union-attr]
        first = first[channels[: 8 * copies], 0].reshape(copies, 8, -1).transpose(0, 2, 1) / float(network.field_scale)
        parts = [first, constant[8 * copies :: 8]]
        for block in network.blocks:
            separable = cast(SeparableConv, block)
            parts.append(separable.stencil_filter().double().numpy()[channels])
            scalars, vectors = _mixing(separable, copies)
            bias = separable.mix.filter()[1]
            assert bias is not None
            parts += [scalars, vectors, bias.double().numpy()[8 * copies :: 8]]
        readout = network.readout.filter()[0].double().numpy()[0, channels[: 8 * copies], 0, 0]
        parts.append(readout * float(network.force_scale))
        if isinstance(embed, WideConv):
            # The far stencils of a scalar are symmetric: a quarter of each is all that the kernel needs.
            middle, far = embed.far.radius, embed.far.filter()[0].double().numpy()
            parts.append(far[:, 0, middle:, middle:] / float(network.field_scale))
            parts.append(embed.spread.filter()[0].double().numpy()[: 8 * copies : 8, :, 0, 0])
    return np.concatenate([part.ravel() for part in parts]).astype(np.float32)


def _element_order() -> np.ndarray:
    """Numbers of the group's elements in the kernel's order."""
    matrices = [m.tolist() for m in point_group("square").matrices]
    return np.array([matrices.index(element.tolist()) for element in ELEMENTS])


@functools.cache
def _transform() -> np.ndarray:
    """The kernel's butterflies as a matrix, (irrep component, element): four one-dimensional irreps, D11, D22, D12, D21."""
    one, plus, minus = np.ones(4), np.array([1.0, -1, 1, -1]), np.array([1.0, -1, -1, 1])
    signs, none = np.array([1.0, 1, -1, -1]), np.zeros(4)
    rows = [(one, one), (one, -one), (signs, signs), (signs, -signs), (plus, none), (minus, none), (none, plus), (none, minus)]
    return np.array([np.concatenate(row) for row in rows])


def _irrep_blocks(block: SeparableConv, copies: int) -> np.ndarray:
    """The mixing matrices between irrep components, (parity, out component, in component, out copy, in copy)."""
    transform, order = _transform(), _element_order()
    filters = block.mix.dense_filter()[0].detach().double().numpy()[..., 0, 0].reshape(2, copies, 8, 2, copies, 8)
    matrices = np.stack([filters[p, :, :, p] for p in (0, 1)])[:, :, order][..., order]  # (parity, out, g, in, h)
    inverse = transform / (transform**2).sum(axis=1, keepdims=True)
    return np.einsum("ig,pagbh,jh->pijab", inverse, matrices, inverse)


def _mixing(block: SeparableConv, copies: int) -> tuple[np.ndarray, np.ndarray]:
    """The blocks (parity, irrep, out, in) of the one-dimensional irreps and (parity, half, out, in) of E."""
    blocks = _irrep_blocks(block, copies)
    scalars = np.stack([blocks[:, i, i] for i in range(4)], axis=1)
    joined = [[np.block([[blocks[p, i, j] for j in half] for i in half]) for half in E_ROWS] for p in (0, 1)]
    return scalars, np.array(joined)


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


@functools.cache
def _library(copies: int, depth: int, first: int, wide: int, wide_radius: int) -> ctypes.CDLL | None:
    """The kernel for these sizes, from the cache or freshly compiled."""
    macros = {"COPIES": copies, "DEPTH": depth, "FIRST": first, "WIDE": wide, "FAR": wide_radius, "ROWS": ROWS}
    sizes = [f"-D{name}={value}" for name, value in macros.items()]
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        log.info("no C compiler found: networks run in torch, several times slower (install gcc or clang, or set CC)")
        return None
    identity = "\n".join([SOURCE.read_text(), compiler, *FLAGS, *sizes, _processor()])
    path = _cache() / f"separable-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.so"
    if not path.exists():
        fresh = path.with_suffix(f".{os.getpid()}.so")
        built = subprocess.run([compiler, *FLAGS, *sizes, "-o", str(fresh), str(SOURCE)], capture_output=True, text=True)
        if built.returncode:
            reason = (built.stderr.strip().splitlines() or ["no message"])[0]
            log.info("%s cannot build the network kernel (%s): networks run in torch, several times slower", compiler, reason)
            return None
        fresh.replace(path)
    library = ctypes.CDLL(str(path))
    pointer, count = ctypes.c_void_p, ctypes.c_long
    library.forces.argtypes = [pointer, count, count, count, pointer, count, pointer, pointer]
    library.forces.restype = None
    library.torus.argtypes = [pointer, *[count] * 6, pointer, pointer, pointer]
    library.torus.restype = None
    for name in ("workspace_size", "columns"):
        getattr(library, name).restype = count
    return library


def _cache() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ennforce"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="ennforce-"))


def _processor() -> str:
    """What -march=native depends on: a home folder may be shared by machines of several kinds."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
