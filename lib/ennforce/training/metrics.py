"""Errors of predicted forces, and the exactness of their symmetry."""

from __future__ import annotations

import numpy as np
import torch

from ennforce.lattice import Lattice
from ennforce.networks import ForceNetwork
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


@torch.no_grad()
def equivariance_error(network: ForceNetwork, fields: np.ndarray, odd: bool = True) -> float:
    """Largest |F(g Q) - g F(Q)| / rms F over every point-group element, with and without the internal Z2, each translated.

    ``fields``: (sample, component, L, L), on a square torus; every element comes with a random translation.
    """
    architecture = network.architecture
    lattice = Lattice(architecture.lattice, fields.shape[2:])
    field_type = FieldType.parse(architecture.field_type)
    matrices = field_type.matrices(lattice.point_group)
    parities = field_type.parities(lattice.point_group)
    rng = np.random.default_rng(0)

    def evaluate(values: np.ndarray) -> np.ndarray:
        return network.on_torus(torch.as_tensor(values, dtype=next(network.parameters()).dtype)).numpy()

    reference = evaluate(fields)
    worst = 0.0
    for element in range(len(lattice.point_group)):
        for sign in (1, -1) if odd else (1,):
            shift = tuple(int(s) for s in rng.integers(0, lattice.shape[0], size=lattice.dimension))

            def act(values: np.ndarray, element=element, sign=sign, shift=shift) -> np.ndarray:
                moved = np.einsum("ab,nbyx->nayx", matrices[element], lattice.transformed(values, element))
                internal = parities[:, None, None] if sign < 0 else 1.0
                return np.roll(moved * internal, shift, axis=(-2, -1))

            worst = max(worst, float(np.abs(evaluate(act(fields)) - act(reference)).max()))
    return worst / float(np.sqrt((reference**2).mean()))
