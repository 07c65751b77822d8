"""Portable models: a folder with ``model.json`` and CPU weights, and the network with its filters expanded for inference."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from ennforce.io import DataError, file_digest, read_json, write_atomically, write_json
from ennforce.networks.layers import EquivariantConv
from ennforce.networks.models import Architecture, EquivariantNetwork

FORMAT = 1
TILE = 64  # sites along a side of what the network is shown at once; measured: 1.8 times faster than 128 x 128 whole


def save_model(folder: str | Path, network: EquivariantNetwork, facts: dict) -> None:
    """Write weights and description; ``facts`` must hold ``model`` (the Hamiltonian's parameters) and ``target``.

    The description is written last and holds the digest of the weights, so that a half-written model is never taken for whole.
    """
    folder = Path(folder)
    weights = folder / "weights.pt"
    write_atomically(weights, lambda path: torch.save(network.state_dict(), path))
    probe = [float(value) for value in _probe(network)]
    content = {"format": FORMAT, "architecture": network.describe(), "weights": file_digest(weights), "probe": probe, **facts}
    write_json(folder / "model.json", content)


def load_model(folder: str | Path) -> tuple[EquivariantNetwork, dict]:
    """The network, ready for inference, and its description. Raises DataError if the folder does not hold a whole model."""
    folder = Path(folder)
    facts = read_json(folder / "model.json")
    weights = folder / "weights.pt"
    missing = [key for key in ("format", "architecture", "weights", "probe", "model", "target") if key not in facts]
    if missing or facts["format"] != FORMAT:
        raise DataError(
            f"{folder}/model.json is not a model of this version (lacks {', '.join(missing) or 'nothing'}): train it again"
        )
    if not weights.exists() or file_digest(weights) != facts["weights"]:
        raise DataError(f"{weights} is missing or not the file that model.json describes: copy both files, or train again")
    try:
        network = EquivariantNetwork(Architecture(**facts["architecture"]))
        network.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"))
        expected, found = torch.tensor(facts["probe"]), _probe(network)
    except (TypeError, ValueError, RuntimeError, KeyError, pickle.UnpicklingError) as error:
        first_line = str(error).splitlines()[0]
        raise DataError(f"{folder} does not fit the architecture it describes ({first_line}): train it again") from error
    if not torch.allclose(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max())):
        off = float((found - expected).abs().max())
        raise DataError(f"{folder} computes other forces here than where it was trained (probe off by {off:.1g}): train it again")
    return network.eval(), facts


@torch.no_grad()
def _probe(network: EquivariantNetwork) -> torch.Tensor:
    """Forces along one row of a fixed smooth configuration: what a loaded model must reproduce."""
    length = 2 * network.architecture.receptive_radius + 2
    y, x = torch.meshgrid(torch.arange(length), torch.arange(length), indexing="ij")
    fields = network.field_scale * torch.sin(1.7 * x + 0.6 * y + 0.1 * x * y)
    channels = network.readout.channels_out
    return network.on_torus(fields.expand(1, channels, length, length))[0, 0, 0]


class ExpandedNetwork(nn.Module):
    """The same function for inference: plain convolutions and a pointwise activation, scales folded into the filters.

    Features are kept in the basis in which the activation is pointwise (for mixed features even + odd and even - odd).
    """

    def __init__(self, network: EquivariantNetwork) -> None:
        super().__init__()
        self.radius = network.architecture.receptive_radius
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

    def on_torus(self, fields: torch.Tensor, tile: int = TILE) -> torch.Tensor:
        """Forces (batch, C, Ly, Lx) on a torus, in tiles of ``tile`` sites that stay in the processor's cache."""
        height, width = fields.shape[-2:]
        padded = functional.pad(fields, (self.radius,) * 4, mode="circular")
        if max(height, width) <= tile:
            return self(padded)
        forces = torch.empty_like(fields)
        halo = 2 * self.radius
        for one, result in zip(padded.split(1), forces.split(1), strict=True):
            for y in range(0, height, tile):
                for x in range(0, width, tile):
                    bottom, right = min(y + tile, height), min(x + tile, width)
                    result[..., y:bottom, x:right] = self(one[..., y : bottom + halo, x : right + halo])
        return forces


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
