"""What every force network is: settings to build it again, a reach, and forces on the inner sites of a field with its halo."""

from __future__ import annotations

import copy
import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar

import torch
from torch import nn

from ennforce.networks.layers import torus_pad
from ennforce.symmetry import FieldType


@dataclass(frozen=True)
class Architecture:
    """Everything needed to build a network again; what ``width`` and ``depth`` count is told by each kind's class.

    ``kind``: a key of ``networks.KINDS``. ``first_radius`` and ``radius``: stencil reach of the first and the other layers.
    ``mixed``: odd and even hidden features, else odd alone. ``separable``: convolutions in two steps, stencils and then channels.
    ``wide``: learned stencils of radius ``wide_radius`` beside those of the first layer, as products of ``lines`` or free.
    ``dilations``: the factor by which the sites of each block's stencil lie apart, in turn and again from the first where there are
    more blocks; none: all 1. ``inputs``: names of the electrons' conditions (``Hamiltonian.conditions``) that the network is told.
    ``field_type`` is kept in one spelling, "1xA1e" for "A1e"; raises ValueError where ``FieldType.parse`` does not know it, or a
    dilation is not positive.
    """

    kind: str = "enn"
    lattice: str = "square"
    field_type: str = "1xA1o"
    width: int = 4
    depth: int = 4
    first_radius: int = 2
    radius: int = 1
    mixed: bool = True
    separable: bool = False
    wide: int = 0
    wide_radius: int = 10
    lines: bool = False
    dilations: tuple[int, ...] = ()
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "field_type", str(FieldType.parse(self.field_type)))
        object.__setattr__(self, "dilations", tuple(self.dilations))  # JSON and YAML know lists
        if any(dilation < 1 for dilation in self.dilations):
            raise ValueError(f"dilations {list(self.dilations)} hold one below 1: 1 keeps a stencil as it is, 2 doubles its reach")

    @property
    def spacings(self) -> tuple[int, ...]:
        """The dilation of each block, ``depth`` numbers."""
        return tuple(itertools.islice(itertools.cycle(self.dilations or (1,)), self.depth))


class ForceNetwork(nn.Module, ABC):
    """Local fields to on-site forces of the same field type, (batch, C, *lattice).

    ``forward`` takes fields that carry a halo of ``receptive_radius`` sites and returns forces on the inner sites, so that any
    tiling gives the same forces; ``on_torus`` closes the lattice. Fields are divided by ``field_scale``, results multiplied by
    ``force_scale``: subclasses see and return numbers of order one. ``augmented``: trained on randomly transformed samples.
    """

    augmented: ClassVar[bool] = False
    field_scale: torch.Tensor
    force_scale: torch.Tensor

    def __init__(self, architecture: Architecture, field_scale: float = 1.0, force_scale: float = 1.0) -> None:
        super().__init__()
        self.architecture = architecture
        self.register_buffer("field_scale", torch.tensor(float(field_scale)))
        self.register_buffer("force_scale", torch.tensor(float(force_scale)))

    @property
    @abstractmethod
    def receptive_radius(self) -> int:
        """Sites further than this along an axis do not influence the force."""

    @property
    @abstractmethod
    def multiply_adds(self) -> int:
        """Multiply-adds a site at inference, halos not counted."""

    @abstractmethod
    def response(self, fields: torch.Tensor) -> torch.Tensor:
        """Scaled forces on the inner sites from scaled fields with their halo."""

    def calibrate(self, fields: torch.Tensor) -> None:
        """Fix further scales by the training fields (batch, C, *lattice), before training; most networks have none."""

    def periodic_response(self, fields: torch.Tensor) -> torch.Tensor:
        """Scaled forces from scaled fields on a torus. Deep networks pad layer by layer: on small tori a halo costs more."""
        return self.response(torus_pad(fields, self.receptive_radius))

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        return self.response(fields / self.field_scale) * self.force_scale

    def on_torus(self, fields: torch.Tensor) -> torch.Tensor:
        """Forces (batch, C, *lattice) of fields (batch, C, *lattice) with periodic boundary."""
        return self.periodic_response(fields / self.field_scale) * self.force_scale

    def expanded(self) -> nn.Module:
        """This network frozen and made fast for inference: a module from fields with their halo to forces."""
        return self.eval().requires_grad_(False)

    def at(self, conditions: Mapping[str, float | None], beyond: bool = False) -> ForceNetwork:
        """The network for electrons under these conditions: itself, where it has no ``inputs``."""
        return self

    def rescaled(self, of_fields: float, of_forces: float) -> ForceNetwork:
        """The network whose forces are ``of_forces`` F(``of_fields`` * fields), with those F of this one: other scales."""
        if of_fields == of_forces == 1.0:
            return self
        scaled = copy.deepcopy(self)
        scaled.field_scale /= of_fields
        scaled.force_scale *= of_forces
        return scaled

    def describe(self) -> dict:
        return asdict(self.architecture)


def require_scalar(architecture: Architecture) -> None:
    """Raise ValueError unless the field is one odd scalar of the square lattice, as the published alternatives assume."""
    if (architecture.lattice, architecture.field_type) != ("square", "1xA1o"):
        raise ValueError(
            f"network kind {architecture.kind!r} is defined for a field 1xA1o on the square lattice, not for "
            f"{architecture.field_type} on the {architecture.lattice} lattice: use kind 'enn'"
        )
