"""The equivariant network with its typed filters expanded to plain convolutions, for inference."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from ennforce.networks.layers import EquivariantConv, SeparableConv, trimmed
from ennforce.networks.wide import FarSight, Lines, WideConv

if TYPE_CHECKING:
    from ennforce.networks.models import EquivariantNetwork


# By the number of axes of fields and filters, which is two more than the lattice's. Torch has no such order of a chain's.
CONVOLUTIONS: dict[int, type[nn.Conv1d] | type[nn.Conv2d] | type[nn.Conv3d]] = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}
CHANNELS_LAST = {3: torch.contiguous_format, 4: torch.channels_last, 5: torch.channels_last_3d}


def expand(network: EquivariantNetwork) -> nn.Module:
    """The network of plain convolutions that ``network`` is."""
    return ExpandedSeparable(network) if network.architecture.separable else ExpandedNetwork(network)


class ExpandedNetwork(nn.Module):
    """An ``enn`` of full convolutions for inference: plain filters and a pointwise activation, scales folded into the filters.

    Features are kept in the basis in which the activation is pointwise (for mixed features even + odd and even - odd).
    """

    def __init__(self, network: EquivariantNetwork) -> None:
        super().__init__()
        self.insets = [cast(EquivariantConv, block).radius for block in network.blocks]
        device = next(network.parameters()).device
        with torch.no_grad():
            into, back = (matrix.to(device) for matrix in network.activation.bases())
            self.embed = _first(network.embed, into, into / network.field_scale)
            self.blocks = nn.ModuleList(_plain(cast(EquivariantConv, b), into, back, into) for b in network.blocks)
            scaled = network.force_scale * torch.eye(network.readout.channels_out, device=device)
            self.readout = _plain(network.readout, scaled, back, scaled)
        self.pointwise = network.activation.single
        self.requires_grad_(False)

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """Fields (batch, C, *lattice) with their halo to forces (batch, C, *lattice) inside it."""
        features = self.embed(fields.contiguous(memory_format=CHANNELS_LAST[fields.dim()]))
        for block, inset in zip(self.blocks, self.insets, strict=True):
            update = block(self.pointwise(features))
            features = update.add_(trimmed(features, inset))
        return self.readout(self.pointwise(features))


class ExpandedSeparable(nn.Module):
    """An ``enn`` of separable convolutions for inference: in each block stencils, then one matrix per site."""

    def __init__(self, network: EquivariantNetwork) -> None:
        super().__init__()
        self.insets = [cast(EquivariantConv, block).radius for block in network.blocks]
        self.field_scale, self.force_scale = float(network.field_scale), float(network.force_scale)
        self.activation = network.activation
        with torch.no_grad():
            one = torch.eye(network.embed.channels_out, device=next(network.parameters()).device)
            self.embed, self.readout = _first(network.embed, one, one), _frozen(*network.readout.filter())
            blocks = [cast(SeparableConv, block) for block in network.blocks]
            self.stencils = nn.ModuleList(_frozen(b.stencil_filter(), None, len(b.stencil_filter()), b.dilation) for b in blocks)
            self.mixes = nn.ModuleList(_frozen(*b.mix.filter(), b.mix.groups) for b in blocks)
        self.requires_grad_(False)

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """Fields (batch, C, *lattice) with their halo to forces (batch, C, *lattice) inside it."""
        features = self.embed(fields / self.field_scale)
        for stencil, mix, inset in zip(self.stencils, self.mixes, self.insets, strict=True):
            update = mix(stencil(self.activation(features)))
            features = update.add_(trimmed(features, inset))
        return self.readout(self.activation(features)) * self.force_scale


def _first(layer: EquivariantConv | WideConv, bias_left: torch.Tensor, left: torch.Tensor) -> nn.Module:
    """The first layer as plain convolutions, a matrix on its output."""
    if isinstance(layer, EquivariantConv):
        return _plain(layer, left, None, bias_left)
    near, spread = (_plain(part, left, None, bias_left) for part in (layer.near, layer.spread))
    far = copy.deepcopy(layer.far) if isinstance(layer.far, Lines) else _frozen(*layer.far.filter())
    return FarSight(near, far, spread, layer.radii)


def _frozen(filters: torch.Tensor, bias: torch.Tensor | None, groups: int = 1, dilation: int = 1) -> nn.Module:
    kind, side = CONVOLUTIONS[filters.dim()], filters.shape[-1]
    conv = kind(filters.shape[1] * groups, filters.shape[0], side, bias=bias is not None, groups=groups, dilation=dilation)
    conv.weight = nn.Parameter(filters)
    if bias is not None:
        conv.bias = nn.Parameter(bias)
    return conv


def _plain(layer: EquivariantConv, left: torch.Tensor, right: torch.Tensor | None, bias_left: torch.Tensor) -> nn.Module:
    """The convolution left . layer . right, with matrices acting on output and input channels."""
    filters, bias = layer.dense_filter()
    filters = torch.einsum("ab,bc...->ac...", left, filters)
    if right is not None:
        filters = torch.einsum("ac...,cd->ad...", filters, right)
    filters = filters.contiguous(memory_format=CHANNELS_LAST[filters.dim()])
    return _frozen(filters, None if bias is None else bias_left @ bias, dilation=layer.dilation)
