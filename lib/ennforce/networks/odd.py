"""Force networks of any architecture made exactly odd under the internal Z2, by antisymmetrising."""

from __future__ import annotations

from abc import abstractmethod

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
        plus, minus = self.response_of_one_sign(torch.cat([fields, -fields])).chunk(2)
        return 0.5 * (plus - minus)
