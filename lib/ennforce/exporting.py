"""A trained network for other programs: a ``.pt2`` of torch.export, and plain C (docs/export.md).

What is written gives what the network learned, bounded as in ``NetworkForces`` (PHYSICS P5): the electrons' part of the force, or
the total force. The classical part has formulas (PHYSICS P1, P2).
"""

from __future__ import annotations

import functools
import json
import logging
import operator
import re
import tempfile
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.export import Dim, ExportedProgram, export

from ennforce.files import one_line, write_atomically, write_text
from ennforce.forces import NetworkForces
from ennforce.networks.expanded import expand
from ennforce.networks.layers import torus_pad
from ennforce.networks.models import EquivariantNetwork
from ennforce.networks.portable import c_files

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
AGREEMENT = 1e-6  # of the program read back with the network, in units of the largest force


class OnTorus(nn.Module):
    """Fields (batch, C, *lattice) of a torus, in single precision, to the learned part of the force in the same shape."""

    def __init__(self, forces: NetworkForces) -> None:
        super().__init__()
        network = forces.folded().trained
        self.radius, self.largest, self.components = network.receptive_radius, forces.largest_force, forces.model.components
        # The compiled kernel is no part of torch.
        self.body = expand(network) if type(network) is EquivariantNetwork else network.expanded()

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        forces = self.body(torus_pad(fields, self.radius))
        if self.largest == float("inf"):
            return forces
        if self.components == 1:
            return forces.clamp(-self.largest, self.largest)
        return forces * (self.largest / forces.norm(dim=1, keepdim=True).clamp_min(1e-30)).clamp_max(1.0)


def exported(forces: NetworkForces) -> ExportedProgram:
    """The network as one graph of torch, for any batch and any torus of at least twice the reach each way.

    Raises ValueError, in one line, for a kind of network that torch.export cannot follow.
    """
    module, lattice = OnTorus(forces).eval(), forces.model.lattice
    least = 2 * module.radius
    # Sizes that are told apart, so that none is taken for another, or for a constant.
    example = torch.zeros(2, forces.model.components, *(least + 2 + 2 * axis for axis in range(lattice.dimension)))
    sizes = {0: Dim.DYNAMIC, **{2 + axis: Dim(f"length_{axis}", min=least) for axis in range(lattice.dimension)}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about itself
            program = _without_long_sums(export(module, (example,), dynamic_shapes=(sizes,)))
    except Exception as error:  # whatever torch says of a network that it cannot follow
        kind = forces.trained.architecture.kind
        logging.getLogger("ennforce").debug("torch.export of %s", kind, exc_info=True)
        raise ValueError(
            f"torch.export cannot write a network of kind {kind!r} ({one_line(error)[:80]}): use it from Python, by NetworkForces"
        ) from error
    return program


def _without_long_sums(program: ExportedProgram) -> ExportedProgram:
    """Sums of sizes term by term: torch 2.13 traces them as one call, which it cannot save."""
    for node in list(program.graph.nodes):
        if node.target is torch.sym_sum:
            terms = node.args[0] if len(node.args) == 1 else node.args
            with program.graph.inserting_before(node):
                total = functools.reduce(lambda a, b: program.graph.call_function(operator.add, (a, b)), terms)
            total.meta = dict(node.meta)
            node.replace_all_uses_with(total)
            program.graph.erase_node(node)
    return program


def write_pt2(forces: NetworkForces, path: str | Path) -> None:
    """Write ``exported(forces)`` with the model's parameters beside it, once the file read back gives the network's forces."""
    program, model = exported(forces), forces.model
    told = {"model.json": json.dumps({"model": model.parameters(), "target": forces.target}, indent=2)}
    side = 2 * forces.network.radius + 4
    generator = torch.Generator().manual_seed(0)
    fields = forces.field_scale * torch.randn(1, model.components, *[side] * model.lattice.dimension, generator=generator)

    def write(temporary: Path) -> None:
        with tempfile.TemporaryDirectory(dir=temporary.parent) as folder:  # torch wants the name to end so
            file = Path(folder, "network.pt2")
            torch.export.save(program, file, extra_files=told)
            found, expected = torch.export.load(file).module()(fields), OnTorus(forces)(fields)
            off = float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-30))
            if not off <= AGREEMENT:
                raise ValueError(
                    f"torch.export gives forces off by {off:.1g} of the network's: use it from Python, by NetworkForces"
                )
            file.replace(temporary)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_atomically(path, write)


def require_name(name: str) -> None:
    """Raise ValueError unless functions in C can be called so."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot begin the names of functions in C: use letters, digits and _, a letter first")


def write_c(forces: NetworkForces, folder: str | Path, name: str = "network") -> list[Path]:
    """Write ``name.h``, ``name.c`` and ``example.c``; raises ValueError, in one line, for a kind that has no form in C."""
    require_name(name)
    model = forces.model
    parameters = ", ".join(f"{key} = {value}" for key, value in model.parameters().items() if key != "lattice")
    part = "the electrons' part of the force; add the classical part" if forces.target == "electronic" else "the total force"
    told = f"   Trained for {parameters}\n   on the {model.lattice.name} lattice. It gives {part}."
    texts = c_files(
        forces.folded().trained, name, told=told.replace("*/", "* /"), largest_force=forces.largest_force, even=model.odd
    )  # fmt: skip
    paths = []
    for file, text in texts.items():
        paths.append(Path(folder, file))
        write_text(paths[-1], text)
    return paths
