"""Density matrices at a fixed effort: so many steps in a window of so many sites at every site, and no check (PHYSICS P4).

What an error bar costs is saved: no second window, no sum of the coefficients left out. ``tuning`` finds the effort that an rms
error asks for, on a sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ennforce.electrons.bounds import gershgorin_window, lanczos_window
from ennforce.electrons.chebyshev import SpectralWindow, coefficients
from ennforce.electrons.engines import SHORT_CHUNK, ChebyshevEngine, SpectrumError, _Local, in_threads
from ennforce.electrons.exact import fermi, potential_per_state
from ennforce.electrons.filling import NumberCurve
from ennforce.electrons.kernels import rational
from ennforce.electrons.poles import few_poles
from ennforce.electrons.stencil import Stencil, Window, window_of
from ennforce.models import DensityMatrix, Hamiltonian

DTYPE = np.float32  # of the recursions, whose rounding is far below the errors of any fixed effort worth its name


@dataclass(frozen=True)
class Effort:
    """``order`` Chebyshev coefficients, or ``steps`` Lanczos steps with at most ``poles`` poles, in windows of ``radius``."""

    radius: int
    order: int | None = None
    steps: int | None = None
    poles: int = 5

    def __post_init__(self) -> None:
        if (self.order is None) == (self.steps is None):
            raise ValueError(f"order = {self.order} and steps = {self.steps}: give one of them, Chebyshev or Lanczos")
        for name, least in (("radius", 1), ("order", 2), ("steps", 1), ("poles", 1)):
            value = getattr(self, name)
            if value is not None and (value != int(value) or value < least):
                raise ValueError(f"{name} = {value} is no whole number of at least {least}")

    def __str__(self) -> str:
        """The effort as tables show it: M 48, R 6, or 8 steps, 5 poles, R 1."""
        return f"M {self.order}, R {self.radius}" if self.order else f"{self.steps} steps, {self.poles} poles, R {self.radius}"


def density_matrix(model: Hamiltonian, fields: np.ndarray, effort: Effort) -> DensityMatrix:
    """The elements of rho that the forces of one configuration need.

    A model of fixed filling gets the chemical potential at which these very densities add up to it; for Lanczos steps, which do not
    have it, raises ValueError.
    """
    return _within_bounds(model, fields, effort, energy=False)[0]


def grand_potential(model: Hamiltonian, fields: np.ndarray, effort: Effort) -> float:
    """Omega of the electrons in one configuration. Raises ValueError for Lanczos steps."""
    omega = _within_bounds(model, fields, effort, energy=True)[1]
    assert omega is not None
    return omega


def _within_bounds(model: Hamiltonian, fields: np.ndarray, effort: Effort, energy: bool) -> tuple[DensityMatrix, float | None]:
    stencil = Stencil.of(model.blocks(fields))
    if effort.steps:
        return _by_steps(model, stencil, effort, energy)
    try:
        return _by_moments(model, stencil, lanczos_window(stencil), effort, energy)
    except SpectrumError:
        return _by_moments(model, stencil, gershgorin_window(stencil), effort, energy)


def _by_moments(
    model: Hamiltonian, stencil: Stencil, bounds: SpectralWindow, effort: Effort, energy: bool
) -> tuple[DensityMatrix, float | None]:
    temperature, order = model.temperature, effort.order or 0
    scaled, window = stencil.scaled(bounds.a, bounds.b, DTYPE), window_of(stencil, effort.radius)
    sites, shifts = np.arange(model.lattice.num_sites), model.density_bonds
    mu = model.chemical_potential
    if model.filling is not None:
        moments = ChebyshevEngine(scaled, (), np.zeros((1, order))).moments(sites, window)[:order] / len(sites)
        mu = NumberCurve(moments, bounds, temperature).inverse(model.filling)
    functions = [coefficients(lambda e: fermi(e, mu, temperature), bounds, order)]
    if energy:
        functions.append(coefficients(lambda e: potential_per_state(e, mu, temperature), bounds, order))
    values = ChebyshevEngine(scaled, shifts, np.array(functions)).values(sites, window)
    omega = float(np.einsum("ooi->", values[1][:, : stencil.orbitals])) if energy else None
    return stencil.density_matrix(values[0], model.density_bonds), omega


def _by_steps(model: Hamiltonian, stencil: Stencil, effort: Effort, energy: bool) -> tuple[DensityMatrix, float | None]:
    if energy:
        raise ValueError("Lanczos steps of a fixed number give no grand potential: use an order, or KPMForces")
    if model.filling is not None:
        raise ValueError(f"Lanczos steps of a fixed number find no chemical potential for filling {model.filling}: use an order")
    values = by_steps(model, stencil, effort, model.chemical_potential, np.arange(model.lattice.num_sites))
    return stencil.density_matrix(values, model.density_bonds), None


def by_steps(model: Hamiltonian, stencil: Stencil, effort: Effort, mu: float, sites: np.ndarray) -> np.ndarray:
    """Elements of the density matrix on ``sites`` by Lanczos steps, (orbitals, elements, sites); ValueError for too few poles."""
    bounds = gershgorin_window(stencil)  # a wider spectrum needs a fraction of a pole more: less than tight bounds cost
    poles, residues, constant = few_poles(effort.poles, bounds.a + abs(mu - bounds.b), model.temperature, mu)
    engine = Steps(stencil.scaled(1.0, 0.0, DTYPE), model.density_bonds)
    return engine.values(sites, window_of(stencil, effort.radius), effort.steps or 0, poles, residues, constant)


class Steps(_Local):
    """Lanczos steps and poles, and no look back at how the last steps changed the result."""

    def values(
        self, sites: np.ndarray, window: Window, steps: int, poles: np.ndarray, residues: np.ndarray, constant: float
    ) -> np.ndarray:
        """Elements of f(H), shape (orbitals, elements, sites)."""
        layout = self._layout(window)

        def job(start: int, chunk: np.ndarray) -> np.ndarray:
            origins = layout.origins(chunk)
            alphas, betas, vectors = layout.lanczos(origins, start, steps)
            values = np.zeros((len(layout.elements), len(origins)))
            values[layout.elements == start] = constant
            rational(alphas, betas, vectors, poles, residues, steps, values)
            return values[:, : len(chunk)]

        rows = [in_threads(lambda chunk, start=start: job(start, chunk), sites, SHORT_CHUNK) for start in layout.starts]
        return np.stack([np.concatenate(row, axis=-1) for row in rows])
