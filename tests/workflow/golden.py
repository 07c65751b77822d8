"""Numbers of the smoke study before the code was rebuilt around one model object, and a comparison of a finished study with them.

    python -m tests.workflow.golden results/smoke           # differences, one line each; nothing where there are none
    python -m tests.workflow.golden results/smoke --write   # keep these numbers instead

Beyond the data, numbers depend on the last bit of the arithmetic, which another processor may round otherwise and which chaos
magnifies: ``SAFE`` files are compared everywhere, all files on the machine that wrote the numbers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

KEPT = Path(__file__).with_name("golden.json")
SAFE = ("data/",)  # folders whose numbers come before training
SKIPPED = ("logs/", "benchmarks/", "resume/", "sweep", "frontier/comparison", "frontier/timings")
UNCOMPARED = ("provenance", "versions", "seconds", "history", "dataset", "sources", "stopped")
TOLERANCE = 1e-6


def numbers(study: Path) -> dict[str, list[float]]:
    """Key of file and variable -> a few numbers that fix it: mean, rms and the first value of an array."""
    found: dict[str, list[float]] = {}
    for path in sorted([*study.rglob("*.nc"), *study.rglob("*.json")]):
        name = path.relative_to(study).as_posix()
        if name.startswith(SKIPPED):
            continue
        if path.suffix == ".nc":
            with xr.open_dataset(path) as data:
                for key, values in data.variables.items():
                    if values.dtype.kind in "fiu" and values.size:
                        found[f"{name}:{key}"] = _moments(values.values.astype(float))
        else:
            found.update({f"{name}:{key}": [value] for key, value in _leaves(json.loads(path.read_text()))})
    return found


def _moments(array: np.ndarray) -> list[float]:
    """Mean and rms of what is no NaN, NaN where all is, and the first value."""
    kept = array[~np.isnan(array)]
    mean, square = (float(values.mean()) if kept.size else float("nan") for values in (kept, kept**2))
    return [mean, float(np.sqrt(square)), float(array.flat[0])]


def _leaves(content: object, prefix: str = "") -> Iterator[tuple[str, float]]:
    """(dotted key, number) for every number in a JSON value."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key not in UNCOMPARED:
                yield from _leaves(value, f"{prefix}.{key}")
    elif isinstance(content, list):
        for n, value in enumerate(content):
            yield from _leaves(value, f"{prefix}.{n}")
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield prefix, float(content)


def _size(values: list[float]) -> float:
    """The largest finite one of them, by its modulus."""
    return max((abs(value) for value in values if np.isfinite(value)), default=0.0)


def differences(study: Path, everywhere: bool = False) -> list[str]:
    """Numbers that are missing or have changed by more than ``TOLERANCE`` of the rms; of ``SAFE`` files alone if ``everywhere``."""
    now, changed = numbers(study), []
    for key, was in json.loads(KEPT.read_text()).items():
        if everywhere and not key.startswith(SAFE):
            continue
        if key not in now:
            changed.append(f"{key} is missing")
        elif not np.allclose(now[key], was, rtol=TOLERANCE, atol=TOLERANCE * _size(was), equal_nan=True):
            changed.append(f"{key}: {was} has become {now[key]}")
    return changed


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    if "--write" in sys.argv:
        KEPT.write_text(json.dumps(numbers(folder), indent=0) + "\n")
    else:
        print("\n".join(differences(folder)) or f"{folder}: every number is as it was")
