"""Numba kernel of the windowed Chebyshev recursion (PHYSICS P4): local moments of many sites at linear cost.

T_m(H)|i> lives within m hops of i and the density matrix decays, so the recursion of a small tile of sites runs inside a
window around the tile. The TILE x TILE start sites are the innermost axis of every array: one SIMD lane each. Arrays are flat
and indices unsigned on purpose: numba's support for negative indices keeps the compiler from vectorising (a factor 4).
"""

from __future__ import annotations

import numba
import numpy as np

TILE = 4
LANES = TILE * TILE
unsigned = np.uint64


@numba.njit(parallel=True, fastmath={"contract", "nsz", "reassoc"}, cache=True)
def window_moments(onsite, offsets, elements, reach, corners, radius, torus, moments):  # pragma: no cover (compiled)
    """Chebyshev moments <i|T_m|i> of every site of every tile, into ``moments`` (tile, order, lane) with an even order.

    onsite: (Ly, Lx) scaled on-site energies, whose dtype is the recursion's. offsets, elements: tuples (their length is known to
    the compiler, which unrolls them) of flat offsets between sites and scaled hoppings; reach: the longest hop along an axis.
    corners: (tiles, 2) upper left sites. torus = False: the window reaches ``radius`` around the tile, cut off outside; torus =
    True: the window is the whole torus, with its wrapped hops, and ``radius`` is not used.
    """
    height, width = onsite.shape
    rows = height if torus else TILE + 2 * radius
    columns = width if torus else TILE + 2 * radius
    inset = 0 if torus else radius  # of the tile inside its window
    stride = columns + 2 * reach
    half = moments.shape[1] // 2
    for n in numba.prange(len(corners)):
        size = (rows + 2 * reach) * stride * LANES
        energy = np.zeros(size, onsite.dtype)  # repeated for every lane: a load is cheaper than a broadcast in the loop
        for row in range(rows):
            for column in range(columns):
                y, x = corners[n, 0] + row - inset, corners[n, 1] + column - inset
                site = ((row + reach) * stride + column + reach) * LANES
                energy[site : site + LANES] = onsite[y % height, x % width]
        old = np.zeros(size, onsite.dtype)
        new = np.zeros(size, onsite.dtype)
        for lane in range(LANES):
            row, column = (lane // TILE + inset) % rows, (lane % TILE + inset) % columns
            start = ((row + reach) * stride + column + reach) * LANES + lane
            new[start] = 1.0
            moments[n, 0, lane] = 1.0
            moments[n, 1, lane] = energy[start]  # no hop ends where it began: the torus is larger than every hop
        # Products are summed over rows here and over columns at the end of a step: no chain of dependent additions.
        norms = np.empty(columns * LANES, onsite.dtype)
        overlaps = np.empty(columns * LANES, onsite.dtype)
        for m in range(half):
            if torus:
                wrap(new, rows, columns, reach)
            # `new` holds v_m and `old` v_(m-1); after the pass `old` holds v_(m+1) = 2 H v_m - v_(m-1).
            factor = onsite.dtype.type(1.0 if m == 0 else 2.0)
            norms[:] = 0.0
            overlaps[:] = 0.0
            dark = 0 if torus else max(0, radius - (m + 1) * reach)  # the light cone has not come this far
            for row in range(dark, rows - dark):
                begin = ((row + reach) * stride + reach + dark) * LANES
                for i in range((columns - 2 * dark) * LANES):
                    here = new[unsigned(begin + i)]
                    value = energy[unsigned(begin + i)] * here
                    for z in range(len(offsets)):
                        value += elements[z] * new[unsigned(begin + offsets[z] * LANES + i)]
                    value = factor * value - old[unsigned(begin + i)]
                    old[unsigned(begin + i)] = value
                    norms[unsigned(i)] += value * value
                    overlaps[unsigned(i)] += value * here
            old, new = new, old
            for lane in range(LANES):
                norm, overlap = 0.0, 0.0
                for column in range(columns):
                    norm += norms[column * LANES + lane]
                    overlap += overlaps[column * LANES + lane]
                # <T_(m+1)|T_m> and <T_(m+1)|T_(m+1)> give two moments a step.
                if m > 0:
                    moments[n, 2 * m + 1, lane] = 2.0 * overlap - moments[n, 1, lane]
                if m + 1 < half:
                    moments[n, 2 * m + 2, lane] = 2.0 * norm - 1.0


@numba.njit(cache=True)
def wrap(vectors, rows, columns, reach):  # pragma: no cover (compiled)
    """Fill the rim of ``reach`` sites around the torus with its periodic images."""
    stride = columns + 2 * reach
    for row in range(rows + 2 * reach):
        for column in range(stride):
            if reach <= row < rows + reach and reach <= column < columns + reach:
                continue
            source = (((row - reach) % rows + reach) * stride + (column - reach) % columns + reach) * LANES
            target = (row * stride + column) * LANES
            vectors[target : target + LANES] = vectors[source : source + LANES]
