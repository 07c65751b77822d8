"""The C file of a plan: what depends on its symmetries is written here, the rest is in C files beside it.

Every function works on a pair of vectors of sites. Those whose names end in ``_back`` hand slopes of the loss, or of an energy,
from results to what these were made of, and add to gradients by weights.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from string import Template

from ennforce.networks.compiled import transform as irreps
from ennforce.networks.compiled.layout import Layout, layout_of
from ennforce.networks.compiled.plan import Plan, Position, positions

VECTORS, LAYERS = Path(__file__).with_name("vectors.h"), Path(__file__).with_name("layers.c")
STRIPS, GRADIENTS = Path(__file__).with_name("strips.c"), Path(__file__).with_name("gradients.c")


def source(plan: Plan, gradients: bool = False) -> str:
    """The whole C file: of forces, or of gradients for training."""
    layout = layout_of(plan)
    parts = [VECTORS.read_text(), layout.constants(), irreps.source(plan.lattice)]
    parts += [text for text, _ in layout.functions]
    parts += [_pointing(layout), _embedding(layout), _far(layout) if plan.wide else "", _convolution(layout), _gathering(layout)]
    parts += [_energy_readout(layout) if plan.reads >= 0 else _readout(layout), LAYERS.read_text()]
    parts.append((GRADIENTS if gradients else STRIPS).read_text())
    return "\n".join(parts)


def _code(text: str, **values: object) -> str:
    """C text with $names replaced; lists of lines are joined."""
    told = {name: "\n".join(value) if isinstance(value, list) else value for name, value in values.items()}
    return Template(textwrap.dedent(text).strip("\n")).substitute(told)


def _joined(signature: str, parts: list[str]) -> str:
    """A function of these parts, one after the other."""
    return "\n".join([f"INLINE void {signature} {{", *(textwrap.indent(part, "    ") for part in parts), "}"])


def _pointers(name: str, shifts: tuple[Position, ...], radius: int, dilation: str, sign: int = 1) -> str:
    """One pointer for each shift, into the sheet that it leads to."""
    lines = [f"const float *{name}[{len(shifts)}];"]
    for n, shift in enumerate(shifts):
        slow, inner = (0, shift) if len(shift) == 1 else (shift[0], shift[1:])
        flat = f"{sign * inner[-1]}L" + (f" + {sign * inner[0]}L * pitch" if len(inner) == 2 else "")
        row = sign * slow + radius if len(shift) > 1 else 0
        lines.append(f"{name}[{n}] = rows[{row}] + x + {dilation} * ({flat});")
    return "\n".join(lines)


def _pointing(layout: Layout) -> str:
    """``point_near`` and ``point_far``: pointers to what the first layer's stencils see, or to what sees a site (_back)."""
    p, found = layout.plan, []
    for name, radius in (("near", p.first_radius), ("far", p.wide_radius if p.wide else 0)):
        shifts = positions(p.lattice, radius)
        for suffix, sign in (("", 1), ("_back", -1)):
            copied = f"for (int p = 0; p < {len(shifts)}; p++) at[p] = to[p];"
            found.append(
                _joined(f"point_{name}{suffix}(WHERE, const float **at)", [_pointers("to", shifts, radius, "1", sign), copied])
            )
    return "\n".join(found)


