"""Two ways to local elements of a function of H: Chebyshev polynomials, and Lanczos steps with poles of the function (PHYSICS P4).

Both give, for many start sites, f(H)[element, start] from a window around each, and share their interface.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import add, mod, mul
from typing import Protocol

import numpy as np

from ennforce import threads
from ennforce.electrons.kernels import LANES, chebyshev, rational, recursion
from ennforce.electrons.stencil import Stencil, Window, strides
from ennforce.lattice import Shift

CHUNK = 64 * LANES  # most columns of one call of a kernel
LOOKBACK = 4  # Lanczos steps whose results must agree
UNROLLED = 10  # most terms of a plane that are compiled one by one: with more they are no longer vectorised
# Of the weight at the Fermi level: Matsubara frequencies in units of pi T, and their shares. A state at energy E counts
# sum_k share_k / (1 + (E / frequency_k)^2): 1 at E = 0, and no terms of second and fourth order far away.
FREQUENCIES = (1.0, 3.0, 5.0)
SHARES = np.linalg.solve([[1.0, 1.0, 1.0], [1.0, 9.0, 25.0], [1.0, 81.0, 625.0]], [1.0, 0.0, 0.0])
SHORT_CHUNK = 16 * LANES  # most columns of one call where their Lanczos vectors are held, in cache


class SpectrumError(ValueError):
    """The spectrum reaches outside its bounds, where the Chebyshev recursion diverges."""


def check_moment(largest: float) -> None:
    """Raises SpectrumError where the largest last moment shows that the recursion diverges."""
    if not largest < 1.0 + 1e-3:
        raise SpectrumError(
            f"a Chebyshev moment reached {largest:.3g}, above 1: the spectrum leaves its bounds; raise the spectral margin"
        )


class Engine(Protocol):
    """values(sites, window): elements f(H)[element, start], shape (functions, orbitals, elements, sites).

    sites: flat numbers of start sites; elements: the planes of the start site, then those of every wanted shift.
    """

    stencil: Stencil

    @property
    def steps(self) -> int: ...

    def values(self, sites: np.ndarray, window: Window) -> np.ndarray: ...


class Layout:
    """A stencil in the flat arrays of one window: what the kernels take."""

    def __init__(self, stencil: Stencil, window: Window, shifts: tuple[Shift, ...]) -> None:
        self.window = window
        reach, self.shape = np.array(stencil.reach), stencil.lattice.shape
        outer = np.array(window.box) + 2 * reach
        steps, size = strides(outer), int(outer.prod())
        along = steps.tolist()

        def flat(plane: int, shift: Shift) -> int:
            return plane * size + sum(map(mul, shift, along))

        uniform, varying = stencil.uniform, stencil.varying
        hops = [[flat(q - p, s) * LANES for q, s, _ in terms] for p, terms in enumerate(uniform)]
        weights = [[element for _, _, element in terms] for terms in uniform]
        varying_hops = [[flat(q - p, s) * LANES for q, s, _ in terms] for p, terms in enumerate(varying)]
        slots = [[slot * size * LANES for _, _, slot in terms] for terms in varying]
        self.terms, self.table = terms_of(hops, weights, varying_hops, slots, stencil.arrays.dtype)
        places = [tuple(map(add, window.centre, shift)) for shift in shifts]
        if window.torus:
            places = [tuple(map(mod, place, self.shape)) for place in places]
            margins = [(0, length - 1) for length in self.shape]
        else:
            margins = [(centre, centre) for centre in window.centre]
        padded = np.pad(stencil.arrays, [(0, 0), *margins], mode="wrap")
        self.arrays, self.steps = padded.ravel(), strides(padded.shape[1:])
        first = flat(0, stencil.reach)
        begins = np.indices((*window.box[:-1], 1)).reshape(len(window.box), -1)
        self.rows = np.stack([first + steps @ begins, self.steps @ begins], axis=1)
        self.rim = np.zeros((0, 2), dtype=np.int64)
        if window.torus:
            around = np.indices(tuple(outer)).reshape(len(outer), -1)
            images = (around - reach[:, None]) % np.array(window.box)[:, None] + reach[:, None]
            self.rim = np.stack([steps @ around, steps @ images], axis=1)[(around != images).any(axis=0)]
        self.sizes = (window.box[-1], size, padded[0].size)
        self.starts = [first + flat(orbital, window.centre) for orbital in range(stencil.orbitals)]
        self.elements = np.array([first + flat(plane, place) for place in places for plane in range(stencil.planes)])

    def origins(self, sites: np.ndarray) -> np.ndarray:
        """Where the windows of some sites begin in the padded arrays; the last site repeated to whole LANES."""
        origins = self.steps @ np.array(np.unravel_index(sites, self.shape))
        return np.pad(origins, (0, -len(sites) % LANES), mode="edge")

    def lanczos(self, origins: np.ndarray, start: int, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lanczos coefficients alpha, beta (steps, columns), and the vectors' wanted elements (steps, elements, columns)."""
        alphas, betas = np.empty((2, steps, len(origins)))
        vectors = np.empty((steps, len(self.elements), len(origins)))
        recursion(
            self.arrays, self.sizes, self.rows, self.rim, origins, self.terms, self.table, self.window.spans, start, self.elements,
            steps, alphas, betas, vectors,
        )  # fmt: skip
        return alphas, betas, vectors


