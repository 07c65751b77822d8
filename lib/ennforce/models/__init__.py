"""Lattice models: fields, order, electronic Hamiltonian, classical energy."""

from ennforce.models.base import Hamiltonian
from ennforce.models.blocks import Blocks, DensityMatrix
from ennforce.models.fields import FieldSpace, Real, Sphere
from ennforce.models.holstein import Holstein
from ennforce.models.hubbardholstein import HubbardHolstein
from ennforce.models.jahnteller import JahnTeller
from ennforce.models.kondo import Kondo
from ennforce.models.order import Chirality, OrderParameter, Staggered, Uniform
from ennforce.models.peierls import Peierls
from ennforce.models.registry import DEFAULT, MODELS, from_parameters, register
from ennforce.models.scaling import Scaling

__all__ = [
    "DEFAULT", "MODELS", "Blocks", "Chirality", "DensityMatrix", "FieldSpace", "Hamiltonian", "Holstein", "HubbardHolstein",
    "JahnTeller", "Kondo", "OrderParameter", "Peierls", "Real", "Scaling", "Sphere", "Staggered", "Uniform", "from_parameters",
    "register",
]  # fmt: skip
