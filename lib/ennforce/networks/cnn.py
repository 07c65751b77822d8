"""Plain convolutions at the cost of the equivariant network: what is left when the symmetry is taken away."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from ennforce.networks.base import Architecture, ForceNetwork, require_scalar
from ennforce.networks.layers import torus_pad


class ConvolutionalNetwork(ForceNetwork):
    """``cnn``: residual blocks of SiLU and convolution with the stencils of ``enn``, equivariant under translations alone.

    Neither the point group nor oddness is built in. ``width`` and ``depth`` as in ``enn``: features have 8 ``width`` channels,
    or 8 sqrt(2) ``width`` (rounded) where ``mixed``, so that a block costs as many multiply-adds as a block of ``enn``,
    whose even and odd features do not mix in convolutions.
    """

    def __init__(self, architecture: Architecture, field_scale: float = 1.0, force_scale: float = 1.0) -> None:
        require_scalar(architecture)
        super().__init__(architecture, field_scale, force_scale)
        a = architecture
        self.channels = round(8 * 2**0.5 * a.width) if a.mixed else 8 * a.width
        size = 2 * a.radius + 1
        self.embed = nn.Conv2d(1, self.channels, 2 * a.first_radius + 1)
        self.blocks = nn.ModuleList(nn.Conv2d(self.channels, self.channels, size) for _ in range(a.depth))
        self.readout = nn.Conv2d(self.channels, 1, 1)

    @property
    def receptive_radius(self) -> int:
        return self.architecture.first_radius + self.architecture.depth * self.architecture.radius

    @property
    def multiply_adds(self) -> int:
        return sum(layer.weight.numel() for layer in self.modules() if isinstance(layer, nn.Conv2d))

    def response(self, fields: torch.Tensor) -> torch.Tensor:
        n = self.architecture.radius
        features = self.embed(fields)
        for block in self.blocks:
            features = features[..., n:-n, n:-n] + block(functional.silu(features))
        return self.readout(functional.silu(features))

    def periodic_response(self, fields: torch.Tensor) -> torch.Tensor:
        features = self.embed(torus_pad(fields, self.architecture.first_radius))
        for block in self.blocks:
            features = features + block(torus_pad(functional.silu(features), self.architecture.radius))
        return self.readout(functional.silu(features))


class AugmentedConvolutionalNetwork(ConvolutionalNetwork):
    """``cnn_augmented``: the same network, trained on randomly transformed samples (training/augmentation.py)."""

    augmented = True
