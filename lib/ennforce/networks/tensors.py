"""Tensors from files, without running anything that a file says."""

from __future__ import annotations

import math
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from ennforce.io import DataError, one_line


def write_tensors(content: dict[str, Any], path: Path) -> None:
    """Write a dictionary of tensors and plain values; equal content gives equal bytes."""
    with path.open("wb") as stream:  # given a path, torch would write its name into the file
        torch.save(content, stream)


def read_tensors(path: str | Path) -> dict[str, Any]:
    """The dictionary of tensors and plain values that ``torch.save`` wrote, on the CPU.

    Raises DataError for a file that is missing, damaged (by the checksum of every entry), of another format, or holds more than
    its own size.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            # torch stores without compressing: what is compressed can only be meant to burst.
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise ValueError("compressed entries")
            if sum(entry.file_size for entry in entries) > path.stat().st_size:
                raise ValueError("entries larger than the file")
            if archive.testzip() is not None:
                raise ValueError("a checksum is wrong")
        # mmap: tensors are slices of the file and cannot reach beyond it, whatever sizes they claim.
        content = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    except pickle.UnpicklingError as error:  # torch's own message advises to switch the protection off
        raise DataError(f"{path} holds something else than tensors and plain values: delete it and run again") from error
    except Exception as error:  # whatever the libraries make of a broken file
        raise DataError(f"{path} is not a file of tensors ({one_line(error)}): delete it and run again") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is not a file of named tensors: delete it and run again")
    return content


def alike(value: Any, model: Any) -> bool:
    """Whether ``value`` has the types, names and shapes of ``model``, all through, and finite values."""
    if isinstance(model, torch.Tensor):
        fits = isinstance(value, torch.Tensor) and (value.shape, value.dtype) == (model.shape, model.dtype)
        return fits and bool(torch.isfinite(value).all())
    if type(value) is not type(model):
        return False
    if isinstance(model, dict):
        return value.keys() == model.keys() and all(alike(value[key], model[key]) for key in model)
    if isinstance(model, (list, tuple)):
        return len(value) == len(model) and all(map(alike, value, model))
    return not isinstance(value, float) or math.isfinite(value) or value == model
