"""Portable models: a folder with ``model.json`` and CPU weights, and networks run in tiles."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch.nn import functional

from ennforce.io import DataError, file_digest, read_json, write_atomically, write_json
from ennforce.lattice import Lattice
from ennforce.networks import Architecture, ForceNetwork, build
from ennforce.networks.native import NativeNetwork
from ennforce.symmetry import FieldType

FORMAT = 1
TILE = 64  # sites along a side of what torch is shown at once; measured: 1.8 times faster than 128 x 128 whole


def save_model(folder: str | Path, network: ForceNetwork, facts: dict) -> None:
    """Write weights and description; ``facts`` must hold ``model`` (the Hamiltonian's parameters) and ``target``.

    The description is written last and holds the digest of the weights, so that a half-written model is never taken for whole.
    """
    folder = Path(folder)
    weights = folder / "weights.pt"
    write_atomically(weights, lambda path: torch.save(network.state_dict(), path))
    probe = [float(value) for value in _probe(network)]
    content = {"format": FORMAT, "architecture": network.describe(), "weights": file_digest(weights), "probe": probe, **facts}
    write_json(folder / "model.json", content)


def load_model(folder: str | Path) -> tuple[ForceNetwork, dict]:
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
        network = build(Architecture(**facts["architecture"]))
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
def _probe(network: ForceNetwork) -> torch.Tensor:
    """Forces along one row of a fixed smooth configuration: what a loaded model must reproduce."""
    length = 2 * network.receptive_radius + 2
    y, x = torch.meshgrid(torch.arange(length), torch.arange(length), indexing="ij")
    fields = network.field_scale * torch.sin(1.7 * x + 0.6 * y + 0.1 * x * y)
    lattice = Lattice(network.architecture.lattice, (length, length))
    channels = FieldType.parse(network.architecture.field_type).dim(lattice.point_group)
    return network.on_torus(fields.expand(1, channels, length, length))[0, 0, 0]


class TiledNetwork:
    """A network for inference: filters expanded, a torus padded once and worked on in tiles that stay in the processor's cache.

    The compiled kernel cuts its own strips from the torus. Arithmetic is float32, on ``device``, where fields must be.
    """

    def __init__(self, network: ForceNetwork, device: str | torch.device = "cpu") -> None:
        self.radius = network.receptive_radius
        self.device = torch.device(device)
        self.body = network.to(self.device).expanded()

    def on_torus(self, fields: torch.Tensor, tile: int | None = None) -> torch.Tensor:
        """Forces (batch, C, Ly, Lx) of fields (batch, C, Ly, Lx), in their dtype; ``tile`` changes them by rounding only."""
        if isinstance(self.body, NativeNetwork) and tile is None:
            return self.body.on_torus(fields)
        height, width = fields.shape[-2:]
        tile = tile or (TILE if self.device.type == "cpu" else max(height, width))
        padded = functional.pad(fields.float(), (self.radius,) * 4, mode="circular")
        if max(height, width) <= tile:
            return self.body(padded).to(fields.dtype)
        forces = torch.empty_like(fields)
        halo = 2 * self.radius
        for one, result in zip(padded.split(1), forces.split(1), strict=True):
            for y in range(0, height, tile):
                for x in range(0, width, tile):
                    bottom, right = min(y + tile, height), min(x + tile, width)
                    result[..., y:bottom, x:right] = self.body(one[..., y : bottom + halo, x : right + halo])
        return forces