def _embedding(layout: Layout) -> str:
    """``embed``: features from fields and from what far stencils see, ``seen``; and its slopes and gradients."""
    p, starts = layout.plan, layout.kind_starts()
    forward, back, slope = ["EACH(n, CHANNELS) out[n] = all(0.0f);"], [], []
    for number, kind in enumerate(p.entered):
        bias = {"channel": f"{starts[kind]} + c * {p.kinds[kind]} * GROUP + h", "weight": f"W_ENTERED + {number} * COPIES + c"}
        forward.append(_code("EACH(c, COPIES) EACH(h, GROUP) out[$channel] = all(w[$weight]);", **bias))
        back.append(_code("if (gradient) EACH(c, COPIES) EACH(h, GROUP) gradient[$weight] += total(slope[$channel]);", **bias))
    at = seen = 0
    for t, (n, m, kind) in enumerate(p.field):
        values: dict[str, object] = {
            "t": t, "n": n, "m": m, "start": starts[kind], "at": at, "seen": seen, "wide": p.wide * n,
            "count": len(positions(p.lattice, p.first_radius)),
            "far": len(positions(p.lattice, p.wide_radius)) if p.wide else 0,
        }  # fmt: skip
        forward.append(
            _code(
                """
                EACH(c, COPIES) EACH(m, $m) {
                    pair *sum = out + $start + (c * $m + m) * GROUP;
                    EACH(n, $n) EACH(p, $count) {
                        pair q = load(at[p] + ($at + n * $m + m) * stride);
                        const float *k = w + W_FIRST_$t + ((c * $n + n) * $count + p) * GROUP;
                        EACH(h, GROUP) sum[h] = fma1(k[h], q, sum[h]);
                    }
                """,
                **values,
            )
        )
        spread = """
                    EACH(s, $wide) {
                        pair q = load(seen + ($seen + s * $m + m) * apart);
                        EACH(h, GROUP) sum[h] = fma1(w[W_SPREAD_$t + (c * GROUP + h) * $wide + s], q, sum[h]);
                    }
        """
        forward += [_code(spread, **values)] if p.wide else []
        forward.append("}")
        back.append(
            _code(
                """
                if (gradient) EACH(m, $m) EACH(n, $n) EACH(p, $count) {
                    pair q = load(at[p] + ($at + n * $m + m) * stride);
                    EACH(c, COPIES)
                        outer(gradient + W_FIRST_$t + ((c * $n + n) * $count + p) * GROUP,
                              slope + $start + (c * $m + m) * GROUP, &q, GROUP, 1);
                }
                """,
                **values,
            )
        )
        spread_back = """
                EACH(s, $wide) EACH(m, $m) {
                    pair q = load(seen + ($seen + s * $m + m) * apart), sum = all(0.0f);
                    EACH(c, COPIES) EACH(h, GROUP) {
                        int weight = W_SPREAD_$t + (c * GROUP + h) * $wide + s;
                        pair d = slope[$start + (c * $m + m) * GROUP + h];
                        if (gradient) gradient[weight] += total(mul(d, q));
                        sum = fma1(w[weight], d, sum);
                    }
                    store(seen_slope + ($seen + s * $m + m) * apart, sum);
                }
        """
        back += [_code(spread_back, **values)] if p.wide else []
        far = """
                    EACH(s, $wide) EACH(p, $far)
                        sum = fma1(w[W_FAR_$t + (s * $n + n) * $far + p], load(far[p] + ($seen + s * $m + m) * apart), sum);
        """
        slope.append(
            _code(
                """
                EACH(n, $n) EACH(m, $m) {
                    pair sum = all(0.0f);
                    EACH(c, COPIES) EACH(p, $count) {
                        const float *k = w + W_FIRST_$t + ((c * $n + n) * $count + p) * GROUP;
                        const float *from = at[p] + ($start + (c * $m + m) * GROUP) * stride;
                        EACH(h, GROUP) sum = fma1(k[h], load(from + h * stride), sum);
                    }
                $far_too
                    out[$at + n * $m + m] = sum;
                }
                """,
                far_too=_code(far, **values) if p.wide else "",
                **values,
            )
        )
        at, seen = at + n * m, seen + p.wide * n * m
    arguments = "const float *w, const float *const *at, long stride, const float *seen, long apart"
    found = [
        _joined(f"embed({arguments}, pair *out)", forward),
        _joined(f"embed_back({arguments}, const pair *slope, vec *gradient, float *seen_slope)", back),
    ]
    if p.reads >= 0:
        arguments = "const float *w, const float *const *at, long stride, const float *const *far, long apart"
        found.append(_joined(f"embed_slope({arguments}, pair *out)", slope))
    return "\n".join(found)


