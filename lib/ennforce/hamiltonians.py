"""The earlier name of ``ennforce.models``, for programs written for version 1."""

from ennforce.models import Blocks, DensityMatrix, Hamiltonian, Holstein, Kondo, Peierls, from_parameters

__all__ = ["Blocks", "DensityMatrix", "Hamiltonian", "Holstein", "Kondo", "Peierls", "from_parameters"]
