"""Where everything lies in a kernel: weights, channels of a row, outputs of a convolution, sizes of strips."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from ennforce.networks.compiled import expressions
from ennforce.networks.compiled import transform as irreps
from ennforce.networks.compiled.plan import Plan, activation, gate, positions
from ennforce.networks.layers import point_group

TILE = 72  # sites along the last axis that are worked on at once, beyond the halo that the blocks use up; measured
PLANE = 16  # along both inner axes in three dimensions
ROWS = 128  # of a strip that one thread works on at a time


class Layout:
    """Offsets, tables and sizes of one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.group = len(point_group(plan.lattice))
        self.blocks = irreps.transform(plan.lattice).blocks
        self.functions = [
            expressions.functions(name, *made) for name, made in (("activate", activation(plan)), ("gate", gate(plan)))
        ]
        self.offsets: dict[str, int] = {}
        self.weights = self._layout()

    def _layout(self) -> int:
        """Where every part of the weights begins, in the order in which the kernel holds them."""
        p, group, copies = self.plan, self.group, self.plan.copies
        at = 0

        def place(name: str, size: int) -> None:
            nonlocal at
            self.offsets[name] = at
            at += size

        for t, (n, _, _) in enumerate(p.field):
            place(f"FIRST_{t}", copies * n * len(positions(p.lattice, p.first_radius)) * group)
        place("ENTERED", copies * len(p.entered))
        place("BLOCKS", 0)
        inner = 0
        for name, size in self._block_parts():
            self.offsets[name] = inner
            inner += size
        self.offsets["BLOCK"] = inner
        at += inner * p.depth
        if p.reads >= 0:
            place("READ", copies * group)
        else:
            for t, (n, _, _) in enumerate(p.field):
                place(f"READ_{t}", n * copies * group)
            place("CONSTANT", sum(n * m for n, m, _ in p.field))
        if p.wide:
            for t, (n, _, _) in enumerate(p.field):
                place(f"FAR_{t}", p.wide * n * n * len(positions(p.lattice, p.wide_radius)))
                place(f"SPREAD_{t}", copies * group * p.wide * n)
        return at

    def _block_parts(self) -> Iterator[tuple[str, int]]:
        p = self.plan
        if p.separable:
            yield "STENCILS", len(p.kinds) * p.copies * self.group * len(p.stencil)
        for k, outputs in enumerate(p.outputs):
            for n, (_, d) in enumerate(self.blocks):
                yield f"MIX_{k}_{n}", d * d * p.copies * len(outputs) * p.copies * p.views
        yield "BIAS", len(p.constant) * p.copies
        yield "PRODUCTS", p.copies * self.functions[0][1]

    # Channels of a row: kind, copy, component, group element; of what comes back from a convolution with a view after the copy.
    def channel_bases(self) -> tuple[list[int], list[int]]:
        """First channel and channels per copy of every number that an activation works on."""
        bases, steps, at = [], [], 0
        for components in self.plan.kinds:
            bases += [at + m * self.group for m in range(components)]
            steps += [components * self.group] * components
            at += self.plan.copies * components * self.group
        return bases, steps

    def mixed_bases(self) -> tuple[list[int], list[int], list[int], int]:
        """First position, positions per copy and bias (or -1) of every number that a gate works on; positions in all."""
        p, starts, at = self.plan, {}, 0
        for k, outputs in enumerate(p.outputs):
            for n, o in enumerate(outputs):
                starts[o] = (at + n * p.copies * p.kinds[k] * self.group, p.kinds[k])
            at += len(outputs) * p.copies * p.kinds[k] * self.group
        bases, steps, bias = [], [], []
        for o in sorted(starts):
            start, components = starts[o]
            bases += [start + m * self.group for m in range(components)]
            steps += [components * self.group] * components
            number = p.constant.index(o) if o in p.constant else -1
            # A constant has no derivative.
            bias += [number if m == 0 else -1 for m in range(components)]
        return bases, steps, bias, at

    def constants(self) -> str:
        """All numbers and tables as C."""
        p, group = self.plan, self.group
        bases, steps = self.channel_bases()
        mixed, mixed_steps, bias, mixed_size = self.mixed_bases()
        channels = p.copies * sum(p.kinds) * group
        # A chain has no slow axis: its one sheet is the whole of it.
        slow = 0 if p.dimension == 1 else 1
        inner = [TILE] if p.dimension < 3 else [PLANE, PLANE]
        sums = [sum(p.dilations[:n]) * p.radius for n in range(p.depth + 1)]
        numbers = {
            "GROUP": group, "COPIES": p.copies, "DEPTH": p.depth, "CHANNELS": channels, "RETURNED": channels * p.views,
            "NUMBERS": len(bases), "MIXED": mixed_size, "GATED": len(mixed), "STENCIL": len(p.stencil), "VIEWS": p.views,
            "COMPONENTS": sum(n * m for n, m, _ in p.field), "SEEN": sum(p.wide * n * m for n, m, _ in p.field),
            "RADIUS": p.radius, "SLOW": slow, "REACH": p.reach, "BODY": p.body, "SPREAD": max(p.dilations, default=1) * p.radius,
            "FIRST_RADIUS": p.first_radius, "WIDE_RADIUS": p.wide_radius, "TYPED": int(p.typed), "READS": int(p.reads >= 0),
            "DUAL": int(p.dual), "OUTPUTS": 1 if p.reads >= 0 else sum(n * m for n, m, _ in p.field),
            "INNER": len(inner), "TILE": inner[0], "ROWS": 1 if not slow else (PLANE if p.dimension == 3 else ROWS),
            "WEIGHTS": self.weights, "NEAR": len(positions(p.lattice, p.first_radius)),
            "FAR": len(positions(p.lattice, p.wide_radius)) if p.wide else 0, "PRODUCT_WEIGHTS": self.functions[0][1],
        }  # fmt: skip
        tables = {
            "CHANNEL": bases, "CHANNEL_STEP": steps, "OUTPUT": mixed, "OUTPUT_STEP": mixed_steps, "OUTPUT_BIAS": bias,
            "DILATION": list(p.dilations) or [1], "LAG": sums,
        }  # fmt: skip
        lines = [f"#define {name} {value}" for name, value in {**numbers, **{f"W_{k}": v for k, v in self.offsets.items()}}.items()]
        lines += [f"static const int {name}[] = {{{', '.join(map(str, row))}}};" for name, row in tables.items()]
        rows = ", ".join("{" + ", ".join(map(str, row)) + "}" for row in self._seen())
        lines.append(f"static const int SHIFT[][GROUP] = {{{rows}}}; /* for each shift s and element h the number of h s */")
        cases = " ".join(f"case {d}: {{ const long dilation = {d}; call; break; }}" for d in sorted(set(p.dilations)))
        lines.append(f"#define DILATED(l, call) switch (DILATION[l]) {{ {cases} }}")
        return "\n".join(lines)

    def kind_starts(self) -> list[int]:
        """First channel of every kind."""
        starts, at = [], 0
        for components in self.plan.kinds:
            starts.append(at)
            at += self.plan.copies * components * self.group
        return starts

    def _seen(self) -> list[list[int]]:
        """For each shift s the number, for each element h, of the shift h s."""
        p, matrices = self.plan, point_group(self.plan.lattice).matrices
        return [[p.stencil.index(tuple(int(v) for v in matrix @ shift)) for matrix in matrices] for shift in p.stencil]


@functools.cache
def layout_of(plan: Plan) -> Layout:
    """The layout of a plan, worked out once: the code asks for it, and the weights of every network."""
    return Layout(plan)
