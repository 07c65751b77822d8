"""The C file of a plan: what depends on its symmetries and sizes is written here, the rest is in ``vectors.h`` and ``drivers.c``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ennforce.networks.compiled import expressions
from ennforce.networks.compiled import transform as irreps
from ennforce.networks.compiled.plan import Plan, Position, activation, gate, positions
from ennforce.networks.layers import point_group

HERE = Path(__file__).parent
FIXED = (HERE / "vectors.h", HERE / "drivers.c")
TILE = 72  # sites along the last axis that are worked on at once, beyond the halo that the blocks use up; measured
PLANE = 16  # along both inner axes in three dimensions
ROWS = 128  # of a strip that one thread works on at a time


class Writer:
    """Offsets and C text of one plan."""

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
        """Where every part of the weights begins, in the order of ``plan.packed``."""
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
        """First position, positions per copy and number of the bias (or -1) of every number that a gate works on; positions in all."""
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
            bias += [p.constant.index(o) if o in p.constant else -1] * components
        return bases, steps, bias, at

    def text(self) -> str:
        parts = [FIXED[0].read_text(), self.constants(), irreps.source(self.plan.lattice)]
        parts += [text for text, _ in self.functions]
        parts += [self.embedding(), self.convolution(), self.readout(), FIXED[1].read_text()]
        return "\n".join(parts)

    def constants(self) -> str:
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

    def _pointers(self, name: str, shifts: tuple[Position, ...], rows: str, radius: int, dilation: str, sign: int = 1) -> list[str]:
        """One pointer for each shift, into the sheet that it leads to."""
        lines = [f"    const float *{name}[{len(shifts)}];"]
        for n, shift in enumerate(shifts):
            slow, inner = (0, shift) if len(shift) == 1 else (shift[0], shift[1:])
            flat = f"{sign * inner[-1]}L" + (f" + {sign * inner[0]}L * pitch" if len(inner) == 2 else "")
            row = sign * slow + radius if len(shift) > 1 else 0
            lines.append(f"    {name}[{n}] = {rows}[{row}] + x + {dilation} * ({flat});")
        return lines

    def embedding(self) -> str:
        """``embed``: features of a pair of sites from field sheets; ``look_far``: what far stencils see; and their gradients."""
        p, group = self.plan, self.group
        lines: list[str] = []
        sizes = {"near": positions(p.lattice, p.first_radius), "far": positions(p.lattice, p.wide_radius) if p.wide else ()}
        for name, radius in (("near", p.first_radius), ("far", p.wide_radius)):
            if not sizes[name]:
                continue
            arguments = "const float *const *rows, long stride, long pitch, long x, const float **at"
            for suffix, sign in (("", 1), ("_back", -1)):
                lines += [f"INLINE void point_{name}{suffix}({arguments}) {{", *self._pointers("to", sizes[name], "rows", radius, "1", sign),
                          f"    for (int p = 0; p < {len(sizes[name])}; p++) at[p] = to[p];", "}"]  # fmt: skip
        lines += ["INLINE void embed(const float *w, const float *const *at, long stride, const float *seen, long seen_stride, pair *out) {",
                  "    for (int n = 0; n < CHANNELS; n++) out[n] = all(0.0f);"]  # fmt: skip
        starts = self._kind_starts()
        for number, kind in enumerate(p.entered):
            lines.append(f"    for (int c = 0; c < COPIES; c++) for (int h = 0; h < GROUP; h++)"
                         f" out[{starts[kind]} + c * {p.kinds[kind]} * GROUP + h] = all(w[W_ENTERED + {number} * COPIES + c]);")  # fmt: skip
        at = seen_at = 0
        count = len(sizes["near"])
        for t, (n, m, kind) in enumerate(p.field):
            lines += [
                f"    for (int c = 0; c < COPIES; c++) for (int m = 0; m < {m}; m++) {{",
                f"        pair *sum = out + {starts[kind]} + (c * {m} + m) * GROUP;",
                f"        for (int n = 0; n < {n}; n++) for (int p = 0; p < {count}; p++) {{",
                f"            pair q = load(at[p] + ({at} + n * {m} + m) * stride);",
                f"            const float *k = w + W_FIRST_{t} + ((c * {n} + n) * {count} + p) * GROUP;",
                "            for (int h = 0; h < GROUP; h++) sum[h] = fma1(k[h], q, sum[h]);",
                "        }",
            ]
            if p.wide:
                wide = p.wide * n
                lines += [
                    f"        for (int s = 0; s < {wide}; s++) {{",
                    f"            pair q = load(seen + ({seen_at} + s * {m} + m) * seen_stride);",
                    f"            for (int h = 0; h < GROUP; h++) sum[h] = fma1(w[W_SPREAD_{t} + (c * GROUP + h) * {wide} + s], q, sum[h]);",
                    "        }",
                ]
                seen_at += wide * m
            lines.append("    }")
            at += n * m
        lines.append("}")
        lines += self._embedding_gradient(starts, count)
        if p.reads >= 0:
            lines += self._embedding_slope(starts, count, len(sizes["far"]))
        if p.wide:
            lines += self._far(len(sizes["far"]))
        return "\n".join(lines)

    def _kind_starts(self) -> list[int]:
        starts, at = [], 0
        for components in self.plan.kinds:
            starts.append(at)
            at += self.plan.copies * components * self.group
        return starts

    def _embedding_gradient(self, starts: list[int], count: int) -> list[str]:
        """``embed_back``: gradients by the first layer's weights of one pair of sites, and by what far stencils saw."""
        p = self.plan
        lines = ["INLINE void embed_back(const float *w, const float *const *at, long stride, const float *seen, long seen_stride,",
                 "                       const pair *slope, vec *gradient, float *seen_slope) {"]  # fmt: skip
        for number, kind in enumerate(p.entered):
            lines.append(f"    for (int c = 0; c < COPIES; c++) for (int h = 0; h < GROUP; h++) {{"
                         f" pair s = slope[{starts[kind]} + c * {p.kinds[kind]} * GROUP + h];"
                         f" gradient[W_ENTERED + {number} * COPIES + c] += s.a + s.b; }}")  # fmt: skip
        at = seen_at = 0
        for t, (n, m, kind) in enumerate(p.field):
            lines += [
                f"    for (int m = 0; m < {m}; m++) for (int n = 0; n < {n}; n++) for (int p = 0; p < {count}; p++) {{",
                f"        pair q = load(at[p] + ({at} + n * {m} + m) * stride);",
                f"        for (int c = 0; c < COPIES; c++) outer(gradient + W_FIRST_{t} + ((c * {n} + n) * {count} + p) * GROUP,",
                f"                                               slope + {starts[kind]} + (c * {m} + m) * GROUP, &q, GROUP, 1);",
                "    }",
            ]
            if p.wide:
                wide = p.wide * n
                lines += [
                    f"    for (int s = 0; s < {wide}; s++) for (int m = 0; m < {m}; m++) {{",
                    f"        pair q = load(seen + ({seen_at} + s * {m} + m) * seen_stride), sum = all(0.0f);",
                    "        for (int c = 0; c < COPIES; c++) for (int h = 0; h < GROUP; h++) {",
                    f"            int weight = W_SPREAD_{t} + (c * GROUP + h) * {wide} + s;",
                    f"            pair s = slope[{starts[kind]} + (c * {m} + m) * GROUP + h];",
                    "            gradient[weight] += s.a * q.a + s.b * q.b;",
                    "            sum = fma1(w[weight], s, sum);",
                    "        }",
                    f"        store(seen_slope + ({seen_at} + s * {m} + m) * seen_stride, sum);",
                    "    }",
                ]
                seen_at += wide * m
            at += n * m
        return [*lines, "}"]

    def _embedding_slope(self, starts: list[int], count: int, far: int) -> list[str]:
        """``embed_slope``: the slope by the field of a pair of sites from those by features around; ``spread_back``: by what is seen."""
        p = self.plan
        lines = ["INLINE void embed_slope(const float *w, const float *const *at, long stride, const float *const *far, long far_stride,",
                 "                        pair *out) {"]  # fmt: skip
        spread = ["INLINE void spread_back(const float *w, const pair *slope, float *seen, long seen_stride) {"]
        at = seen_at = 0
        for t, (n, m, kind) in enumerate(p.field):
            lines += [
                f"    for (int n = 0; n < {n}; n++) for (int m = 0; m < {m}; m++) {{",
                "        pair sum = all(0.0f);",
                f"        for (int c = 0; c < COPIES; c++) for (int p = 0; p < {count}; p++) {{",
                f"            const float *k = w + W_FIRST_{t} + ((c * {n} + n) * {count} + p) * GROUP;",
                f"            long channel = ({starts[kind]} + (c * {m} + m) * GROUP) * stride;",
                "            for (int h = 0; h < GROUP; h++) sum = fma1(k[h], load(at[p] + channel + h * stride), sum);",
                "        }",
            ]
            if p.wide:
                wide = p.wide * n
                lines += [
                    f"        for (int s = 0; s < {wide}; s++) for (int p = 0; p < {far}; p++)",
                    f"            sum = fma1(w[W_FAR_{t} + (s * {n} + n) * {far} + p], load(far[p] + ({seen_at} + s * {m} + m) * far_stride), sum);",
                ]
                spread += [
                    f"    for (int s = 0; s < {wide}; s++) for (int m = 0; m < {m}; m++) {{",
                    "        pair sum = all(0.0f);",
                    "        for (int c = 0; c < COPIES; c++) for (int h = 0; h < GROUP; h++)",
                    f"            sum = fma1(w[W_SPREAD_{t} + (c * GROUP + h) * {wide} + s], slope[{starts[kind]} + (c * {m} + m) * GROUP + h], sum);",
                    f"        store(seen + ({seen_at} + s * {m} + m) * seen_stride, sum);",
                    "    }",
                ]
                seen_at += wide * m
            lines += [f"        out[{at} + n * {m} + m] = sum;", "    }"]
            at += n * m
        return [*lines, "}", *([*spread, "}"] if p.wide else [])]

    def _far(self, count: int) -> list[str]:
        p = self.plan
        forward = ["INLINE void look_far(const float *w, const float *const *at, long stride, float *seen, long seen_stride) {"]
        back = ["INLINE void look_far_back(const float *const *at, long stride, const float *slope, long seen_stride, vec *gradient) {"]
        at = seen_at = 0
        for t, (n, m, _) in enumerate(p.field):
            wide = p.wide * n
            forward += [
                f"    for (int m = 0; m < {m}; m++) {{",
                f"        pair sum[{wide}];",
                f"        for (int s = 0; s < {wide}; s++) sum[s] = all(0.0f);",
                f"        for (int n = 0; n < {n}; n++) for (int p = 0; p < {count}; p++) {{",
                f"            pair q = load(at[p] + ({at} + n * {m} + m) * stride);",
                f"            for (int s = 0; s < {wide}; s++) sum[s] = fma1(w[W_FAR_{t} + (s * {n} + n) * {count} + p], q, sum[s]);",
                "        }",
                f"        for (int s = 0; s < {wide}; s++) store(seen + ({seen_at} + s * {m} + m) * seen_stride, sum[s]);",
                "    }",
            ]
            back += [
                f"    for (int m = 0; m < {m}; m++) for (int n = 0; n < {n}; n++) for (int p = 0; p < {count}; p++) {{",
                f"        pair q = load(at[p] + ({at} + n * {m} + m) * stride);",
                f"        for (int s = 0; s < {wide}; s++) {{",
                f"            pair d = load(slope + ({seen_at} + s * {m} + m) * seen_stride);",
                f"            gradient[W_FAR_{t} + (s * {n} + n) * {count} + p] += d.a * q.a + d.b * q.b;",
                "        }",
                "    }",
            ]
            at, seen_at = at + n * m, seen_at + wide * m
        return [*forward, "}", *back, "}"]

    def convolution(self) -> str:
        """``convolve``: outputs of a block's convolution at a pair of sites; ``convolve_back``: what it sends back, and gradients."""
        p, starts = self.plan, self._kind_starts()
        inside = self._pointers("at", p.stencil, "rows", p.radius, "dilation")
        lines: list[str] = []
        for k, components in enumerate(p.kinds):
            lines += self._look(k, components, starts[k])
        lines += ["INLINE void convolve(const float *w, const float *const *rows, long stride, long pitch, long x, long dilation, pair *z) {"]
        lines += inside
        back = ["INLINE void convolve_back(const float *w, const float *const *rows, long stride, long pitch, long x, long dilation,",
                "                          const pair *slope, float *sent, long sent_stride, vec *gradient) {",
                *inside, "    (void)at;"]  # fmt: skip
        put = returned = 0
        for k, (components, outputs) in enumerate(zip(p.kinds, p.outputs, strict=True)):
            views, out = p.copies * p.views, p.copies * len(outputs)
            mixing, transposed, outers = [], [], []
            for n, (start, d) in enumerate(self.blocks):
                for row in range(d):
                    u, x = f"u + {(start + row * d) * views}", f"mixed + {(start + row * d) * out}"
                    mixing.append(f"        multiply(w + W_MIX_{k}_{n}, {u}, {x}, {d * out}, {d * views});")
                    outers.append(f"            outer(gradient + W_MIX_{k}_{n}, {x}, {u}, {d * out}, {d * views});")
                    transposed.append(f"        multiply_back(w + W_MIX_{k}_{n}, {x}, {u}, {d * out}, {d * views});")
            lines += [
                f"    for (int m = 0; m < {components}; m++) {{",
                f"        pair u[GROUP * {views}], mixed[GROUP * {out}];",
                f"        look_{k}(w, at, stride, m, u);",
                *mixing,
                f"        for (int o = 0; o < {out}; o++) {{",
                "            pair g[GROUP];",
                f"            for (int i = 0; i < GROUP; i++) g[i] = mixed[i * {out} + o];",
                f"            from_irreps(g, z + {put} + (o * {components} + m) * GROUP);",
                "        }",
                "    }",
            ]
            back += [
                f"    for (int m = 0; m < {components}; m++) {{",
                f"        pair u[GROUP * {views}], mixed[GROUP * {out}];",
                f"        for (int o = 0; o < {out}; o++) {{",
                "            pair g[GROUP];",
                f"            to_irreps(slope + {put} + (o * {components} + m) * GROUP, g);",
                f"            for (int i = 0; i < GROUP; i++) mixed[i * {out} + o] = g[i];",
                "        }",
                "        if (gradient) {",
                f"            look_{k}(w, at, stride, m, u);",
                *outers,
                "        }",
                *transposed,
                f"        for (int v = 0; v < {views}; v++) {{",
                "            pair g[GROUP], f[GROUP];",
                f"            for (int i = 0; i < GROUP; i++) g[i] = u[i * {views} + v];",
                "            from_irreps(g, f);",
                f"            for (int h = 0; h < GROUP; h++) store(sent + ({returned} + (v * {components} + m) * GROUP + h) * sent_stride, f[h]);",
                "        }",
                "    }",
            ]
            put += out * components * self.group
            returned += views * components * self.group
        return "\n".join([*lines, "}", *back, "}", *self._gathering(starts)])

    def _look(self, k: int, components: int, start: int) -> list[str]:
        """``look_k``: the views of one kind's component m, in irreps."""
        p, views = self.plan, self.plan.copies * self.plan.views
        channel = f"({start} + (c * {components} + m) * GROUP + h)"
        lines = [f"INLINE void look_{k}(const float *w, const float *const *at, long stride, int m, pair *u) {{",
                 "    for (int c = 0; c < COPIES; c++) {",
                 "        (void)w;"]  # fmt: skip
        if p.separable:
            lines += [
                "        pair f[GROUP], g[GROUP];",
                "        for (int h = 0; h < GROUP; h++) {",
                f"            const float *k = w + W_STENCILS + (({k} * COPIES + c) * GROUP + h) * STENCIL;",
                "            pair one = all(0.0f), two = all(0.0f);",
                f"            long channel = {channel} * stride;",
            ]
            for n in range(len(p.stencil)):
                sum_ = ("one", "two")[n % 2]
                lines.append(f"            {sum_} = fma1(k[{n}], load(at[{n}] + channel), {sum_});")
            lines += ["            f[h] = add(one, two);", "        }", "        to_irreps(f, g);",
                      f"        for (int i = 0; i < GROUP; i++) u[i * {views} + c] = g[i];"]  # fmt: skip
        else:
            lines += [
                "        for (int n = 0; n < VIEWS; n++) {",
                "            pair f[GROUP], g[GROUP];",
                f"            for (int h = 0; h < GROUP; h++) f[h] = load(at[SHIFT[n][h]] + {channel} * stride);",
                "            to_irreps(f, g);",
                f"            for (int i = 0; i < GROUP; i++) u[i * {views} + c * VIEWS + n] = g[i];",
                "        }",
            ]
        return [*lines, "    }", "}"]

    def _seen(self) -> list[list[int]]:
        """For each shift s the number, for each element h, of the shift h s."""
        p, matrices = self.plan, point_group(self.plan.lattice).matrices
        return [[p.stencil.index(tuple(int(v) for v in matrix @ shift)) for matrix in matrices] for shift in p.stencil]

    def _gathering(self, starts: list[int]) -> list[str]:
        """``gather``: slopes by activated features from what convolutions around sent back; and gradients by the stencils."""
        p = self.plan
        lines = ["INLINE void gather(const float *w, const float *const *rows, long stride, long pitch, long x, long dilation, pair *slope) {",
                 *self._pointers("at", p.stencil, "rows", p.radius, "dilation", -1), "    (void)w;"]  # fmt: skip
        returned = 0
        for k, components in enumerate(p.kinds):
            lines.append(f"    for (int c = 0; c < COPIES; c++) for (int m = 0; m < {components}; m++) {{")
            if p.separable:
                lines += [
                    "        for (int h = 0; h < GROUP; h++) {",
                    f"            const float *k = w + W_STENCILS + (({k} * COPIES + c) * GROUP + h) * STENCIL;",
                    "            pair one = all(0.0f), two = all(0.0f);",
                    f"            long channel = ({returned} + (c * {components} + m) * GROUP + h) * stride;",
                ]
                for n in range(len(p.stencil)):
                    sum_ = ("one", "two")[n % 2]
                    lines.append(f"            {sum_} = fma1(k[{n}], load(at[{n}] + channel), {sum_});")
                lines += [f"            slope[{starts[k]} + (c * {components} + m) * GROUP + h] = add(one, two);", "        }"]
            else:
                lines += [
                    "        for (int h = 0; h < GROUP; h++) {",
                    "            pair sum = all(0.0f);",
                    "            for (int n = 0; n < VIEWS; n++)",
                    f"                sum = add(sum, load(at[SHIFT[n][h]] + ({returned} + ((c * VIEWS + n) * {components} + m) * GROUP + h) * stride));",
                    f"            slope[{starts[k]} + (c * {components} + m) * GROUP + h] = sum;",
                    "        }",
                ]
            lines.append("    }")
            returned += p.copies * p.views * components * self.group
        lines.append("}")
        # d(stencil of channel h)[p] = sum over sites of what was sent back times the feature that the stencil saw there.
        lines += ["INLINE void stencil_gradient(const float *const *rows, long stride, long pitch, long x, long count, long dilation,",
                  "                             const float *sent, long sent_stride, vec *gradient) {"]  # fmt: skip
        if p.separable:
            lines += self._pointers("at", p.stencil, "rows", p.radius, "dilation")
            for k, components in enumerate(p.kinds):
                lines += [
                    f"    for (int c = 0; c < COPIES; c++) for (int m = 0; m < {components}; m++) for (int h = 0; h < GROUP; h++) {{",
                    f"        long channel = {starts[k]} + (c * {components} + m) * GROUP + h;",
                    "        vec sums[STENCIL];",
                    "        for (int p = 0; p < STENCIL; p++) sums[p] = (vec){0};",
                    "        for (long y = 0; y < count; y += PAIR) {",
                    "            pair d = load(sent + channel * sent_stride + y);",
                    "            for (int p = 0; p < STENCIL; p++) {",
                    "                pair q = load(at[p] + channel * stride + y);",
                    "                sums[p] += d.a * q.a + d.b * q.b;",
                    "            }",
                    "        }",
                    f"        vec *to = gradient + W_STENCILS + (({k} * COPIES + c) * GROUP + h) * STENCIL;",
                    "        for (int p = 0; p < STENCIL; p++) to[p] += sums[p];",
                    "    }",
                ]
        return [*lines, "}"]

    def readout(self) -> str:
        """``read``: forces, or the energy, of a pair of sites from its last features; ``read_back``: slopes and gradients."""
        p, starts = self.plan, self._kind_starts()
        forward = ["INLINE void read(const float *w, const pair *a, pair *out) {"]
        back = ["INLINE void read_back(const float *w, const pair *a, const pair *slope, pair *down, vec *gradient) {",
                "    for (int n = 0; n < CHANNELS; n++) down[n] = all(0.0f);"]  # fmt: skip
        if p.reads >= 0:
            start = starts[p.reads]
            forward += ["    out[0] = all(0.0f);",
                        f"    for (int n = 0; n < COPIES * GROUP; n++) out[0] = fma1(w[W_READ + n], a[{start} + n], out[0]);"]  # fmt: skip
            back += [f"    for (int n = 0; n < COPIES * GROUP; n++) down[{start} + n] = all(w[W_READ + n]);"]
            return "\n".join([*forward, "}", *back, "}"])
        at = 0
        for t, (n, m, kind) in enumerate(p.field):
            forward += [
                f"    for (int n = 0; n < {n}; n++) for (int m = 0; m < {m}; m++) {{",
                f"        pair sum = all(w[W_CONSTANT + {at} + n * {m} + m]);",
                "        for (int c = 0; c < COPIES; c++) for (int h = 0; h < GROUP; h++)",
                f"            sum = fma1(w[W_READ_{t} + (n * COPIES + c) * GROUP + h], a[{starts[kind]} + (c * {m} + m) * GROUP + h], sum);",
                f"        out[{at} + n * {m} + m] = sum;",
                "    }",
            ]
            back += [
                f"    for (int n = 0; n < {n}; n++) for (int m = 0; m < {m}; m++) {{",
                f"        pair d = slope[{at} + n * {m} + m];",
                f"        gradient[W_CONSTANT + {at} + n * {m} + m] += d.a + d.b;",
                "        for (int c = 0; c < COPIES; c++) for (int h = 0; h < GROUP; h++) {",
                f"            int weight = W_READ_{t} + (n * COPIES + c) * GROUP + h, channel = {starts[kind]} + (c * {m} + m) * GROUP + h;",
                "            gradient[weight] += d.a * a[channel].a + d.b * a[channel].b;",
                "            down[channel] = fma1(w[weight], d, down[channel]);",
                "        }",
                "    }",
            ]
            at += n * m
        return "\n".join([*forward, "}", *back, "}"])


def source(plan: Plan, gradients: bool = False) -> str:
    """The whole C file: of forces, or of gradients for training."""
    return f"#define GRADIENTS {int(gradients)}\n{Writer(plan).text()}"
