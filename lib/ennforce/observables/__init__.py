"""What is measured of states, and averages over shells."""

from collections.abc import Sequence

import numpy as np

from ennforce.models import Hamiltonian
from ennforce.models.fields import WITH_MOMENTA
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
        if callable(own) and not isinstance(own, Observable):
            try:
                own = own(model)
            except Exception as error:  # whatever a function of a user's may do
                raise ValueError(f"{name} fails for {type(model).__name__} ({type(error).__name__}: {error}): mend it") from error
        if not isinstance(own, Observable):
            raise ValueError(f"{name} is no observable: make it an ennforce.observables.Observable, or a function that returns one")
        found.append(own)
    return tuple(found)


def try_observables(names: Sequence[str], model: Hamiltonian, dynamics: str | None = None) -> None:
    """Measure a user's observables of random fields; raises ValueError, in one line, where one cannot be measured, or has no name
    of its own."""
    space, rng = model.space, np.random.default_rng(0)
    own = own_observables(names, model)
    fields = space.near(0.0, 1.0, rng.normal(size=(2, *model.field_shape)), model.lattice)
    momenta = rng.normal(size=fields.shape) if space.chosen(dynamics) in WITH_MOMENTA else None
    Observer(model, (*observables_of(model, dynamics), *own))
    for name, observable in zip(names, own, strict=True):
        try:
            Observer(model, [observable])(fields, momenta, np.arange(2))
        except Exception as error:  # whatever a function of a user's may do
            raise ValueError(f"{name} cannot be measured ({type(error).__name__}: {error}): mend it") from error


__all__ = ["Moment", "Observable", "Observer", "observables_of", "own_observables", "try_observables"]
