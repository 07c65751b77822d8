"""Force fields: one protocol and three makers — exact diagonalisation, kernel polynomials, a trained network (PHYSICS P2).

Every maker returns the *total* force F = electronic + classical, in the shape of the fields, ``(..., Ly, Lx)``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from ennforce.electrons import ExactElectrons, KPMSolution, solve
from ennforce.electrons.bounds import MARGIN
from ennforce.hamiltonians import Hamiltonian, from_parameters
from ennforce.networks.export import ExpandedNetwork, load_model
from ennforce.networks.models import EquivariantNetwork


@runtime_checkable
class ForceField(Protocol):
    """What drives the dynamics: total forces from fields, same shape (..., Ly, Lx), in units of t per field unit."""

    def forces(self, fields: np.ndarray) -> np.ndarray: ...


def each_configuration(function: Callable[[np.ndarray], np.ndarray], fields: np.ndarray, dimension: int) -> np.ndarray:
    """Apply ``function`` to every (Ly, Lx) configuration of ``fields`` (..., Ly, Lx) and stack the results."""
    flat = fields.reshape(-1, *fields.shape[-dimension:])
    results = np.stack([function(configuration) for configuration in flat])
    return results.reshape(fields.shape[:-dimension] + results.shape[1:])


class _ElectronicForces(ABC):
    """What the two solvers share: batches, checks, and the force from the density."""

    def __init__(self, model: Hamiltonian) -> None:
        self.model = model

    @abstractmethod
    def _density(self, configuration: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def _grand_potential(self, configuration: np.ndarray) -> float: ...

    def density(self, fields: np.ndarray) -> np.ndarray:
        """<n_i>, shape of ``fields``."""
        fields = self.model.check_fields(fields)
        return each_configuration(self._density, fields, self.model.lattice.dimension)

    def electronic_forces(self, fields: np.ndarray) -> np.ndarray:
        """The electrons' part of the force, g (<n_i> - 1/2) for Holstein, shape of ``fields``."""
        return self.model.electronic_forces(self.density(fields))

    def forces(self, fields: np.ndarray) -> np.ndarray:
        """Total force of P2, shape of ``fields``; raises ValueError on NaN, infinite or misshapen fields."""
        fields = self.model.check_fields(fields)
        return self.electronic_forces(fields) + self.model.classical_forces(fields)

    def grand_potential(self, fields: np.ndarray) -> np.ndarray:
        """Omega of electrons and classical energy, shape (...): its negative gradient is ``forces``."""
        fields = self.model.check_fields(fields)
        electrons = each_configuration(
            lambda configuration: np.asarray(self._grand_potential(configuration)), fields, self.model.lattice.dimension
        )
        return electrons + self.model.electronic_energy_shift(fields) + self.model.classical_energy(fields)

    def energy(self, fields: np.ndarray) -> np.ndarray:
        """The potential of the forces, shape (...)."""
        return self.grand_potential(fields)


class ExactForces(_ElectronicForces):
    """Forces by exact diagonalisation, O(N^3): the reference."""

    def _density(self, configuration: np.ndarray) -> np.ndarray:
        return ExactElectrons(self.model, configuration).density

    def _grand_potential(self, configuration: np.ndarray) -> float:
        return ExactElectrons(self.model, configuration).grand_potential


