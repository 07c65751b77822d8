"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al., arXiv:2409.11321).

Small equivariant networks are limited by optimisation, not by size: at equal steps this halves the error that Adam reaches
(docs/networks.md).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

LARGEST = 512  # longer sides of a weight keep their own basis: rotating them would cost more than it gives
SIDES = ("left", "right")


class SOAP(torch.optim.Optimizer):
    """Each weight, as the matrix (first axis, all others), is stepped by Adam in the eigenbasis of its gradients' covariances.

    The bases follow by one power iteration every ``every`` steps. The first step only collects. ``learning_rate`` as in Adam: the
    size of a step of every coordinate.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float] = (0.95, 0.95),
        eps: float = 1e-8,
        every: int = 10,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "every": every})

    def load_state_dict(self, state_dict: dict) -> None:
        """Take over a state that ``state_dict`` gave; raises ValueError where settings or shapes are others."""
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        fixed = [{key: group[key] for key in ("betas", "eps", "every")} for group in self.param_groups]
        if fixed != [{key: group[key] for key in ("betas", "eps", "every")} for group in state_dict["param_groups"]]:
            raise ValueError("the optimiser had other settings")
        for number, state in state_dict["state"].items():
            sides = (parameters[number].flatten(1) if parameters[number].ndim > 1 else parameters[number].reshape(1, -1)).shape
            shapes = {"mean": sides, "square": sides}
            for side, length in zip(SIDES, sides, strict=True):
                if 1 < length <= LARGEST:
                    shapes |= {side: (length, length), f"{side} basis": (length, length)}
            found = {key: tuple(value.shape) for key, value in state.items() if isinstance(value, torch.Tensor)}
            if found != {key: tuple(shape) for key, shape in shapes.items()} or not isinstance(state["step"], int):
                raise ValueError(f"the optimiser's state of parameter {number} has other shapes")
        super().load_state_dict(state_dict)

    @torch.no_grad()
    def step(self, closure=None) -> None:  # type: ignore[override]
        """One step of every parameter that has a gradient; ``closure`` is not supported."""
        if closure is not None:
            raise ValueError("SOAP takes no closure: compute the gradients, then call step()")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._advance(parameter, parameter.grad, group)

    def _advance(self, parameter: torch.Tensor, gradient: torch.Tensor, group: dict) -> None:
        gradient = gradient.flatten(1) if parameter.ndim > 1 else gradient.reshape(1, -1)
        state, (fast, slow) = self.state[parameter], group["betas"]
        first = not state
        if first:
            state["step"] = 0
            state["mean"], state["square"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
            for side, length in zip(SIDES, gradient.shape, strict=True):
                if 1 < length <= LARGEST:
                    state[side] = gradient.new_zeros(length, length)
        for side, covariance in (("left", lambda: gradient @ gradient.T), ("right", lambda: gradient.T @ gradient)):
            if side in state:
                state[side].lerp_(covariance(), 1.0 - slow)
        if first:
            for side in SIDES:
                if side in state:
                    state[f"{side} basis"] = _eigenvectors(state[side])
            return
        state["step"] += 1
        state["mean"].lerp_(gradient, 1.0 - fast)
        rotated = _rotate(gradient, state)
        state["square"].mul_(slow).addcmul_(rotated, rotated, value=1.0 - slow)
        mean = _rotate(state["mean"], state) / (1.0 - fast ** state["step"])
        scale = (state["square"] / (1.0 - slow ** state["step"])).sqrt() + group["eps"]
        update = _rotate(mean / scale, state, back=True)
        parameter.add_(update.reshape(parameter.shape), alpha=-group["lr"])
        if state["step"] % group["every"] == 0:
            self._refresh(state)

    @staticmethod
    def _refresh(state: dict) -> None:
        for axis, side in enumerate(SIDES):
            if side not in state:
                continue
            covariance, basis = state[side], state[f"{side} basis"]
            order = torch.einsum("ij,ij->j", basis, covariance @ basis).argsort(descending=True)
            state["square"] = state["square"].index_select(axis, order)
            state[f"{side} basis"] = torch.linalg.qr(covariance @ basis[:, order]).Q


def _eigenvectors(covariance: torch.Tensor) -> torch.Tensor:
    """In columns, by falling eigenvalue; in double precision where entries are too small for LAPACK in single."""
    try:
        vectors = torch.linalg.eigh(covariance).eigenvectors
        whole = bool(torch.isfinite(vectors).all())
    except torch.linalg.LinAlgError:
        whole = False
    if not whole:
        vectors = torch.linalg.eigh(covariance.double()).eigenvectors.to(covariance.dtype)
    return vectors.flip(1)


def _rotate(matrix: torch.Tensor, state: dict, back: bool = False) -> torch.Tensor:
    left, right = state.get("left basis"), state.get("right basis")
    if left is not None:
        matrix = (left if back else left.T) @ matrix
    if right is not None:
        matrix = matrix @ (right.T if back else right)
    return matrix
