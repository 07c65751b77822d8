"""Force networks: the lattice-equivariant one, and those it is measured against."""

from ennforce.networks.base import Architecture, ForceNetwork
from ennforce.networks.models import EquivariantNetwork
from ennforce.networks.typed import TypedNetwork

KINDS: dict[str, type[ForceNetwork]] = {"enn": EquivariantNetwork, "typed": TypedNetwork}


def build(architecture: Architecture, field_scale: float = 1.0, force_scale: float = 1.0) -> ForceNetwork:
    """The network that ``architecture`` describes, with fresh weights; raises ValueError for an unknown kind."""
    if architecture.kind not in KINDS:
        raise ValueError(f"network kind {architecture.kind!r} is unknown: choose one of {', '.join(KINDS)}")
    return KINDS[architecture.kind](architecture, field_scale, force_scale)


__all__ = ["KINDS", "Architecture", "EquivariantNetwork", "ForceNetwork", "TypedNetwork", "build"]
