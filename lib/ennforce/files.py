"""Files that are whole or not there: atomic writing, and JSON that holds the digest of its content.

A file is written beside its destination, synced, and moved into place, so that a file by its final name is always whole. Imported
while the Snakefile is parsed, so nothing heavy is imported here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

PART = ".part"  # ends the name of a file that is being written
LARGEST_JSON = 2**26  # bytes
DIGEST = "sha256"  # key of a JSON file: of all its other content


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


def write_text(path: str | Path, text: str) -> None:
    """Write a text in UTF-8, atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def remove_parts(folder: Path, name: str) -> None:
    """Remove what a killed ``write_atomically`` left of files whose names match the pattern ``name``."""
    for stale in folder.glob(f".{name}.????????{PART}"):
        stale.unlink(missing_ok=True)


def write_json(path: str | Path, content: Mapping) -> None:
    """Write an object, atomically, with its digest."""
    content = {key: value for key, value in content.items() if key != DIGEST}
    text = json.dumps({**content, DIGEST: _json_digest(content)}, indent=2) + "\n"
    write_text(path, text)


def _json_digest(content: Mapping) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def read_json(path: str | Path, keys: Iterable[str] = (), *, signed: bool = False) -> dict:
    """The object in a JSON file, without its digest.

    Raises DataError if it is missing, broken, no object, not what its digest says, or lacks one of ``keys``. A file without a
    digest, written by other programs, is read all the same, unless it must be ``signed``.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise DataError(f"{path} is larger than any description ({LARGEST_JSON} bytes): delete it and run again")
        content = json.loads(path.read_text(encoding="utf-8"))
        digest = content.pop(DIGEST, None) if isinstance(content, dict) else None
        if digest != _json_digest(content) if digest is not None else signed:
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


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes, first 16 hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def text_digest(content: object) -> str:
    """Digest of any JSON-ready value, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]
