"""Numba kernels: the Chebyshev and the Lanczos recursion of many start sites at once, each in its own window (PHYSICS P4).

LANES start sites, each with the window around it, are the innermost axis of every array: one SIMD lane each. So windows are
centred on their sites, and results do not depend on where the others lie. Arrays are flat and indices unsigned on purpose:
numba's support for negative indices keeps the compiler from vectorising (a factor 4). Kernels release the GIL; the callers run
them in threads.
"""

from __future__ import annotations

import numba
import numpy as np

LANES = 64  # measured: 16 lanes 2.4, 32 lanes 2.9, 64 lanes 3.5, 128 lanes 3.7 10^9 site updates a second, and the same of cache
FAST = {"contract", "nsz", "reassoc"}  # NaN and infinity keep their meaning
FEW = 4  # terms that are summed at a time where there are many
U = np.uint64


@numba.njit(fastmath=FAST, nogil=True)
def gather(arrays, sizes, rows, origins, coefficients):  # pragma: no cover (compiled)
    """The windows' own coefficients: (slot, site of the window with its rim, lane), flat."""
    columns, size, padded = sizes
    for slot in range(len(arrays) // padded):
        for row in range(len(rows)):
            for column in range(columns):
                here = (slot * size + rows[row, 0] + column) * LANES
                source = slot * padded + rows[row, 1] + column
                for lane in range(LANES):
                    coefficients[U(here + lane)] = arrays[U(source + origins[lane])]


@numba.njit(fastmath=FAST, nogil=True)
def advance(new, old, coefficients, terms, table, size, rows, spans, factor, norms, overlaps, sums):  # pragma: no cover (compiled)
    """old becomes factor H new - old on the sites of ``spans``; norms and overlaps (None: not wanted) gain <old|old>, <old|new>.

    A few terms a plane come as ``terms``, tuples, which the compiler unrolls; many, whose long sums it would not vectorise, as
    arrays in ``table`` (else None).
    """
    if table is not None:
        advance_many(new, old, coefficients, table, size, rows, spans, factor, norms, overlaps, sums)
    else:
        advance_few(new, old, coefficients, terms, size, rows, spans, factor, norms, overlaps)


@numba.njit(fastmath=FAST, nogil=True)
def advance_few(new, old, coefficients, terms, size, rows, spans, factor, norms, overlaps):  # pragma: no cover (compiled)
    offsets, elements, varying_offsets, slots = terms
    for plane in range(len(offsets)):
        hops, weights, varying_hops, places = offsets[plane], elements[plane], varying_offsets[plane], slots[plane]
        for row in range(len(rows)):
            row_start = plane * size + rows[row, 0]
            for site in range(row_start + spans[row, 0], row_start + spans[row, 1]):
                local = (site - plane * size) * LANES
                start = site * LANES
                for lane in range(LANES):
                    value = coefficients[U(places[0] + local + lane)] * new[U(start + varying_hops[0] + lane)]
                    for z in range(1, len(varying_hops)):
                        value += coefficients[U(places[z] + local + lane)] * new[U(start + varying_hops[z] + lane)]
                    for z in range(len(hops)):
                        value += weights[z] * new[U(start + hops[z] + lane)]
                    value = factor * value - old[U(start + lane)]
                    old[U(start + lane)] = value
                    if norms is not None:
                        norms[U(lane)] += value * value
                    if overlaps is not None:
                        overlaps[U(lane)] += value * new[U(start + lane)]


@numba.njit(fastmath=FAST, nogil=True)
def advance_many(new, old, coefficients, terms, size, rows, spans, factor, norms, overlaps, sums):  # pragma: no cover (compiled)
    offsets, elements, varying_offsets, slots = terms
    for plane in range(len(offsets)):
        for row in range(len(rows)):
            row_start = plane * size + rows[row, 0]
            for site in range(row_start + spans[row, 0], row_start + spans[row, 1]):
                local = (site - plane * size) * LANES
                start = site * LANES
                sums[:] = 0.0
                whole = varying_offsets.shape[1] // FEW * FEW
                for z in range(0, whole, FEW):
                    a, b = start + varying_offsets[plane, z], start + varying_offsets[plane, z + 1]
                    c, d = start + varying_offsets[plane, z + 2], start + varying_offsets[plane, z + 3]
                    i, j = local + slots[plane, z], local + slots[plane, z + 1]
                    k, m = local + slots[plane, z + 2], local + slots[plane, z + 3]
                    for lane in range(LANES):
                        sums[U(lane)] += (
                            coefficients[U(i + lane)] * new[U(a + lane)] + coefficients[U(j + lane)] * new[U(b + lane)]
                            + coefficients[U(k + lane)] * new[U(c + lane)] + coefficients[U(m + lane)] * new[U(d + lane)]
                        )  # fmt: skip
                for z in range(whole, varying_offsets.shape[1]):
                    a, i = start + varying_offsets[plane, z], local + slots[plane, z]
                    for lane in range(LANES):
                        sums[U(lane)] += coefficients[U(i + lane)] * new[U(a + lane)]
                whole = offsets.shape[1] // FEW * FEW
                for z in range(0, whole, FEW):
                    a, b = start + offsets[plane, z], start + offsets[plane, z + 1]
                    c, d = start + offsets[plane, z + 2], start + offsets[plane, z + 3]
                    p, q, r, s = elements[plane, z], elements[plane, z + 1], elements[plane, z + 2], elements[plane, z + 3]
                    for lane in range(LANES):
                        sums[U(lane)] += p * new[U(a + lane)] + q * new[U(b + lane)] + r * new[U(c + lane)] + s * new[U(d + lane)]
                for z in range(whole, offsets.shape[1]):
                    a, p = start + offsets[plane, z], elements[plane, z]
                    for lane in range(LANES):
                        sums[U(lane)] += p * new[U(a + lane)]
                for lane in range(LANES):
                    value = factor * sums[U(lane)] - old[U(start + lane)]
                    old[U(start + lane)] = value
                    if norms is not None:
                        norms[U(lane)] += value * value
                    if overlaps is not None:
                        overlaps[U(lane)] += value * new[U(start + lane)]


@numba.njit(nogil=True)
def wrap(vector, planes, size, rim):  # pragma: no cover (compiled)
    """Fill the rim around a torus with its periodic images."""
    for plane in range(planes):
        for n in range(len(rim)):
            target, source = (plane * size + rim[n, 0]) * LANES, (plane * size + rim[n, 1]) * LANES
            vector[target : target + LANES] = vector[source : source + LANES]


@numba.njit(fastmath=FAST, nogil=True, cache=True)
def chebyshev(
    arrays, sizes, rows, rim, origins, count, terms, table, spans, start, elements, functions, doubling, values, trace
):  # pragma: no cover (compiled)
    """Elements of functions of H, summed on the way: values[f, e, n] = sum_m functions[f, m] <element e|T_m|start> for column n.

    arrays: coefficients on the torus padded for the windows, flat, of the recursion's dtype; sizes: columns of a window, sites of a
    window with its rim, sites of a padded array. rows: where each row of a window begins, in the window and, from its origin, in
    the padded arrays; rim: places around a torus and the places they are images of, none around other windows. origins: where each
    column's window begins in the arrays, in whole multiples of LANES, the first ``count`` of them wanted. start, elements: places
    in the window.
    doubling (None or True): the only element is the start itself, and <T_m|T_m>, <T_m+1|T_m> give two moments a step.
    trace: (order) gains the start's own moments, summed over columns; empty where not wanted. Returns the largest last moment.
    """
    planes = len(terms[0])
    if table is not None:
        planes = len(table[0])
    size = sizes[1]
    slots = len(arrays) // sizes[2]
    one = arrays.dtype.type(1.0)
    order = functions.shape[1]
    coefficients = np.zeros(slots * size * LANES, arrays.dtype)
    old = np.zeros(planes * size * LANES, arrays.dtype)
    new = np.zeros(planes * size * LANES, arrays.dtype)
    norms, overlaps, sums = np.empty(LANES, arrays.dtype), np.empty(LANES, arrays.dtype), np.empty(LANES, arrays.dtype)
    first = np.empty(LANES)
    worst = 0.0
    for batch in range(0, len(origins), LANES):
        gather(arrays, sizes, rows, origins[batch : batch + LANES], coefficients)
        old[:] = 0.0
        new[:] = 0.0
        new[start * LANES : (start + 1) * LANES] = one
        block = values[:, :, batch : batch + LANES]
        for f in range(functions.shape[0]):
            for e in range(len(elements)):
                block[f, e, :] = functions[f, 0] if elements[e] == start else 0.0
        if len(trace):
            trace[0] += min(LANES, count - batch)
        if doubling is not None:
            for m in range(order // 2):
                wrap(new, planes, size, rim)
                norms[:] = 0.0
                overlaps[:] = 0.0
                factor = one if m == 0 else one + one
                level = spans[min(m + 1, len(spans) - 1)]
                advance(new, old, coefficients, terms, table, size, rows, level, factor, norms, overlaps, sums)
                old, new = new, old
                for lane in range(LANES):
                    if m == 0:
                        first[lane] = overlaps[lane]
                    odd = 2.0 * overlaps[lane] - first[lane] if m > 0 else first[lane]
                    even = 2.0 * norms[lane] - 1.0
                    for f in range(functions.shape[0]):
                        block[f, 0, lane] += functions[f, 2 * m + 1] * odd
                        if 2 * m + 2 < order:
                            block[f, 0, lane] += functions[f, 2 * m + 2] * even
                    if len(trace) and batch + lane < count:
                        trace[2 * m + 1] += odd
                        if 2 * m + 2 < order:
                            trace[2 * m + 2] += even
                    if 2 * m + 3 >= order and worst == worst and not abs(even) <= worst:  # NaN stays
                        worst = abs(even)
        else:
            for m in range(1, order):
                wrap(new, planes, size, rim)
                factor = one if m == 1 else one + one
                advance(new, old, coefficients, terms, table, size, rows, spans[min(m, len(spans) - 1)], factor, None, None, sums)
                old, new = new, old
                for e in range(len(elements)):
                    for lane in range(LANES):
                        moment = np.float64(new[U(elements[e] * LANES + lane)])
                        for f in range(functions.shape[0]):
                            block[f, e, lane] += functions[f, m] * moment
                        if m == order - 1 and worst == worst and not abs(moment) <= worst:
                            worst = abs(moment)
                if len(trace):
                    for lane in range(min(LANES, count - batch)):
                        trace[m] += new[U(start * LANES + lane)]
    return worst


@numba.njit(fastmath=FAST, nogil=True, cache=True)
def recursion(
    arrays, sizes, rows, rim, origins, terms, table, spans, start, elements, steps, alphas, betas, vectors
):  # pragma: no cover (compiled)
    """Lanczos steps from the start site: alphas, betas (steps, n) of the tridiagonal H and vectors (steps, e, n) at the elements.

    The other arguments are those of ``chebyshev``.
    A column whose window is exhausted before the last step has beta = 0 from there on.
    """
    planes = len(terms[0])
    if table is not None:
        planes = len(table[0])
    size = sizes[1]
    slots = len(arrays) // sizes[2]
    one = arrays.dtype.type(1.0)
    coefficients = np.zeros(slots * size * LANES, arrays.dtype)
    old = np.zeros(planes * size * LANES, arrays.dtype)
    new = np.zeros(planes * size * LANES, arrays.dtype)
    overlaps, sums = np.empty(LANES, arrays.dtype), np.empty(LANES, arrays.dtype)
    alpha, beta = np.empty(LANES, arrays.dtype), np.empty(LANES, arrays.dtype)
    for batch in range(0, len(origins), LANES):
        gather(arrays, sizes, rows, origins[batch : batch + LANES], coefficients)
        old[:] = 0.0
        new[:] = 0.0
        new[start * LANES : (start + 1) * LANES] = one
        for k in range(steps):
            for e in range(len(elements)):
                for lane in range(LANES):
                    vectors[k, e, batch + lane] = new[U(elements[e] * LANES + lane)]
            wrap(new, planes, size, rim)
            # `old` comes in as beta v_(k-1) and leaves as H v_k - beta v_(k-1).
            overlaps[:] = 0.0
            level = spans[min(k + 1, len(spans) - 1)]
            advance(new, old, coefficients, terms, table, size, rows, level, one, None, overlaps, sums)
            for lane in range(LANES):
                alpha[lane] = overlaps[lane]
                alphas[k, batch + lane] = alpha[lane]
            orthogonalise(old, new, alpha, planes, size, rows, level, beta)
            for lane in range(LANES):
                beta[lane] = np.sqrt(beta[lane])
                if not beta[lane] > 1e-5:
                    beta[lane] = 0.0
                betas[k, batch + lane] = beta[lane]
                overlaps[lane] = one / beta[lane] if beta[lane] > 0.0 else 0.0
            rescale(old, new, overlaps, beta, planes, size, rows, level)
            old, new = new, old


@numba.njit(fastmath=FAST, nogil=True)
def orthogonalise(old, new, alpha, planes, size, rows, spans, norms):  # pragma: no cover (compiled)
    """old -= alpha new, and the squares of what is left."""
    norms[:] = 0.0
    for plane in range(planes):
        for row in range(len(rows)):
            row_start = plane * size + rows[row, 0]
            for site in range(row_start + spans[row, 0], row_start + spans[row, 1]):
                for lane in range(LANES):
                    value = old[U(site * LANES + lane)] - alpha[U(lane)] * new[U(site * LANES + lane)]
                    old[U(site * LANES + lane)] = value
                    norms[U(lane)] += value * value


@numba.njit(fastmath=FAST, nogil=True)
def rescale(old, new, inverse, beta, planes, size, rows, spans):  # pragma: no cover (compiled)
    """old / beta is the next Lanczos vector; new times beta enters the step after it."""
    for plane in range(planes):
        for row in range(len(rows)):
            row_start = plane * size + rows[row, 0]
            for site in range(row_start + spans[row, 0], row_start + spans[row, 1]):
                for lane in range(LANES):
                    old[U(site * LANES + lane)] *= inverse[U(lane)]
                    new[U(site * LANES + lane)] *= beta[U(lane)]


@numba.njit(fastmath=FAST, nogil=True, cache=True)
def rational(alphas, betas, vectors, poles, residues, steps, values):  # pragma: no cover (compiled)
    """values[e, n] += 2 Re sum_p residues[p] <e|(poles[p] - H)^-1|start> from the tridiagonal H cut off after ``steps``.

    (z - H)^-1 of a tridiagonal matrix is a continued fraction (Haydock's recursion); its first column gives all elements.
    """
    lanes = alphas.shape[1]
    inverse_re, inverse_im = np.empty((steps, lanes)), np.empty((steps, lanes))
    g_re, g_im = np.empty(lanes), np.empty(lanes)
    for p in range(len(poles)):
        x, y, w, v = poles[p].real, poles[p].imag, 2.0 * residues[p].real, 2.0 * residues[p].imag
        for k in range(steps - 1, -1, -1):
            for n in range(lanes):
                re, im = x - alphas[k, n], y
                if k + 1 < steps:
                    square = betas[k, n] ** 2
                    re -= square * inverse_re[k + 1, n]
                    im -= square * inverse_im[k + 1, n]
                scale = 1.0 / (re * re + im * im)
                inverse_re[k, n] = re * scale
                inverse_im[k, n] = -im * scale
        for n in range(lanes):
            g_re[n], g_im[n] = inverse_re[0, n], inverse_im[0, n]
        for k in range(steps):
            if k > 0:
                for n in range(lanes):
                    re = betas[k - 1, n] * (g_re[n] * inverse_re[k, n] - g_im[n] * inverse_im[k, n])
                    g_im[n] = betas[k - 1, n] * (g_re[n] * inverse_im[k, n] + g_im[n] * inverse_re[k, n])
                    g_re[n] = re
            for e in range(values.shape[0]):
                for n in range(lanes):
                    values[e, n] += vectors[k, e, n] * (w * g_re[n] - v * g_im[n])
