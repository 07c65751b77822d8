"""Files of the project: atomic NetCDF, provenance on every file, and clear refusal of broken ones.

A NetCDF file ends in its own digest (HDF5 ignores what follows its end), and what its header claims is checked before anything is
read. Atomic writing and JSON are those of ``files``, whose names this module has too.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr

from ennforce import __version__
from ennforce.files import DataError, file_digest, one_line, read_json, remove_parts, text_digest, write_atomically, write_json

__all__ = [
    "DataError", "attribute", "file_digest", "git_commit", "inherited", "one_line", "provenance", "read_dataset", "read_json",
    "remove_parts", "text_digest", "write_atomically", "write_dataset", "write_json",
]  # fmt: skip

SIGNATURE = b"\x89HDF\r\n\x1a\n"
TRAILER = b"\nennforce sha256 "  # then 64 hexadecimal digits and a newline
TRAILER_LENGTH = len(TRAILER) + 65
# What a NetCDF file may claim to hold, in bytes: so much in any case, else so many times its own size. Measured data compress
# threefold at most; a bomb claims a thousand times its size and more.
CLAIM, EXPANSION = 2**28, 20
# Dimensions of what stages read of each other, where files of several kinds share a name all of them; "..." are those of one
# configuration: the lattice's, behind ``component`` where there are several numbers per site, and in data sets always.
CONTRACT = {
    "fields": ("sample ...", "snapshot_time replica ...", "replica ..."),
    "forces_electronic": ("sample ...",),
    "kind": ("sample",),
    "trajectory": ("sample",),
    "split": ("sample",),
    "structure_factor": ("time replica k",),
    "correlation": ("time replica r",),
    "wall_density": ("time replica",),
    "structure_factor_mean": ("time k",),
    "late_exponent": ("definition",),
    "state_fields": ("replica ...",),
    "state_momenta": ("replica ...",),
}
CONFIGURATION = re.compile(r"( component)?(( z)? y)? x$")
TEXT = ("kind", "split", "solver_method", "definition")  # everything else in CONTRACT is numbers
# Where a value that is not finite would be drawn, averaged or learned from without a word.
FINITE = (
    "fields",
    "forces_electronic",
    "structure_factor",
    "correlation",
    "wall_density",
    "state_fields",
    "state_momenta",
    "momenta",
    "grand_potential",
)
INHERITED = ("model", "solver", "tolerance", "seed")  # provenance that holds for all that is made from a file


def write_dataset(dataset: xr.Dataset, path: str | Path) -> None:
    """Write NetCDF-4, atomically, with its digest at the end; arrays of more than 100 000 values are compressed (lossless)."""
    encoding: dict = {
        name: {"zlib": True, "complevel": 1, "shuffle": True}
        for name, variable in dataset.variables.items()
        if variable.dtype.kind == "f" and variable.size > 100_000
    }
    # Text of fixed length: the size of strings of variable length stands in no header.
    encoding |= {name: {"dtype": "S1"} for name, variable in dataset.variables.items() if variable.dtype.kind in "UO"}

    def write(path: Path) -> None:
        try:
            dataset.to_netcdf(path, engine="netcdf4", format="NETCDF4", encoding=encoding)
        except RuntimeError as error:  # netCDF4's wording of a full disk
            raise OSError(0, str(error)) from error
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        with path.open("ab") as stream:
            stream.write(TRAILER + digest.encode() + b"\n")

    write_atomically(path, write)


def read_dataset(path: str | Path, variables: Iterable[str] = ()) -> xr.Dataset:
    """Load a whole NetCDF file into memory.

    Raises DataError if it is missing, broken, not what its digest says, claims more than it can hold, lacks one of ``variables``,
    holds what is not as CONTRACT says, or values that are not finite where FINITE wants them. A file without a digest, written by
    other programs, is read all the same.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist: run the rule that writes it")
    try:
        _check_digest(path)
        _check_header(path)
        with xr.open_dataset(path, engine="netcdf4", decode_times=False) as dataset:
            loaded = dataset.load()
    except DataError:
        raise
    except PermissionError as error:
        raise DataError(f"{path} may not be read: allow reading it and run again") from error
    except Exception as error:  # whatever the libraries make of a broken file
        raise DataError(f"{path} is not a readable NetCDF file ({one_line(error)}): delete it and run again") from error
    missing = [name for name in variables if name not in loaded]
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}: it was written by something else; delete it and run again")
    for name in (name for name in FINITE if name in loaded):
        if wrong := np.count_nonzero(~np.isfinite(loaded[name].values)):
            raise DataError(f"{path} holds {wrong} values of {name} that are NaN or infinite: delete it and run again")
    return loaded


def _check_digest(path: Path) -> None:
    """Raise unless the file is HDF5 and as it was written, where it says how it was written."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        if stream.read(len(SIGNATURE)) != SIGNATURE:
            raise ValueError("no HDF5 signature")
        stream.seek(max(0, size - TRAILER_LENGTH))
        end = stream.read()
        if not end.startswith(TRAILER):
            return
        stream.seek(0)
        digest, left = hashlib.sha256(), size - TRAILER_LENGTH
        while left:
            block = stream.read(min(left, 2**20))
            digest.update(block)
            left -= len(block)
    if end[len(TRAILER) :].strip() != digest.hexdigest().encode():
        raise ValueError("its content has changed since it was written")


def _check_header(path: Path) -> None:
    """Raise unless a file holds plain arrays, as CONTRACT says, of a size that it can hold; reads no values."""
    claimed = 0
    with netCDF4.Dataset(path) as file:
        if file.groups:
            raise ValueError("it has groups")
        for name, variable in file.variables.items():
            kind = variable.dtype.kind if isinstance(variable.dtype, np.dtype) else "vlen"
            if kind not in ("S" if name in TEXT else "fiu" if name in CONTRACT else "fiuS"):
                raise ValueError(f"{name} is of type {variable.dtype}, not {'text of fixed length' if name in TEXT else 'numbers'}")
            dims = variable.dimensions[:-1] if kind == "S" else variable.dimensions
            if name in CONTRACT and not {" ".join(dims), CONFIGURATION.sub(" ...", " ".join(dims))} & set(CONTRACT[name]):
                raise ValueError(f"{name} has dimensions {dims}, not {' or '.join(CONTRACT[name])}")
            # A chunk is read whole, however little of it the variable fills.
            chunks = variable.chunking()
            values = max(math.prod(variable.shape), 0 if chunks == "contiguous" else math.prod(chunks))
            claimed += values * variable.dtype.itemsize
    if claimed > max(CLAIM, EXPANSION * path.stat().st_size):
        raise ValueError(f"it claims {claimed} bytes of values, more than a file of its size holds")


def attribute(dataset: xr.Dataset, name: str) -> dict:
    """An attribute that ``provenance`` wrote as JSON; raises DataError where it is missing or not a JSON object."""
    try:
        content = json.loads(dataset.attrs[name])
    except (KeyError, TypeError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise DataError(f"a data set's attribute {name} is missing or no JSON object: make the file again")
    return content


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


def inherited(dataset: xr.Dataset) -> dict[str, str]:
    """What ``provenance`` of a file made from ``dataset`` repeats of it: model, solver, tolerance and seed."""
    return {key: str(dataset.attrs.get(key, "none")) for key in INHERITED}
