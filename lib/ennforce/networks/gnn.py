"""Isotropic message passing between nearest neighbours."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.nn import functional

from ennforce.networks.base import Architecture
from ennforce.networks.layers import torus_pad
from ennforce.networks.odd import OddNetwork, odd_part


class MessagePassingNetwork(OddNetwork):
    """``gnn``: h_i <- h_i + SiLU(A h_i + B sum_j h_j + b), j the four nearest neighbours; linear embedding and read-out.

    Exactly equivariant over the point group, as messages do not know their direction, and exactly odd (antisymmetrised).
    ``width``: features of a site; ``depth``: layers, each with matrices A and B of its own; the reach is ``depth``.
    """

    def __init__(self, architecture: Architecture, field_scale: float = 1.0, force_scale: float = 1.0) -> None:
        super().__init__(architecture, field_scale, force_scale)
        width, depth = architecture.width, architecture.depth
        self.embed = nn.Conv2d(1, width, 1)
        self.own = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(depth))
        self.message = nn.ModuleList(nn.Conv2d(width, width, 1, bias=False) for _ in range(depth))
        self.readout = nn.Conv2d(width, 1, 1, bias=False)

    @property
    def receptive_radius(self) -> int:
        return self.architecture.depth

    @property
    def multiply_adds_of_one_sign(self) -> int:
        width, depth = self.architecture.width, self.architecture.depth
        return 2 * width + 2 * depth * width**2

    def response_of_one_sign(self, fields: torch.Tensor, periodic: bool = False) -> torch.Tensor:
        features = self.embed(fields)
        for own, message in zip(self.own, self.message, strict=True):
            features = torus_pad(features, 1) if periodic else features
            inner = features[..., 1:-1, 1:-1]
            # Opposite neighbours are added in pairs: a symmetry operation then changes rounding as little as can be.
            vertical = features[..., :-2, 1:-1] + features[..., 2:, 1:-1]
            horizontal = features[..., 1:-1, :-2] + features[..., 1:-1, 2:]
            features = inner + functional.silu(own(inner) + message(vertical + horizontal))
        return self.readout(features)

    def periodic_response(self, fields: torch.Tensor) -> torch.Tensor:
        return odd_part(partial(self.response_of_one_sign, periodic=True), fields)
