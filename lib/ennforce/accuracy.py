"""The error that a force really had, on configurations of the very trajectory that it drove (PHYSICS P4, P11)."""

from __future__ import annotations

import numpy as np

from ennforce.forces import ExactForces, ForceField, KPMForces
from ennforce.hamiltonians import Hamiltonian

EXACT_SITES = 600  # up to which exact diagonalisation judges: less than a second for a configuration
SHARPER = 0.1  # tolerance of the judging solver, in tolerances of the judged one


def force_error(model: Hamiltonian, forces: ForceField, fields: np.ndarray, tolerance: float, **solver) -> dict[str, float | str]:
    """Root mean square and largest error of ``forces`` on ``fields`` (..., *field_shape), in units of t per field unit.

    Keys: ``rms``, ``largest``, ``force_rms`` (of the total force itself), ``judge`` (in words). The judge is exact diagonalisation
    on small lattices, else the solver with every window verified, at a tenth of ``tolerance``, with the settings ``solver`` of
    ``KPMForces``.
    """
    judge: ForceField
    if model.lattice.num_sites <= EXACT_SITES:
        judge, text = ExactForces(model), "exact diagonalisation"
    else:
        sharper = max(SHARPER * tolerance, 1e-10)
        judge, text = KPMForces(model, sharper, **solver), f"verified solver, tolerance {sharper:g}"
    true = judge.forces(fields)
    error = forces.forces(fields) - true
    return {
        "rms": float(np.sqrt(np.mean(error**2))),
        "largest": float(np.max(np.abs(error))),
        "force_rms": float(np.sqrt(np.mean(true**2))),
        "judge": text,
    }
