"""What of a network decides about its kernel's code, and its weights in the order in which the kernel holds them.

The kernel knows one scheme, of which every exactly symmetric network of ours is a case. Hidden features have ``copies`` copies of
the regular representation of each kind (a parity, and a degree with its components). Each block looks at the activated features
of the sites around through ``views``, mixes them in irreps, and adds. A separable block has one view of each copy, its stencil. A
full convolution is the same with one view for every shift s of the stencil, which takes the element h from the site h s away: the
views are then regular features themselves, and the mixing matrices are the whole convolution, at a fifth of its products.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch

from ennforce.networks.base import ForceNetwork
from ennforce.networks.compiled.expressions import Expressions, Function, Value
from ennforce.networks.conservative import Conservative
from ennforce.networks.layers import EquivariantConv, SeparableConv, filter_basis, point_group
from ennforce.networks.models import EquivariantNetwork
from ennforce.networks.nonlinearities import TensorProduct
from ennforce.networks.typed import TypedNetwork
from ennforce.networks.wide import Lines, WideConv
from ennforce.symmetry import FieldType
from ennforce.symmetry.groups import REGULAR

Position = tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """Sizes and symmetries of a network, all that its kernel's code depends on.

    ``kinds``: components of each hidden kind. ``field``: for each term of the field its channels per component, its components and
    the hidden kind that it enters and leaves. ``outputs``: for each kind the outputs that are mixed from it, by number among all
    outputs of a block's convolution, each of ``copies`` copies. ``constant``: outputs that have a bias. ``reads``: the kind that an
    energy is read from, or -1 for direct forces. ``dual``: every number comes with its derivative along a direction of the fields,
    those of a kind first and then their derivatives: for gradients of conservative forces (``dual_of``).
    """

    lattice: str
    hidden: str
    typed: bool
    copies: int
    kinds: tuple[int, ...]
    field: tuple[tuple[int, int, int], ...]
    outputs: tuple[tuple[int, ...], ...]
    constant: tuple[int, ...]
    entered: tuple[int, ...]
    dilations: tuple[int, ...]
    radius: int
    separable: bool
    first_radius: int
    wide: int
    wide_radius: int
    reads: int
    dual: bool = False

    @property
    def dimension(self) -> int:
        return point_group(self.lattice).matrices.shape[1]

    @property
    def depth(self) -> int:
        return len(self.dilations)

    @property
    def stencil(self) -> tuple[Position, ...]:
        """The shifts of a block's stencil, before dilation."""
        return positions(self.lattice, self.radius)

    @property
    def views(self) -> int:
        return 1 if self.separable else len(self.stencil)

    @property
    def reach(self) -> int:
        """How far the first layer sees."""
        return max(self.first_radius, self.wide_radius if self.wide else 0)

    @property
    def body(self) -> int:
        """How far the blocks see, all together."""
        return self.radius * sum(self.dilations)


@functools.cache
def positions(lattice: str, radius: int) -> tuple[Position, ...]:
    """The shifts of a stencil, in the order of its filter."""
    support = np.abs(filter_basis(lattice, REGULAR, point_group(lattice).trivial, radius)).max(axis=(0, 1, 2)) > 0
    return tuple(tuple(int(s) - radius for s in shift) for shift in np.argwhere(support))


def plan(network: ForceNetwork) -> Plan | None:
    """The plan of a network, or None for one that the kernel does not know: of another kind or precision, or not on the CPU."""
    a = network.architecture
    typed = isinstance(network, TypedNetwork)
    if not (typed or isinstance(network, EquivariantNetwork)):
        return None
    if any((p.device.type, p.dtype) != ("cpu", torch.float32) for p in network.parameters()):
        return None
    body = cast(Any, network)
    group, field = point_group(a.lattice), FieldType.parse(a.field_type)
    hidden = first_layers(network)[0].out_type
    kinds = [(term.parity, term.degree) for term in hidden.terms]
    sizes = [group.representation(term.label).shape[1] * term.copies for term in field.terms]
    energy = isinstance(network, Conservative)
    out_type = mixing(body.blocks[0], typed).out_type if body.blocks else hidden
    return Plan(
        lattice=a.lattice,
        hidden=str(hidden),
        typed=typed,
        copies=a.width,
        kinds=tuple(2 * degree + 1 for _, degree in kinds),
        field=tuple((n, 2 * t.degree + 1, kinds.index((t.parity, t.degree))) for n, t in zip(sizes, field.terms, strict=True)),
        outputs=tuple(tuple(o for o, t in enumerate(out_type.terms) if (t.parity, t.degree) == kind) for kind in kinds),
        constant=tuple(o for o, t in enumerate(out_type.terms) if (t.parity, t.degree) == (1, 0)),
        entered=tuple(k for k, kind in enumerate(kinds) if kind == (1, 0)),
        dilations=a.spacings,
        radius=a.radius,
        separable=a.separable,
        first_radius=a.first_radius,
        wide=a.wide if isinstance(body.embed, WideConv) else 0,
        wide_radius=a.wide_radius if isinstance(body.embed, WideConv) else 0,
        reads=kinds.index((1, 0)) if energy else -1,
    )


def dual_of(plan: Plan) -> Plan:
    """The plan in which all numbers have a derivative beside them, from a plan of energies.

    A force is F = -dE/dQ, so the slope of a loss by a weight is that of -(derivative of E along dL/dF), which these networks give.
    """
    doubled = tuple((n, 2 * m, kind) for n, m, kind in plan.field)
    return replace(plan, kinds=tuple(2 * components for components in plan.kinds), field=doubled, dual=True)