def _far(layout: Layout) -> str:
    """``look_far``: what far stencils see of the fields; and gradients by their weights."""
    p, at, seen = layout.plan, 0, 0
    forward, back = [], []
    for t, (n, m, _) in enumerate(p.field):
        values = {
            "t": t, "n": n, "m": m, "at": at, "seen": seen, "wide": p.wide * n, "count": len(positions(p.lattice, p.wide_radius)),
        }  # fmt: skip
        forward.append(
            _code(
                """
                EACH(m, $m) {
                    pair sum[$wide];
                    EACH(s, $wide) sum[s] = all(0.0f);
                    EACH(n, $n) EACH(p, $count) {
                        pair q = load(at[p] + ($at + n * $m + m) * stride);
                        EACH(s, $wide) sum[s] = fma1(w[W_FAR_$t + (s * $n + n) * $count + p], q, sum[s]);
                    }
                    EACH(s, $wide) store(seen + ($seen + s * $m + m) * apart, sum[s]);
                }
                """,
                **values,
            )
        )
        back.append(
            _code(
                """
                EACH(m, $m) EACH(n, $n) EACH(p, $count) {
                    pair q = load(at[p] + ($at + n * $m + m) * stride);
                    EACH(s, $wide)
                        gradient[W_FAR_$t + (s * $n + n) * $count + p] += total(mul(load(slope + ($seen + s * $m + m) * apart), q));
                }
                """,
                **values,
            )
        )
        at, seen = at + n * m, seen + p.wide * n * m
    return "\n".join([
        _joined("look_far(const float *w, const float *const *at, long stride, float *seen, long apart)", forward),
        _joined("look_far_back(const float *const *at, long stride, const float *slope, long apart, vec *gradient)", back),
    ])  # fmt: skip


def _convolution(layout: Layout) -> str:
    """``convolve``: what a block's convolution gives; ``convolve_back``: what it sends back, and gradients by mixing."""
    p, starts = layout.plan, layout.kind_starts()
    pointers = _pointers("at", p.stencil, p.radius, "dilation")
    found, forward, back = [], [pointers], [pointers, "(void)at;"]
    put = sent = 0
    for k, (m, outputs) in enumerate(zip(p.kinds, p.outputs, strict=True)):
        values = {
            "k": k, "m": m, "start": starts[k], "views": p.copies * p.views, "out": p.copies * len(outputs),
            "put": put, "sent": sent,
        }  # fmt: skip
        found.append(_look(layout, values))
        rows = [
            {**values, "n": n, "d_out": d * p.copies * len(outputs), "d_in": d * p.copies * p.views, "row": start + row * d}
            for n, (start, d) in enumerate(layout.blocks)
            for row in range(d)
        ]
        arguments = "u + $row * $views, mixed + $row * $out, $d_out, $d_in"
        crossed = "mixed + $row * $out, u + $row * $views, $d_out, $d_in"
        forward.append(
            _code(
                """
                EACH(m, $m) {
                    pair u[GROUP * $views], mixed[GROUP * $out];
                    look_$k(w, at, stride, m, u);
                $mixing
                    EACH(o, $out) {
                        pair g[GROUP];
                        EACH(i, GROUP) g[i] = mixed[i * $out + o];
                        from_irreps(g, z + $put + (o * $m + m) * GROUP);
                    }
                }
                """,
                mixing=[_code(f"    multiply(w + W_MIX_${{k}}_$n, {arguments});", **row) for row in rows],
                **values,
            )
        )
        back.append(
            _code(
                """
                EACH(m, $m) {
                    pair u[GROUP * $views], mixed[GROUP * $out];
                    EACH(o, $out) {
                        pair g[GROUP];
                        to_irreps(slope + $put + (o * $m + m) * GROUP, g);
                        EACH(i, GROUP) mixed[i * $out + o] = g[i];
                    }
                    if (gradient) {
                        look_$k(w, at, stride, m, u);
                $outer
                    }
                $mixing
                    EACH(v, $views) {
                        pair g[GROUP], f[GROUP];
                        EACH(i, GROUP) g[i] = u[i * $views + v];
                        from_irreps(g, f);
                        EACH(h, GROUP) store(sent + ($sent + (v * $m + m) * GROUP + h) * apart, f[h]);
                    }
                }
                """,
                outer=[_code(f"        outer(gradient + W_MIX_${{k}}_$n, {crossed});", **row) for row in rows],
                mixing=[_code(f"    multiply_back(w + W_MIX_${{k}}_$n, {crossed});", **row) for row in rows],
                **values,
            )
        )
        put += p.copies * len(outputs) * m * layout.group
        sent += p.copies * p.views * m * layout.group
    arguments = "const float *w, WHERE, long dilation"
    found.append(_joined(f"convolve({arguments}, pair *z)", forward))
    found.append(_joined(f"convolve_back({arguments}, const pair *slope, float *sent, long apart, vec *gradient)", back))
    return "\n".join(found)


