"""The equivariant force network: local field configuration to on-site electronic force (PHYSICS P2, P3)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn import functional

from ennforce.networks.layers import EquivariantConv
from ennforce.symmetry import FieldType


@dataclass(frozen=True)
class Architecture:
    """Shape of an ``EquivariantNetwork``; everything needed to build it again.

    ``width``: copies of the regular representation in each hidden feature; ``depth``: residual blocks; ``first_radius`` and
    ``radius``: stencil reach of the first and the other convolutions.
    """

    lattice: str = "square"
    field_type: str = "1xA1o"
    width: int = 4
    depth: int = 4
    first_radius: int = 2
    radius: int = 1
    mixed: bool = True

    @property
    def receptive_radius(self) -> int:
        """Sites further than this along an axis do not influence the force."""
        return self.first_radius + self.depth * self.radius


class PairActivation(nn.Module):
    """SiLU on odd and even regular features joined to the regular representation of group x Z2.

    With odd o and even e, the Z2 swaps (e + o) and (e - o): a pointwise function of these commutes with everything. Smooth, and
    it makes products of odd features, which an odd function of odd features alone cannot.
    """

    pointwise = staticmethod(functional.silu)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        odd, even = features.chunk(2, dim=-3)
        plus, minus = self.pointwise(even + odd), self.pointwise(even - odd)
        return torch.cat([plus - minus, plus + minus], dim=-3)

    @staticmethod
    def bases(channels: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Matrices into the basis of the pointwise function, (o, e) -> (e + o, e - o), and back from its values."""
        one = torch.eye(channels // 2)
        into = torch.cat([torch.cat([one, one], 1), torch.cat([-one, one], 1)])
        return into, into.T.contiguous()


class OddActivation(nn.Module):
    """tanh on odd regular features: the smallest choice that keeps the force odd."""

    pointwise = staticmethod(torch.tanh)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.pointwise(features)

    @staticmethod
    def bases(channels: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.eye(channels), torch.eye(channels)


class EquivariantNetwork(nn.Module):
    """Convolution, residual blocks of activation and convolution, linear read-out; (batch, C, Ly, Lx) to the same type.

    ``forward`` takes fields that carry a halo of ``receptive_radius`` sites and returns the inner sites; ``on_torus`` pads.
    Fields are divided by ``field_scale`` and results multiplied by ``force_scale``.
    """

    field_scale: torch.Tensor
    force_scale: torch.Tensor

    def __init__(self, architecture: Architecture, field_scale: float = 1.0, force_scale: float = 1.0) -> None:
        super().__init__()
        self.architecture = a = architecture
        field = FieldType.parse(a.field_type)
        hidden = FieldType.parse(f"{a.width}xRo+{a.width}xRe" if a.mixed else f"{a.width}xRo")
        self.register_buffer("field_scale", torch.tensor(float(field_scale)))
        self.register_buffer("force_scale", torch.tensor(float(force_scale)))
        self.embed = EquivariantConv(a.lattice, field, hidden, a.first_radius)
        self.blocks = nn.ModuleList(EquivariantConv(a.lattice, hidden, hidden, a.radius) for _ in range(a.depth))
        self.readout = EquivariantConv(a.lattice, hidden, field, 0)
        self.activation = PairActivation() if a.mixed else OddActivation()

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        n = self.architecture.radius
        features = self.embed(fields / self.field_scale)
        for block in self.blocks:
            update = block(self.activation(features))
            features = features[..., n:-n, n:-n] + update
        return self.readout(self.activation(features)) * self.force_scale

    def on_torus(self, fields: torch.Tensor) -> torch.Tensor:
        """Periodic boundary: pads once by the whole receptive radius."""
        radius = self.architecture.receptive_radius
        return self(functional.pad(fields, (radius,) * 4, mode="circular"))

    def describe(self) -> dict:
        return asdict(self.architecture)
