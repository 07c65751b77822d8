"""Lattice models: fields, electronic Hamiltonian, classical energy."""

from ennforce.hamiltonians.base import Hamiltonian
from ennforce.hamiltonians.blocks import Blocks, DensityMatrix
from ennforce.hamiltonians.holstein import Holstein
from ennforce.hamiltonians.kondo import Kondo
from ennforce.hamiltonians.peierls import Peierls
from ennforce.lattice import Lattice

MODELS: dict[str, type[Hamiltonian]] = {"holstein": Holstein, "kondo": Kondo, "peierls": Peierls}


def from_parameters(parameters: dict) -> Hamiltonian:
    """The model whose ``parameters()`` these are."""
    values = dict(parameters)
    lattice = values.pop("lattice")
    name = values.pop("name")
    if name not in MODELS:
        raise ValueError(f"lattice model {name!r} is unknown: choose one of {', '.join(MODELS)}")
    return MODELS[name](Lattice(lattice["name"], tuple(lattice["shape"])), **values)


__all__ = ["MODELS", "Blocks", "DensityMatrix", "Hamiltonian", "Holstein", "Kondo", "Peierls", "from_parameters"]
