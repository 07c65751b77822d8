"""Is a lattice model what it says: Hermitian, its force a gradient, symmetric as its field type claims (PHYSICS P2, P3)?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ennforce.forces import ExactForces
from ennforce.models import Hamiltonian
from ennforce.networks.equivariance import equivariance_error

SIDES = {1: 12, 2: 6, 3: 4}  # sites along each side of the torus on which a model is tried, by dimension
STEP = 1e-4  # of the finite differences; their error is of the order of its square
TOLERANCE = 1e-5  # of forces against finite differences, and of the symmetry, in units of the rms force
COMPONENTS = 6  # force components that are held against finite differences


def check_model(model: Hamiltonian, seed: int = 0) -> None:
    """Try a model on a small torus with random fields, by exact diagonalisation; a second or less.

    Raises ValueError, in one line, where H_e is not Hermitian, a force is not minus the gradient of the energy,
    or the electronic force does not transform as ``field_type`` under the point group, the internal symmetries and translations.
    """
    lattice = model.lattice
    small = replace(model, filling=None).resized(*[SIDES[lattice.dimension]] * lattice.dimension)
    name, rng = type(model).__name__, np.random.default_rng(seed)
    fields = small.space.near(0.0, 1.0, rng.normal(size=small.field_shape), small.lattice)
    components = small.field_type.dim(lattice.point_group)
    if components != small.components:
        raise ValueError(
            f"{name}.field_type {small.field_type} has {components} components on the {lattice.name} lattice, but the field has "
            f"{small.components}: let them agree"
        )
    matrix = small.blocks(fields).sparse()
    if abs(matrix - matrix.conj().T).max() > 1e-10:
        raise ValueError(f"{name}.blocks is not Hermitian: let the on-site blocks be so, the other direction of bonds is added")
    exact = ExactForces(small)
    _check_gradient(exact, fields, name, rng)
    _check_symmetry(exact, fields, name, seed)


def _check_gradient(exact: ExactForces, fields: np.ndarray, name: str, rng: np.random.Generator) -> None:
    forces = exact.forces(fields)
    if forces.shape != fields.shape:
        raise ValueError(
            f"{name}: forces have shape {forces.shape}, not {fields.shape}, the shape of the fields: return one for each"
        )
    scale = float(np.sqrt(np.mean(forces**2)))
    for index in rng.choice(fields.size, size=min(COMPONENTS, fields.size), replace=False):
        place = np.unravel_index(index, fields.shape)
        shift = np.zeros_like(fields)
        shift[place] = STEP
        slope = float(exact.grand_potential(fields + shift) - exact.grand_potential(fields - shift)) / (2.0 * STEP)
        if abs(forces[place] + slope) > TOLERANCE * max(scale, 1.0):
            raise ValueError(
                f"{name}: the force at {tuple(map(int, place))} is {forces[place]:.6g}, but minus the gradient of the energy is "
                f"{-slope:.6g}: mend electronic_forces, classical_forces or the energies"
            )


def _check_symmetry(exact: ExactForces, fields: np.ndarray, name: str, seed: int) -> None:
    model = exact.model

    def electronic(batch: torch.Tensor) -> torch.Tensor:
        forces = exact.electronic_forces(batch.numpy().reshape(-1, *model.field_shape))
        return torch.from_numpy(forces.reshape(batch.shape))

    channels = torch.from_numpy(fields.reshape(1, model.components, *model.lattice.shape).copy())
    error = equivariance_error(electronic, model.lattice, model.field_type, model.field_type, channels, seed=seed)
    if not error < TOLERANCE:
        raise ValueError(
            f"{name}: the electronic force does not transform as field_type = {model.field_type}, it is off by {error:.2g} of its "
            f"rms: choose the type that the Hamiltonian really has"
        )