def terms_of(hops: list, weights: list, varying_hops: list, places: list, dtype: np.dtype) -> tuple:
    """The terms of every plane, as the kernels take them: a few as tuples, many as arrays."""
    table = None
    if len(hops[0]) + len(varying_hops[0]) > UNROLLED:
        offsets, varying_offsets, slots = (np.array(rows, np.int64) for rows in (hops, varying_hops, places))
        table = offsets, np.array(weights, dtype), varying_offsets, slots
        hops = weights = varying_hops = places = [[0]]  # not looked at, but typed
    if not hops[0]:  # a tuple without entries has no type for the compiler
        hops, weights = [[0]] * len(hops), [[0.0]] * len(hops)
    numbers = [[dtype.type(weight) for weight in row] for row in weights]
    return tuple(tuple(map(tuple, rows)) for rows in (hops, numbers, varying_hops, places)), table


class _Local:
    """What the two engines share."""

    def __init__(self, stencil: Stencil, shifts: tuple[Shift, ...]) -> None:
        self.stencil, self.shifts = stencil, (stencil.zero, *shifts)
        self._layouts: dict[int, Layout] = {}

    def _layout(self, window: Window) -> Layout:
        if id(window) not in self._layouts:
            self._layouts = {id(window): Layout(self.stencil, window, self.shifts)}
        return self._layouts[id(window)]


