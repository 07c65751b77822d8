"""Which lattice models there are: the package's, those of installed packages, and one that a study names by its file.

Code is imported only where a user's own configuration or program asks for it by ``register``. A model's folder or a data set from
elsewhere names a model, and where that is not known yet it is refused.
"""

from __future__ import annotations

import math
import numbers

from ennforce.lattice import Lattice
from ennforce.models.base import Hamiltonian
from ennforce.models.holstein import Holstein
from ennforce.models.hubbardholstein import HubbardHolstein
from ennforce.models.jahnteller import JahnTeller
from ennforce.models.kondo import Kondo
from ennforce.models.peierls import Peierls
from ennforce.plugins import asked_for, require_complete

MODELS: dict[str, type[Hamiltonian]] = {m.__name__.lower(): m for m in (Holstein, HubbardHolstein, JahnTeller, Kondo, Peierls)}
PACKAGED = dict(MODELS)
DEFAULT = Holstein  # of a study that names none
GROUP = "ennforce.models"  # the entry points of installed packages


def register(name: str) -> type[Hamiltonian]:
    """The class of a model that a user asks for: ``holstein``, an entry point of ``ennforce.models``, or ``path/file.py:Class``.

    A file is found from the working directory, and run. From then on models of that class are known by its name in lower case.
    Raises ValueError, in one line, where there is none, or it is none that can be used.
    """
    if name in MODELS:
        return MODELS[name]
    found = asked_for(name, GROUP, MODELS, "lattice model")
    _require_whole(found, name)
    own = found.__name__.lower()
    if own in PACKAGED and found is not PACKAGED[own]:
        raise ValueError(f"{name}: {own} is the name of a model of the package, by which saved files know it: rename your class")
    MODELS[own] = found
    return found


def _require_whole(found: object, name: str) -> None:
    """Raise ValueError unless this is a class of models that can be made."""
    require_complete(found, Hamiltonian, name, "model")
    settings = [key for key, what in vars(found).get("__annotations__", {}).items() if "ClassVar" not in str(what)]
    if settings and "__dataclass_params__" not in vars(found):
        raise ValueError(f"{name} has settings, but is no dataclass: write @dataclass(frozen=True) above it")


def from_parameters(parameters: dict, like: Hamiltonian | None = None) -> Hamiltonian:
    """The model whose ``parameters()`` these are: of the class of ``like`` if that has their name, else one that is registered.

    Raises ValueError where they are those of no model that is known.
    """
    values = dict(parameters)
    lattice, name = values.pop("lattice", None), values.pop("name", None)
    known = MODELS | ({type(like).__name__.lower(): type(like)} if like is not None else {})
    if not isinstance(name, str) or name not in known:
        raise ValueError(
            f"lattice model {name!r} is unknown: it is none of {', '.join(known)}; hand over the model, or register its class"
        )
    for key, value in values.items():
        if isinstance(value, numbers.Real) and not abs(float(value)) < math.inf:
            raise ValueError(f"{key} = {value!r} of the {name} model is not a finite number")
    try:
        return known[name](Lattice(lattice["name"], tuple(lattice["shape"])), **values)
    except (KeyError, TypeError, OverflowError, AttributeError) as error:
        raise ValueError(f"these are no parameters of the {name} model ({error})") from error