def _stencil_sum(layout: Layout) -> list[str]:
    """A channel through its stencil, in two sums that do not wait for each other."""
    return [
        f"    {name} = fma1(k[{n}], load(at[{n}] + channel), {name});"
        for n in range(len(layout.plan.stencil))
        for name in [("one", "two")[n % 2]]
    ]


def _look(layout: Layout, values: dict) -> str:
    """``look_k``: the views of the component m of a kind, in irreps."""
    if layout.plan.separable:
        body = """
        EACH(c, COPIES) {
            pair f[GROUP], g[GROUP];
            EACH(h, GROUP) {
                const float *k = w + W_STENCILS + (($k * COPIES + c) * GROUP + h) * STENCIL;
                long channel = ($start + (c * $m + m) * GROUP + h) * stride;
                pair one = all(0.0f), two = all(0.0f);
        $terms
                f[h] = add(one, two);
            }
            to_irreps(f, g);
            EACH(i, GROUP) u[i * $views + c] = g[i];
        }
        """
    else:
        body = """
        (void)w;
        EACH(c, COPIES) EACH(n, VIEWS) {
            pair f[GROUP], g[GROUP];
            EACH(h, GROUP) f[h] = load(at[SHIFT[n][h]] + ($start + (c * $m + m) * GROUP + h) * stride);
            to_irreps(f, g);
            EACH(i, GROUP) u[i * $views + c * VIEWS + n] = g[i];
        }
        """
    signature = f"look_{values['k']}(const float *w, const float *const *at, long stride, int m, pair *u)"
    return _joined(signature, [_code(body, terms=_stencil_sum(layout), **values)])


