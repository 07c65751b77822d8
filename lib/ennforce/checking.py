"""Is a lattice model what it says: Hermitian, its force a gradient, symmetric as its field type claims (PHYSICS P2, P3)?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields as fields_of
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ennforce.forces import ExactForces
from ennforce.models import Hamiltonian
from ennforce.models.scaling import equal
from ennforce.networks.equivariance import equivariance_error

SIDES = {1: 12, 2: 6, 3: 4}  # sites along each side of the torus on which a model is tried, by dimension
STEP = 1e-4  # of the finite differences; their error is of the order of its square
TOLERANCE = 1e-5  # of forces against finite differences, and of the symmetry, in units of the rms force
COMPONENTS = 6  # force components that are held against finite differences


def check_model(model: Hamiltonian, seed: int = 0) -> None:
    """Try a model on a small torus with random fields, by exact diagonalisation; a second or less.

    Raises ValueError, in one line, where H_e is not Hermitian, a force is not minus the gradient of the energy,
    the electronic force does not transform as ``field_type`` under the point group, the internal symmetries and translations, or it
    changes with a setting that, by its ``scaling``, the electrons do not see.
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
    _check_scaling(small, fields, name)


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


def _check_scaling(model: Hamiltonian, fields: np.ndarray, name: str) -> None:
    """Change every setting in turn: electrons that are the same by what ``scaling`` states must give the same scaled forces."""
    if model.scaling is None:
        return
    energies = {"temperature", "chemical_potential", *model.scaling.ratios}
    values = ((field.name, getattr(model, field.name)) for field in fields_of(model))
    settings: dict[str, Any] = {key: value for key, value in values if isinstance(value, (int, float)) and value is not True}
    expected = ExactForces(model).electronic_forces(fields)
    for changed in sorted(settings.keys() - energies):
        try:
            other = replace(model, **{changed: 1.1 * settings[changed] + (0.0 if settings[changed] else 1e-3)})
            if other.scaling is None:
                continue
            unit = other.scaling.energy / model.scaling.energy
            other = replace(other, **{key: unit * settings[key] for key in energies & settings.keys()})
        except ValueError:  # beyond the bounds of the model
            continue
        if other.scaling is None or not _equal(other.scaling.ratios, model.scaling.ratios):
            continue
        of_fields, of_forces = model.scaling.relative_to(other.scaling)
        found = of_forces * ExactForces(other).electronic_forces(of_fields * fields)
        if abs(found - expected).max() > TOLERANCE * abs(expected).max():
            raise ValueError(
                f"{name}.scaling does not hold: with another {changed}, which it says only scales, the electrons' forces change: "
                f"name it among the energies of Scaling.of, or state no scaling"
            )


def _equal(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether two sets of numbers are, to rounding."""
    return one.keys() == other.keys() and all(equal(value, other[key]) for key, value in one.items())
