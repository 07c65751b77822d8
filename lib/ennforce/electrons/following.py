"""Solutions of chosen sites at an effort that follows the configuration (PHYSICS P4, P12).

An effort is settled on a sample of sites: the least that meets an rms error there. It then serves any sites of the configuration,
and of those like it, for a few steps of a dynamics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ennforce.electrons.bounds import gershgorin_window, lanczos_window
from ennforce.electrons.chebyshev import SpectralWindow, coefficients, order_bound, truncated
from ennforce.electrons.chosen import ChosenSites
from ennforce.electrons.engines import ChebyshevEngine, SpectrumError
from ennforce.electrons.exact import fermi
from ennforce.electrons.filling import NumberCurve
from ennforce.electrons.local import Effort, by_steps
from ennforce.electrons.stencil import Stencil, window_of
from ennforce.electrons.tuning import NARROW, ORDERS, POLES, RADII, STEPS, predicted_cost
from ennforce.models import Hamiltonian

ROOM = 0.08  # of the spectral bounds, as a fraction: the spectrum moves while an effort is in use
FURTHER = (*RADII, 28, 34, 40)
HALF = 0.5  # of the rms error: what the window of the reference, and its series, may add
LEAST = 1e-9  # rms error of a force that is asked for
ROUNDING = 1e-5  # rms error of a force below which the recursions run in double precision
WIDEST = 1e4  # half width of the spectrum in electron temperatures: fields that ask for more have run away
FILLING_RADIUS = 8  # of the windows from whose moments a chemical potential is found


@dataclass(frozen=True)
class Settled:
    """An effort for configurations like one, its spectral bounds and chemical potential, and its rms ``error`` on the sample.

    ``error`` is in units of the electronic force's standard deviation, ``spread``, on that sample.
    """

    effort: Effort
    bounds: SpectralWindow
    chemical_potential: float
    error: float
    spread: float
    double: bool

    @property
    def dtype(self) -> type:
        return np.float64 if self.double else np.float32


def active(model: Hamiltonian, forces: np.ndarray, fields: np.ndarray, sites: np.ndarray) -> np.ndarray:
    """The part of forces on chosen sites, (components, sites), that moves the fields."""
    return model.space.acting(forces, fields.reshape(model.components, -1)[:, sites], axis=0)


def electronic_forces(model: Hamiltonian, fields: np.ndarray, settled: Settled, sites: np.ndarray) -> np.ndarray:
    """Electronic forces on chosen sites of one configuration, (components, sites), at a settled effort."""
    chosen, stencil = ChosenSites(model, sites), Stencil.of(model.blocks(fields))
    try:
        values = _values(model, stencil, settled, settled.bounds, chosen.needed)
    except SpectrumError:  # it has moved further than the bounds leave room for
        values = _values(model, stencil, settled, gershgorin_window(stencil), chosen.needed)
    return chosen.forces(stencil.elements(values), fields)


def _values(model: Hamiltonian, stencil: Stencil, settled: Settled, bounds: SpectralWindow, sites: np.ndarray) -> np.ndarray:
    effort, mu = settled.effort, settled.chemical_potential
    if effort.steps:
        return by_steps(model, stencil, effort, mu, sites)
    # Wider bounds take as many more orders.
    order = int(np.ceil((effort.order or 0) * bounds.a / settled.bounds.a))
    series = coefficients(lambda e: fermi(e, mu, model.temperature), bounds, order)
    scaled = stencil.scaled(bounds.a, bounds.b, settled.dtype)
    return ChebyshevEngine(scaled, model.density_bonds, series[None]).values(sites, window_of(stencil, effort.radius))[0]


def settle(model: Hamiltonian, fields: np.ndarray, rms: float, sites: np.ndarray) -> tuple[Settled, np.ndarray]:
    """The effort of least predicted cost whose electronic forces err by ``rms`` on ``sites``, and better forces there.

    ``rms`` is in units of the force's standard deviation on these sites, a sample of one configuration; what is not of a spin's
    torque does not count. The better forces, (components, sites), are those of wider windows, against which errors are measured.
    A filling's chemical potential is found from all sites. Raises ValueError where no window is wide enough.
    """
    if not 1e-5 <= rms < 1.0:
        raise ValueError(f"rms = {rms} of the force's standard deviation: choose one between 1e-5 and 1")
    return _Settling(model, fields, rms, sites).settled()


class _Settling:
    """The search for an effort."""

    def __init__(self, model: Hamiltonian, fields: np.ndarray, rms: float, sites: np.ndarray) -> None:
        self.model, self.fields, self.rms, self.chosen = model, fields, rms, ChosenSites(model, sites)
        self.stencil = Stencil.of(model.blocks(fields))
        self.bounds = lanczos_window(self.stencil, ROOM)
        self.mu = model.chemical_potential if model.filling is None else self._filled(FILLING_RADIUS)
        self.double = False

    def _filled(self, radius: int) -> float:
        """The chemical potential of the model's filling, from the moments of all sites in windows of ``radius``."""
        order = order_bound(self.bounds, self.model.temperature, 0.1 * self.rms)
        engine = ChebyshevEngine(self._scaled(np.float32), (), np.zeros((1, order)))
        sites = np.arange(self.model.lattice.num_sites)
        moments = engine.moments(sites, window_of(self.stencil, radius))[:order] / len(sites)
        assert self.model.filling is not None
        return NumberCurve(moments, self.bounds, self.model.temperature).inverse(self.model.filling)

    def _scaled(self, dtype: type) -> Stencil:
        return self.stencil.scaled(self.bounds.a, self.bounds.b, dtype)

    def _forces(self, values: np.ndarray) -> np.ndarray:
        return self.chosen.forces(self.stencil.elements(values), self.fields)

    def _active(self, forces: np.ndarray) -> np.ndarray:
        return active(self.model, forces, self.fields, self.chosen.sites)

    def _error(self, forces: np.ndarray, exact: np.ndarray) -> float:
        return float(np.sqrt(np.mean(self._active(forces - exact) ** 2)))

    def settled(self) -> tuple[Settled, np.ndarray]:
        spread = self._spread(self._series(3e-3))
        # A second look where forces are weak: their own size decides how many terms count.
        wanted = max(self.rms * spread, LEAST)  # of uniform fields, whose forces do not vary
        self.double = wanted < ROUNDING
        series = self._series(HALF * wanted / self.model.force_bound if np.isfinite(self.model.force_bound) else 1e-5)
        orders = [order for order in ORDERS if order < len(series)] + [len(series)]
        tried = self._windows(orders, series, wanted)
        if self.model.filling is not None and tried[-1][0] > FILLING_RADIUS:
            self.mu = self._filled(tried[-1][0])
            tried = self._windows(orders, self._series_of(len(series)), wanted)
        exact = tried[-1][1][-1]
        spread = max(self._deviation(exact), 1e-12)
        found: dict[Effort, float] = {}
        # The last window is the reference; where it is the whole torus, fewer orders in it may do.
        whole = window_of(self.stencil, tried[-1][0]).torus
        for radius, forces in tried if whole else tried[:-1]:
            for order, one in zip(orders, forces, strict=True):
                found[Effort(radius, order=order)] = self._error(one, exact) / spread
        best = min((effort for effort, error in found.items() if error <= self.rms), key=self._cost)
        if self.model.filling is None:
            best = self._shorter(best, exact, spread, found)
        return Settled(best, self.bounds, self.mu, found[best], spread, self.double), exact

    def _series(self, tolerance: float) -> np.ndarray:
        """Coefficients of the Fermi function, those beyond adding up to at most ``tolerance``."""
        # A field of a run that diverges makes the spectrum infinite before anything else is noticed.
        wide = self.bounds.a / self.model.temperature
        if not wide < WIDEST:
            raise ValueError(
                f"a spectrum of half width {self.bounds.a:.3g} is {wide:.2g} electron temperatures wide, more than {WIDEST:g}: use "
                f"smaller fields, or a higher electron temperature"
            )
        count = order_bound(self.bounds, self.model.temperature, tolerance)
        return truncated(self._series_of(count), tolerance)

    def _series_of(self, order: int) -> np.ndarray:
        return coefficients(lambda e: fermi(e, self.mu, self.model.temperature), self.bounds, order)

    def _spread(self, series: np.ndarray) -> float:
        """The force's standard deviation, roughly: in the narrowest window."""
        engine = ChebyshevEngine(self._scaled(np.float32), self.model.density_bonds, series[None])
        return self._deviation(self._forces(engine.values(self.chosen.needed, window_of(self.stencil, FURTHER[1]))[0]))

    def _deviation(self, forces: np.ndarray) -> float:
        forces = self._active(forces)
        return float(np.sqrt(np.mean((forces - forces.mean(axis=1, keepdims=True)) ** 2)))

    def _windows(self, orders: list[int], series: np.ndarray, wanted: float) -> list[tuple[int, list[np.ndarray]]]:
        """Radii, and forces of every order there, up to the first window that changes little any more."""
        functions = np.array([np.where(np.arange(len(series)) < order, series, 0.0) for order in orders])
        engine = ChebyshevEngine(self._scaled(np.float64 if self.double else np.float32), self.model.density_bonds, functions)
        tried: list[tuple[int, list[np.ndarray]]] = []
        for radius in FURTHER:
            window = window_of(self.stencil, radius)
            tried.append((radius, [self._forces(values) for values in engine.values(self.chosen.needed, window)]))
            if window.torus or (len(tried) > 1 and self._error(tried[-1][1][-1], tried[-2][1][-1]) <= HALF * wanted):
                return tried
        raise ValueError(
            f"windows of radius {FURTHER[-1]} do not reach an rms error of {self.rms} of the force: ask for less accuracy, or a "
            f"higher electron temperature than {self.model.temperature:g}"
        )

    def _cost(self, effort: Effort) -> float:
        return predicted_cost(self.model, self.stencil, effort)

    def _shorter(self, best: Effort, exact: np.ndarray, spread: float, found: dict[Effort, float]) -> Effort:
        """Lanczos steps instead where these are enough and cheaper: in gapped order."""

        def good(effort: Effort) -> bool:
            if self._cost(effort) >= self._cost(best):
                return False
            try:
                forces = self._forces(by_steps(self.model, self.stencil, effort, self.mu, self.chosen.needed))
            except ValueError:  # no so short a sum of poles for so wide a spectrum
                return False
            found[effort] = self._error(forces, exact) / spread
            return found[effort] <= self.rms

        for radius in NARROW:
            # From the dearest down: where that fails, none of fewer steps or poles will do.
            for steps in reversed(STEPS):
                if window_of(self.stencil, radius).torus:
                    return best
                effort = Effort(radius, steps=steps, poles=POLES[-1])
                if self._cost(effort) >= self._cost(best):
                    continue
                if not good(effort):
                    break
                best = effort
                for poles in reversed(POLES[:-1]):
                    if not good(fewer := Effort(radius, steps=steps, poles=poles)):
                        break
                    best = fewer
        return best