class KPMForces(_ElectronicForces):
    """Forces by windowed kernel polynomials, O(N): every <n_i> within ``tolerance`` of exact diagonalisation.

    ``sampled`` checks the window on a sample of tiles only: faster, meant for dynamics. ``margin`` widens the spectral bounds
    found by Lanczos, as a fraction. ``last`` is the solution of the latest call: expansion order, window radius and estimated
    error. Results depend on the configuration alone, never on earlier calls.
    """

    def __init__(self, model: Hamiltonian, tolerance: float = 1e-4, *, sampled: bool = False, margin: float = MARGIN) -> None:
        super().__init__(model)
        if not 1e-10 <= tolerance <= 0.1:
            raise ValueError(
                f"tolerance {tolerance} is outside [1e-10, 0.1], which double precision can give and a density can use"
            )
        if not margin > 0:
            raise ValueError(f"spectral margin {margin} must be positive: at zero the Chebyshev recursion can diverge")
        self.tolerance = tolerance
        self.sampled = sampled
        self.margin = margin
        self.last: KPMSolution | None = None

    def _solve(self, configuration: np.ndarray) -> KPMSolution:
        self.last = solve(self.model, configuration, self.tolerance, sampled=self.sampled, margin=self.margin)
        return self.last

    def _density(self, configuration: np.ndarray) -> np.ndarray:
        return self._solve(configuration).density

    def _grand_potential(self, configuration: np.ndarray) -> float:
        return self._solve(configuration).grand_potential


class NetworkForces:
    """Forces from a trained network: its electronic part plus the model's exact classical part, O(N).

    Works on any torus of even lengths not smaller than twice the receptive radius; ``model`` is the lattice model of training.
    """

    def __init__(self, network: EquivariantNetwork, model: Hamiltonian, target: str = "electronic") -> None:
        field_type = str(model.field_type)
        trained = network.architecture
        if (trained.lattice, trained.field_type) != (model.lattice.name, field_type):
            raise ValueError(
                f"the network carries a {trained.field_type} field on the {trained.lattice} lattice, but the model has "
                f"{field_type} on the {model.lattice.name} lattice: load a network trained for this model"
            )
        self.model, self.target = model, target
        self.network = ExpandedNetwork(network)

    @classmethod
    def load(cls, folder: str | Path, model: Hamiltonian | None = None) -> NetworkForces:
        """From a model's folder; with ``model``, raises ValueError unless the network was trained for its parameters."""
        network, facts = load_model(folder)
        trained = from_parameters(facts["model"])
        if model is not None:
            wanted, known = ({**m.parameters(), "lattice": m.lattice.name} for m in (model, trained))
            differing = [key for key in sorted(wanted | known) if wanted.get(key) != known.get(key)]
            if differing:
                given = ", ".join(f"{key} = {known.get(key)} (not {wanted.get(key)})" for key in differing)
                raise ValueError(f"{folder} was trained for {given}: train a network for this model")
        return cls(network, trained, facts["target"])

    def forces(self, fields: np.ndarray) -> np.ndarray:
        """Total force, float64, shape of ``fields`` (..., Ly, Lx); raises ValueError on a torus too small or fields not finite."""
        fields = np.asarray(fields, dtype=float)
        predicted = self._predict(fields)
        if self.target == "total":
            return predicted
        return predicted + self.model.classical_forces(fields)

    def electronic_forces(self, fields: np.ndarray) -> np.ndarray:
        """The electrons' part of the force, shape of ``fields``."""
        fields = np.asarray(fields, dtype=float)
        predicted = self._predict(fields)
        return predicted - self.model.classical_forces(fields) if self.target == "total" else predicted

    def _predict(self, fields: np.ndarray) -> np.ndarray:
        self._check(fields)
        batch = torch.as_tensor(fields.reshape(-1, 1, *fields.shape[-2:]), dtype=torch.float32)
        with torch.inference_mode():
            return self.network.on_torus(batch).numpy().astype(float).reshape(fields.shape)

    def _check(self, fields: np.ndarray) -> None:
        if fields.ndim < 2 or min(fields.shape[-2:]) < 2 * self.network.radius:
            raise ValueError(
                f"fields of shape {fields.shape} do not end in a torus of at least {2 * self.network.radius} sites each way, "
                f"the reach of the network: use a larger lattice"
            )
        if any(length % 2 for length in fields.shape[-2:]) and self.model.odd:
            raise ValueError(f"fields of shape {fields.shape}: particle-hole symmetry needs even lengths; use an even torus")
        if not np.isfinite(fields).all():
            raise ValueError(f"{np.count_nonzero(~np.isfinite(fields))} field values are NaN or infinite: no force exists there")
