"""Errors of predicted forces, and the exactness of their symmetry."""

from __future__ import annotations

import numpy as np
import torch

from ennforce.lattice import Lattice
from ennforce.networks import ForceNetwork, equivariance
from ennforce.symmetry import FieldType


def force_errors(predicted: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """RMSE, MAE, largest error, and RMSE over the standard deviation of the exact force."""
    residual = predicted.astype(float) - exact
    rmse = float(np.sqrt(np.mean(residual**2)))
    spread = float(np.std(exact))
    return {
        "rmse": rmse,
        "mae": float(np.abs(residual).mean()),
        "max": float(np.abs(residual).max()),
        "std": spread,
        "relative": rmse / spread,
    }


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
