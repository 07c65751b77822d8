"""Force networks: the lattice-equivariant one, and those it is measured against."""

from ennforce.networks.base import Architecture, ForceNetwork
from ennforce.networks.cnn import AugmentedConvolutionalNetwork, ConvolutionalNetwork
from ennforce.networks.conservative import EnergyNetwork
from ennforce.networks.descriptor_mlp import DescriptorNetwork
from ennforce.networks.euclidean import EuclideanNetwork
from ennforce.networks.gnn import MessagePassingNetwork
from ennforce.networks.irrep_mlp import IrrepNetwork
from ennforce.networks.models import EquivariantNetwork
from ennforce.networks.typed import TypedNetwork

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
}


def build(architecture: Architecture, field_scale: float = 1.0, force_scale: float = 1.0) -> ForceNetwork:
    """The network that ``architecture`` describes, with fresh weights; raises ValueError for an unknown kind."""
    if architecture.kind not in KINDS:
        raise ValueError(f"network kind {architecture.kind!r} is unknown: choose one of {', '.join(KINDS)}")
    return KINDS[architecture.kind](architecture, field_scale, force_scale)


__all__ = ["KINDS", "Architecture", "EquivariantNetwork", "ForceNetwork", "TypedNetwork", "build"]
