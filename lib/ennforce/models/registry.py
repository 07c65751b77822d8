"""Which lattice models there are: the package's, those of installed packages, and one that a study names by its file.

Code is imported only where a user's own configuration or program asks for it by ``register``. A model's folder or a data set from
elsewhere names a model, and where that is not known yet it is refused.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import math
import numbers
import sys
from importlib.metadata import entry_points
from pathlib import Path

from ennforce.lattice import Lattice
from ennforce.models.base import Hamiltonian
from ennforce.models.holstein import Holstein
from ennforce.models.kondo import Kondo
from ennforce.models.peierls import Peierls
from ennforce.reading import nearest

MODELS: dict[str, type[Hamiltonian]] = {"holstein": Holstein, "kondo": Kondo, "peierls": Peierls}
PACKAGED = dict(MODELS)
GROUP = "ennforce.models"  # the entry points of installed packages


def register(name: str) -> type[Hamiltonian]:
    """The class of a model that a user asks for: ``holstein``, an entry point of ``ennforce.models``, or ``path/file.py:Class``.

    A file is found from the working directory, and run. From then on models of that class are known by its name in lower case.
    Raises ValueError, in one line, where there is none, or it is none that can be used.
    """
    if name in MODELS:
        return MODELS[name]
    path, separator, wanted = name.rpartition(":")
    if separator:
        found = _from_file(Path(path), wanted)
    else:
        installed = {point.name: point for point in entry_points(group=GROUP)}
        if name not in installed:
            known = {*MODELS, *installed}
            raise ValueError(
                f"lattice model {name!r} is unknown{nearest(name, known)}: choose one of {', '.join(sorted(known))}, or name "
                f"the file of your own, class: path/file.py:Class"
            )
        found = installed[name].load()
    _require_whole(found, name)
    own = found.__name__.lower()
    if own in PACKAGED and found is not PACKAGED[own]:
        raise ValueError(f"{name}: {own} is the name of a model of the package, by which saved files know it: rename your class")
    MODELS[own] = found
    return found


def _from_file(path: Path, wanted: str) -> type[Hamiltonian]:
    """What a file of Python calls ``wanted``; the file is run once, and again when it has changed."""
    if not path.is_file():
        raise ValueError(f"the model's file {path} does not exist: give its path from {Path.cwd().name}/, where the study is run")
    return _run(path, wanted, path.stat().st_mtime_ns)


@functools.cache
def _run(path: Path, wanted: str, changed: int) -> type[Hamiltonian]:
    spec = importlib.util.spec_from_file_location(f"model_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"the model's file {path} is no Python: let its name end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # where dataclasses and type hints look up annotations that are text
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: {error.msg}: mend the model's file") from error
    except Exception as error:  # whatever a file of a user's may do
        raise ValueError(f"{path} cannot be imported ({type(error).__name__}: {error}): mend the model's file") from error
    if not hasattr(module, wanted):
        classes = [n for n, c in vars(module).items() if inspect.isclass(c) and c.__module__ == module.__name__]
        raise ValueError(f"{path} holds no {wanted}{nearest(wanted, classes)}: its classes are {', '.join(classes) or 'none'}")
    return getattr(module, wanted)


def _require_whole(found: object, name: str) -> None:
    """Raise ValueError unless this is a class of models that can be made."""
    if not (inspect.isclass(found) and issubclass(found, Hamiltonian)):
        raise ValueError(f"{name} is no model: let the class inherit from ennforce.models.Hamiltonian")
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise ValueError(f"{name} lacks {', '.join(missing)}: see ennforce.models.Hamiltonian for what each must return")
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
