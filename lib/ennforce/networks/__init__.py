"""Lattice-equivariant networks."""

from ennforce.networks.models import Architecture, EquivariantNetwork

__all__ = ["Architecture", "EquivariantNetwork"]
