"""Density matrices and grand potentials at linear cost, without any noise, within a tolerance (PHYSICS P4).

The user asks for a tolerance on the needed elements of the density matrix. A part of it goes to the expansion, whose order
follows from the sum of the coefficients left out, a strict bound; the rest to the windows, whose radius grows until two agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from ennforce.electrons.bounds import MARGIN, gershgorin_window, lanczos_window
from ennforce.electrons.chebyshev import SpectralWindow, coefficients, order_bound, truncated
from ennforce.electrons.device import TorchChebyshevEngine, torch_device
from ennforce.electrons.engines import ChebyshevEngine, Engine, RecursionEngine, SpectrumError
from ennforce.electrons.exact import broadened, fermi, potential_per_state, solve_chemical_potential
from ennforce.electrons.poles import fermi_poles
from ennforce.electrons.stencil import Shift2, Stencil, two_axes
from ennforce.electrons.windows import Radius, Windows
from ennforce.hamiltonians import DensityMatrix, Hamiltonian

METHODS = ("auto", "chebyshev", "recursion")
FLOORS = {"float32": 1e-4, "float64": 1e-10}  # tolerances that the recursion's rounding allows

# Accuracy is cheaper in orders, where the error falls by ten for every 0.73 a / T, than in radii: the windows get the larger part.
EXPANSION_SHARE = 0.2

# Costs of one step on one site of one column, in units of a Chebyshev step with its two sums: measured by benchmarks/electrons.py.
LANCZOS_STEP, POLE_STEP = 2.0, 6.0
TRIAL_STEPS = (6, 8, 10, 13, 16)  # at most


@dataclass(frozen=True)
class Electrons:
    """What a solver found: ``error`` is the estimated largest error of the elements of ``density``.

    ``steps`` counts multiplications by H for each column; ``radius`` is that of the widest window, None for the whole torus.
    """

    density: DensityMatrix
    chemical_potential: float
    number: float
    grand_potential: float | None
    method: str
    steps: int
    radius: Radius
    error: float


def solve(
    model: Hamiltonian,
    fields: np.ndarray,
    tolerance: float,
    *,
    method: str = "auto",
    sampled: bool = False,
    energy: bool = True,
    margin: float = MARGIN,
    bounds: SpectralWindow | None = None,
    dtype: str | None = None,
    device: str = "cpu",
) -> Electrons:
    """The density matrix of one configuration with a maximal error of ``tolerance`` on every element that the forces need.

    Every site is checked against a narrower window and widened where it disagrees; ``sampled`` checks a sample of sites alone:
    faster, at the risk of rare resonant sites with a larger error. ``energy``: the grand potential is wanted too, which always
    takes Chebyshev moments. ``method``: chebyshev; recursion, Lanczos steps and poles where these converge at a sample of sites
    (on the CPU); or auto, the same where it is predicted to be cheaper. ``margin`` widens the Lanczos bounds by that fraction;
    where the spectrum leaves them all the same, Gershgorin's bounds take over. ``bounds`` replaces both, and raises SpectrumError
    where the spectrum leaves them. ``dtype`` of the recursion: float32 or float64, by default the first where the tolerance allows.
    Raises ValueError on a tolerance below what ``dtype`` gives.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r} is unknown: choose one of {', '.join(METHODS)}")
    dtype = dtype or ("float32" if tolerance >= FLOORS["float32"] else "float64")
    if dtype not in FLOORS or not tolerance >= FLOORS[dtype]:
        raise ValueError(f"tolerance {tolerance} is below {FLOORS.get(dtype)}, what {dtype} can give: ask for more, or for float64")
    stencil = Stencil.of(model.blocks(fields))
    if bounds is not None:
        return _Solution(model, stencil, bounds, tolerance, dtype, device).find(method, sampled, energy)
    try:
        return _Solution(model, stencil, lanczos_window(stencil, margin), tolerance, dtype, device).find(method, sampled, energy)
    except SpectrumError:
        return _Solution(model, stencil, gershgorin_window(stencil), tolerance, dtype, device).find(method, sampled, energy)


