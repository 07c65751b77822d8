"""Densities and grand potential by the windowed kernel polynomial method (PHYSICS P4), at linear cost without any noise.

The user asks for a tolerance on every <n_i>. Half of it goes to the expansion, whose order follows from the sum of the
coefficients left out, a strict bound; half to the window, whose radius grows until two successive radii agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ennforce.electrons.bounds import MARGIN, gershgorin_window, lanczos_window
from ennforce.electrons.chebyshev import SpectralWindow, coefficients, order_bound, truncated
from ennforce.electrons.exact import fermi, potential_per_state, solve_chemical_potential
from ennforce.electrons.window import LANES, TILE, window_moments
from ennforce.hamiltonians import Hamiltonian

# Steps of about 1.5: with smaller ones a resonance just outside two successive windows escapes the comparison.
RADII = (2, 4, 6, 9, 13, 19, 28, 42, 63)
SAMPLE = 1 / 24  # of all tiles, on which the radius is decided
LEAST_SAMPLE = 8
SAFETY = 2.0  # allowance for tiles that are worse than those of the sample
CHUNK = 4096  # tiles whose moments are held at once
SINGLE_PRECISION_FLOOR = 1e-4  # a tolerance below is met in float64


class SpectrumError(ValueError):
    """The spectrum reaches outside its bounds, where the Chebyshev recursion diverges."""


@dataclass(frozen=True)
class KPMSolution:
    """``error`` is the estimated maximal error of ``density`` (Ly, Lx); ``radius`` the widest window, None if the whole torus."""

    density: np.ndarray
    grand_potential: float
    chemical_potential: float
    order: int
    radius: int | None
    error: float


def solve(
    model: Hamiltonian,
    fields: np.ndarray,
    tolerance: float,
    *,
    sampled: bool = False,
    margin: float = MARGIN,
    bounds: SpectralWindow | None = None,
) -> KPMSolution:
    """Density of one configuration ``fields`` (Ly, Lx) with a maximal error of ``tolerance`` on every site.

    Every tile is checked against a narrower window and widened where it disagrees; ``sampled`` checks a sample of tiles alone:
    faster, at the risk of rare resonant sites with a larger error. ``margin`` widens the Lanczos bounds by that fraction; where
    the spectrum leaves them all the same, Gershgorin's bounds take over. ``bounds`` replaces both, and raises SpectrumError where
    the spectrum leaves them.
    """
    if bounds is not None:
        return _solve_within(model, fields, tolerance, sampled, bounds)
    onsite, hoppings = model.onsite(fields), model.hoppings()
    try:
        return _solve_within(model, fields, tolerance, sampled, lanczos_window(onsite, hoppings, margin))
    except SpectrumError:
        return _solve_within(model, fields, tolerance, sampled, gershgorin_window(onsite, hoppings))


def _solve_within(model: Hamiltonian, fields: np.ndarray, tolerance: float, sampled: bool, bounds: SpectralWindow) -> KPMSolution:
    lattice = model.lattice
    hoppings = model.hoppings()
    if lattice.dimension != 2:
        raise ValueError(f"the kernel polynomial solver works on two-dimensional lattices, not on a {lattice}: use ExactForces")
    reach = max((abs(step) for shift in hoppings for step in shift), default=0)
    if min(lattice.shape) <= 2 * reach:
        raise ValueError(f"a {lattice} torus is smaller than twice the hopping range {reach}: use a larger lattice")
    dtype = np.float32 if tolerance >= SINGLE_PRECISION_FLOOR else np.float64
    recursion = _Recursion(model.onsite(fields), hoppings, bounds, dtype)
    temperature = model.temperature
    count = order_bound(bounds, temperature, tolerance)
    mu = model.chemical_potential
    if model.filling is not None:
        every_moment = np.eye(2 * (count // 2) + 2)
        neutral = coefficients(lambda e: fermi(e, bounds.b, temperature), bounds, len(every_moment))
        level, _ = recursion.choose_level(neutral[None], 0.5 * tolerance)
        moments = recursion.contract(every_moment, recursion.radii[level], recursion.corners)
        mean = recursion.on_lattice(moments).mean(axis=(1, 2))
        mu = solve_chemical_potential(
            model.filling,
            lambda mu: mean @ coefficients(lambda e: fermi(e, mu, temperature), bounds, len(mean)),
            bounds.b - bounds.a - 50.0 * temperature,
            bounds.b + bounds.a + 50.0 * temperature,
        )
    occupation = truncated(coefficients(lambda e: fermi(e, mu, temperature), bounds, count), 0.5 * tolerance)
    order = 2 * ((len(occupation) + 1) // 2)
    potential = coefficients(lambda e: potential_per_state(e, mu, temperature), bounds, count)[:order]
    functions = np.zeros((2, order))
    functions[0, : len(occupation)] = occupation
    functions[1, : len(potential)] = potential
    level, window_error = recursion.choose_level(functions[:1], 0.5 * tolerance)
    if sampled:
        values = recursion.contract(functions, recursion.radii[level], recursion.corners)
    else:
        values, level, window_error = recursion.verified(functions, level, 0.5 * tolerance)
    density, energy = recursion.on_lattice(values)
    return KPMSolution(density, float(energy.sum()), mu, order, recursion.radii[level], window_error + 0.5 * tolerance)


class _Recursion:
    """The scaled Hamiltonian of one configuration, ready for the kernel."""

    def __init__(self, onsite: np.ndarray, hoppings: dict, bounds: SpectralWindow, dtype: type) -> None:
        self.onsite: np.ndarray = ((onsite - bounds.b) / bounds.a).astype(dtype)
        self.shifts = tuple(hoppings)
        self.elements = tuple(dtype(element / bounds.a) for element in hoppings.values())
        self.reach = max((abs(step) for shift in self.shifts for step in shift), default=0)
        height, width = onsite.shape
        rows, columns = np.meshgrid(np.arange(0, height, TILE), np.arange(0, width, TILE), indexing="ij")
        self.corners = np.stack([rows.ravel(), columns.ravel()], axis=1)
        fitting = [radius for radius in RADII if TILE + 2 * radius < min(height, width)]
        # A window as large as the torus would miss the paths that wind around it: the whole torus (None) is the last resort.
        self.radii: list[int | None] = [*fitting, None] if len(fitting) < len(RADII) else list(fitting)

    def moments(self, corners: np.ndarray, order: int, radius: int | None) -> np.ndarray:
        """Shape (tiles, order, LANES); radius None: the whole torus is the window."""
        columns = self.onsite.shape[1] if radius is None else TILE + 2 * radius
        stride = columns + 2 * self.reach
        offsets = tuple(dy * stride + dx for dy, dx in self.shifts)
        moments = np.empty((len(corners), order, LANES))
        torus = radius is None
        window_moments(self.onsite, offsets, self.elements, self.reach, corners, radius or 0, torus, moments)
        worst = np.abs(moments[:, -2]).max()
        if not worst < 1.0 + 1e-3:
            raise SpectrumError(
                f"a Chebyshev moment reached {worst:.3g}, above 1: the spectrum leaves its bounds; raise the spectral margin"
            )
        return moments

    def contract(self, functions: np.ndarray, radius: int | None, corners: np.ndarray) -> np.ndarray:
        """sum_m functions[f, m] <i|T_m|i> on the sites of some tiles, shape (functions, tiles, LANES)."""
        result = np.empty((len(functions), len(corners), LANES))
        for start in range(0, len(corners), CHUNK):
            moments = self.moments(corners[start : start + CHUNK], functions.shape[1], radius)
            result[:, start : start + CHUNK] = np.einsum("fm,nml->fnl", functions, moments, optimize=True)
        return result

    def choose_level(self, functions: np.ndarray, tolerance: float) -> tuple[int, float]:
        """The first radius at which the densities of a sample of tiles agree with those of the next, and its estimated error."""
        count = min(len(self.corners), max(LEAST_SAMPLE, round(SAMPLE * len(self.corners))))
        # Golden-ratio steps spread the sample over the lattice without falling in step with its period.
        sample = self.corners[np.unique((np.arange(count) * 0.6180339887498949 % 1.0 * len(self.corners)).astype(int))]
        here = self.contract(functions, self.radii[0], sample)
        for level in range(len(self.radii) - 1):
            wider = self.contract(functions, self.radii[level + 1], sample)
            error = SAFETY * float(np.abs(here - wider).max())
            if error <= tolerance:
                return level, error
            here = wider
        return self._last_level(tolerance), 0.0

    def verified(self, functions: np.ndarray, level: int, tolerance: float) -> tuple[np.ndarray, int, float]:
        """Values of all tiles, each at the first radius from ``level`` on that agrees with the one before; level, error reached."""
        level = max(level, 1)
        if level >= len(self.radii):
            return self.contract(functions, self.radii[0], self.corners), 0, 0.0
        before = self.contract(functions, self.radii[level - 1], self.corners)
        values = self.contract(functions, self.radii[level], self.corners)
        error, doubtful = 0.0, np.arange(len(self.corners))
        while True:
            change = np.abs(values[0, doubtful] - before[0]).max(axis=1)
            error = max(error, change[change <= tolerance].max(initial=0.0))
            before = values[:, doubtful[change > tolerance]]
            doubtful = doubtful[change > tolerance]
            if not len(doubtful) or self.radii[level] is None:
                return values, level, error
            if level + 1 == len(self.radii):
                self._last_level(tolerance)
            level += 1
            values[:, doubtful] = self.contract(functions, self.radii[level], self.corners[doubtful])

    def _last_level(self, tolerance: float) -> int:
        if self.radii[-1] is None:
            return len(self.radii) - 1
        raise ValueError(
            f"no window up to radius {self.radii[-1]} meets a density tolerance of {tolerance:.1g}: ask for a larger tolerance, "
            "a higher temperature, or exact diagonalisation"
        )

    def on_lattice(self, values: np.ndarray) -> np.ndarray:
        """Values (functions, tiles, LANES) of all tiles as (functions, Ly, Lx)."""
        height, width = self.onsite.shape
        lanes = np.arange(LANES)
        # Tiles that overhang an edge of the torus hold its first sites a second time, with the same values.
        rows = (self.corners[:, :1] + lanes // TILE) % height
        columns = (self.corners[:, 1:] + lanes % TILE) % width
        result = np.empty((len(values), height, width))
        result[:, rows, columns] = values
        return result
