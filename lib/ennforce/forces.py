"""Force fields: one protocol, and makers: exact diagonalisation, local expansions, a trained network (PHYSICS P2).

Every maker returns the *total* force F = electronic + classical, in the shape of the fields, ``(..., *lattice.shape)``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch

from ennforce.electrons import Electrons, ExactElectrons, local, solve
from ennforce.electrons.bounds import MARGIN
from ennforce.electrons.tuning import cheapest
from ennforce.models import DensityMatrix, Hamiltonian, from_parameters
from ennforce.networks import ForceNetwork
from ennforce.networks.export import TiledNetwork, load_model, save_model

Fields: TypeAlias = Any  # an array, or a tensor on any device


@runtime_checkable
class ForceField(Protocol):
    """What drives the dynamics: total forces from fields, same shape (..., *lattice.shape), in units of t per field unit."""

    def forces(self, fields: np.ndarray) -> np.ndarray: ...


class Drawn(NamedTuple):
    """Forces (replica, *field_shape) that are right on average, and the ``variance`` of each component, (replica, *lattice)."""

    forces: np.ndarray
    variance: np.ndarray


@runtime_checkable
class NoisyForceField(Protocol):
    """A force field whose forces are random, with the right mean: a dynamics with a thermostat takes their noise off that."""

    def drawn(self, fields: np.ndarray, step: int, replicas: np.ndarray, limit: float) -> Drawn: ...

    def forget(self) -> None: ...


class _ElectronicForces(ABC):
    """What the two solvers share: batches, checks, and forces from the density matrix."""

    def __init__(self, model: Hamiltonian) -> None:
        self.model = model

    @abstractmethod
    def density_matrix(self, configuration: np.ndarray) -> DensityMatrix:
        """The elements of rho that the forces need, of one configuration."""

    @abstractmethod
    def _grand_potential(self, configuration: np.ndarray) -> float: ...

    def density(self, fields: np.ndarray) -> np.ndarray:
        """Electrons a site <n_i>, shape (..., *lattice.shape)."""
        return self._each(lambda configuration: self.density_matrix(configuration).occupation, fields)

    def electronic_forces(self, fields: np.ndarray) -> np.ndarray:
        """The electrons' part of the force, shape of ``fields``."""
        return self._each(lambda f: self.model.electronic_forces(self.density_matrix(f), f), fields)

    def forces(self, fields: np.ndarray) -> np.ndarray:
        """Total force of P2, shape of ``fields``; raises ValueError on NaN, infinite or misshapen fields."""
        return self.electronic_forces(fields) + self.model.classical_forces(self.model.check_fields(fields))

    def grand_potential(self, fields: np.ndarray) -> np.ndarray:
        """Omega of electrons and classical energy, shape (...): its negative gradient is ``forces``."""
        electrons = self._each(lambda configuration: np.asarray(self._grand_potential(configuration)), fields)
        fields = self.model.check_fields(fields)
        return electrons + self.model.electronic_energy_shift(fields) + self.model.classical_energy(fields)

    def energy(self, fields: np.ndarray) -> np.ndarray:
        """The potential of the forces, shape (...)."""
        return self.grand_potential(fields)

    def _each(self, function: Callable[[np.ndarray], np.ndarray], fields: np.ndarray) -> np.ndarray:
        """``function`` of every configuration of a batch, stacked."""
        fields = self.model.check_fields(fields)
        shape = self.model.field_shape
        results = np.stack([function(configuration) for configuration in fields.reshape(-1, *shape)])
        return results.reshape(fields.shape[: fields.ndim - len(shape)] + results.shape[1:])


class ExactForces(_ElectronicForces):
    """Forces by exact diagonalisation, O(N^3): the reference."""

    def density_matrix(self, configuration: np.ndarray) -> DensityMatrix:
        return ExactElectrons(self.model, configuration).density

    def _grand_potential(self, configuration: np.ndarray) -> float:
        return ExactElectrons(self.model, configuration).grand_potential


