"""Force networks of any architecture made exactly odd under the internal Z2, by antisymmetrising."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch

from ennforce.networks.base import Architecture, ForceNetwork, require_scalar


class OddNetwork(ForceNetwork):
    """F(Q) = [f(Q) - f(-Q)] / 2 with any f, at twice the cost of f; one odd scalar a site of the square lattice."""

    def __init__(self, architecture: Architecture, field_scale: float = 1.0, force_scale: float = 1.0) -> None:
        require_scalar(architecture)
        super().__init__(architecture, field_scale, force_scale)

    @property
    @abstractmethod
    def multiply_adds_of_one_sign(self) -> int:
        """Multiply-adds a site of f."""

    @abstractmethod
    def response_of_one_sign(self, fields: torch.Tensor) -> torch.Tensor:
        """f: scaled forces (batch, 1, Ly, Lx) from scaled fields with their halo."""

    @property
    def multiply_adds(self) -> int:
        return 2 * self.multiply_adds_of_one_sign

    def response(self, fields: torch.Tensor) -> torch.Tensor:
        return odd_part(self.response_of_one_sign, fields)


def odd_part(function: Callable[[torch.Tensor], torch.Tensor], fields: torch.Tensor) -> torch.Tensor:
    """[f(Q) - f(-Q)] / 2, both signs as one batch."""
    plus, minus = function(torch.cat([fields, -fields])).chunk(2)
    return 0.5 * (plus - minus)
