"""What a lattice model of electrons on slow classical fields must say of itself (PHYSICS P2)."""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, asdict, dataclass, replace
from dataclasses import fields as fields_of
from typing import ClassVar, Self

import numpy as np

from ennforce.lattice import Lattice, Shift
from ennforce.models.blocks import Blocks, DensityMatrix
from ennforce.models.fields import FieldSpace, Real
from ennforce.models.order import OrderParameter, Uniform
from ennforce.models.scaling import Scaling
from ennforce.symmetry import FieldType

# Beyond these, squares and products of energies lose all digits against the hopping, or overflow.
LARGEST = 1e9
SMALLEST_TEMPERATURE = 1e-9


@dataclass(frozen=True)
class Hamiltonian(ABC):
    """Electrons with ``orbitals`` states per site, coupled to classical fields: all that knows the physics of a study.

    A configuration has shape (*lattice.shape), or (components, *lattice.shape) where there are several. ``temperature`` is that of
    the electrons (k_B = 1). Either the chemical potential is given or the ``filling`` (electrons per site, between 0 and
    ``orbitals``), for which the chemical potential is then solved.
    """

    orbitals: ClassVar[int] = 1
    # Kinds of electrons that share H_e and are counted together, as spins that nothing tells apart; ``filling`` is that of one.
    spins: ClassVar[int] = 1
    # Whether its electrons are those of ``blocks`` alone, which the local solver finds; not so where they act on each other.
    local: ClassVar[bool] = True

    lattice: Lattice
    _: KW_ONLY
    temperature: float
    chemical_potential: float = 0.0
    filling: float | None = None

    def __post_init__(self) -> None:
        for field in fields_of(self):
            value = getattr(self, field.name)
            if isinstance(value, numbers.Real) and not abs(float(value)) <= LARGEST:
                raise ValueError(f"{field.name} = {value} of the model is not a number below {LARGEST:g}: choose units near t")
        if 0 < self.temperature < SMALLEST_TEMPERATURE:
            raise ValueError(
                f"temperature {self.temperature} is too low to tell from zero in double precision: use {SMALLEST_TEMPERATURE:g} "
                f"or more"
            )
        if not self.temperature > 0:
            raise ValueError(
                f"temperature {self.temperature} is not positive: the electronic force needs a finite electron temperature"
            )
        if self.filling is not None and not 0 < self.filling < self.orbitals:
            raise ValueError(f"filling {self.filling} must lie strictly between 0 and {self.orbitals} electrons per site")

    def resized(self, *shape: int) -> Self:
        """This model on another torus."""
        return replace(self, lattice=self.lattice.resized(*shape))

    @property
    @abstractmethod
    def field_type(self) -> FieldType:
        """How the field transforms under the point group and the internal symmetries."""

    @property
    def space(self) -> FieldSpace:
        """What lives on a site; a real number unless a model says otherwise."""
        return Real()

    @property
    def components(self) -> int:
        """Numbers per site that make up the field."""
        return self.space.components

    @property
    def field_shape(self) -> tuple[int, ...]:
        """Shape of one configuration."""
        return self.space.shape(self.lattice)

    @property
    def order(self) -> OrderParameter:
        """What the fields order into; without a better word the fields themselves at q = 0."""
        return Uniform(self.lattice, "field", "Q", self.components, 2 if self.components == 1 else 0, None)

    @property
    def stiffest(self) -> float:
        """Upper bound of the eigenvalues of the classical energy's second derivatives: sets the largest stable time step.

        Raises ValueError unless a model states one.
        """
        raise ValueError(f"the {type(self).__name__} model states no largest stiffness: give it the property ``stiffest``")

    def validate(self) -> None:  # noqa: B027  (most models have nothing to add)
        """Raises ValueError where the settings are allowed one by one and yet make no study."""

    def ordered_guess(self) -> np.ndarray:
        """Fields near an ordered ground state, from which it is found by relaxing; the order's pattern with amplitude 1 here."""
        return self.order.pattern()

    @property
    def density_bonds(self) -> tuple[Shift, ...]:
        """Bonds of ``blocks`` whose density matrix the forces need, besides the on-site blocks."""
        return ()

    @abstractmethod
    def blocks(self, fields: np.ndarray) -> Blocks:
        """H_e of one configuration."""

    @property
    def screening(self) -> float:
        """Bound on the change of a ``seen`` field for a change of every element of the density matrix by one at most."""
        return 0.0

    def seen(self, fields: np.ndarray, density: DensityMatrix) -> np.ndarray:
        """Fields in which ``blocks`` makes the H_e of electrons of this density; other than ``fields`` where not ``local``."""
        return fields

    def double_counting(self, fields: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """What the electrons' energy in ``seen`` fields counts twice of their mutual one, as a correction, shape (...)."""
        return np.zeros(fields.shape[: fields.ndim - len(self.field_shape)])

    @abstractmethod
    def electronic_forces(self, density: DensityMatrix, fields: np.ndarray) -> np.ndarray:
        """-Tr[rho dH_e/d field] of one configuration, terms without electron operators included; shape of ``fields``."""

    @property
    @abstractmethod
    def force_bound(self) -> float:
        """The largest error of a force component for errors of at most 1 in every element of the density matrix."""

    @property
    def largest_force(self) -> float:
        """Bound on the norm of a site's electronic force, which learned forces are kept within; infinite where none is known."""
        return np.inf

    @abstractmethod
    def electronic_energy_shift(self, fields: np.ndarray) -> np.ndarray:
        """Terms of the electronic Hamiltonian without electron operators (Holstein: + g/2 sum Q), shape (...)."""

    @abstractmethod
    def classical_energy(self, fields: np.ndarray) -> np.ndarray:
        """Elastic energy of the fields, shape (...)."""

    @abstractmethod
    def classical_forces(self, fields: np.ndarray) -> np.ndarray:
        """-d(classical energy)/d field, shape of ``fields``."""

    @property
    def odd(self) -> bool:
        """Whether the force is exactly odd under the internal Z2 (for Holstein particle-hole symmetry, P3)."""
        return False

    @property
    def scaling(self) -> Scaling | None:
        """What the electrons see of fields and couplings, so that one network serves many; None where a model does not say."""
        return None

    @property
    def conditions(self) -> dict[str, float | None]:
        """What the electrons depend on beside their fields, energies in units of the scaling's: names as a study's settings.

        Without a ``scaling`` energies are as they are, and further settings may matter. ``filling`` is None where mu is given.
        """
        scaling = self.scaling or Scaling(1.0, 1.0)
        energies = {"electron_temperature": self.temperature, "chemical_potential": self.chemical_potential}
        return {**{key: value / scaling.energy for key, value in energies.items()}, "filling": self.filling, **scaling.ratios}

    def parameters(self) -> dict:
        """Everything that fixes the model, as JSON-ready values; ``name`` is the class in lower case."""
        values = {key: value for key, value in asdict(self).items() if key != "lattice"}
        lattice = {"name": self.lattice.name, "shape": list(self.lattice.shape)}
        return {"name": type(self).__name__.lower(), "lattice": lattice, **values}

    def check_fields(self, fields: np.ndarray) -> np.ndarray:
        """The fields as float64; raises ValueError unless they are real, finite, and end in the shape of a configuration."""
        if np.iscomplexobj(fields):
            raise ValueError("fields are complex numbers: classical fields are real; give their real part if that is what you mean")
        fields = np.asarray(fields, dtype=float)
        if fields.shape[-len(self.field_shape) :] != self.field_shape:
            raise ValueError(f"fields of shape {fields.shape} do not end in {self.field_shape}, the shape of one configuration")
        if not fields.size:
            raise ValueError(f"fields of shape {fields.shape} hold no configuration: give at least one")
        if not np.isfinite(fields).all():
            raise ValueError(f"{np.count_nonzero(~np.isfinite(fields))} field values are NaN or infinite: no force exists there")
        return fields

    @property
    def _axes(self) -> tuple[int, ...]:
        """The lattice axes of a field."""
        return tuple(range(-self.lattice.dimension, 0))

    def _at(self, fields: np.ndarray, shift: Shift) -> np.ndarray:
        """fields[r + shift] in the place of fields[r]; arrays, or tensors on any device, whose own method this is."""
        back = tuple(-s for s in shift)
        return np.roll(fields, back, axis=self._axes) if isinstance(fields, np.ndarray) else fields.roll(back, self._axes)
