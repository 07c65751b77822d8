"""Force fields: one protocol, and makers: exact diagonalisation, local expansions, a trained network (PHYSICS P2).

Every maker returns the *total* force F = electronic + classical, in the shape of the fields, ``(..., *lattice.shape)``.
"""

from __future__ import annotations

import logging
import math
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
from ennforce.electrons.selfconsistent import fixed_point
from ennforce.electrons.tuning import cheapest
from ennforce.models import DensityMatrix, Hamiltonian, from_parameters
from ennforce.models.scaling import difference
from ennforce.networks import ForceNetwork
from ennforce.networks.export import TiledNetwork, load_model, save_model
from ennforce.networks.ranges import FieldRange
from ennforce.symmetry import FieldType

log = logging.getLogger("ennforce")
LOOKS = 100  # calls on a GPU of which one looks at the fields
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
    """What the solvers share: batches, checks, self-consistency, and forces from the density matrix.

    ``consistency``: largest error of the density of electrons that act on each other, from which their fields are found.
    ``solutions``: how often the electrons of the latest configuration were solved.
    """

    consistency = 1e-9

    def __init__(self, model: Hamiltonian) -> None:
        self.model = model
        self.solutions = 0

    @abstractmethod
    def _density_matrix(self, seen: np.ndarray) -> DensityMatrix: ...

    @abstractmethod
    def _grand_potential(self, seen: np.ndarray) -> float: ...

    def seen(self, configuration: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
        """The fields that the electrons see in one configuration: others than given where they act on each other.

        ``start``: fields from which these are looked for, as those seen in a similar configuration; the result then is the same
        within ``consistency``, and not to the bit. Raises NotConverged where no fixed point is found.
        """
        self.solutions = 1
        if self.model.local:
            return configuration
        found = fixed_point(
            lambda seen: self.model.seen(configuration, self._density_matrix(seen)),
            configuration if start is None else start, self.consistency * max(self.model.screening, 1e-3),
        )  # fmt: skip
        self.solutions = found.solutions + 1
        return found.seen

    def density_matrix(self, configuration: np.ndarray) -> DensityMatrix:
        """The elements of rho that the forces need, of one configuration."""
        return self._density_matrix(self.seen(configuration))

    def density(self, fields: np.ndarray) -> np.ndarray:
        """Electrons per site <n_i>, shape (..., *lattice.shape)."""
        return self.model.spins * self._each(lambda configuration: self.density_matrix(configuration).occupation, fields)

    def electronic_forces(self, fields: np.ndarray) -> np.ndarray:
        """The electrons' part of the force, shape of ``fields``."""
        return self._each(lambda f: self.model.electronic_forces(self.density_matrix(f), f), fields)

    def forces(self, fields: np.ndarray) -> np.ndarray:
        """Total force of P2, shape of ``fields``; raises ValueError on NaN, infinite or misshapen fields."""
        return self.electronic_forces(fields) + self.model.classical_forces(self.model.check_fields(fields))

    def grand_potential(self, fields: np.ndarray) -> np.ndarray:
        """Omega of electrons and classical energy, shape (...): its negative gradient is ``forces``."""
        fields = self.model.check_fields(fields)
        return self._each(self._electronic_energy, fields) + self.model.classical_energy(fields)

    def _electronic_energy(self, configuration: np.ndarray) -> np.ndarray:
        seen = self.seen(configuration)
        electrons = self._grand_potential(seen) + self.model.electronic_energy_shift(seen)
        return self.model.spins * electrons + self.model.double_counting(configuration, seen)

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

    def _density_matrix(self, seen: np.ndarray) -> DensityMatrix:
        return ExactElectrons(self.model, seen).density

    def _grand_potential(self, seen: np.ndarray) -> float:
        return ExactElectrons(self.model, seen).grand_potential


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
        self.tolerance, self.consistency = tolerance, 0.1 * tolerance
        self.solver = partial(solve, model, tolerance=tolerance, sampled=sampled, method=method, margin=margin, device=device)
        self.last: Electrons | None = None

    def solve(self, configuration: np.ndarray, energy: bool = True) -> Electrons:
        """Density matrix, chemical potential, number and (``energy``) grand potential of the electrons in one configuration."""
        configuration = self.model.check_fields(configuration)
        return self._solve(self.seen(configuration), energy)

    def _solve(self, seen: np.ndarray, energy: bool) -> Electrons:
        self.last = self.solver(seen, energy=energy)
        return self.last

    def _density_matrix(self, seen: np.ndarray) -> DensityMatrix:
        return self._solve(seen, energy=False).density

    def _grand_potential(self, seen: np.ndarray) -> float:
        omega = self._solve(seen, energy=True).grand_potential
        assert omega is not None
        return omega


class LocalForces(_ElectronicForces):
    """Forces by local expansions of a fixed effort, O(N): the least cost, no guarantee.

    Either ``order`` Chebyshev coefficients or ``steps`` Lanczos steps with at most ``poles`` poles, everywhere in windows of
    ``radius``. Lanczos steps serve gapped order; they take no model of fixed filling and give no energies. The error depends on the
    configuration: weak fields at low temperature need far wider windows than strong order. ``tuned`` finds the effort on a sample.
    Results depend on the configuration alone, never on earlier calls.
    """

    consistency = 1e-5  # expansions are of single precision

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

    def _density_matrix(self, seen: np.ndarray) -> DensityMatrix:
        return local.density_matrix(self.model, seen, self.effort)

    def _grand_potential(self, seen: np.ndarray) -> float:
        return local.grand_potential(self.model, seen, self.effort)


class NetworkForces:
    """Forces from a trained network: its electronic part plus the model's exact classical part, O(N).

    Works on any torus of even lengths not smaller than twice the receptive radius. ``trained`` is the lattice model of training
    where that is not ``model``: the network then answers in units of ``model``, as both models' ``scaling`` says, and under its
    ``conditions``, for which a network that takes some of them as inputs is folded (``extrapolate``: beyond its span too). The
    electronic part never exceeds the ``largest_force`` of training, in these units. ``seen``: the fields of training, in its
    units; outside of them a warning is logged, once, or, where ``strict``, ValueError raised by what computes forces. On a GPU,
    which must be waited for, every ``LOOKS``-th call looks.
    On a ``device`` other than the processor, fields may be tensors there, and then forces are too.
    """

    def __init__(
        self, network: ForceNetwork, model: Hamiltonian, target: str = "electronic", device: str | torch.device = "cpu",
        trained: Hamiltonian | None = None, seen: FieldRange | None = None, strict: bool = False, extrapolate: bool = False,
    ) -> None:  # fmt: skip
        field_type, architecture = str(model.field_type), network.architecture
        known = {field_type, _of_both_signs(field_type)} if "chemical_potential" in architecture.inputs else {field_type}
        if architecture.lattice != model.lattice.name or architecture.field_type not in known:
            raise ValueError(
                f"the network carries a {architecture.field_type} field on the {architecture.lattice} lattice, but the model has "
                f"{field_type} on the {model.lattice.name} lattice: load a network trained for this model"
            )
        self.model, self.target, self.strict = model, target, strict
        self._origin = trained or model
        self._trained, self._seen = network, seen
        self._calls, self._told = 0, False
        both = model.scaling, self._origin.scaling
        of_fields, of_forces = both[0].relative_to(both[1]) if both[0] and both[1] else (1.0, 1.0)
        self.seen = None if seen is None else seen.scaled(1.0 / of_fields)
        self.largest_force = abs(of_forces) * self._origin.largest_force if target == "electronic" else math.inf
        self._extrapolate = extrapolate
        self._scaled = network.at(model.conditions, extrapolate).rescaled(of_fields, of_forces)
        self.field_scale = abs(float(self._scaled.field_scale))  # the rms field of the training data
        self.network = TiledNetwork(self._scaled, device)

    def __reduce__(self) -> tuple:
        """Copies and pickles hold the weights; what was made of them for this machine, a compiled kernel, is made anew."""
        given = (
            self._trained,
            self.model,
            self.target,
            self.network.device,
            self._origin,
            self._seen,
            self.strict,
            self._extrapolate,
        )
        return type(self), given

    def save(self, folder: str | Path) -> None:
        """Write the network and the model it was trained for, for ``load``; what was in the folder before is replaced."""
        seen = None if self._seen is None else asdict(self._seen)
        save_model(folder, self._trained, {"model": self._origin.parameters(), "target": self.target, "seen": seen})

    @property
    def trained(self) -> ForceNetwork:
        """The network as it was trained: in units of the model of training, and with its inputs."""
        return self._trained

    def folded(self) -> NetworkForces:
        """A plain network of ``model`` itself with these forces: saved, it is read as one that was trained for this model.

        Raises ValueError where the network is used beyond what it knows, and where it lacks a symmetry that the model has.
        """
        if self._extrapolate:
            raise ValueError("a network that is used beyond what it knows is none of this model: load it without extrapolate=True")
        return NetworkForces(self._scaled, self.model, self.target, self.network.device, seen=self.seen, strict=self.strict)

    @classmethod
    def load(
        cls, folder: str | Path, model: Hamiltonian | None = None, *, extrapolate: bool = False, strict: bool = False,
        device: str = "cpu",
    ) -> NetworkForces:  # fmt: skip
        """From a model's folder, for the electrons it was trained for; raises ValueError where those of ``model`` are others.

        Whatever is only the lattice's may differ, and couplings as far as a model states its ``scaling``. With ``extrapolate`` the
        network is used nevertheless, with the classical forces of ``model``; another lattice or field type is
        refused even then. A network for a class of your own is loaded with a model of that class.
        """
        network, facts = load_model(folder, model)
        trained, target = from_parameters(facts["model"], model), facts["target"]
        if model is None:
            return cls(network, trained, target, device, seen=facts["seen"], strict=strict)
        differing = difference(trained, model, target, network.architecture.inputs)
        if differing and not extrapolate:
            raise ValueError(
                f"{folder} was trained for {differing}: train a network for this model, or use it beyond what it knows "
                f"with extrapolate=True"
            )
        if target == "total" and differing:
            raise ValueError(f"{folder} learned the total force of another model, which cannot be split: train on electronic ones")
        return cls(network, model, target, device, trained, facts["seen"], strict, extrapolate)

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
        batch = tensor.reshape(-1, self.model.components, *self._torus(tensor))
        self._look(batch)
        with torch.no_grad():
            forces = self.network.on_torus(batch).reshape(tensor.shape)
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

    def _look(self, fields: torch.Tensor) -> None:
        """Say, or where ``strict`` raise, that fields (batch, component, *lattice) are outside of those of training."""
        if self.seen is None or self._told:
            return
        self._calls += 1
        if fields.device.type != "cpu" and self._calls % LOOKS != 1:
            return
        if (complaint := self.seen.complaint(fields)) is None:
            return
        if self.strict:
            raise ValueError(f"{complaint}: train on such fields, or leave strict out and audit the forces")
        self._told = True
        log.warning("%s: its forces there are guesses, which an audit measures and CorrectedForces mend", complaint)


def _of_both_signs(field_type: str) -> str:
    """The type of a field under less symmetry: away from half filling, no sign of it is like the other."""
    return str(FieldType(tuple(term._replace(parity=1) for term in FieldType.parse(field_type).terms)))
