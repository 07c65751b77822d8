"""Equivariant neural-network force fields for lattice models of electrons."""

__version__ = "0.1.0"
