"""Files of the project: atomic NetCDF, provenance on every file, and clear refusal of broken ones.

A file is written beside its destination, synced, and moved into place, so that a file by its final name is always whole.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import xarray as xr

from ennforce import __version__


class DataError(RuntimeError):
    """A file is missing, broken, or not what it should be; the message is one line that says what to do."""


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> None:
    """Call ``write(temporary path)``, sync it and move it to ``path``; nothing is left behind on failure."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        # mkstemp makes files private; results are as readable as the user's umask allows.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(f"{path} could not be written ({error.strerror or error}): free or mend the disk and run again") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | Path, content: Mapping) -> None:
    write_atomically(path, lambda p: p.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8"))


def read_json(path: str | Path) -> dict:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): make it again with the rule that writes it") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}): delete it and run again") from error


def write_dataset(dataset: xr.Dataset, path: str | Path) -> None:
    """Write NetCDF-4, atomically; arrays of more than 100 000 values are compressed (lossless)."""
    encoding = {
        name: {"zlib": True, "complevel": 1, "shuffle": True}
        for name, variable in dataset.variables.items()
        if variable.dtype.kind == "f" and variable.size > 100_000
    }

    def write(path: Path) -> None:
        try:
            dataset.to_netcdf(path, engine="netcdf4", format="NETCDF4", encoding=encoding)
        except RuntimeError as error:  # netCDF4's wording of a full disk
            raise OSError(0, str(error)) from error

    write_atomically(path, write)


def read_dataset(path: str | Path, variables: Iterable[str] = ()) -> xr.Dataset:
    """Load a whole NetCDF file into memory; raises DataError if it is missing, broken, or lacks one of ``variables``."""
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist: run the rule that writes it")
    try:
        with xr.open_dataset(path, engine="netcdf4") as dataset:
            loaded = dataset.load()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise DataError(f"{path} is not a readable NetCDF file ({error}): delete it and run again") from error
    missing = [name for name in variables if name not in loaded]
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}: it was written by something else; delete it and run again")
    return loaded


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes, first 16 hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def text_digest(content: object) -> str:
    """Digest of any JSON-ready value, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


@functools.cache
def git_commit() -> str:
    """The commit of the package's source tree, or 'unknown' outside a checkout; '+' marks uncommitted changes."""
    root = Path(__file__).resolve().parent
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12"], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip()


def provenance(parents: Iterable[str | Path] = (), **facts: object) -> dict[str, str]:
    """Attributes for every file: facts as JSON, package version, commit, digests of the files it was made from. No clock."""
    digests = {str(parent): file_digest(parent) for parent in parents}
    attributes = {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()}
    return {
        **attributes,
        "ennforce_version": __version__,
        "git_commit": git_commit(),
        "parents": json.dumps(digests),
        "Conventions": "CF-1.10",
    }