class _Solution:
    """The way to one solution within given bounds."""

    def __init__(
        self, model: Hamiltonian, stencil: Stencil, bounds: SpectralWindow, tolerance: float, dtype: str, device: str
    ) -> None:
        self.model, self.stencil, self.bounds, self.tolerance, self.device = model, stencil, bounds, tolerance, device
        self.dtype = np.dtype(dtype).type
        self.scaled = stencil.scaled(bounds.a, bounds.b, self.dtype)
        self.shifts: tuple[Shift2, ...] = tuple(two_axes(shift) for shift in model.density_bonds)
        # Real and imaginary parts are each held to the tolerance: together they may err by root two.
        part = tolerance / (np.sqrt(2.0) if stencil.planes > stencil.orbitals else 1.0)
        self.expansion, self.truncation = EXPANSION_SHARE * part, (1.0 - EXPANSION_SHARE) * part
        self.count = order_bound(bounds, model.temperature, self.expansion)

    def find(self, method: str, sampled: bool, energy: bool) -> Electrons:
        temperature = self.model.temperature
        mu = self._filled() if self.model.filling is not None else self.model.chemical_potential
        occupation = truncated(coefficients(lambda e: fermi(e, mu, temperature), self.bounds, self.count), self.expansion)
        functions = [occupation]
        if energy:
            potential = coefficients(lambda e: potential_per_state(e, mu, temperature), self.bounds, self.count)
            functions.append(truncated(potential, self.expansion * temperature))
        chebyshev = self._engine(functions)
        recursion: RecursionEngine | None = None
        if method != "chebyshev" and not energy and self.device == "cpu":
            recursion = self._recursion(mu, chebyshev, wanted=method == "recursion")
        engine: Engine = recursion or chebyshev
        windows = Windows(engine, self.truncation)
        if sampled:
            radius, error = windows.choose(engine)
            values = windows.everywhere(engine, radius)
        else:
            values, radius, error = windows.verified(engine)
        density = self.stencil.density_matrix(values[0], self.model.density_bonds)
        omega = float(np.einsum("ooi->", values[1][:, : self.stencil.orbitals])) if len(values) > 1 else None
        name = "recursion" if recursion else "chebyshev"
        number = float(density.occupation.sum())
        total = float(error + self.expansion) * self.tolerance / (self.expansion + self.truncation)
        return Electrons(density, mu, number, omega, name, engine.steps, radius, total)

    def _engine(self, functions: list[np.ndarray]) -> ChebyshevEngine | TorchChebyshevEngine:
        padded = np.zeros((len(functions), max(map(len, functions))))
        for row, function in zip(padded, functions, strict=True):
            row[: len(function)] = function
        if self.device == "cpu":
            return ChebyshevEngine(self.scaled, self.shifts, padded)
        return TorchChebyshevEngine(self.scaled, self.shifts, padded, torch_device(self.device))

    def _filled(self) -> float:
        """The chemical potential of the model's filling, from the mean moments of all sites."""
        temperature, bounds, sites = self.model.temperature, self.bounds, self.model.lattice.num_sites
        neutral = self._engine([coefficients(lambda e: fermi(e, bounds.b, temperature), bounds, self.count)])
        windows = Windows(neutral, self.truncation)
        moments = neutral.moments(windows.sites, windows.window(windows.choose(neutral)[0])) / sites
        return solve_chemical_potential(
            self.model.filling or 0.0,
            lambda mu: moments @ coefficients(lambda e: fermi(e, mu, temperature), bounds, len(moments)),
            bounds.b - bounds.a - 50.0 * temperature,
            bounds.b + bounds.a + 50.0 * temperature,
        )

    def _recursion(self, mu: float, chebyshev: Engine, wanted: bool) -> RecursionEngine | None:
        """The recursion engine where it converges on the whole sample and, unless ``wanted``, is predicted to be cheaper.

        A sample with doubtful sites is a disordered or gapless configuration, in which even steps that agree can be wrong.
        """
        half_width = self.bounds.a + abs(mu - self.bounds.b)
        try:
            poles, residues, constant = fermi_poles(half_width, self.model.temperature, mu, 0.1 * self.expansion)
        except ValueError:
            return None
        stencil = self.stencil.scaled(1.0, 0.0, self.dtype)
        engine = RecursionEngine(
            stencil, self.shifts, poles, residues, constant, mu, self.model.temperature, 0, 0.4 * self.expansion, chebyshev
        )
        windows = Windows(engine, self.truncation)
        window = windows.window(next((r for r in (4, 3, 2) if windows.fits(r)), None))
        sites = window.sites * stencil.planes
        for steps in TRIAL_STEPS:
            cost = steps * (LANCZOS_STEP * sites + POLE_STEP * len(poles))
            if cost > chebyshev.steps * sites and not wanted:
                return None
            _, changing, resonant = engine.converging(windows.sample, window, steps)
            if resonant.any():
                return None
            if not changing.any():
                engine.steps = steps
                return engine
        return None


def local_density_of_states(
    model: Hamiltonian, fields: np.ndarray, energies: np.ndarray, width: float, *, sites: np.ndarray | None = None,
    tolerance: float = 1e-3, margin: float = MARGIN,
) -> np.ndarray:  # fmt: skip
    """Spectral weight in normal lines of standard deviation ``width``, summed over orbitals, shape (energies, sites).

    sites: flat numbers of the sites wanted, all by default. ``tolerance``: largest error, as a fraction of the height of a line.
    """
    if not width > 0:
        raise ValueError(f"line width {width} must be positive: at zero a density of states is a comb of delta functions")
    stencil = Stencil.of(model.blocks(fields))
    bounds = lanczos_window(stencil, margin)
    height = 1.0 / (np.sqrt(2.0 * np.pi) * width)
    count = int(10.0 * bounds.a / width) + 20  # beyond it the coefficients of a normal line, exp(-(m width / a)^2 / 2), vanish
    series = np.array([coefficients(partial(broadened, energy=c, width=width), bounds, count) for c in np.atleast_1d(energies)])
    longest = max(len(truncated(row, 0.5 * tolerance * height)) for row in series)
    scaled = stencil.scaled(bounds.a, bounds.b, np.float64)
    engine = ChebyshevEngine(scaled, (), series[:, :longest] / height)
    windows = Windows(engine, 0.5 * tolerance, sites, checked=None)
    values = windows.verified(engine)[0]
    return height * np.einsum("foon->fn", values[:, :, : stencil.orbitals])