def activation(plan: Plan) -> tuple[Function, int]:
    """What is done to the features of a copy and group element before a convolution, and how many numbers these are."""
    if plan.dual:
        return _with_derivatives(activation(_single(plan))[0], _single(plan).kinds), sum(plan.kinds)
    count = sum(plan.kinds)
    if plan.typed:
        hidden = FieldType.parse(plan.hidden)
        with torch.random.fork_rng(devices=[]):  # its couplings are wanted, its weights are not, nor may they cost random numbers
            product = TensorProduct(point_group(plan.lattice), hidden, hidden)
        return functools.partial(_products, product, plan.kinds), count
    if count == 2:
        return _pair, count
    return (_tanh if FieldType.parse(plan.hidden).terms[0].parity < 0 else _silu), count


def gate(plan: Plan) -> tuple[Function, int]:
    """What is done to the outputs of a convolution of a copy and group element, and how many numbers these are."""
    if plan.dual:
        base = _single(plan)
        components = {o: base.kinds[k] for k, outputs in enumerate(base.outputs) for o in outputs}
        return _with_derivatives(gate(base)[0], tuple(components[o] for o in sorted(components))), 2 * gate(base)[1]
    if not plan.typed:
        return (lambda graph, values: values), sum(plan.kinds)
    return functools.partial(_gated, plan.kinds), sum(plan.kinds) + len(plan.kinds)


def _single(plan: Plan) -> Plan:
    """The plan of which ``plan`` is the dual."""
    halved = tuple((n, m // 2, kind) for n, m, kind in plan.field)
    return replace(plan, kinds=tuple(components // 2 for components in plan.kinds), field=halved, dual=False)


def _with_derivatives(function: Function, kinds: tuple[int, ...]) -> Function:
    """A function of numbers that come with derivatives, of kinds with so many components."""

    def both(graph: Expressions, values: list[Value]) -> list[Value]:
        parts = _split(tuple(2 * components for components in kinds), values)
        ahead = [x for part, size in zip(parts, kinds, strict=True) for x in part[:size]]
        directions = [x for part, size in zip(parts, kinds, strict=True) for x in part[size:]]
        results = function(graph, ahead)
        moved = graph.tangents(results, ahead, directions)
        # What comes out has the kinds of what goes in, the gates of a typed network used up.
        out = kinds if len(results) == sum(kinds) else kinds[: len(kinds) // 2]
        pairs = zip(_split(out, results), _split(out, moved), strict=True)
        return [x for one, other in pairs for x in (*one, *other)]

    return both


def _pair(graph: Expressions, values: list[Value]) -> list[Value]:
    odd, even = values
    plus, minus = (even + odd).silu(), (even - odd).silu()
    return [plus - minus, plus + minus]


def _silu(graph: Expressions, values: list[Value]) -> list[Value]:
    return [value.silu() for value in values]


def _tanh(graph: Expressions, values: list[Value]) -> list[Value]:
    # tanh x = 2 s(2x) - 1 = s(2x) - s(-2x), which is odd to the last bit
    return [(value * 2.0).sigmoid() - (value * -2.0).sigmoid() for value in values]


def _split(kinds: tuple[int, ...], values: list[Value]) -> list[list[Value]]:
    starts = np.cumsum([0, *kinds])
    return [values[start : start + size] for start, size in zip(starts, kinds, strict=False)]


def _sum(values: list[Value]) -> Value:
    return functools.reduce(lambda x, y: x + y, values)


def _products(product: TensorProduct, kinds: tuple[int, ...], graph: Expressions, values: list[Value]) -> list[Value]:
    one, bounded = graph.constant(1.0), []
    for part in _split(kinds, values):
        shrink = (one + _sum([x * x for x in part])).rsqrt()
        bounded.append([x * shrink for x in part])
    results: list[list[list[Value]]] = [[[x] for x in part] for part in bounded]
    for o, i, j, n, weight in product_weights(product):
        coupling = getattr(product, f"coupling_{o}_{i}_{j}")[n]
        for k, matrix in enumerate(coupling.tolist()):
            terms = [bounded[i][a] * bounded[j][b] * x for a, row in enumerate(matrix) for b, x in enumerate(row) if abs(x) > 1e-9]
            if terms:
                results[o][k].append(_sum(terms) * graph.weight(weight))
    return [_sum(terms) for part in results for terms in part]


def product_weights(product: TensorProduct) -> Iterator[tuple[int, int, int, int, int]]:
    """(output, inputs, coupling, number among all weights of a copy)."""
    number = 0
    for o, i, j in product.paths:
        for n in range(len(getattr(product, f"weight_{o}_{i}_{j}"))):
            yield o, i, j, n, number
            number += 1


def _gated(kinds: tuple[int, ...], graph: Expressions, values: list[Value]) -> list[Value]:
    parts, gates = _split(kinds, values), values[sum(kinds) :]
    return [x * factor.sigmoid() for part, factor in zip(parts, gates, strict=True) for x in part]


def first_layers(network: Any) -> tuple[EquivariantConv, EquivariantConv | Lines | None, EquivariantConv | None]:
    """The first layer's near stencils, and its far ones with what spreads these, where it has any."""
    embed = network.embed
    return (embed.near, embed.far, embed.spread) if isinstance(embed, WideConv) else (embed, None, None)


def mixing(block: Any, typed: bool) -> EquivariantConv:
    """The maps between the channels of a block's convolution."""
    convolution = block.convolution if typed else block
    return convolution.mix if isinstance(convolution, SeparableConv) else convolution
