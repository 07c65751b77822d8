"""Density matrices and energies of a lattice model: exact diagonalisation, and local expansions at linear cost."""

from ennforce.compiling import announce
from ennforce.electrons.engines import SpectrumError
from ennforce.electrons.exact import ExactElectrons
from ennforce.electrons.solver import Electrons, local_density_of_states, solve

announce()

__all__ = ["Electrons", "ExactElectrons", "SpectrumError", "local_density_of_states", "solve"]
