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
FIXED = ("betas", "eps", "every", "weight_decay")  # settings, for as long as a training lasts


class SOAP(torch.optim.Optimizer):
    """Each weight, as the matrix (first axis, all others), is stepped by Adam in the eigenbasis of its gradients' covariances.

    The bases follow by one power iteration every ``every`` steps. The first step only collects. ``learning_rate`` as in Adam: the
    size of a step of every coordinate; besides, a step shrinks every weight by the share ``lr * weight_decay``. Weights of equal
    shape are stepped together, as one batch of matrices: a network has few shapes and many small weights, each of which would
    cost more in calls than in arithmetic.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float] = (0.95, 0.95),
        eps: float = 1e-8,
        every: int = 10,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "every": every, "weight_decay": weight_decay})
        self._stacks: list[_Stack] = []

    def load_state_dict(self, state_dict: dict) -> None:
        """Take over a state that ``state_dict`` gave; raises ValueError where settings or shapes are others."""
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        fixed = [{key: group[key] for key in FIXED} for group in self.param_groups]
        if fixed != [{key: group[key] for key in FIXED} for group in state_dict["param_groups"]]:
            raise ValueError("the optimiser had other settings")
        for number, state in state_dict["state"].items():
            rows, columns = _sides(parameters[number])
            shapes = {"mean": (rows, columns), "square": (rows, columns)}
            for side in _rotated(rows, columns):
                length = rows if side == "left" else columns
                shapes |= {side: (length, length), f"{side} basis": (length, length)}
            found = {key: tuple(value.shape) for key, value in state.items() if isinstance(value, torch.Tensor)}
            if found != shapes or not isinstance(state["step"], int):
                raise ValueError(f"the optimiser's state of parameter {number} has other shapes")
        super().load_state_dict(state_dict)
        self._stacks = []

    @torch.no_grad()
    def step(self, closure=None) -> None:  # type: ignore[override]
        """One step of every parameter that has a gradient; ``closure`` is not supported."""
        if closure is not None:
            raise ValueError("SOAP takes no closure: compute the gradients, then call step()")
        ready = [parameter for group in self.param_groups for parameter in group["params"] if parameter.grad is not None]
        stacked = {id(weight) for stack in self._stacks for weight in stack.weights}
        if stacked != {id(weight) for weight in ready}:
            self._stacks = self._stack()
        for stack in self._stacks:
            stack.advance()

    def _stack(self) -> list[_Stack]:
        """All weights that have a gradient, those together that have shape, place and number of steps in common."""
        alike: dict[tuple, list[nn.Parameter]] = {}
        for number, group in enumerate(self.param_groups):
            for weight in group["params"]:
                if weight.grad is not None:
                    key = (number, *_sides(weight), weight.dtype, weight.device, self.state[weight].get("step"))
                    alike.setdefault(key, []).append(weight)
        return [_Stack(weights, [self.state[w] for w in weights], self.param_groups[key[0]]) for key, weights in alike.items()]


class _Stack:
    """Weights of one shape and what SOAP knows of them, tensors (weight, rows, columns); ``states`` hold views of these.

    So each weight keeps a state of its own, which is saved and checked as that of any optimiser.
    """

    def __init__(self, weights: list[nn.Parameter], states: list[dict], settings: dict) -> None:
        self.weights, self.states, self.settings = weights, states, settings
        self.shape = (len(weights), *_sides(weights[0]))
        self.sides = _rotated(*self.shape[1:])
        self.values: dict[str, torch.Tensor] = {}
        for name in states[0]:
            if name != "step":
                self._keep(name, torch.stack([state[name] for state in states]))

    def _keep(self, name: str, value: torch.Tensor) -> None:
        # Contiguous, as ``torch.stack`` makes it of a saved state: the order of the numbers in memory decides how products round.
        self.values[name] = value.contiguous()
        for state, part in zip(self.states, self.values[name], strict=True):
            state[name] = part

    def advance(self) -> None:
        """One step of all weights."""
        (fast, slow), values = self.settings["betas"], self.values
        gradient = torch.stack([weight.grad.reshape(self.shape[1:]) for weight in self.weights if weight.grad is not None])
        first = not values
        if first:
            self._begin(gradient)
        for side in self.sides:
            covariance = gradient @ gradient.mT if side == "left" else gradient.mT @ gradient
            values[side].lerp_(covariance, 1.0 - slow)
        if first:
            for side in self.sides:
                self._keep(f"{side} basis", torch.stack([_eigenvectors(covariance) for covariance in values[side]]))
            return
        for state in self.states:
            state["step"] += 1
        step = self.states[0]["step"]
        values["mean"].lerp_(gradient, 1.0 - fast)
        rotated = self._rotate(gradient)
        values["square"].mul_(slow).addcmul_(rotated, rotated, value=1.0 - slow)
        scale = (values["square"] / (1.0 - slow**step)).sqrt_().add_(self.settings["eps"])
        update = self._rotate(self._rotate(values["mean"]) / scale, back=True)
        size = -self.settings["lr"] / (1.0 - fast**step)
        shrink = 1.0 - self.settings["lr"] * self.settings["weight_decay"]
        for weight, part in zip(self.weights, update, strict=True):
            weight.mul_(shrink).add_(part.view(weight.shape), alpha=size)
        if step % self.settings["every"] == 0:
            self._refresh()

    def _begin(self, gradient: torch.Tensor) -> None:
        for state in self.states:
            state["step"] = 0
        for name in ("mean", "square"):
            self._keep(name, torch.zeros_like(gradient))
        for side in self.sides:
            length = gradient.shape[1 + SIDES.index(side)]
            self._keep(side, gradient.new_zeros(len(gradient), length, length))

    def _refresh(self) -> None:
        """One power iteration of every basis, which keeps the columns in the order of their eigenvalues."""
        for side in self.sides:
            covariance, basis = self.values[side], self.values[f"{side} basis"]
            order = (basis * (covariance @ basis)).sum(dim=1).argsort(dim=1, descending=True)
            along = order[:, :, None] if side == "left" else order[:, None, :]
            self._keep("square", self.values["square"].take_along_dim(along, 1 + SIDES.index(side)))
            self._keep(f"{side} basis", torch.linalg.qr(covariance @ basis.take_along_dim(order[:, None, :], 2)).Q)

    def _rotate(self, matrices: torch.Tensor, back: bool = False) -> torch.Tensor:
        left, right = self.values.get("left basis"), self.values.get("right basis")
        if left is not None:
            matrices = (left if back else left.mT) @ matrices
        if right is not None:
            matrices = matrices @ (right.mT if back else right)
        return matrices


def _sides(weight: torch.Tensor) -> tuple[int, int]:
    """Rows and columns of a weight as a matrix."""
    return (weight.shape[0], weight[0].numel()) if weight.ndim > 1 else (1, weight.numel())


def _rotated(rows: int, columns: int) -> list[str]:
    """The sides that have an eigenbasis."""
    return [side for side, length in zip(SIDES, (rows, columns), strict=True) if 1 < length <= LARGEST]


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
