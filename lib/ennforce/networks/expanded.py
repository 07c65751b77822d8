"""The equivariant network with its typed filters expanded to plain convolutions, for inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from ennforce.networks.layers import EquivariantConv

if TYPE_CHECKING:
    from ennforce.networks.models import EquivariantNetwork


class ExpandedNetwork(nn.Module):
    """The same function for inference: plain convolutions and a pointwise activation, scales folded into the filters.

    Features are kept in the basis in which the activation is pointwise (for mixed features even + odd and even - odd).
    """

    def __init__(self, network: EquivariantNetwork) -> None:
        super().__init__()
        self.inset = network.architecture.radius
        with torch.no_grad():
            into, back = network.activation.bases(network.embed.channels_out)
            self.embed = _plain(network.embed, into / network.field_scale, None, into)
            self.blocks = nn.ModuleList(_plain(cast(EquivariantConv, b), into, back, into) for b in network.blocks)
            scaled = network.force_scale * torch.eye(network.readout.channels_out)
            self.readout = _plain(network.readout, scaled, back, scaled)
        self.pointwise = network.activation.pointwise
        self.requires_grad_(False)

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """Fields (batch, C, Ly + 2 radius, Lx + 2 radius) with their halo to forces (batch, C, Ly, Lx)."""
        n = self.inset
        features = self.embed(fields.contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            update = block(self.pointwise(features))
            features = update.add_(features[..., n:-n, n:-n])
        return self.readout(self.pointwise(features))


def _plain(layer: EquivariantConv, left: torch.Tensor, right: torch.Tensor | None, bias_left: torch.Tensor) -> nn.Conv2d:
    """The convolution left . layer . right, with matrices acting on output and input channels."""
    filters, bias = layer.dense_filter()
    filters = torch.einsum("ab,bcyx->acyx", left, filters)
    if right is not None:
        filters = torch.einsum("acyx,cd->adyx", filters, right)
    conv = nn.Conv2d(filters.shape[1], filters.shape[0], filters.shape[-1], bias=bias is not None)
    conv.weight = nn.Parameter(filters.contiguous(memory_format=torch.channels_last))
    if bias is not None:
        conv.bias = nn.Parameter(bias_left @ bias)
    return conv
