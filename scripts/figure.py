"""A figure: reads what its file, in lib/ennforce/figures or of the study's own, asks for, and draws it."""

from importlib import import_module
from pathlib import Path

from ennforce.figures import style
from ennforce.io import DataError, read_dataset, read_json
from ennforce.models import from_parameters
from ennforce.plugins import module_of
from ennforce.workflow import Node, run_node

READERS = {".nc": read_dataset, ".json": read_json}


def read(files: str | list[str]):
    return READERS.get(Path(files).suffix, Path)(files) if isinstance(files, str) else [read(file) for file in files]


def main(node: Node) -> None:
    own = node.params["file"]
    figure = module_of(Path(own), "figure") if own else import_module(f"ennforce.figures.{node.wildcards['name']}")
    settings = dict(node.params["settings"])
    if "model" in settings:
        settings["model"] = from_parameters(settings["model"])
    given = {name: read(files) for name, files in node.input.items()}
    try:
        drawing = figure.draw(**given, **settings)
    except KeyError as missing:
        files = ", ".join(node.parents)
        raise DataError(f"{missing} is in none of {files}: they were written by something else; make them again") from missing
    getattr(figure, "save", style.save)(drawing, *node.output.values())


run_node(main, globals())