class KPMForces(_ElectronicForces):
    """Forces by local expansions, O(N): every needed element of the density matrix within ``tolerance`` of the exact one.

    ``sampled`` checks the windows on a sample of sites only: faster, meant for dynamics; ``tolerance`` is then the *typical* error
    of a site, no bound. ``method``: kernel polynomials ("chebyshev"), Lanczos steps with poles ("recursion"), the cheaper of both
    ("local"), diagonalisation ("exact"), or the cheapest of all by prediction ("auto"). ``margin`` widens the spectral bounds found
    by Lanczos, as a fraction. ``device``: "cpu", or a torch device such as "cuda". ``last`` is the solution of the
    latest call: order, window radius, estimated error. Results depend on the configuration alone, never on earlier calls.
    """

    def __init__(
        self, model: Hamiltonian, tolerance: float = 1e-4, *, sampled: bool = False, method: str = "auto",
        margin: float = MARGIN, device: str = "cpu",
    ) -> None:  # fmt: skip
        super().__init__(model)
        if not 1e-10 <= tolerance <= 0.1:
            raise ValueError(
                f"tolerance {tolerance} is outside [1e-10, 0.1], which double precision can give and a density can use"
            )
        if not margin > 0:
            raise ValueError(f"spectral margin {margin} must be positive: at zero the Chebyshev recursion can diverge")
        self.tolerance = tolerance
        self.solver = partial(solve, model, tolerance=tolerance, sampled=sampled, method=method, margin=margin, device=device)
        self.last: Electrons | None = None

    def solve(self, configuration: np.ndarray, energy: bool = True) -> Electrons:
        """Density matrix, chemical potential, number and (``energy``) grand potential of the electrons in one configuration."""
        configuration = self.model.check_fields(configuration)
        self.last = self.solver(configuration, energy=energy)
        return self.last

    def density_matrix(self, configuration: np.ndarray) -> DensityMatrix:
        return self.solve(configuration, energy=False).density

    def _grand_potential(self, configuration: np.ndarray) -> float:
        omega = self.solve(configuration, energy=True).grand_potential
        assert omega is not None
        return omega


class LocalForces(_ElectronicForces):
    """Forces by local expansions of a fixed effort, O(N): the least cost, no guarantee.

    Either ``order`` Chebyshev coefficients or ``steps`` Lanczos steps with at most ``poles`` poles, everywhere in windows of
    ``radius``. Lanczos steps serve gapped order; they take no model of fixed filling and give no energies. The error depends on the
    configuration: weak fields at low temperature need far wider windows than strong order. ``tuned`` finds the effort on a sample.
    Results depend on the configuration alone, never on earlier calls.
    """

    def __init__(
        self, model: Hamiltonian, *, radius: int, order: int | None = None, steps: int | None = None, poles: int = 5
    ) -> None:
        super().__init__(model)
        self.effort = local.Effort(radius, order, steps, poles)
        if steps and model.filling is not None:
            raise ValueError(f"Lanczos steps find no chemical potential for filling {model.filling}: give an order instead")

    @classmethod
    def tuned(cls, model: Hamiltonian, fields: np.ndarray, rms: float = 1e-2) -> LocalForces:
        """The effort of least predicted cost at which the electronic force errs by ``rms`` of its standard deviation on ``fields``.

        fields: (..., *field_shape), a sample of what will come, compared there with verified solutions; some ten thousand sites are
        enough. Raises ValueError where no effort reaches it.
        """
        return cls(model, **asdict(cheapest(model, fields, rms)))

    def density_matrix(self, configuration: np.ndarray) -> DensityMatrix:
        return local.density_matrix(self.model, configuration, self.effort)

    def _grand_potential(self, configuration: np.ndarray) -> float:
        return local.grand_potential(self.model, configuration, self.effort)


