"""Spectral bounds by a few Lanczos steps (PHYSICS P4): Gershgorin's circles are twice as wide, and so twice as dear."""

from __future__ import annotations

import numba
import numpy as np
from scipy.linalg import eigh_tridiagonal

from ennforce.electrons.chebyshev import SpectralWindow
from ennforce.electrons.stencil import Stencil, strides

FIRST_BATCH, BATCH = 24, 12  # Lanczos steps before the first look at the residuals, and between looks
MOST_STEPS = 200
U = np.uint64
CONVERGED = 0.01  # residual of the extremal Ritz pairs, as a fraction of the half width
MARGIN = 0.03


def lanczos_window(stencil: Stencil, margin: float = MARGIN) -> SpectralWindow:
    """An interval that holds the spectrum: extremal Ritz values, plus their residuals, plus a margin of the half width.

    Steps until both residuals are small: a bound state of a rare large field hides from the first few.
    """
    # Rows along x of the torus with a rim around it: which are the torus's own, and which of them the others are images of.
    shape, reach = np.array((1, *stencil.lattice.shape)), np.array((0, *stencil.reach))
    *heights, width = shape + 2 * reach
    padded = np.indices(heights).reshape(len(heights), -1)
    images = (padded - reach[:-1, None]) % shape[:-1, None] + reach[:-1, None]
    inner = (padded == images).all(axis=0)
    steps = strides(heights)
    own, rim = steps @ padded[:, inner], np.stack([steps @ padded, steps @ images], axis=1)[~inner]
    terms = [
        (p, q, int(steps[1:] @ shift[:-1]), shift[-1], slot, element)
        for p in range(stencil.planes)
        for q, shift, slot, element in (
            *((q, s, -1, e) for q, s, e in stencil.uniform[p]),
            *((q, s, slot, 0.0) for q, s, slot in stencil.varying[p]),
        )
    ]
    places, elements = np.array([term[:5] for term in terms], dtype=np.int64), np.array([term[5] for term in terms])
    firsts = np.searchsorted(places[:, 0], np.arange(stencil.planes + 1))
    # Deterministic, and with weight on every eigenvector for certain practical purposes.
    start = np.random.default_rng(12345).normal(size=(stencil.planes, *stencil.lattice.shape))
    size = start.size
    vector = np.pad(start / np.linalg.norm(start), ((0, 0), *((n, n) for n in stencil.reach)))
    vector, previous = vector.reshape(stencil.planes, -1, width), np.zeros((stencil.planes, len(own), shape[-1]))
    arrays = stencil.arrays.reshape(-1, len(own), shape[-1])
    most = min(MOST_STEPS, size)
    diagonal, offdiagonal = np.zeros(most), np.zeros(most)
    done, beta = 0, 0.0
    while True:
        wanted = min(done + (FIRST_BATCH if done == 0 else BATCH), most)
        done = lanczos_steps(arrays, places, firsts, elements, own, rim, vector, previous, diagonal, offdiagonal, done, wanted)
        beta = offdiagonal[done - 1]
        ritz, vectors = eigh_tridiagonal(diagonal[:done], offdiagonal[: done - 1])
        below, above = beta * abs(vectors[-1, 0]), beta * abs(vectors[-1, -1])
        half_width = max(0.5 * (ritz[-1] - ritz[0] + above + below), 1e-6)
        if max(below, above) < CONVERGED * half_width or done < wanted or done == most:
            return SpectralWindow(half_width * (1.0 + margin), 0.5 * (ritz[-1] + above + ritz[0] - below))


def gershgorin_window(stencil: Stencil) -> SpectralWindow:
    """An interval that surely holds the spectrum: wider, and so dearer, than Lanczos's. Used where that one fails."""
    low, high = stencil.gershgorin()
    return SpectralWindow(max(0.5 * (high - low), 1e-6) * (1.0 + 1e-6), 0.5 * (high + low))


@numba.njit(fastmath={"contract", "nsz", "reassoc"}, nogil=True, cache=True)
def lanczos_steps(
    arrays, places, firsts, elements, own, rim, vector, previous, diagonal, offdiagonal, done, wanted
):  # pragma: no cover (compiled)
    """Lanczos steps ``done`` to ``wanted`` on the whole torus; returns how many are done, fewer where the space is exhausted.

    places: of each term target plane, source plane, steps in rows and along x, slot of ``arrays`` (-1: uniform ``elements``), in
    order of target planes, whose first terms are in ``firsts``. vector: the last Lanczos vector with a rim around the torus,
    (planes, rows, columns); previous: the one before it, without. own: the torus's rows among all; rim: the other rows, and the
    own rows that they are images of.
    """
    planes, rows, width = previous.shape
    result = np.empty(width)
    left = (vector.shape[2] - width) // 2
    for k in range(done, wanted):
        for plane in range(planes):
            for row in own:
                for column in range(left):
                    vector[plane, row, column] = vector[plane, row, width + column]
                    vector[plane, row, width + left + column] = vector[plane, row, left + column]
            for n in range(len(rim)):
                vector[plane, rim[n, 0]] = vector[plane, rim[n, 1]]
        beta = offdiagonal[k - 1] if k > 0 else 0.0
        alpha = 0.0
        for plane in range(planes):
            for row in range(rows):
                older = previous[plane, row]
                for x in range(width):
                    result[x] = -beta * older[x]
                for z in range(firsts[plane], firsts[plane + 1]):
                    here = vector[places[z, 1], own[row] + places[z, 2]]
                    shift = left + places[z, 3]
                    if places[z, 4] < 0:
                        for x in range(width):
                            result[x] += elements[z] * here[U(x + shift)]
                    else:
                        factors = arrays[places[z, 4], row]
                        for x in range(width):
                            result[x] += factors[x] * here[U(x + shift)]
                here = vector[plane, own[row]]
                for x in range(width):
                    alpha += result[x] * here[U(x + left)]
                    older[x] = result[x]
        diagonal[k] = alpha
        norm = 0.0
        for plane in range(planes):
            for row in range(rows):
                older, here = previous[plane, row], vector[plane, own[row]]
                for x in range(width):
                    value = older[x] - alpha * here[U(x + left)]
                    older[x] = value
                    norm += value * value
        norm = np.sqrt(norm)
        offdiagonal[k] = norm
        if norm < 1e-10:
            return k + 1
        for plane in range(planes):
            for row in range(rows):
                older, here = previous[plane, row], vector[plane, own[row]]
                for x in range(width):
                    value = here[U(x + left)]
                    here[U(x + left)] = older[x] / norm
                    older[x] = value
    return wanted
