"""Files of the project: atomic NetCDF, provenance on every file, and clear refusal of broken ones.

A file is written beside its destination, synced, and moved into place, so that a file by its final name is always whole. A NetCDF
file ends in its own digest (HDF5 ignores what follows its end), and what its header claims is checked before anything is read. A
JSON file holds the digest of its content.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr

from ennforce import __version__

SIGNATURE = b"\x89HDF\r\n\x1a\n"
TRAILER = b"\nennforce sha256 "  # then 64 hexadecimal digits and a newline
TRAILER_LENGTH = len(TRAILER) + 65
PART = ".part"  # ends the name of a file that is being written
LARGEST_JSON = 2**26  # bytes
DIGEST = "sha256"  # key of a JSON file: of all its other content
# What a NetCDF file may claim to hold, in bytes: so much in any case, else so many times its own size. Measured data compress
# threefold at most; a bomb claims a thousand times its size and more.
CLAIM, EXPANSION = 2**28, 20
# Dimensions of what stages read of each other, where files of several kinds share a name all of them.
CONTRACT = {
    "fields": ("sample component y x", "snapshot_time replica y x", "replica y x"),
    "forces_electronic": ("sample component y x",),
    "kind": ("sample",),
    "trajectory": ("sample",),
    "split": ("sample",),
    "structure_factor": ("time replica k",),
    "correlation": ("time replica r",),
    "wall_density": ("time replica",),
    "length_half": ("replica time",),
    "structure_factor_mean": ("time k",),
    "late_exponent": ("definition",),
    "state_fields": ("replica y x",),
    "state_momenta": ("replica y x",),
}
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


class DataError(RuntimeError):
    """A file is missing, broken, or not what it should be; the message is one line that says what to do."""


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> None:
    """Call ``write(temporary path)``, sync it and move it to ``path``; nothing is left behind on failure."""
    path = Path(path)
    temporary: Path | None = None
    if path.is_dir():
        raise DataError(f"{path} is a folder, where a file is to be written: name another file, or move the folder away")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        # mkstemp makes files private; results are as readable as the user's umask allows.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        if path.parent.is_dir() and not isinstance(error, PermissionError):  # libraries have other words for a full disk
            reason = f"{reason}; {shutil.disk_usage(path.parent).free / 2**20:.1f} MiB are free there"
        advice = "free or mend the disk"
        if isinstance(error, PermissionError):
            advice = "allow writing there"
        elif isinstance(error, FileExistsError | NotADirectoryError):
            advice = "a part of that path is a file, where folders are needed: name another"
        raise DataError(f"{path} could not be written ({reason}): {advice} and run again") from error
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)


def remove_parts(folder: Path, name: str) -> None:
    """Remove what a killed ``write_atomically`` left of files whose names match the pattern ``name``."""
    for stale in folder.glob(f".{name}.????????{PART}"):
        stale.unlink(missing_ok=True)


def write_json(path: str | Path, content: Mapping) -> None:
    """Write an object, atomically, with its digest."""
    content = {key: value for key, value in content.items() if key != DIGEST}
    text = json.dumps({**content, DIGEST: _json_digest(content)}, indent=2) + "\n"
    write_atomically(path, lambda p: p.write_text(text, encoding="utf-8"))


def _json_digest(content: Mapping) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def read_json(path: str | Path, keys: Iterable[str] = ()) -> dict:
    """The object in a JSON file, without its digest.

    Raises DataError if it is missing, broken, no object, not what its digest says, or lacks one of ``keys``. A file without a
    digest, written by other programs, is read all the same.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise DataError(f"{path} is larger than any description ({LARGEST_JSON} bytes): delete it and run again")
        content = json.loads(path.read_text(encoding="utf-8"))
        digest = content.pop(DIGEST, None) if isinstance(content, dict) else None
        if digest is not None and digest != _json_digest(content):
            raise DataError(f"{path} has changed since it was written: delete it and run again")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): make it again with the rule that writes it") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({one_line(error)}): delete it and run again") from error
    missing = [key for key in keys if not isinstance(content, dict) or key not in content]
    if missing or not isinstance(content, dict):
        raise DataError(f"{path} lacks {', '.join(missing) or 'named values'}: it was written by something else; make it again")
    return content


def one_line(error: BaseException) -> str:
    """The message of an error of some library, fit for a line of ours."""
    return " ".join(str(error).split())[:200] or type(error).__name__


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
            if name in CONTRACT and " ".join(dims) not in CONTRACT[name]:
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


def inherited(dataset: xr.Dataset) -> dict[str, str]:
    """What ``provenance`` of a file made from ``dataset`` repeats of it: model, solver, tolerance and seed."""
    return {key: str(dataset.attrs.get(key, "none")) for key in INHERITED}
