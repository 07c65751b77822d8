"""What is measured of states, and averages over shells."""

from collections.abc import Sequence

from ennforce.models import Hamiltonian
from ennforce.observables.base import Moment, Observable, Observer
from ennforce.observables.standard import observables_of
from ennforce.plugins import asked_for

GROUP = "ennforce.observables"  # the entry points of installed packages


def own_observables(names: Sequence[str], model: Hamiltonian) -> tuple[Observable, ...]:
    """Observables that a user asks for, by ``path/file.py:NAME`` or an entry point: an ``Observable``, or a function of the model.

    Raises ValueError, in one line, where there is none, or it is something else.
    """
    found = []
    for name in names:
        own = asked_for(name, GROUP, (), "observable")
        own = own if isinstance(own, Observable) or not callable(own) else own(model)
        if not isinstance(own, Observable):
            raise ValueError(f"{name} is no observable: make it an ennforce.observables.Observable, or a function that returns one")
        found.append(own)
    return tuple(found)


__all__ = ["Moment", "Observable", "Observer", "observables_of", "own_observables"]
