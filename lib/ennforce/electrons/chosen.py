"""Forces of chosen sites from the density matrix of these sites and of those that they depend on, and of no others (PHYSICS P12).

Which sites a force depends on is found by trying, so a model has nothing to say of it: where the density matrix of a site is not a
number, every force that needs it is not a number either.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ennforce.lattice import Shift
from ennforce.models import DensityMatrix, Hamiltonian

TRIED = 8  # sites along each axis of the torus on which the dependence is found: forces reach less far than half of it


class ChosenSites:
    """Some sites of a model's torus, by flat number, and the sites whose density matrix their forces need, ``needed``."""

    def __init__(self, model: Hamiltonian, sites: np.ndarray) -> None:
        self.model, self.sites = model, np.asarray(sites)
        shifts, self._alone = _dependence(model.resized(*(TRIED,) * model.lattice.dimension))
        self._strip = _strip(model, len(self.sites)) if self._alone else None
        if self._alone:
            self.needed, self._own = self.sites, slice(None)
            return
        shape = model.lattice.shape
        places = np.array(np.unravel_index(self.sites, shape))[:, None] + np.array(shifts).T[:, :, None]
        moved = np.ravel_multi_index(tuple(places % np.array(shape)[:, None, None]), shape)
        self.needed = np.unique(moved)

    def forces(self, values: np.ndarray, fields: np.ndarray) -> np.ndarray:
        """Electronic forces on the chosen sites, (components, sites), of one configuration ``fields``.

        values: rho[r, r + shift][a, b] of the needed sites, (a, 1 + density bonds, b, sites), as ``Stencil.elements`` gives them.
        """
        model = self.model
        if self._strip is not None:
            strip = self._strip
            forces = strip.electronic_forces(self._blocks(values, strip.lattice.shape), self._of(fields).reshape(strip.field_shape))
            return forces.reshape(model.components, -1)
        everywhere = np.full((*values.shape[:-1], model.lattice.num_sites), np.nan, dtype=values.dtype)
        everywhere[..., self.needed] = values
        forces = model.electronic_forces(self._blocks(everywhere, model.lattice.shape), fields)
        return self._of(forces)

    def _of(self, values: np.ndarray) -> np.ndarray:
        """Numbers of the chosen sites, (components, sites), from those of a configuration."""
        return values.reshape(self.model.components, -1)[:, self.sites]

    def _blocks(self, values: np.ndarray, shape: tuple[int, ...]) -> DensityMatrix:
        blocks = np.moveaxis(values.reshape(*values.shape[:-1], *shape), (0, 2), (-2, -1))
        return DensityMatrix(blocks[0], dict(zip(self.model.density_bonds, blocks[1:], strict=True)))


@lru_cache(maxsize=64)
def _dependence(model: Hamiltonian) -> tuple[tuple[Shift, ...], bool]:
    """Shifts to the sites whose density matrix a site's force needs, and whether that is the site alone, its fields included."""
    lattice, rng = model.lattice, np.random.default_rng(0)
    origin = np.zeros(lattice.dimension, dtype=int)
    fields = model.space.near(0.0, 1.0, rng.normal(size=(1, *model.field_shape)), lattice)[0]
    values = rng.normal(size=(1 + len(model.density_bonds), *lattice.shape, model.orbitals, model.orbitals))

    def lost(values: np.ndarray, fields: np.ndarray) -> np.ndarray:
        """Sites, as rows of positions, whose force is not a number."""
        with np.errstate(invalid="ignore"):
            forces = model.electronic_forces(
                DensityMatrix(values[0], dict(zip(model.density_bonds, values[1:], strict=True))), fields
            )
        return np.argwhere(~np.isfinite(forces.reshape(model.components, *lattice.shape)).all(axis=0))

    hurt = values.copy()
    hurt[(slice(None), *origin)] = np.nan
    length = np.array(lattice.shape)
    shifts = sorted({tuple(int(s) for s in (-place + length // 2) % length - length // 2) for place in lost(hurt, fields)})
    elsewhere = fields.copy()
    elsewhere[(..., *origin)] = np.nan
    alone = shifts in ([], [tuple(origin)]) and all((place == 0).all() for place in lost(values, elsewhere))
    return tuple(shifts) or (tuple(origin),), alone


@lru_cache(maxsize=256)
def _strip(model: Hamiltonian, sites: int) -> Hamiltonian | None:
    """The model on a torus that is a line of so many sites, on which forces of sites alone are computed; None where it has none."""
    try:
        return model.resized(*(1,) * (model.lattice.dimension - 1), sites)
    except ValueError:
        return None
