"""Figures from results alone; one file per figure. The folder, and the list ``figures`` of a study, are their table.

A file NAME.py draws results/<study>/figures/NAME.svg and .png. It holds ``draw(**inputs, **settings)``, which returns a matplotlib
figure, and constants that are read, and not run, while the Snakefile is parsed (so they are written out):

- ``CAPTION``: its text in the report; ``{order}`` and ``{wave_vector}`` stand for the name and place of the model's order;
- ``CATEGORY``: its heading in the report;
- ``TARGETS``: what asks for it: "figures", the study's own; "frontier"; "sweep", every point of a sweep;
- ``STAGE``, if any: the part of a study that it shows, which some models do not have (``stages``);
- ``INPUTS``, if any: argument of ``draw`` -> file below results/<study>. ``{quench}`` or ``{driver}`` in it make it a list: of a
  file for the large quench and each of its variants, or for each force whose conservation of energy is followed. NetCDF and JSON
  come as data sets and dictionaries, other files as paths;
- ``SETTINGS``, if any: argument of ``draw`` -> dotted key of the study's configuration; ``model`` -> the run on whose torus the
  study's model is wanted;
- ``FORMATS``, if not SVG and PNG: its endings; then the file has a ``save(drawing, path, ...)`` of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent
SHARED = ("__init__", "style")  # no figures


@dataclass(frozen=True)
class Entry:
    """What the workflow knows of a figure, by the names of the constants in its file."""

    caption: str
    category: str
    targets: tuple[str, ...]
    inputs: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    formats: tuple[str, ...] = ("svg", "png")
    stage: str = ""

    @property
    def of_network(self) -> bool:
        """Whether it shows nothing but the study's network and its errors."""
        return bool(self.inputs) and all(file.startswith("models/enn/") for file in self.inputs.values())


REQUIRED = ("CAPTION", "CATEGORY", "TARGETS")
# What a reader sees of a figure beside the drawing itself: a change there draws nothing again.
TOLD = (*REQUIRED, "STAGE")


def table(own: Sequence[str] = ()) -> dict[str, Entry]:
    """Every figure by its name, those of the files ``own`` of a study included.

    Raises ValueError for a file that is not there, has the name of another, lacks a constant, or has one that must be run to be
    known.
    """
    found = {path.stem: path for path in sorted(FOLDER.glob("*.py")) if path.stem not in SHARED}
    for name in own:
        path = Path(name)
        if path.suffix != ".py" or not path.is_file():
            raise ValueError(f"the figure's file {name} does not exist, or its name does not end in .py: give its path")
        if path.stem in found:
            raise ValueError(f"figures: {name} has the name of a figure that there is, {path.stem}: rename the file")
        found[path.stem] = path
    return {name: _entry(path) for name, path in found.items()}


def _entry(path: Path) -> Entry:
    found, names = {}, [name.upper() for name in Entry.__dataclass_fields__]
    try:
        statements = ast.parse(path.read_text(encoding="utf-8"), str(path)).body
    except SyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: {error.msg}: mend the figure's file") from error
    for statement in statements:
        if isinstance(statement, ast.Assign) and isinstance(target := statement.targets[0], ast.Name) and target.id in names:
            try:
                found[target.id.lower()] = ast.literal_eval(statement.value)
            except ValueError:
                raise ValueError(f"{path}: {target.id} is read without being run: write its value out") from None
    try:
        return Entry(**found)
    except TypeError:
        missing = [name for name in REQUIRED if name.lower() not in found]
        raise ValueError(f"{path} is no figure, for it lacks {', '.join(missing)}: see lib/ennforce/figures/__init__.py") from None
