"""An ``enn`` as two files of plain C, for programs without torch: sizes, weights, and the loops of ``portable.c``.

Slower than the kernel compiled for the machine (``native``), but it needs nothing beyond libc and libm, serves every lattice and
field of ``enn``, full and separable, and can be read.
"""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import cast

import numpy as np
import torch

from ennforce.networks.base import ForceNetwork
from ennforce.networks.layers import EquivariantConv, SeparableConv
from ennforce.networks.models import EquivariantNetwork
from ennforce.networks.nonlinearities import Pointwise
from ennforce.networks.wide import Lines, WideConv

HEADER = Path(__file__).with_name("portable.h")
LOOPS = Path(__file__).with_name("portable.c")
EXAMPLE = Path(__file__).with_name("portable_example.c")
# Sites along a side of the tile, by dimension: the features of one fit into the cache, and rows are long enough for vectors.
TILES = {1: 1024, 2: 48, 3: 12}
SILU, TANH, EVEN_OF_A_PAIR = -1, -2, -3  # activations of a channel without an even partner to name
COLUMNS = 8  # weights a line


def c_files(network: ForceNetwork, name: str, *, told: str, largest_force: float = np.inf, even: bool = False) -> dict[str, str]:
    """The text of ``name.h``, ``name.c`` and ``example.c`` by file name.

    ``told``: what stands in the header, plain text. Forces are shortened to ``largest_force`` by length; ``even``: tori of even
    lengths alone are taken. Raises ValueError for another kind than ``enn``.
    """
    if type(network) is not EquivariantNetwork:
        raise ValueError(
            f"a network of kind {network.architecture.kind!r} has no form in C, which is written for kind 'enn' alone: "
            f"take the .pt2 file, or train an enn"
        )
    reached = network.embed.radius + network.architecture.depth * network.architecture.radius
    if network.receptive_radius != reached:  # portable.c shrinks its region by one radius in every block
        raise ValueError("blocks of unequal reach have no form in C, which is written for equal ones: take the .pt2 file")
    far = network.embed.far if isinstance(network.embed, WideConv) else None
    a, dimension, components = network.architecture, network.readout.dimension, network.readout.channels_out
    sizes = {
        "DIMENSION": dimension, "COMPONENTS": components, "REACH": network.receptive_radius, "TILE": TILES[dimension],
        "FEATURES": network.embed.channels_out, "DEPTH": a.depth, "RADIUS": a.radius, "SEPARABLE": int(a.separable),
        "WIDE": 0 if far is None else len(far.filter()[0]),
        "TERMS": max(filters[0].numel() for filters in _filters(network)),
        "EVEN": int(even), "SILU": f"({SILU})", "TANH": f"({TANH})",
        "FIELD_SCALE": _exact(float(network.field_scale)), "FORCE_SCALE": _exact(float(network.force_scale)),
        "LARGEST_FORCE": float(largest_force).hex() if np.isfinite(largest_force) else "0.0",
    }  # fmt: skip
    filled = {
        "NAME": name, "TOLD": told, "COMPONENTS": components, "DIMENSION": dimension, "REACH": network.receptive_radius,
        "SIZES": "\n".join(f"#define {key} {value}" for key, value in sizes.items()), "WEIGHTS": _weights(network),
    }  # fmt: skip
    files = {f"{name}.h": HEADER, f"{name}.c": LOOPS, "example.c": EXAMPLE}
    return {file: Template(path.read_text(encoding="utf-8")).substitute(filled) for file, path in files.items()}


def _weights(network: EquivariantNetwork) -> str:
    """Definitions of all layers and of the channels' activations."""
    embed, blocks = network.embed, list(network.blocks)
    parts = [_layer("embed", *_plain(embed.near if isinstance(embed, WideConv) else embed))]
    if isinstance(embed, WideConv):
        parts += [_layer("far", *_plain(embed.far)), _layer("spread", *_plain(embed.spread))]
    if network.architecture.separable:
        separable = [cast(SeparableConv, block) for block in blocks]
        stencils = [block.stencil_filter() for block in separable]
        parts.append(_table("stencil", [(filters, None, len(filters)) for filters in stencils]))
        parts.append(_table("mixing", [_plain(block.mix) for block in separable]))
    else:
        parts.append(_table("block", [_plain(cast(EquivariantConv, block)) for block in blocks]))
    parts.append(_layer("readout", *_plain(network.readout)))
    parts.append(_array("static const int partner[]", [str(partner) for partner in _partners(network.activation)], 24))
    return "\n\n".join(parts)


def _filters(network: EquivariantNetwork) -> list[torch.Tensor]:
    """The plain filters of all layers."""
    layers = [m for m in network.modules() if isinstance(m, EquivariantConv | Lines)]
    stencils = [m.stencil_filter() for m in network.modules() if isinstance(m, SeparableConv)]
    return [layer.filter()[0] for layer in layers] + stencils


def _plain(layer: EquivariantConv | Lines) -> tuple[torch.Tensor, torch.Tensor | None, int]:
    """Filter, bias and groups of the plain convolution that a layer is."""
    return (*layer.filter(), layer.groups if isinstance(layer, EquivariantConv) else 1)


def _partners(activation: Pointwise) -> list[int]:
    """What the C code does with each channel: the even partner of an odd one, or a code."""
    found = [EVEN_OF_A_PAIR] * sum(activation.dims)
    starts = [sum(activation.dims[:n]) for n in range(len(activation.dims))]
    for odd, even in activation.partners.items():
        for n in range(activation.dims[odd]):
            found[starts[odd] + n] = starts[even] + n
    for term, function in activation.alone.items():
        for n in range(activation.dims[term]):
            found[starts[term] + n] = TANH if function is torch.tanh else SILU
    return found


def _table(name: str, layers: list[tuple[torch.Tensor, torch.Tensor | None, int]]) -> str:
    """The layers of all blocks, by their number."""
    each = [_layer(f"{name}_{n}", *layer) for n, layer in enumerate(layers)]
    addresses = ", ".join(f"&{name}_{n}" for n in range(len(layers)))
    return "\n\n".join([*each, f"static const layer *const {name}s[DEPTH] = {{{addresses}}};"])


def _layer(name: str, filters: torch.Tensor, bias: torch.Tensor | None, groups: int) -> str:
    """Definition of a convolution, its filter (C_out, C_in / groups, k, ..., k) and bias to the last bit of single precision."""
    arrays = [
        _array(f"static const float {name}_{key}[]", [_exact(x) for x in values.float().flatten().tolist()], COLUMNS)
        for key, values in (("weights", filters), ("bias", bias))
        if values is not None
    ]
    sizes = f"{filters.shape[1] * groups}, {len(filters)}, {groups}, {filters.shape[-1] // 2}"
    value = f"{{{sizes}, {name}_weights, {'0' if bias is None else f'{name}_bias'}}}"
    return "\n".join([*arrays, f"static const layer {name} = {value};"])


def _array(declaration: str, values: list[str], columns: int) -> str:
    lines = [", ".join(values[n : n + columns]) for n in range(0, len(values), columns)]
    return f"{declaration} = {{\n    " + ",\n    ".join(lines) + "};"


def _exact(value: float) -> str:
    """A single-precision number in C, to the last bit."""
    return f"{float(np.float32(value)).hex()}f" if value else "0"
