"""The solver as a reference: forces that can tell which error they really had (PHYSICS P4, P9)."""

from __future__ import annotations

import numpy as np

from ennforce.forces import ExactForces, ForceField, KPMForces
from ennforce.models import Hamiltonian

EXACT_SITES = 600  # up to which exact diagonalisation judges: less than a second for a configuration
SHARPER = 0.1  # tolerance of the judging solver, in tolerances of the judged one


class ReferenceForces:
    """The solver with sampled windows, as it drives dynamics: its tolerance is what it aims at, ``error`` what it reached.

    ``margin`` and ``method`` are those of ``KPMForces``.
    """

    def __init__(self, model: Hamiltonian, tolerance: float, *, margin: float, method: str) -> None:
        self.model, self.tolerance, self.margin, self.method = model, tolerance, margin, method
        self._solver = KPMForces(model, tolerance, sampled=True, margin=margin, method=method)

    def forces(self, fields: np.ndarray) -> np.ndarray:
        """Total force, shape of ``fields`` (..., *field_shape)."""
        return self._solver.forces(fields)

    def error(self, fields: np.ndarray) -> dict[str, float | str]:
        """Root mean square and largest error of the force on ``fields`` (..., *field_shape), in units of t per field unit.

        Keys: ``rms``, ``largest``, ``force_rms`` (of the total force itself), ``judge`` (in words). The judge is exact
        diagonalisation on small lattices, else the solver with every window verified, at a tenth of the tolerance.
        """
        judge: ForceField
        if self.model.lattice.num_sites <= EXACT_SITES:
            judge, text = ExactForces(self.model), "exact diagonalisation"
        else:
            sharper = max(SHARPER * self.tolerance, 1e-10)
            judge, text = (
                KPMForces(self.model, sharper, margin=self.margin, method=self.method),
                f"verified solver, tolerance {sharper:g}",
            )
        true = judge.forces(fields)
        error = self.forces(fields) - true
        return {
            "rms": float(np.sqrt(np.mean(error**2))),
            "largest": float(np.max(np.abs(error))),
            "force_rms": float(np.sqrt(np.mean(true**2))),
            "judge": text,
        }
