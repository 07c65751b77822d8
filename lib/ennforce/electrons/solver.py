"""Density matrices and grand potentials at linear cost, without any noise, within a tolerance (PHYSICS P4).

The user asks for a tolerance on the needed elements of the density matrix. A part of it goes to the expansion, whose order
follows from the sum of the coefficients left out, a strict bound; the rest to the windows, whose radius grows until several agree.
Where exact diagonalisation is predicted to be cheaper, it is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ennforce.electrons.bounds import MARGIN, gershgorin_window, lanczos_window
from ennforce.electrons.chebyshev import SpectralWindow, coefficients, order_bound, truncated
from ennforce.electrons.device import TorchChebyshevEngine, torch_device
from ennforce.electrons.engines import ChebyshevEngine, Engine, RecursionEngine, SpectrumError
from ennforce.electrons.exact import ExactElectrons, broadened, fermi, fermi_partner, potential_per_state
from ennforce.electrons.filling import ROUNDS, Bracket, NumberCurve, spread
from ennforce.electrons.poles import fermi_poles
from ennforce.electrons.stencil import Stencil, window_around
from ennforce.electrons.windows import STARTS, Choice, Radius, TooDear, Windows
from ennforce.models import DensityMatrix, Hamiltonian

METHODS = ("auto", "local", "chebyshev", "recursion", "exact")
FLOORS = {"float32": 1e-4, "float64": 1e-10}  # tolerances that the recursion's rounding allows

# Accuracy is cheaper in orders, where the error falls by ten for every 0.73 a / T, than in radii: the windows get the larger part.
EXPANSION_SHARE = 0.2

# Costs of one step on one site of one column, in units of a Chebyshev step with its two sums: measured by benchmarks/electrons.py.
LANCZOS_STEP, POLE_STEP = 2.0, 12.0
TRIAL_STEPS = (6, 8, 10, 13, 16)  # at most

# Exact diagonalisation of n states in units of n^3 updates of one plane of a site: 1.9e-10 and 7.5e-10 s against 2.9e-10 s.
EXACT_REAL, EXACT_COMPLEX = 0.7, 2.6
MOST_STATES = 4096  # diagonalised without being asked for: 0.5 GB
MOST_ORDER = 1_000_000  # of a series
FILLED_SHARE = 0.5  # of the tolerance, for the densities at a given mu; the rest is for the error of mu


@dataclass(frozen=True)
class Electrons:
    """What a solver found: ``error`` is the estimated largest error of the elements of ``density``.

    ``grand_potential`` and ``number`` are those of the electrons in H_e alone; ``grand_potential`` of the force fields adds the
    model's terms without electrons and its classical energy.
    ``method``: chebyshev, recursion or exact. ``steps`` counts multiplications by H for each column, 0 where it was diagonalised;
    ``radius`` is that of the widest window, None for the whole torus. ``doubt``: estimated error of ``number``.
    ``verified``: every site was checked; where only a sample was, ``error`` is typical of a site and no bound.
    """

    density: DensityMatrix
    chemical_potential: float
    number: float
    grand_potential: float | None
    method: str
    steps: int
    radius: Radius
    error: float
    doubt: float = 0.0
    verified: bool = True


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

    Every site is checked against narrower windows and widened where they disagree. ``sampled`` checks a sample of sites alone,
    faster: the tolerance is then that of a *typical* site, no bound. Measured: 14 % of strongly coupled random fields and 2 % of
    metallic patches in gapped order miss it, by up to 30 and 3.4 times; none of 2700 other solutions does (docs/electrons.md).
    ``energy``: the grand potential is wanted too, which always takes Chebyshev moments. ``method``: chebyshev; recursion, Lanczos
    steps and poles where these converge at a sample of sites (on the CPU); local, the one of both that is predicted to be cheaper;
    exact, diagonalisation; or auto, the cheapest of all by prediction. ``margin`` widens the Lanczos bounds by that fraction;
    where the spectrum leaves them all the same, Gershgorin's bounds take over. ``bounds`` replaces both, and raises SpectrumError
    where the spectrum leaves them. ``dtype`` of the recursion: float32 or float64, by default the first where the tolerance allows.
    Raises ValueError on a tolerance below what ``dtype`` gives, on a spectrum too wide for the temperature, on windows too wide,
    and on a filling whose chemical potential cannot be found within the tolerance.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r} is unknown: choose one of {', '.join(METHODS)}")
    dtype = dtype or ("float32" if tolerance >= FLOORS["float32"] else "float64")
    if dtype not in FLOORS or not tolerance >= FLOORS[dtype]:
        raise ValueError(f"tolerance {tolerance} is below {FLOORS.get(dtype)}, what {dtype} can give: ask for more, or for float64")
    if method == "exact":
        return _diagonalised(model, fields, energy)
    stencil = Stencil.of(model.blocks(fields))

    def found(window: SpectralWindow) -> Electrons:
        try:
            return _Solution(model, stencil, window, tolerance, dtype, device, method).find(sampled, energy)
        except TooDear:
            return _diagonalised(model, fields, energy)

    if bounds is not None:
        return found(bounds)
    try:
        return found(lanczos_window(stencil, margin))
    except SpectrumError:
        return found(gershgorin_window(stencil))


def _diagonalised(model: Hamiltonian, fields: np.ndarray, energy: bool) -> Electrons:
    exact = ExactElectrons(model, fields)
    density = exact.density
    needed = DensityMatrix(density.onsite, {shift: density.bonds[shift] for shift in model.density_bonds})
    omega = exact.grand_potential if energy else None
    rounding = FLOORS["float64"]
    return Electrons(needed, exact.chemical_potential, exact.number, omega, "exact", 0, None, rounding)


class _Solution:
    """The way to one solution within given bounds."""

    def __init__(
        self, model: Hamiltonian, stencil: Stencil, bounds: SpectralWindow, tolerance: float, dtype: str, device: str, method: str
    ) -> None:
        self.model, self.stencil, self.bounds, self.tolerance, self.device = model, stencil, bounds, tolerance, device
        self.method, self.dtype = method, np.dtype(dtype).type
        self.shifts = model.density_bonds
        # Real and imaginary parts are each held to the tolerance: together they may err by root two.
        part = tolerance / (np.sqrt(2.0) if stencil.planes > stencil.orbitals else 1.0)
        self.expansion, self.truncation = EXPANSION_SHARE * part, (1.0 - EXPANSION_SHARE) * part
        self.count = order_bound(bounds, model.temperature, self.expansion)
        self._check_order()
        self.scaled = stencil.scaled(bounds.a, bounds.b, self.dtype)

    def _check_order(self) -> None:
        """Before anything is allocated: TooDear, or ValueError where a series would be too long."""
        least = window_around(self.stencil.lattice.name, min(STARTS), self.stencil.shifts).sites
        if self._dearer(self.count // 2 * least):
            raise TooDear
        if self.count > MOST_ORDER:
            raise ValueError(
                f"a spectrum of half width {self.bounds.a:.3g} at temperature {self.model.temperature:.3g} takes {self.count:.1e} "
                f"Chebyshev orders, more than {MOST_ORDER:.0e}: use smaller fields, a higher temperature or exact diagonalisation"
            )

    def _dearer(self, updates: float) -> bool:
        """Whether so many updates of a plane of a site for every column are dearer than diagonalisation, where that may be."""
        states = self.model.lattice.num_sites * self.stencil.orbitals
        if self.method != "auto" or self.device != "cpu" or states > MOST_STATES:
            return False
        terms = len(self.stencil.uniform[0]) + len(self.stencil.varying[0])
        exact = (EXACT_COMPLEX if self.stencil.planes > self.stencil.orbitals else EXACT_REAL) * float(states) ** 3
        return states * self.stencil.planes * max(1.0, terms / 5.0) * updates > exact

    def find(self, sampled: bool, energy: bool) -> Electrons:
        if self.model.filling is None:
            return self.at(self.model.chemical_potential, sampled, energy)
        return self._filled(sampled, energy)

    def at(self, mu: float, sampled: bool, energy: bool) -> Electrons:
        """The solution at one chemical potential."""
        temperature, functions = self.model.temperature, self._functions(mu)
        if energy:
            potential = coefficients(lambda e: potential_per_state(e, mu, temperature), self.bounds, self.count)
            functions.append(truncated(potential, self.expansion * temperature))
        chebyshev = self._engine(functions)
        recursion = None if energy or self.device != "cpu" else self._recursion(mu, chebyshev.steps, functions[0])
        engine: Engine = recursion or chebyshev
        windows = Windows(engine, self.truncation, partner=1)

        def affordable(radius: Radius) -> bool:
            return recursion is not None or not self._dearer(chebyshev.steps * windows.window(radius).sites)

        if sampled:
            choice = windows.choose(affordable=affordable)
            values = windows.everywhere(choice.radius)
        else:
            values, choice = windows.verified(affordable)
        density = self.stencil.density_matrix(values[0], self.model.density_bonds)
        omega = float(np.einsum("ooi->", values[2][:, : self.stencil.orbitals])) if len(values) > 2 else None
        name = "recursion" if recursion else "chebyshev"
        number = float(density.occupation.sum())
        total = float(choice.error + self.expansion) * self.tolerance / (self.expansion + self.truncation)
        return Electrons(density, mu, number, omega, name, engine.steps, choice.radius, total, abs(choice.drift), not sampled)

    def occupation(self, mu: float) -> np.ndarray:
        """The truncated series of the Fermi function."""
        return truncated(coefficients(lambda e: fermi(e, mu, self.model.temperature), self.bounds, self.count), self.expansion)

    def _functions(self, mu: float) -> list[np.ndarray]:
        """Series of the Fermi function and of its partner in quadrature, by whose changes windows are judged."""
        occupation = self.occupation(mu)
        partner = coefficients(lambda e: fermi_partner(e, mu, self.model.temperature), self.bounds, self.count)
        return [occupation, partner[: len(occupation)]]

    def _engine(self, functions: list[np.ndarray]) -> ChebyshevEngine | TorchChebyshevEngine:
        padded = np.zeros((len(functions), max(map(len, functions))))
        for row, function in zip(padded, functions, strict=True):
            row[: len(function)] = function
        if self.device == "cpu":
            return ChebyshevEngine(self.scaled, self.shifts, padded)
        return TorchChebyshevEngine(self.scaled, self.shifts, padded, torch_device(self.device))

    def _filled(self, sampled: bool, energy: bool) -> Electrons:
        """The solution at the chemical potential whose densities add up to the model's filling.

        Densities at a given mu get a share of the tolerance; where they do not fix mu well enough for the rest, a smaller one.
        """
        wanted = (self.model.filling or 0.0) * self.model.lattice.num_sites
        curve = self._curve(self.bounds.b)
        mu = curve.inverse(wanted)
        for _ in range(3):  # the windows of one mu serve another only roughly
            curve = self._curve(mu)
            mu = curve.inverse(wanted)
        tolerance, bracket = FILLED_SHARE * self.tolerance, Bracket()
        for _ in range(ROUNDS):
            if tolerance < FLOORS["float64"]:
                break
            inner = self._with(tolerance)
            solution = inner.at(mu, sampled, energy)
            curve = inner._curve(mu)
            missing = wanted - solution.number
            doubt = solution.doubt + curve.left_out(inner.expansion)
            error = solution.error + inner._spread(curve, mu, abs(missing) + doubt)
            if error <= self.tolerance:
                return replace(solution, error=error, doubt=abs(missing) + doubt)
            if abs(missing) > doubt:
                mu = bracket.narrowed(mu, missing, curve.inverse(curve(mu) + missing))
            else:
                tolerance, bracket = 0.25 * tolerance, Bracket()
        raise ValueError(
            f"no chemical potential gives filling {self.model.filling} with densities within {self.tolerance:.1g}: ask for a "
            "larger tolerance, a higher temperature, or exact diagonalisation"
        )

    def _with(self, tolerance: float) -> _Solution:
        """The way to a solution of this configuration within a smaller ``tolerance``, in float64 where that asks for it."""
        dtype = "float32" if self.dtype == np.float32 and tolerance >= FLOORS["float32"] else "float64"
        return _Solution(self.model, self.stencil, self.bounds, tolerance, dtype, self.device, self.method)

    def _all(self, series: np.ndarray, mu: float) -> tuple[ChebyshevEngine | TorchChebyshevEngine, Windows, Choice]:
        """An engine of some series, and the windows and radius for densities at ``mu``."""
        windows = Windows(self._engine(self._functions(mu)), self.truncation, partner=1)
        return self._engine(list(series)), windows, windows.choose()

    def _curve(self, mu: float) -> NumberCurve:
        """Electrons against the chemical potential, right near ``mu``."""
        engine, windows, choice = self._all(self.occupation(mu)[None], mu)
        return NumberCurve(engine.moments(windows.sites, windows.window(choice.radius)), self.bounds, self.model.temperature)

    def _spread(self, curve: NumberCurve, mu: float, doubt: float) -> float:
        """How far the densities can be off where the number of electrons is off by ``doubt``."""

        def values(series: np.ndarray) -> np.ndarray:
            engine, windows, choice = self._all(series, mu)
            return engine.values(windows.sites, windows.window(choice.radius))

        return spread(values, curve, mu, doubt)

    def _recursion(self, mu: float, order: int, occupation: np.ndarray) -> RecursionEngine | None:
        """The recursion engine where it converges on the whole sample and, unless asked for, is predicted to be cheaper.

        A sample with doubtful sites is a disordered or gapless configuration, in which even steps that agree can be wrong. What
        passes must agree with the Chebyshev series on the sample as well.
        """
        if self.method == "chebyshev":
            return None
        half_width = self.bounds.a + abs(mu - self.bounds.b)
        try:
            poles, residues, constant = fermi_poles(half_width, self.model.temperature, mu, 0.1 * self.expansion)
        except ValueError:
            return None

        def partner(energies: np.ndarray) -> np.ndarray:
            """The imaginary part of the sum of poles: of the engine, and of the Chebyshev series in its place."""
            return 2.0 * (residues[:, None] / (poles[:, None] - energies)).imag.sum(axis=0)

        chebyshev = self._engine([occupation, coefficients(partner, self.bounds, self.count)[: len(occupation)]])
        stencil = self.stencil.scaled(1.0, 0.0, self.dtype)
        engine = RecursionEngine(
            stencil, self.shifts, poles, residues, constant, mu, self.model.temperature, 0, 0.4 * self.expansion, self.tolerance,
            chebyshev,
        )  # fmt: skip
        windows = Windows(engine, self.truncation)
        window = windows.window(next((r for r in (4, 3, 2) if windows.fits(r)), None))
        sites = window.sites * stencil.planes
        for steps in TRIAL_STEPS:
            cost = steps * (LANCZOS_STEP * sites + POLE_STEP * len(poles))
            if cost > order * sites and self.method != "recursion":
                return None
            values, changing, resonant = engine.converging(windows.sample, window, steps)
            if resonant.any():
                return None
            if not changing.any():
                engine.steps = steps
                difference = np.abs(values[0] - chebyshev.values(windows.sample, window)[0]).max()
                return engine if difference <= self.expansion + 0.4 * self.expansion else None
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
    values = windows.verified()[0]
    return height * np.einsum("foon->fn", values[:, :, : stencil.orbitals])