class ChebyshevEngine(_Local):
    """f(H) = sum_m functions[f, m] T_m(H~); ``stencil`` is of the scaled H~, whose dtype is the recursion's."""

    def __init__(self, stencil: Stencil, shifts: tuple[Shift, ...], functions: np.ndarray) -> None:
        super().__init__(stencil, shifts)
        self.functions = np.ascontiguousarray(np.pad(functions, ((0, 0), (0, functions.shape[1] % 2))))
        # With one orbital and no bonds, the start's own element is all: two moments a step.
        self.doubling = True if stencil.orbitals == 1 and len(self.shifts) == 1 else None

    @property
    def steps(self) -> int:
        order = self.functions.shape[1]
        return order // 2 if self.doubling else order - 1

    def values(self, sites: np.ndarray, window: Window) -> np.ndarray:
        return self._run(sites, window, wanted=False)[0]

    def moments(self, sites: np.ndarray, window: Window) -> np.ndarray:
        """sum over sites and orbitals of <start|T_m|start>, shape (order)."""
        return self._run(sites, window, wanted=True)[1]

    def _run(self, sites: np.ndarray, window: Window, wanted: bool) -> tuple[np.ndarray, np.ndarray]:
        layout = self._layout(window)

        def job(start: int, chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
            origins = layout.origins(chunk)
            values = np.empty((len(self.functions), len(layout.elements), len(origins)))
            trace = np.zeros(self.functions.shape[1] if wanted else 0)
            worst = chebyshev(
                layout.arrays, layout.sizes, layout.rows, layout.rim, origins, len(chunk), layout.terms, layout.table,
                window.spans, start, layout.elements, self.functions, self.doubling, values, trace,
            )  # fmt: skip
            return values[..., : len(chunk)], trace, worst

        pieces = [in_threads(lambda chunk, start=start: job(start, chunk), sites, CHUNK) for start in layout.starts]
        check_moment(float(np.max([piece[2] for row in pieces for piece in row])))  # which keeps NaN
        values = np.stack([np.concatenate([piece[0] for piece in row], axis=-1) for row in pieces], axis=1)
        return values, np.sum([piece[1] for row in pieces for piece in row], axis=0)


class RecursionEngine(_Local):
    """f(H) from ``steps`` Lanczos steps and a sum of poles (Haydock's recursion); columns not converged go to ``fallback``.

    ``poles`` and ``residues`` are of the Fermi function (mu, temperature), plus ``constant`` on the diagonal. Its partner in
    quadrature is the imaginary part of the same sum. Converged: the elements of both at the last steps agree within
    ``tolerance``, and the weight at the Fermi level is at most ``resonant``.
    """

    def __init__(
        self, stencil: Stencil, shifts: tuple[Shift, ...], poles: np.ndarray, residues: np.ndarray, constant: float,
        mu: float, temperature: float, steps: int, tolerance: float, resonant: float, fallback: Engine,
    ) -> None:  # fmt: skip
        super().__init__(stencil, shifts)
        frequencies = np.pi * temperature * np.array(FREQUENCIES)
        self.matsubara = mu + 1j * frequencies, 0.5j * frequencies * SHARES
        self.poles, self.residues, self.constant = poles, residues, constant
        self.steps, self.tolerance, self.resonant, self.fallback = steps, tolerance, resonant, fallback

    def values(self, sites: np.ndarray, window: Window) -> np.ndarray:
        last, changing, resonant = self.converging(sites, window, self.steps)
        doubtful = changing | resonant
        if doubtful.any():
            last[..., doubtful] = self.fallback.values(sites[doubtful], window)
        return last

    def converging(self, sites: np.ndarray, window: Window, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values after ``steps``, the sites where they still change, and those of resonant states.

        A step may change nothing though the next ones do, so all of the last LOOKBACK must agree, in both functions: a symmetry
        that holds a density at every step does not hold its partner. And a site with states near the Fermi level may be in
        resonance with another that so few steps do not see: its occupation cannot be read off them at all.
        """
        results, weight = self._after(sites, window, range(max(1, steps - LOOKBACK), steps + 1))
        changing = np.abs(results[:-1] - results[-1]).max(axis=(0, 1, 2, 3)) > self.tolerance
        return results[-1], changing, weight.max(axis=0) > self.resonant

    def _after(self, sites: np.ndarray, window: Window, counts: range) -> tuple[np.ndarray, np.ndarray]:
        """Values after several numbers of steps, (counts, 2 functions, orbitals, elements, sites); weights (orbitals, sites).

        The weight at the Fermi level is 1 for a state there and falls as the sixth power of pi T / energy: three Matsubara
        frequencies, combined so that the first two powers cancel.
        """
        layout = self._layout(window)
        steps = counts[-1]

        def job(start: int, chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            origins = layout.origins(chunk)
            alphas, betas, vectors = layout.lanczos(origins, start, steps)
            values = np.zeros((len(counts), 2, len(layout.elements), len(origins)))
            own = layout.elements == start
            values[:, 0, own] = self.constant
            for count, result in zip(counts, values, strict=True):
                rational(alphas, betas, vectors, self.poles, self.residues, count, result[0])
                rational(alphas, betas, vectors, self.poles, -1j * self.residues, count, result[1])
            weights = np.zeros((1, len(origins)))
            rational(alphas, betas, vectors[:, own], *self.matsubara, steps, weights)
            return values[..., : len(chunk)], weights[0, : len(chunk)]

        rows = [in_threads(lambda chunk, start=start: job(start, chunk), sites, SHORT_CHUNK) for start in layout.starts]
        values = np.stack([np.concatenate([piece[0] for piece in row], axis=-1) for row in rows], axis=2)
        return values, np.stack([np.concatenate([piece[1] for piece in row]) for row in rows])


def in_threads(function: Callable, sites: np.ndarray, largest: int) -> list:
    """function(chunk) for chunks of sites in whole LANES, shared out among threads; results in order."""
    size = min(largest, max(LANES, -(-len(sites) // (4 * threads.number() * LANES)) * LANES))
    return threads.mapped(function, [sites[start : start + size] for start in range(0, len(sites), size)])
