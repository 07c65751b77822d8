"""The cheapest fixed effort that meets an rms error on a sample of configurations (PHYSICS P4)."""

from __future__ import annotations

import numpy as np

from ennforce.electrons.local import Effort, density_matrix
from ennforce.electrons.solver import solve
from ennforce.electrons.stencil import Stencil, window_of
from ennforce.models import Hamiltonian

ORDERS = (8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 384, 512, 768, 1024)
RADII = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24)
STEPS, POLES, NARROW = (3, 4, 5, 6, 8, 10, 12), (4, 5, 6, 8), (1, 2, 3, 4)  # Lanczos steps pay in narrow windows alone
STUCK = 0.95  # an error that falls by less than this factor has another cause

# Costs in units of one Chebyshev step on one site, 0.22 ns for one orbital: of a column with its share of the spectral bounds, of a
# column alone, of a Lanczos step on one site, and of a pole for each step.
BOUNDED_COLUMN, COLUMN, LANCZOS_STEP, POLE_STEP = 900.0, 260.0, 2.4, 11.0


def cheapest(model: Hamiltonian, fields: np.ndarray, rms: float) -> Effort:
    """The effort of least predicted cost at which the rms error of the electronic force is below ``rms`` standard deviations of it.

    fields: (..., *field_shape), the sample; exact forces are those of a verified solution there. Costs are predicted, not measured:
    the choice follows from model and sample alone. Raises ValueError where no effort is enough.
    """
    if not 1e-4 <= rms < 1.0:
        raise ValueError(f"rms = {rms} of the force's standard deviation: choose one between 1e-4 and 1, or KPMForces for less")
    sample = model.check_fields(fields).reshape(-1, *model.field_shape)
    exact = np.stack([model.electronic_forces(solve(model, f, 0.1 * rms, energy=False).density, f) for f in sample])
    spread = exact.std()
    if not spread > 0:
        raise ValueError("the electrons' force is equal on all sites of the sample: give one of fields that vary")
    stuck: set[tuple[str, int | None]] = set()
    known: dict[Effort, float] = {}
    for effort in efforts(model, sample[0]):
        if {("order", effort.order), ("radius", effort.radius)} & stuck:
            continue
        forces = np.stack([model.electronic_forces(density_matrix(model, f, effort), f) for f in sample])
        error = known[effort] = float(np.sqrt(((forces - exact) ** 2).mean()) / spread)
        if error <= rms:
            return effort
        if effort.order:
            stuck |= _stuck(effort, known)
    raise ValueError(f"no fixed effort reaches an rms error of {rms} on this sample: use KPMForces")


def efforts(model: Hamiltonian, fields: np.ndarray) -> list[Effort]:
    """All that may be tried, by predicted cost; windows that do not fit on the torus, but for one, and ties are left out."""
    stencil = Stencil.of(model.blocks(fields))
    found = [Effort(radius, order=order) for radius in RADII for order in ORDERS]
    if model.filling is None:
        found += [Effort(radius, steps=steps, poles=poles) for radius in NARROW for steps in STEPS for poles in POLES]
    costs = {effort: predicted_cost(model, stencil, effort) for effort in found}
    return sorted(costs, key=costs.__getitem__)


def predicted_cost(model: Hamiltonian, stencil: Stencil, effort: Effort) -> float:
    """Predicted cost of the densities of one site, in site updates of the Chebyshev recursion of one orbital."""
    window, update = window_of(stencil, effort.radius), 0.2 * stencil.planes * len(stencil.uniform[0] + stencil.varying[0])
    if effort.steps:
        return COLUMN + LANCZOS_STEP * update * window.updates(effort.steps) + POLE_STEP * effort.poles * effort.steps
    doubling = stencil.orbitals == 1 and not model.density_bonds
    assert effort.order is not None
    return BOUNDED_COLUMN + update * window.updates(effort.order // 2 if doubling else effort.order - 1)


def _stuck(effort: Effort, known: dict[Effort, float]) -> set[tuple[str, int | None]]:
    """Which of order and radius keeps the error up: the other has just been raised without much gain."""
    found: set[tuple[str, int | None]] = set()
    for other, error in known.items():
        if other.order and known[effort] > STUCK * error:
            if other.radius == effort.radius and other.order < (effort.order or 0):
                found.add(("radius", effort.radius))
            if other.order == effort.order and other.radius < effort.radius:
                found.add(("order", effort.order))
    return found