def _gathering(layout: Layout) -> str:
    """``gather``: slopes by activated features from what convolutions around sent back; and gradients by the stencils."""
    p, starts, sent = layout.plan, layout.kind_starts(), 0
    gather = [_pointers("at", p.stencil, p.radius, "dilation", -1), "(void)w;"]
    gradient = [_pointers("at", p.stencil, p.radius, "dilation")] if p.separable else []
    for k, m in enumerate(p.kinds):
        values = {"k": k, "m": m, "start": starts[k], "sent": sent}
        if p.separable:
            body = """
            EACH(c, COPIES) EACH(m, $m) EACH(h, GROUP) {
                const float *k = w + W_STENCILS + (($k * COPIES + c) * GROUP + h) * STENCIL;
                long channel = ($sent + (c * $m + m) * GROUP + h) * stride;
                pair one = all(0.0f), two = all(0.0f);
            $terms
                slope[$start + (c * $m + m) * GROUP + h] = add(one, two);
            }
            """
            # d(stencil of channel h)[p] = sum over sites of what was sent back times the feature that the stencil saw there.
            of_stencils = """
            EACH(c, COPIES) EACH(m, $m) EACH(h, GROUP) {
                long channel = $start + (c * $m + m) * GROUP + h;
                vec sums[STENCIL], *to = gradient + W_STENCILS + (($k * COPIES + c) * GROUP + h) * STENCIL;
                EACH(p, STENCIL) sums[p] = (vec){0};
                for (long y = 0; y < count; y += PAIR) {
                    pair d = load(sent + channel * apart + y);
                    EACH(p, STENCIL) sums[p] += total(mul(d, load(at[p] + channel * stride + y)));
                }
                EACH(p, STENCIL) to[p] += sums[p];
            }
            """
            gradient.append(_code(of_stencils, **values))
        else:
            body = """
            EACH(c, COPIES) EACH(m, $m) EACH(h, GROUP) {
                pair sum = all(0.0f);
                EACH(n, VIEWS) sum = add(sum, load(at[SHIFT[n][h]] + ($sent + ((c * VIEWS + n) * $m + m) * GROUP + h) * stride));
                slope[$start + (c * $m + m) * GROUP + h] = sum;
            }
            """
        gather.append(_code(body, terms=_stencil_sum(layout), **values))
        sent += p.copies * p.views * m * layout.group
    arguments = "WHERE, long count, long dilation, const float *sent, long apart, vec *gradient"
    return "\n".join([
        _joined("gather(const float *w, WHERE, long dilation, pair *slope)", gather),
        _joined(f"stencil_gradient({arguments})", gradient),
    ])  # fmt: skip


READ = "read(const float *w, const pair *a, pair *out)"
READ_BACK = "read_back(const float *w, const pair *a, const pair *slope, pair *down, vec *gradient)"


def _energy_readout(layout: Layout) -> str:
    """``read_back``: the slopes of the energies, which are not read themselves."""
    start = layout.kind_starts()[layout.plan.reads]
    # Of a dual network it is the energies' derivatives that count.
    values = {"start": start, "m": 2 if layout.plan.dual else 1, "of": 1 if layout.plan.dual else 0}
    body = """
    EACH(n, CHANNELS) down[n] = all(0.0f);
    EACH(c, COPIES) EACH(h, GROUP) {
        int weight = W_READ + c * GROUP + h, channel = $start + (c * $m + $of) * GROUP + h;
        down[channel] = scale(w[weight], slope[0]);
        if (gradient) gradient[weight] += total(mul(slope[0], a[channel]));
    }
    """
    return _joined(READ_BACK, [_code(body, **values)])


def _readout(layout: Layout) -> str:
    """``read``: forces from the last features; and slopes and gradients."""
    p, starts, at = layout.plan, layout.kind_starts(), 0
    forward, back = [], ["EACH(n, CHANNELS) down[n] = all(0.0f);"]
    for t, (n, m, kind) in enumerate(p.field):
        values = {"t": t, "n": n, "m": m, "at": at, "start": starts[kind]}
        forward.append(
            _code(
                """
                EACH(n, $n) EACH(m, $m) {
                    pair sum = all(w[W_CONSTANT + $at + n * $m + m]);
                    EACH(c, COPIES) EACH(h, GROUP)
                        sum = fma1(w[W_READ_$t + (n * COPIES + c) * GROUP + h], a[$start + (c * $m + m) * GROUP + h], sum);
                    out[$at + n * $m + m] = sum;
                }
                """,
                **values,
            )
        )
        back.append(
            _code(
                """
                EACH(n, $n) EACH(m, $m) {
                    pair d = slope[$at + n * $m + m];
                    gradient[W_CONSTANT + $at + n * $m + m] += total(d);
                    EACH(c, COPIES) EACH(h, GROUP) {
                        int weight = W_READ_$t + (n * COPIES + c) * GROUP + h, channel = $start + (c * $m + m) * GROUP + h;
                        gradient[weight] += total(mul(d, a[channel]));
                        down[channel] = fma1(w[weight], d, down[channel]);
                    }
                }
                """,
                **values,
            )
        )
        at += n * m
    return "\n".join([_joined(READ, forward), _joined(READ_BACK, back)])
