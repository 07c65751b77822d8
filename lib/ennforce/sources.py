"""Which source code the result of a script depends on, found from its imports. Nothing heavy is imported.

The unit is a statement at the top level of a module: the script whole, of the package the definitions that it names, what these
name, and so on, and files beside a module that its definitions name (C sources). So a job of the solver does not run again for a
changed network, though one module imports both. Names are followed, values are not: what is reached by ``getattr`` or
``importlib`` alone is missed. A definition decorated by the package counts wherever its module does, for it may register itself.
"""

from __future__ import annotations

import ast
import gc
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

LIBRARY = Path(__file__).parents[1]
PACKAGE = Path(__file__).parent.name

# They hand files, settings and errors over and change no number: an edit there would rerun everything.
UNSEEN = {f"{PACKAGE}.{name}" for name in ("workflow", "io", "files", "compiling")}

EFFECTS = ""  # in place of a name: what a module does when it is imported
Imported = tuple[str, str | None]  # a module of the package and a name in it; None: all of it


@cache
def digest(script: Path, *unused: str) -> str:
    """16 hexadecimal digits that change with the code that ``script`` depends on, and with nothing else.

    ``unused`` are names that the script binds and the job at hand does not use. Computed once a process.
    """
    collecting = gc.isenabled()
    gc.disable()  # it doubles the time of parsing
    try:
        parts = sorted(definitions(script, *unused).items())
    finally:
        if collecting:
            gc.enable()
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def definitions(script: Path, *unused: str) -> dict[tuple[str, str], str]:
    """(module, name) -> text of every definition, and of every file beside a module, that ``script`` depends on."""
    found: dict[tuple[str, str], str] = {}
    main = _read(script, script.stem)
    waiting, done = main.all(), {(main, name) for name in unused}
    while waiting:
        module, name = part = waiting.pop()
        if part in done or module.name in UNSEEN:
            continue
        done.add(part)
        found.update(module.texts(name))
        waiting += module.needs(name)
    return found


def imported_by(node: ast.AST, package: str = "") -> Iterator[tuple[str, Imported]]:
    """(name bound, what of this package is imported) for an import in a module of ``package``; nothing for another statement."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.split(".")[0] == PACKAGE:
                yield EFFECTS, (alias.name, None)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: 1 - node.level or None] if node.level else []
        origin = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names if origin.split(".")[0] == PACKAGE else []:
            if alias.name == "*":
                yield EFFECTS, (origin, None)
            else:
                yield alias.asname or alias.name, (origin, alias.name)


@dataclass(eq=False)
class Module:
    """The statements of one file by the names that they bind; those run for their effect under ``EFFECTS``."""

    name: str
    path: Path
    lines: list[str]
    bound: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, list[Imported]] = field(default_factory=dict)

    @property
    def package(self) -> str:
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    def all(self) -> list[tuple[Module, str]]:
        return [(self, name) for name in {EFFECTS, *self.bound, *self.imports}]

    def parents(self) -> list[tuple[Module, str]]:
        """The packages around it: importing it runs them first."""
        names = self.name.split(".")[:-1]
        return [(module, EFFECTS) for n in range(len(names)) if (module := _find(".".join(names[: n + 1])))]

    @cache  # noqa: B019 -- modules live as long as the process
    def needs(self, name: str) -> list[tuple[Module, str]]:
        """What a name of this module refers to."""
        found = self.parents() if name == EFFECTS else [(self, EFFECTS)]
        imported = list(self.imports.get(name, []))
        waiting: list[Any] = list(self.bound.get(name, []))
        names = set()
        while waiting:  # as ast.walk, in a third of its time
            node = waiting.pop()
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                imported += [origin for _, origin in imported_by(node, self.package)]
            elif isinstance(node, ast.AST):
                for value in node.__dict__.values():
                    waiting += [value] if isinstance(value, ast.AST) else value if isinstance(value, list) else []
        found += [(self, other) for other in names if other in self.bound or other in self.imports]
        return found + [part for origin in imported for part in _resolved(*origin)]

    @cache  # noqa: B019
    def texts(self, name: str) -> dict[tuple[str, str], str]:
        """The text of a definition, and of files beside the module that it names."""
        statements = self.bound.get(name, [])
        text = "\n".join(map(self._text, statements))
        files = [file for file in _others(self.path.parent) if file in text]
        found = {(self.name, file): (self.path.parent / file).read_text(encoding="utf-8") for file in files}
        return {**found, (self.name, name): text} if text else {}

    def _text(self, statement: ast.stmt) -> str:
        first = min([statement.lineno, *(line.lineno for line in getattr(statement, "decorator_list", []))])
        return "\n".join(self.lines[first - 1 : statement.end_lineno])

    def take(self, statement: ast.stmt) -> None:
        """Enter a statement under every name that needs it."""
        imported = list(imported_by(statement, self.package))
        for name, origin in imported:
            self.imports.setdefault(name, []).append(origin)
        if imported or _for_readers(statement):
            return
        names = _bindings(statement)
        for name in names or {EFFECTS}:
            self.bound.setdefault(name, []).append(statement)
        if names and self._acts(statement):
            self.bound.setdefault(EFFECTS, []).append(statement)

    def _acts(self, statement: ast.stmt) -> bool:
        """Whether a statement that binds names may do more: one with a body, or a definition decorated by the package."""
        if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
            return True
        named = {
            node.id for line in getattr(statement, "decorator_list", []) for node in ast.walk(line) if isinstance(node, ast.Name)
        }
        own = {name for name, made in self.bound.items() if not all(isinstance(s, ast.Import | ast.ImportFrom) for s in made)}
        return bool(named & (own | self.imports.keys()))


def _bindings(statement: ast.stmt) -> set[str]:
    """Names that a statement binds at the top level; none where it also changes what a name refers to."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.split(".")[0] for alias in statement.names}
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        if any(isinstance(node, ast.Attribute | ast.Subscript) for target in targets for node in ast.walk(target)):
            return set()
        return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    inner = [body for name in ("body", "orelse", "finalbody", "handlers") for body in getattr(statement, name, [])]
    return {name for line in inner for name in _bindings(line)}


def _for_readers(statement: ast.stmt) -> bool:
    """A docstring, or what only a type checker runs."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.If) and isinstance(statement.test, ast.Name) and statement.test.id == "TYPE_CHECKING"


@cache
def _read(path: Path, name: str) -> Module:
    text = path.read_text(encoding="utf-8")
    module = Module(name, path, text.splitlines())
    for statement in ast.parse(text, str(path)).body:
        module.take(statement)
    return module


@cache
def _find(name: str) -> Module | None:
    """The package's module of that name, None where there is none."""
    path = LIBRARY.joinpath(*name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return _read(file, name)
    return None


def _resolved(origin: str, name: str | None) -> list[tuple[Module, str]]:
    """What an import uses: a definition of a module, or all of a module."""
    module = _find(origin)
    if module is None:
        return []
    if name is None:
        return module.all()
    if name in module.bound or name in module.imports:
        return [(module, name)]
    inner = _find(f"{origin}.{name}")
    return inner.all() if inner else module.all()


@cache
def _others(folder: Path) -> frozenset[str]:
    """Names of the files in a folder that are not Python's."""
    return frozenset(path.name for path in folder.iterdir() if path.is_file() and path.suffix not in (".py", ".pyc"))
