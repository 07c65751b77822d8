"""One check of equivariance for everything: all point-group elements, internal symmetries, translations (PHYSICS P3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from ennforce.lattice import Lattice
from ennforce.symmetry import FieldType
from ennforce.symmetry.rotations import random_rotation

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
IDENTITY, MINUS = np.eye(3), -np.eye(3)
RANDOM_ROTATIONS = 2  # proper, and as many improper

Module = Callable[[torch.Tensor], torch.Tensor]


@torch.no_grad()
def equivariance_error(
    module: Module,
    lattice: Lattice,
    in_type: FieldType,
    out_type: FieldType,
    fields: torch.Tensor,
    internal: Sequence[np.ndarray] | None = None,
    seed: int = 0,
) -> float:
    """Largest |f(g x) - g f(x)| / rms f(x) over every point-group element times every internal one, each with a random translation.

    ``module`` maps (batch, C_in, *lattice.shape) to (batch, C_out, *lattice.shape) on the torus. ``internal``: orthogonal matrices
    (3, 3), by default 1, -1 (the Z2) where a type is odd, and random rotations where one has l > 0. Raises ValueError where
    shapes do not fit the types, or the output vanishes and proves nothing.
    """
    group = lattice.point_group
    rng = np.random.default_rng(seed)
    if internal is None:
        internal = internal_elements(in_type + out_type, rng)
    _check_shape("input", fields, in_type.dim(group), in_type, lattice)
    reference = module(fields)
    _check_shape("output", reference, out_type.dim(group), out_type, lattice)
    scale = float(reference.double().square().mean().sqrt())
    if not scale > 0:
        raise ValueError(f"an output of rms {scale} proves nothing about equivariance: give fields and weights that are not zero")
    rho_in, rho_out = in_type.matrices(group), out_type.matrices(group)
    worst = 0.0
    for rotation in internal:
        inner_in, inner_out = in_type.internal(group, rotation), out_type.internal(group, rotation)
        for element in range(len(group)):
            shift = tuple(int(rng.integers(length)) for length in lattice.shape)
            found = module(_moved(fields, lattice, element, inner_in @ rho_in[element], shift))
            expected = _moved(reference, lattice, element, inner_out @ rho_out[element], shift)
            worst = max(worst, float((found - expected).abs().max()))
    return worst / scale


def assert_equivariant(
    module: Module, lattice: Lattice, in_type: FieldType, out_type: FieldType, dtype: torch.dtype = torch.float32, seed: int = 0
) -> None:
    """Raises AssertionError unless ``module``, of weights in ``dtype``, is equivariant on random fields to ``TOLERANCE[dtype]``."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(2, in_type.dim(lattice.point_group), *lattice.shape))
    error = equivariance_error(module, lattice, in_type, out_type, torch.as_tensor(values, dtype=dtype), seed=seed)
    if not error <= TOLERANCE[dtype]:
        name = type(module).__name__
        raise AssertionError(f"{name} from {in_type} to {out_type} on {lattice} is off by {error:.1e} of its rms in {dtype}")


def internal_elements(field_type: FieldType, rng: np.random.Generator) -> list[np.ndarray]:
    """Elements of O(3) that the field feels: 1; -1 where a term is odd; with each, rotations by ``rng`` where a term has l > 0."""
    rotations = [random_rotation(rng) for _ in range(RANDOM_ROTATIONS)] if any(term.degree for term in field_type.terms) else []
    signs = (IDENTITY, MINUS) if any(term.parity < 0 for term in field_type.terms) else (IDENTITY,)
    return [sign @ rotation for rotation in [IDENTITY, *rotations] for sign in signs]


def _moved(values: torch.Tensor, lattice: Lattice, element: int, matrix: np.ndarray, shift: tuple[int, ...]) -> torch.Tensor:
    """(g f)(r) = rho(g) f(g^-1 r), then translated; in float64, so that the check adds no rounding of its own."""
    moved = lattice.transformed(values.detach().double().cpu().numpy(), element)
    moved = np.einsum("ab,nb...->na...", matrix, moved)
    moved = np.roll(moved, shift, axis=tuple(range(-lattice.dimension, 0)))
    return torch.as_tensor(moved, dtype=values.dtype, device=values.device)


def _check_shape(what: str, values: torch.Tensor, channels: int, field_type: FieldType, lattice: Lattice) -> None:
    if tuple(values.shape[1:]) != (channels, *lattice.shape):
        expected = f"(batch, {', '.join(map(str, (channels, *lattice.shape)))})"
        raise ValueError(f"the {what} has shape {tuple(values.shape)}, but {field_type} on {lattice} needs {expected}")
