"""The Peierls or Su-Schrieffer-Heeger model: the electrons' hopping follows the distances between displaced ions (PHYSICS P2).

Su, Schrieffer and Heeger, Phys. Rev. Lett. 42, 1698 (1979), with a vector displacement on lattices of two dimensions.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np

from ennforce.lattice import Shift
from ennforce.models.base import Hamiltonian
from ennforce.models.blocks import Blocks, DensityMatrix
from ennforce.models.fields import FieldSpace, Real
from ennforce.models.order import OrderParameter, Staggered, Uniform, can_stagger
from ennforce.models.scaling import Scaling
from ennforce.symmetry import FieldType


@dataclass(frozen=True)
class Peierls(Hamiltonian):
    """H = -sum_<ij> [t - alpha d_ij] (c+_i c_j + h.c.) - t2 sum_<<ij>> (c+_i c_j + h.c.) + E(u), d_ij = e_ij . (u_j - u_i).

    E = K/2 sum_<ij> d_ij^2 + k0/2 sum_i |u_i|^2 + kappa sum_<ij> u_i . u_j. Fields: displacements u, shape (L) on the chain,
    (2, Ly, Lx) with Cartesian components (x, y) in two dimensions; e_ij is the unit vector of the bond, <<ij>> second neighbours.
    ``k0`` pins the ions to the substrate: without it uniform translations cost nothing. With K = 0 this is the form of
    arXiv 2510.20659 (PHYSICS P15). Raises ValueError where a wave of displacements would gain energy.
    """

    _: KW_ONLY
    t: float = 1.0
    alpha: float = 1.0
    K: float = 1.0
    k0: float = 0.0
    t2: float = 0.0
    kappa: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.K >= 0 and self.k0 >= 0 and self.K + self.k0 > 0):
            raise ValueError(f"K = {self.K} with k0 = {self.k0} is elastically unstable: neither may be negative, nor both be zero")
        if self.kappa != 0 and not self._softest > 0:
            raise ValueError(
                f"kappa = {self.kappa} with K = {self.K} and k0 = {self.k0} is elastically unstable, by {self._softest:.3g} for "
                f"the softest wave: use a larger k0"
            )

    @property
    def _softest(self) -> float:
        """The smallest eigenvalue of the dynamical matrix D(q) = k0 + sum_<0j> [2 K (1 - cos q.j) e e^T + 2 kappa cos q.j].

        Over wave vectors of whole 12ths of the reciprocal vectors, which hold the corners of every lattice's Brillouin zone.
        """
        axes = [2.0 * np.pi * np.arange(12) / 12] * self.lattice.dimension
        waves = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        unit = np.eye(self.lattice.dimension)
        matrices = np.broadcast_to(self.k0 * unit, (*waves.shape, self.lattice.dimension)).copy()
        for shift in self.lattice.half_neighbours:
            cosine = np.cos(waves @ np.array(shift))[..., None, None]
            e = np.asarray(shift) @ self.lattice.basis
            matrices += 2.0 * self.K * (1.0 - cosine) * np.outer(e, e) + 2.0 * self.kappa * cosine * unit
        return float(np.linalg.eigvalsh(matrices).min())

    @property
    def _second_neighbours(self) -> tuple[Shift, ...]:
        """Each bond to a second neighbour once."""
        return tuple(shift for shift in self.lattice.shells(3)[2] if shift > tuple(-s for s in shift))

    @property
    def space(self) -> FieldSpace:
        return Real(self.lattice.dimension)

    @property
    def order(self) -> OrderParameter:
        components = self.lattice.dimension
        states = 2 if components == 1 else 0
        if not can_stagger(self.lattice):
            return Uniform(self.lattice, "displacement", "u", components, states, None)
        return Staggered(self.lattice, "staggered displacement", "u", components, states)

    @property
    def stiffest(self) -> float:
        # A spring's energy d^2 K/2 with d = e . (u_j - u_i) is at most K (|e . u_i|^2 + |e . u_j|^2).
        directions = np.array(self.lattice.neighbours) @ self.lattice.basis
        springs = 2.0 * self.K * float(np.linalg.eigvalsh(directions.T @ directions).max())
        return self.k0 + springs + len(self.lattice.neighbours) * abs(self.kappa)

    @property
    def field_type(self) -> FieldType:
        group = self.lattice.point_group
        vector = next(label for label, count in group.multiplicities(group.cartesian).items() if count)
        return FieldType.parse(f"{vector}e")

    @property
    def scaling(self) -> Scaling | None:
        return Scaling.of(self.t, self.alpha, t2=self.t2)

    @property
    def density_bonds(self) -> tuple[Shift, ...]:
        return self.lattice.half_neighbours

    def blocks(self, fields: np.ndarray) -> Blocks:
        bonds = {shift: self.alpha * d - self.t for shift, (d, _) in self._stretches(fields).items()}
        if self.t2 != 0:
            bonds |= {shift: np.array(-self.t2) for shift in self._second_neighbours}
        return Blocks(self.lattice, np.zeros(self.lattice.shape), bonds)

    def electronic_forces(self, density: DensityMatrix, fields: np.ndarray) -> np.ndarray:
        # dH/du_j = alpha e (|i><j| + h.c.): each bond pulls its ends with 2 alpha Re rho_ij along itself.
        return self._pulls(fields, lambda shift, stretch: -2.0 * self.alpha * density.bonds[shift][..., 0, 0].real)

    @property
    def force_bound(self) -> float:
        directions = np.array(self.lattice.neighbours) @ self.lattice.basis
        return 2.0 * abs(self.alpha) * float(np.abs(directions).sum(axis=0).max())

    def electronic_energy_shift(self, fields: np.ndarray) -> np.ndarray:
        return np.zeros(fields.shape[: fields.ndim - len(self.field_shape)])

    def classical_energy(self, fields: np.ndarray) -> np.ndarray:
        springs = sum((d**2).sum(axis=self._axes) for d, _ in self._stretches(fields).values())
        axes = tuple(range(-len(self.field_shape), 0))
        pinned = 0.5 * self.k0 * fields**2 + 0.5 * self.kappa * fields * self._neighbour_sum(fields)
        return 0.5 * self.K * springs + pinned.sum(axis=axes)

    def classical_forces(self, fields: np.ndarray) -> np.ndarray:
        springs = self._pulls(fields, lambda shift, stretch: -self.K * stretch)
        return springs - self.k0 * fields - self.kappa * self._neighbour_sum(fields)

    def _neighbour_sum(self, fields: np.ndarray) -> np.ndarray:
        return sum((self._at(fields, shift) for shift in self.lattice.neighbours), np.zeros_like(fields))

    def _vectors(self, fields: np.ndarray) -> np.ndarray:
        """The displacements with an axis of components, (..., components, *shape)."""
        return fields[..., None, :] if self.components == 1 else fields

    def _stretches(self, fields: np.ndarray) -> dict[Shift, tuple[np.ndarray, np.ndarray]]:
        """Stretch d (..., *shape) and unit vector e (components) of every bond, by its shift."""
        vectors = self._vectors(fields)
        result = {}
        for shift in self.lattice.half_neighbours:
            direction = np.asarray(shift) @ self.lattice.basis
            difference = np.moveaxis(self._at(vectors, shift) - vectors, -1 - self.lattice.dimension, -1)
            result[shift] = (difference @ direction, direction)
        return result

    def _pulls(self, fields: np.ndarray, strength) -> np.ndarray:
        """Forces of bonds that push r + shift with ``strength(shift, stretch)`` along the bond, and r against it."""
        force = np.zeros_like(self._vectors(fields))
        for shift, (stretch, direction) in self._stretches(fields).items():
            pull = np.moveaxis(strength(shift, stretch)[..., None] * direction, -1, -1 - self.lattice.dimension)
            force += self._at(pull, tuple(-s for s in shift)) - pull
        return force.reshape(fields.shape)
