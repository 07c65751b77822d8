"""Lattice models: fields, electronic Hamiltonian, classical energy."""

import math

from ennforce.lattice import Lattice
from ennforce.models.base import Hamiltonian
from ennforce.models.blocks import Blocks, DensityMatrix
from ennforce.models.fields import FieldSpace, Real, Sphere
from ennforce.models.holstein import Holstein
from ennforce.models.kondo import Kondo
from ennforce.models.order import Chirality, OrderParameter, Staggered, Uniform
from ennforce.models.peierls import Peierls

MODELS: dict[str, type[Hamiltonian]] = {"holstein": Holstein, "kondo": Kondo, "peierls": Peierls}


def from_parameters(parameters: dict) -> Hamiltonian:
    """The model whose ``parameters()`` these are; raises ValueError where they are those of none."""
    values = dict(parameters)
    lattice, name = values.pop("lattice", None), values.pop("name", None)
    if not isinstance(name, str) or name not in MODELS:
        raise ValueError(f"lattice model {name!r} is unknown: choose one of {', '.join(MODELS)}")
    for key, value in values.items():
        if value is not None and (not isinstance(value, (int, float)) or not abs(value) < math.inf):
            raise ValueError(f"{key} = {value!r} of the {name} model is not a finite number")
    try:
        return MODELS[name](Lattice(lattice["name"], tuple(lattice["shape"])), **values)
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"these are no parameters of the {name} model ({error})") from error


__all__ = [
    "MODELS", "Blocks", "Chirality", "DensityMatrix", "FieldSpace", "Hamiltonian", "Holstein", "Kondo", "OrderParameter", "Peierls",
    "Real", "Sphere", "Staggered", "Uniform", "from_parameters",
]  # fmt: skip
