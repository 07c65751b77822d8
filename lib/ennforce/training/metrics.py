"""Errors of predicted forces, and the exactness of their symmetry."""

from __future__ import annotations

import numpy as np
import torch

from ennforce.lattice import Lattice
from ennforce.networks import ForceNetwork, equivariance
from ennforce.symmetry import FieldType


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


def jacobian_antisymmetry(network: ForceNetwork, fields: np.ndarray, batch: int = 32) -> float:
    """|J - J^T| / |J| in Frobenius norm, J = dF/dQ at one configuration (C, Ly, Lx): 0 where the force has a potential.

    Rows of J by automatic differentiation, ``batch`` at a time.
    """
    configuration = torch.as_tensor(fields, dtype=next(network.parameters()).dtype)
    rows = []
    for numbers in torch.arange(configuration.numel()).split(batch):
        copies = configuration.repeat(len(numbers), 1, 1, 1).requires_grad_()
        forces = network.on_torus(copies).flatten(1)
        (gradients,) = torch.autograd.grad(forces[torch.arange(len(numbers)), numbers].sum(), copies)
        rows.append(gradients.flatten(1))
    jacobian = torch.cat(rows).double()
    return float((jacobian - jacobian.T).norm() / jacobian.norm())


def equivariance_error(network: ForceNetwork, fields: np.ndarray, odd: bool = True) -> float:
    """Largest |F(g Q) - g F(Q)| / rms F over every point-group element, each translated; with the internal symmetries if ``odd``.

    ``fields``: (sample, component, L, L), on a torus of equal lengths.
    """
    architecture = network.architecture
    lattice = Lattice(architecture.lattice, fields.shape[2:])
    field_type = FieldType.parse(architecture.field_type)
    values = torch.as_tensor(fields, dtype=next(network.parameters()).dtype)
    internal = None if odd else [equivariance.IDENTITY]
    return equivariance.equivariance_error(network.on_torus, lattice, field_type, field_type, values, internal)
