"""The shelf of trained networks: what an entry holds, and how it is read.

An entry is a folder, ``trained/<study>/``: a model as every model folder, its history, card, metrics and audit, a few held-out
configurations with exact labels, and ``entry.json``, which holds the digests of all these files and the errors on these.
Imported while the Snakefile is parsed, so nothing heavy is imported here; ``shelving`` writes and checks entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from ennforce.files import DataError, file_digest, read_json

FORMAT = 1
LARGEST = 2**20  # bytes of an entry: it is kept with the code
FILES = ("model.json", "weights.pt", "history.csv", "metrics.json", "card.md", "sample.nc")
AUDIT = "audit.json"  # of models whose electrons the local solver finds


class Error(BaseModel):
    rmse: float


class Told(BaseModel):
    """What ``entry.json`` must hold; it may hold more."""

    study: str
    files: dict[Literal["model.json", "weights.pt", "history.csv", "metrics.json", "card.md", "sample.nc", "audit.json"], str]
    errors: dict[Literal["random", "quench"], Error]


@dataclass(frozen=True)
class Entry:
    """A whole entry, with a ``digest`` of all of it; ``told`` is what ``entry.json`` holds, ``model`` what ``model.json``."""

    folder: Path
    digest: str
    told: dict
    model: dict

    @property
    def files(self) -> list[str]:
        """Paths of all files."""
        return [str(self.folder / name) for name in ("entry.json", *self.told["files"])]


def read_entry(folder: str | Path) -> Entry:
    """The entry in ``folder``; raises DataError where there is none, or it is damaged, too large, or of another version."""
    folder = Path(folder)
    if not (folder / "entry.json").is_file():
        kept = sorted(path.parent.name for path in folder.parent.glob("*/entry.json"))
        known = f"there are {', '.join(kept)}" if kept else "a finished study is put there by ennforce shelve results/STUDY"
        raise DataError(f"{folder} is no network of the shelf, for it holds no entry.json: {known}")
    told = read_json(folder / "entry.json", ("format",), signed=True)
    if told["format"] != FORMAT:
        raise DataError(
            f"{folder} is an entry of version {told['format']} of the shelf, and this is version {FORMAT}: shelve the study again"
        )
    try:
        Told.model_validate(told)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise DataError(f"{folder}/entry.json has no such {place} ({problem['msg'].lower()}): shelve the study again") from None
    missing = [name for name in {*FILES, *told["files"]} if name not in told["files"] or not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder} lacks {', '.join(sorted(missing))}: restore the folder, or shelve the study again")
    require_small(folder)
    changed = [name for name, digest in told["files"].items() if file_digest(folder / name) != digest]
    if changed:
        raise DataError(f"{', '.join(changed)} in {folder} changed since the study was shelved: restore that, or shelve it again")
    model = read_json(folder / "model.json", ("architecture", "model", "target"))
    if not (isinstance(model["architecture"], dict) and isinstance(model["model"], dict)):
        raise DataError(f"{folder}/model.json describes no network: shelve the study again")
    return Entry(folder, file_digest(folder / "entry.json"), told, model)


def require_small(folder: Path) -> None:
    """Raise DataError where the files of an entry are more than can be kept with the code."""
    size = sum(path.stat().st_size for path in folder.iterdir())
    if size > LARGEST:
        raise DataError(
            f"{folder} has {size / 2**20:.2f} MiB, and {LARGEST / 2**20:.0f} MiB is the most for an entry of the shelf: use a "
            f"smaller network (network.width, network.depth, network.separable)"
        )
