"""Code of a user's own, which a study names: by ``path/file.py:NAME``, or by the entry point of an installed package."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import sys
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from ennforce.reading import nearest


def file_of(name: str) -> str | None:
    """The file in a name like ``path/file.py:NAME``; None for other names."""
    path, separator, _ = name.rpartition(":")
    return path if separator else None


def asked_for(name: str, group: str, known: Iterable[str], what: str) -> Any:
    """What a user asks for by ``name``: an entry point of ``group``, or ``path/file.py:NAME``.

    A file is found from the working directory, and run: once, and again when it has changed. ``known`` and ``what`` are words for
    errors. Raises ValueError, in one line, where there is none.
    """
    path, separator, wanted = name.rpartition(":")
    if separator:
        return _from_file(Path(path), wanted, what)
    installed = {point.name: point for point in entry_points(group=group)}
    if name not in installed:
        every = {*known, *installed}
        choice = f"choose one of {', '.join(sorted(every))}, or name" if every else "name"
        raise ValueError(f"{what} {name!r} is unknown{nearest(name, every)}: {choice} the file of your own, path/file.py:NAME")
    return installed[name].load()


def require_complete(found: object, base: type, name: str, what: str) -> None:
    """Raises ValueError unless what a user asked for by ``name``, some ``what``, inherits from ``base`` and lacks no method."""
    home = f"{base.__module__.rpartition('.')[0]}.{base.__name__}"
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise ValueError(f"{name} is no {what}: let the class inherit from {home}")
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise ValueError(f"{name} lacks {', '.join(missing)}: see {home} for what each must return")


def module_of(path: Path, what: str) -> ModuleType:
    """What a file of a user's defines; raises ValueError, in one line, where there is none, or it cannot be run."""
    if not path.is_file():
        place = f"{Path.cwd().name}/, where the study is run"
        raise ValueError(f"{path}, the file of your own {what}, does not exist: give its path from {place}")
    return _run(path, path.stat().st_mtime_ns)


def _from_file(path: Path, wanted: str, what: str) -> Any:
    module = module_of(path, what)
    if not hasattr(module, wanted):
        own = [n for n, c in vars(module).items() if n[0] != "_" and getattr(c, "__module__", None) == module.__name__]
        raise ValueError(f"{path} holds no {wanted}{nearest(wanted, own)}: it defines {', '.join(own) or 'nothing'}")
    return getattr(module, wanted)


@functools.cache
def _run(path: Path, changed: int) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"own_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"the file {path} is no Python: let its name end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # where dataclasses and type hints look up annotations that are text
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: {error.msg}: mend the file") from error
    except Exception as error:  # whatever a file of a user's may do
        raise ValueError(f"{path} cannot be imported ({type(error).__name__}: {error}): mend the file") from error
    return module
