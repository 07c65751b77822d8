"""Lattice models: fields, electronic Hamiltonian, classical energy."""

from ennforce.hamiltonians.base import Hamiltonian
from ennforce.hamiltonians.holstein import Holstein
from ennforce.lattice import Lattice

MODELS: dict[str, type[Hamiltonian]] = {"holstein": Holstein}


def from_parameters(parameters: dict) -> Hamiltonian:
    """The model whose ``parameters()`` these are."""
    values = dict(parameters)
    lattice = values.pop("lattice")
    name = values.pop("name")
    if name not in MODELS:
        raise ValueError(f"lattice model {name!r} is unknown: choose one of {', '.join(MODELS)}")
    return MODELS[name](Lattice(lattice["name"], tuple(lattice["shape"])), **values)


__all__ = ["MODELS", "Hamiltonian", "Holstein", "from_parameters"]
