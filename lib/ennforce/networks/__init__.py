"""Force networks: the lattice-equivariant one, and those it is measured against."""

from dataclasses import replace

from ennforce.networks.base import Architecture, ForceNetwork
from ennforce.networks.cnn import AugmentedConvolutionalNetwork, ConvolutionalNetwork
from ennforce.networks.conditioned import ConditionedNetwork
from ennforce.networks.conservative import EnergyNetwork, TypedEnergyNetwork
from ennforce.networks.descriptor_mlp import DescriptorNetwork
from ennforce.networks.euclidean import EuclideanNetwork
from ennforce.networks.gnn import MessagePassingNetwork
from ennforce.networks.irrep_mlp import IrrepNetwork
from ennforce.networks.models import EquivariantNetwork
from ennforce.networks.typed import TypedNetwork
from ennforce.plugins import asked_for, require_complete

KINDS: dict[str, type[ForceNetwork]] = {
    "enn": EquivariantNetwork,
    "enn_energy": EnergyNetwork,
    "irrep_mlp": IrrepNetwork,
    "descriptor_mlp": DescriptorNetwork,
    "gnn": MessagePassingNetwork,
    "cnn": ConvolutionalNetwork,
    "cnn_augmented": AugmentedConvolutionalNetwork,
    "euclidean": EuclideanNetwork,
    "typed": TypedNetwork,
    "typed_energy": TypedEnergyNetwork,
}


PACKAGED = frozenset(KINDS)
GROUP = "ennforce.networks"  # the entry points of installed packages


def register(name: str) -> str:
    """The key of ``KINDS`` of a kind that a user asks for: one of these, an entry point, or ``path/file.py:Class``.

    A class of a user's own is known by its name in lower case from then on. Raises ValueError, in one line, where there is none, or
    it is none that can be used.
    """
    if name in KINDS:
        return name
    found = asked_for(name, GROUP, KINDS, "network kind")
    require_complete(found, ForceNetwork, name, "kind of network")
    key = found.__name__.lower()
    if key in PACKAGED:
        raise ValueError(f"{name}: {key} is a kind of the package, by which saved networks know it: rename your class")
    KINDS[key] = found
    return key


def build(architecture: Architecture, field_scale: float = 1.0, force_scale: float = 1.0) -> ForceNetwork:
    """The network that ``architecture`` describes, with fresh weights; raises ValueError for an unknown kind."""
    if architecture.kind not in KINDS:
        raise ValueError(f"network kind {architecture.kind!r} is unknown: choose one of {', '.join(KINDS)}, or register your own")
    if not architecture.inputs:
        return KINDS[architecture.kind](architecture, field_scale, force_scale)
    return ConditionedNetwork(architecture, KINDS[architecture.kind](replace(architecture, inputs=())), field_scale, force_scale)


__all__ = ["KINDS", "Architecture", "EquivariantNetwork", "ForceNetwork", "TypedNetwork", "build", "register"]
