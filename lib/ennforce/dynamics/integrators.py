"""Which equations of motion act on a model's fields: one factory for every dynamics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ennforce.dynamics.langevin import Dynamics, Langevin
from ennforce.dynamics.overdamped import Overdamped
from ennforce.dynamics.spins import SpinDynamics
from ennforce.forces import ForceField
from ennforce.models import Hamiltonian

INTEGRATORS: dict[str, type[Dynamics]] = {"langevin": Langevin, "overdamped": Overdamped, "spins": SpinDynamics}


def integrator(model: Hamiltonian, force_field: ForceField, bath: Mapping[str, Any], **changes: float) -> Dynamics:
    """The dynamics that ``bath`` (``sections.Bath``) asks for, else the usual one of the model's fields.

    ``changes`` take the place of the bath's values. Raises ValueError where the dynamics is none of the field's.
    """
    return INTEGRATORS[model.space.chosen(bath.get("dynamics"))].in_bath(force_field, bath, **changes)
