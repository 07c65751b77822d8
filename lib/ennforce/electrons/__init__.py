"""Electronic densities and energies of a lattice model: exact diagonalisation and the windowed kernel polynomial method."""

from ennforce.electrons.exact import ExactElectrons
from ennforce.electrons.kpm import KPMSolution, SpectrumError, solve

__all__ = ["ExactElectrons", "KPMSolution", "SpectrumError", "solve"]