class NetworkForces:
    """Forces from a trained network: its electronic part plus the model's exact classical part, O(N).

    Works on any torus of even lengths not smaller than twice the receptive radius; ``model`` is the lattice model of training. The
    electronic part never exceeds the ``largest_force`` of the model of training.
    On a ``device`` other than the processor, fields may be tensors there, and then forces are too.
    """

    def __init__(
        self, network: ForceNetwork, model: Hamiltonian, target: str = "electronic", device: str | torch.device = "cpu"
    ) -> None:
        field_type = str(model.field_type)
        trained = network.architecture
        if (trained.lattice, trained.field_type) != (model.lattice.name, field_type):
            raise ValueError(
                f"the network carries a {trained.field_type} field on the {trained.lattice} lattice, but the model has "
                f"{field_type} on the {model.lattice.name} lattice: load a network trained for this model"
            )
        self.model, self.target, self._origin = model, target, model  # the origin: the model of training
        self._trained = network
        self.network = TiledNetwork(network, device)

    def __reduce__(self) -> tuple:
        """Copies and pickles hold the weights; what was made of them for this machine, a compiled kernel, is made anew."""
        return type(self), (self._trained, self.model, self.target, self.network.device), {"_origin": self._origin}

    @property
    def field_scale(self) -> float:
        """The rms field of the training data."""
        return float(self._trained.field_scale)

    @property
    def trained(self) -> ForceNetwork:
        """The network as it was trained."""
        return self._trained

    @property
    def largest_force(self) -> float:
        """What the learned part is shortened to, by length; infinite where nothing bounds it."""
        return self._origin.largest_force if self.target == "electronic" else float("inf")

    def save(self, folder: str | Path) -> None:
        """Write the network and the model it was trained for, for ``load``; what was in the folder before is replaced."""
        save_model(folder, self._trained, {"model": self._origin.parameters(), "target": self.target})

    @classmethod
    def load(
        cls, folder: str | Path, model: Hamiltonian | None = None, *, extrapolate: bool = False, device: str = "cpu"
    ) -> NetworkForces:
        """From a model's folder, for the parameters it was trained for; raises ValueError where ``model`` has others.

        With ``extrapolate`` it is used nevertheless, with the classical forces of ``model``; another lattice or field type is
        refused even then. A network for a class of your own is loaded with a model of that class.
        """
        network, facts = load_model(folder, model)
        trained = from_parameters(facts["model"], model)
        if model is None:
            return cls(network, trained, facts["target"], device)
        wanted, known = ({**m.parameters(), "lattice": m.lattice.name} for m in (model, trained))
        differing = [key for key in sorted(wanted | known) if wanted.get(key) != known.get(key)]
        if differing and not extrapolate:
            given = ", ".join(f"{key} = {known.get(key)} (not {wanted.get(key)})" for key in differing)
            raise ValueError(
                f"{folder} was trained for {given}: train a network for this model, or use it beyond what it knows "
                f"with extrapolate=True"
            )
        if facts["target"] == "total" and differing:
            raise ValueError(f"{folder} learned the total force of another model, which cannot be split: train on electronic ones")
        forces = cls(network, model, facts["target"], device)
        forces._origin = trained
        return forces

    def forces(self, fields: Fields) -> Fields:
        """Total force, float64, shape of ``fields``, which end in a torus.

        Raises ValueError on a torus too small, on fields that are complex, not finite or none, and where the network, whose numbers
        are of single precision, overflows.
        """
        predicted, fields = self._predict(fields)
        if self.target == "electronic":
            predicted += self.model.classical_forces(fields)
        return predicted

    def electronic_forces(self, fields: Fields) -> Fields:
        """The electrons' part of the force, shape of ``fields``."""
        predicted, fields = self._predict(fields)
        if self.target == "total":
            predicted -= self.model.classical_forces(fields)
        return predicted

    def _predict(self, fields: Fields) -> tuple[Fields, Fields]:
        """What the network says, and the fields as float64."""
        if torch.is_complex(fields) if isinstance(fields, torch.Tensor) else np.iscomplexobj(fields):
            raise ValueError("fields are complex numbers: classical fields are real; give their real part if that is what you mean")
        if not isinstance(fields, torch.Tensor):
            fields = np.require(fields, float, ["C", "W"])  # torch takes no views that run backwards, and warns of read-only ones
        tensor = torch.as_tensor(fields, dtype=torch.float64, device=self.network.device)
        self._check(tensor)
        with torch.no_grad():
            forces = self.network.on_torus(tensor.reshape(-1, self.model.components, *self._torus(tensor))).reshape(tensor.shape)
        # Only the processor answers at once: a GPU would be waited for.
        if forces.device.type == "cpu" and not torch.isfinite(forces).all():
            raise ValueError(
                f"the network overflows on fields up to {float(tensor.abs().max()):.3g}, far beyond those it was trained on: use "
                f"smaller fields, or ExactForces"
            )
        if self.largest_force < np.inf:
            self._bound(forces)
        return (forces, tensor) if isinstance(fields, torch.Tensor) else (forces.cpu().numpy(), tensor.cpu().numpy())

    def _bound(self, forces: torch.Tensor) -> None:
        """Shorten, in place, what is larger than the electrons' force can be: far from its data a network says anything.

        By length, so that every symmetry is kept.
        """
        largest, axis = self.largest_force, -1 - self.model.lattice.dimension
        if self.model.components == 1:
            forces.clamp_(-largest, largest)
        else:
            forces *= (largest / forces.norm(dim=axis, keepdim=True).clamp_min(1e-300)).clamp_max(1.0)

    def _torus(self, fields: torch.Tensor) -> torch.Size:
        return fields.shape[-self.model.lattice.dimension :]

    def _check(self, fields: torch.Tensor) -> None:
        least = 2 * self.network.radius
        if fields.ndim < self.model.lattice.dimension or min(self._torus(fields)) < least:
            raise ValueError(
                f"fields of shape {tuple(fields.shape)} do not end in a torus of at least {least} sites each way, "
                f"the reach of the network: use a larger lattice"
            )
        components, axis = self.model.components, -1 - self.model.lattice.dimension
        if components > 1 and (fields.ndim < -axis or fields.shape[axis] != components):
            raise ValueError(f"fields of shape {tuple(fields.shape)} are not (..., {components}, *lattice), as the model's are")
        if not fields.numel():
            raise ValueError(f"fields of shape {tuple(fields.shape)} hold no configuration: give at least one")
        if self.model.odd and not self.model.lattice.resized(*self._torus(fields)).bipartite:
            raise ValueError(
                f"fields of shape {tuple(fields.shape)}: a force that is odd in the fields needs even lengths of the torus"
            )
        # On a GPU this question would wait for the device in every step: the dynamics asks it now and then.
        if fields.device.type == "cpu" and not torch.isfinite(fields).all():
            raise ValueError(f"{int((~torch.isfinite(fields)).sum())} field values are NaN or infinite: no force exists there")
