"""Numba kernel of the windowed Chebyshev recursion (PHYSICS P4): local moments of many sites at linear cost.

T_m(H)|i> lives within m hops of i and the density matrix decays, so the recursion of a small tile of sites runs inside a
window around the tile. The TILE x TILE start sites are the innermost axis of every array: one SIMD lane each.
"""

from __future__ import annotations

import numba
import numpy as np

TILE = 4
LANES = TILE * TILE


@numba.njit(parallel=True, fastmath={"contract", "nsz", "reassoc"}, cache=True)
def window_moments(onsite, offsets, elements, reach, corners, radius, torus, moments):  # pragma: no cover (compiled)
    """Chebyshev moments <i|T_m|i> of every site of every tile, into ``moments`` (tile, order, lane) with an even order.

    onsite: (Ly, Lx) scaled on-site energies, whose dtype is the recursion's (sums are float64). offsets, elements: tuples
    (their length is known to the compiler, which unrolls them) of flat offsets and scaled hoppings; reach: the longest hop
    along an axis. corners: (tiles, 2) upper left sites. torus = False: the window reaches ``radius`` around the tile, cut off
    outside; torus = True: the window is the whole torus, with its wrapped hops, and ``radius`` is not used.
    """
    height, width = onsite.shape
    rows = height if torus else TILE + 2 * radius
    columns = width if torus else TILE + 2 * radius
    inset = 0 if torus else radius  # of the tile inside its window
    stride = columns + 2 * reach
    half = moments.shape[1] // 2
    for n in numba.prange(len(corners)):
        energy = np.zeros((rows + 2 * reach) * stride, onsite.dtype)
        for row in range(rows):
            for column in range(columns):
                y, x = corners[n, 0] + row - inset, corners[n, 1] + column - inset
                energy[(row + reach) * stride + column + reach] = onsite[y % height, x % width]
        old = np.zeros(((rows + 2 * reach) * stride, LANES), onsite.dtype)
        new = np.zeros(((rows + 2 * reach) * stride, LANES), onsite.dtype)
        for lane in range(LANES):
            row, column = (lane // TILE + inset) % rows, (lane % TILE + inset) % columns
            start = (row + reach) * stride + column + reach
            new[start, lane] = 1.0
            moments[n, 0, lane] = 1.0
            moments[n, 1, lane] = energy[start]  # no hop ends where it began: the torus is larger than every hop
        for m in range(half):
            if torus:
                wrap(new, rows, columns, reach)
            # `new` holds v_m and `old` v_(m-1); after the pass `old` holds v_(m+1) = 2 H v_m - v_(m-1).
            factor = onsite.dtype.type(1.0 if m == 0 else 2.0)
            norm = np.zeros(LANES)
            overlap = np.zeros(LANES)
            dark = 0 if torus else max(0, radius - (m + 1) * reach)  # the light cone has not come this far
            for row in range(dark, rows - dark):
                begin = (row + reach) * stride + reach
                row_norm = np.zeros(LANES, onsite.dtype)
                row_overlap = np.zeros(LANES, onsite.dtype)
                for p in range(begin + dark, begin + columns - dark):
                    for lane in range(LANES):
                        value = energy[p] * new[p, lane]
                        for z in range(len(offsets)):
                            value += elements[z] * new[p + offsets[z], lane]
                        value = factor * value - old[p, lane]
                        old[p, lane] = value
                        row_norm[lane] += value * value
                        row_overlap[lane] += value * new[p, lane]
                for lane in range(LANES):
                    norm[lane] += row_norm[lane]
                    overlap[lane] += row_overlap[lane]
            old, new = new, old
            for lane in range(LANES):
                # <T_(m+1)|T_m> and <T_(m+1)|T_(m+1)> give two moments a step.
                if m > 0:
                    moments[n, 2 * m + 1, lane] = 2.0 * overlap[lane] - moments[n, 1, lane]
                if m + 1 < half:
                    moments[n, 2 * m + 2, lane] = 2.0 * norm[lane] - 1.0


@numba.njit(cache=True)
def wrap(vectors, rows, columns, reach):  # pragma: no cover (compiled)
    """Fill the rim of ``reach`` sites around the torus with its periodic images."""
    stride = columns + 2 * reach
    for row in range(rows + 2 * reach):
        for column in range(stride):
            if reach <= row < rows + reach and reach <= column < columns + reach:
                continue
            source = ((row - reach) % rows + reach) * stride + (column - reach) % columns + reach
            vectors[row * stride + column] = vectors[source]
