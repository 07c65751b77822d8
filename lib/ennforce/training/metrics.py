"""Errors of predicted forces, and the exactness of their symmetry."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch

from ennforce.lattice import Lattice
from ennforce.networks import ForceNetwork, equivariance
from ennforce.symmetry import FieldType

SIZES = (0.0, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 1.2, 2.5, 5.0, 10.0, math.inf)  # rms fields between which errors are pooled


def force_errors(predicted: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """MSE, RMSE, MAE, largest error, and RMSE over the standard deviation of the exact force."""
    residual = predicted.astype(float) - exact
    rmse = float(np.sqrt(np.mean(residual**2)))
    spread = float(np.std(exact))
    return {
        "mse": rmse**2,
        "rmse": rmse,
        "mae": float(np.abs(residual).mean()),
        "max": float(np.abs(residual).max()),
        "std": spread,
        "relative": rmse / spread,
    }


def errors_by_size(fields: np.ndarray, predicted: np.ndarray, exact: np.ndarray) -> list[dict[str, float]]:
    """Relative errors of configurations (sample, ...) with rms fields between ``SIZES``, pooled in each; empty ones are left out.

    Rows hold the rms fields ``least`` and ``most`` of the bin, its number of ``configurations``, the rms exact force, and
    ``relative``, the rms error divided by it.
    """
    squares = [(values.astype(float) ** 2).reshape(len(values), -1).mean(axis=1) for values in (fields, predicted - exact, exact)]
    sizes, rows = np.sqrt(squares[0]), []
    for least, most in itertools.pairwise(SIZES):
        inside = (sizes >= least) & (sizes < most)
        if inside.any():
            error, force = (float(np.sqrt(values[inside].mean())) for values in squares[1:])
            counted = {"least": least, "most": most, "configurations": int(inside.sum())}
            rows.append({**counted, "rms_force": force, "relative": error / force})
    return rows


def jacobian_antisymmetry(network: ForceNetwork, fields: np.ndarray, batch: int = 32) -> float:
    """|J - J^T| / |J| in Frobenius norm, J = dF/dQ at one configuration (C, *lattice): 0 where the force has a potential.

    Rows of J by automatic differentiation, ``batch`` at a time.
    """
    configuration = torch.as_tensor(fields, dtype=next(network.parameters()).dtype)
    rows = []
    for numbers in torch.arange(configuration.numel()).split(batch):
        copies = configuration.repeat(len(numbers), *(1,) * configuration.dim()).requires_grad_()
        forces = network.on_torus(copies).flatten(1)
        (gradients,) = torch.autograd.grad(forces[torch.arange(len(numbers)), numbers].sum(), copies)
        rows.append(gradients.flatten(1))
    jacobian = torch.cat(rows).double()
    return float((jacobian - jacobian.T).norm() / jacobian.norm())


def cropped(fields: np.ndarray, side: int, dimension: int) -> np.ndarray:
    """The first ``side`` sites along each of the last ``dimension`` axes."""
    inner: tuple = (..., *(slice(side),) * dimension)
    return fields[inner]


def symmetry_elements(field_type: FieldType, lattice: Lattice) -> int:
    """Number of elements that ``equivariance_error`` tries: of the point group, times those of the internal symmetry."""
    return len(lattice.point_group) * len(equivariance.internal_elements(field_type, np.random.default_rng(0)))


def equivariance_error(network: ForceNetwork, fields: np.ndarray, internal: Sequence[np.ndarray] | None = None) -> float:
    """Largest |F(g Q) - g F(Q)| / rms F over every point-group element times every internal one, each translated.

    ``fields``: (sample, component, *lattice). Of unequal lengths, the largest torus of equal ones that fits is used: the network
    closes it to a torus of its own, which rotations map onto itself. ``internal``: orthogonal matrices (3, 3), by default those
    that the field can tell apart: particle-hole or time reversal for odd fields, and random rotations for spins.
    """
    fields = cropped(fields, min(fields.shape[2:]), fields.ndim - 2)
    architecture = network.architecture
    lattice = Lattice(architecture.lattice, fields.shape[2:])
    field_type = FieldType.parse(architecture.field_type)
    values = torch.as_tensor(fields, dtype=next(network.parameters()).dtype)
    return equivariance.equivariance_error(network.on_torus, lattice, field_type, field_type, values, internal)
