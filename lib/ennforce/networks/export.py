"""Portable models: a folder with ``model.json`` and CPU weights, and networks run in tiles."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ennforce.io import DataError, file_digest, one_line, read_json, write_atomically, write_json
from ennforce.models import MODELS, Hamiltonian, from_parameters
from ennforce.networks import Architecture, ForceNetwork, build
from ennforce.networks.compiled.inference import NativeNetwork, native
from ennforce.networks.layers import point_group, torus_pad
from ennforce.networks.ranges import FieldRange
from ennforce.networks.tensors import read_tensors, write_tensors
from ennforce.symmetry import FieldType

FORMAT = 1
COMPONENTS = 64  # of a field, at most
REACH = 512  # of the stencils of all blocks together, at most
Text = Annotated[str, Field(max_length=64)]
# Sites along a side of what torch is shown at once, by dimension; measured in two: 1.8 times faster than 128 x 128 whole.
TILES = {1: 4096, 2: 64, 3: 24}


def save_model(folder: str | Path, network: ForceNetwork, facts: dict) -> None:
    """Write weights and description; ``facts`` must hold ``model`` (the Hamiltonian's parameters) and ``target``.

    ``seen``, a ``FieldRange`` as a dictionary or None: the fields of training.

    The description is written last and holds the digest of the weights, so that a half-written model is never taken for whole.
    Weights are written in single precision and from any device. Raises ValueError, before anything is written, where
    ``load_model`` would not take the model.
    """
    folder = Path(folder)
    weights = folder / "weights.pt"
    found = {"format": FORMAT, "architecture": network.describe(), "weights": "", "probe": []}
    try:
        with torch.random.fork_rng(devices=[]):  # the weights it starts with are not wanted, nor may they cost random numbers
            written = build(_architecture({**facts, **found}))
        written.load_state_dict(network.state_dict())
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"this network cannot be saved so that it loads again ({one_line(error)}): "
            f"use NetworkForces(network, model).save(folder)"
        ) from error
    write_atomically(weights, lambda path: write_tensors(written.state_dict(), path))
    found |= {"weights": file_digest(weights), "probe": [float(value) for value in _probe(written.eval())]}
    write_json(folder / "model.json", {**found, **facts, **found})


class Described(BaseModel):
    """Bounds of what a model file may describe: whatever a study can ask for and more, but nothing without end."""

    model_config = ConfigDict(extra="forbid")

    kind: Text  # which there are, ``build`` knows
    lattice: Text
    field_type: Text
    width: Annotated[int, Field(ge=1, le=4096)]
    depth: Annotated[int, Field(ge=1, le=64)]
    first_radius: Annotated[int, Field(ge=1, le=8)]
    radius: Annotated[int, Field(ge=1, le=4)]
    mixed: bool
    separable: bool
    wide: Annotated[int, Field(ge=0, le=16)] = 0  # models saved before there were far stencils do not name them
    wide_radius: Annotated[int, Field(ge=1, le=24)] = 10
    lines: bool = False
    dilations: Annotated[list[Annotated[int, Field(ge=1, le=32)]], Field(max_length=64)] = []  # nor these
    inputs: Annotated[list[Text], Field(max_length=4)] = []


class Description(BaseModel):
    """What ``model.json`` must hold; it may hold more."""

    format: Literal[1]
    architecture: Described
    weights: str
    probe: Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(max_length=4096)]
    model: dict
    target: Literal["electronic", "total"]
    seen: FieldRange | None = None  # of the fields of training, in units of ``model``; models saved before do not know theirs

    @classmethod
    def required(cls) -> list[str]:
        """What every description has."""
        return [name for name, field in cls.model_fields.items() if field.is_required()]


def load_model(folder: str | Path, model: Hamiltonian | None = None) -> tuple[ForceNetwork, dict]:
    """The network, ready for inference, and its description. Raises DataError if the folder does not hold a whole model.

    A network for a lattice model that is not one of ``models.MODELS`` loads where ``model`` is of that class.

    Files may come from anywhere: they run no code, and the network is built only once its size is known to be that of the weights.
    """
    folder = Path(folder)
    facts = read_json(folder / "model.json", Description.required())
    if facts["format"] != FORMAT:
        raise DataError(f"{folder}/model.json is not a model of this version: train it again")
    weights = folder / "weights.pt"
    if not weights.is_file() or file_digest(weights) != facts["weights"]:
        raise DataError(f"{weights} is missing or not the file that model.json describes: copy both files, or train again")
    state = read_tensors(weights)
    name = facts["model"].get("name") if isinstance(facts["model"], dict) else None
    given = None if model is None else type(model).__name__.lower()
    if isinstance(name, str) and name.isidentifier() and name not in (*MODELS, given):
        raise DataError(
            f"{folder} was trained for the lattice model {name[:64]!r}, which is none of {', '.join(MODELS)}: hand over a model of "
            f"that class, as in NetworkForces.load(folder, model)"
        )
    try:
        architecture = _architecture(facts)
        from_parameters(facts["model"], model)
        _require_fit(architecture, state)
        network = build(architecture)
        network.load_state_dict(state)
        expected, found = torch.tensor(facts["probe"]), _probe(network)
        if expected.shape != found.shape or not torch.isfinite(expected).all():
            raise ValueError(f"a probe of {len(expected)} values, not {len(found)} finite ones")
    except Exception as error:  # whatever pydantic, torch and the networks make of a foreign description
        raise DataError(f"{folder} does not fit the architecture it describes ({one_line(error)}): train it again") from error
    if not torch.allclose(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max())):
        off = float((found - expected).abs().max())
        raise DataError(f"{folder} computes other forces here than where it was trained (probe off by {off:.1g}): train it again")
    return network.eval(), facts | {"seen": None if facts.get("seen") is None else FieldRange(**facts["seen"])}


def _architecture(facts: dict) -> Architecture:
    """The architecture of a description; raises ValueError where a field is out of bounds, unknown or lacking."""
    try:
        described = Description.model_validate(facts).architecture
    except ValidationError as error:
        problem = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error
    architecture = Architecture(**described.model_dump())
    reach = architecture.radius * sum(architecture.spacings)
    if reach > REACH:
        raise ValueError(f"blocks that reach {reach} sites; at most {REACH} are supported")
    components = FieldType.parse(architecture.field_type).dim(point_group(architecture.lattice))
    if components > COMPONENTS:
        raise ValueError(f"a field of {components} components; at most {COMPONENTS} are supported")
    return architecture


def _require_fit(architecture: Architecture, state: dict) -> None:
    """Raise ValueError unless ``state`` holds the weights of ``architecture``, found without allocating them."""
    if architecture.kind == "euclidean":  # e3nn computes while it builds, which it cannot without values
        least = architecture.width**2 * (architecture.depth - 1) + architecture.width
        if least > sum(value.numel() for value in state.values() if isinstance(value, torch.Tensor)):
            raise ValueError(f"width {architecture.width} and depth {architecture.depth} need more weights than there are")
        return
    with torch.device("meta"):
        expected = build(architecture).state_dict()
    if state.keys() != expected.keys():
        raise ValueError(f"weights of other names: {', '.join(map(str, sorted(state.keys() ^ expected.keys(), key=str)[:3]))}")
    for name, value in expected.items():
        found = state[name]
        if not isinstance(found, torch.Tensor) or (found.shape, found.dtype) != (value.shape, value.dtype):
            raise ValueError(f"{name} must be {value.dtype} of shape {tuple(value.shape)}")


@torch.no_grad()
def _probe(network: ForceNetwork) -> torch.Tensor:
    """Forces along one row of a fixed smooth configuration: what a loaded model must reproduce."""
    length, architecture = 2 * network.receptive_radius + 2, network.architecture
    group = point_group(architecture.lattice)
    *others, x = torch.meshgrid(*[torch.arange(length)] * group.matrices.shape[1], indexing="ij")
    phase = 1.7 * x
    for n, y in enumerate(others):
        phase = phase + (0.6 + 0.3 * n) * y + 0.1 * x * y
    fields = network.field_scale * torch.sin(phase)
    components = FieldType.parse(architecture.field_type).dim(group)
    # Components differ by a shift, so that none of them hides behind another.
    values = torch.stack([fields.roll(n, -1) for n in range(components)])
    return network.on_torus(values[None])[0, 0].reshape(-1, length)[0]


class TiledNetwork:
    """A network for inference: compiled where there is a kernel for it, which cuts its own strips from a torus.

    Elsewhere torch works with expanded filters on a torus padded once, in tiles that stay in the processor's cache. Arithmetic is
    float32, on ``device``, where fields must be.
    """

    def __init__(self, network: ForceNetwork, device: str | torch.device = "cpu") -> None:
        self.radius = network.receptive_radius
        self.device = torch.device(device)
        self.blocks_reach = network.architecture.radius * sum(network.architecture.spacings)
        self.body = native(network.to(self.device)) or network.expanded()

    def on_torus(self, fields: torch.Tensor, tile: int | None = None) -> torch.Tensor:
        """Forces (batch, C, *lattice) of fields, in their shape and dtype; ``tile`` changes them by rounding only."""
        if isinstance(self.body, NativeNetwork) and tile is None:
            return self.body.on_torus(fields)
        lengths = fields.shape[2:]
        side = tile or (self._side(len(lengths)) if self.device.type == "cpu" else max(lengths))
        padded = torus_pad(fields.float(), self.radius)
        if max(lengths) <= side:
            return self.body(padded).to(fields.dtype)
        forces = torch.empty_like(fields)
        halo = 2 * self.radius
        for one, result in zip(padded.split(1), forces.split(1), strict=True):
            for corner in itertools.product(*(range(0, length, side) for length in lengths)):
                ends = [min(start + side, length) for start, length in zip(corner, lengths, strict=True)]
                inner = tuple(slice(start, end) for start, end in zip(corner, ends, strict=True))
                outer = tuple(slice(start, end + halo) for start, end in zip(corner, ends, strict=True))
                result[(..., *inner)] = self.body(one[(..., *outer)])
        return forces

    def _side(self, dimension: int) -> int:
        """Sites along a tile: twice as many for blocks that reach far, whose halos would cost more than leaving the cache does."""
        side = TILES[dimension]
        return 2 * side if 6 * self.blocks_reach > side else side
