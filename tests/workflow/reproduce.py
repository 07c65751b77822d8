"""Do equal seeds give equal results? python -m tests.workflow.reproduce [results/one results/other]

Without arguments the smoke study is run in two copies of the project, one in a folder with an awkward name, and compared.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
import xarray as xr

# Where, when and by which commit something was made is not what it is.
LEFT_OUT = ("logs", "benchmarks", "resume", "report.html")
PROVENANCE = ("provenance", "git_commit", "ennforce_version", "parents", "dataset", "weights", "sha256")


def differences(one: Path, other: Path) -> tuple[list[str], Counter[str]]:
    """One line for each mismatch between two finished studies, and how many files of each kind (variables of NetCDF) agree."""
    files = {f.relative_to(study) for study in (one, other) for f in study.rglob("*") if f.is_file()}
    found: list[str] = []
    equal: Counter[str] = Counter()
    for file in sorted(f for f in files if f.parts[0] not in LEFT_OUT):
        pair = one / file, other / file
        kind = file.suffix.removeprefix(".")
        if not all(path.exists() for path in pair):
            found.append(f"{file}: only in {one if pair[0].exists() else other}")
            continue
        unequal = COMPARISONS.get(kind, _unequal_bytes)(*pair)
        found += [f"{file}: {what} differs" for what in unequal]
        if not unequal:
            equal[kind] += 1
    return found, equal


def _unequal_bytes(one: Path, other: Path) -> list[str]:
    first, second = one.read_bytes(), other.read_bytes()
    if first == second:
        return []
    at = next((n for n, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), min(len(first), len(second)))
    return [f"byte {at} of {len(first)} and {len(second)}"]


def _unequal_variables(one: Path, other: Path) -> list[str]:
    """Variables that do not agree bit by bit, and attributes other than provenance."""
    with xr.open_dataset(one, decode_cf=False) as first, xr.open_dataset(other, decode_cf=False) as second:
        found = [f"{name} (in one file alone)" for name in sorted(first.variables.keys() ^ second.variables.keys(), key=str)]
        for name in sorted(first.variables.keys() & second.variables.keys(), key=str):
            a, b = first.variables[name], second.variables[name]
            if (a.dims, a.dtype, a.shape) != (b.dims, b.dtype, b.shape):
                found.append(f"the type or shape of {name}")
            elif a.values.tobytes() != b.values.tobytes():
                found.append(f"{name} ({np.count_nonzero(a.values != b.values)} of {a.size} values)")
            found += _unequal_items(_plain(a.attrs), _plain(b.attrs), f"{name}.")
        return found + _unequal_items(_plain(first.attrs), _plain(second.attrs), "")


def _plain(attributes: dict) -> dict:
    return {key: np.asarray(value).tolist() for key, value in attributes.items()}


def _unequal_items(one: dict, other: dict, at: str) -> list[str]:
    """Keys, provenance apart, whose values do not print alike (NaN and signs of zero included)."""
    keys = [key for key in sorted(one.keys() | other.keys()) if key not in PROVENANCE]
    return [
        f"{at}{key}" for key in keys if json.dumps(one.get(key)) != json.dumps(other.get(key)) or (key in one) != (key in other)
    ]


def _unequal_json(one: Path, other: Path) -> list[str]:
    return _unequal_items(json.loads(one.read_text()), json.loads(other.read_text()), "")


def _unequal_weights(one: Path, other: Path) -> list[str]:
    first, second = (torch.load(path, weights_only=True) for path in (one, other))
    return [name for name in sorted(first.keys() | second.keys()) if not torch.equal(first[name], second[name])]


def _unequal_text(one: Path, other: Path) -> list[str]:
    """Lines, that of the commit apart."""
    first, second = ([line for line in path.read_text().splitlines() if ", commit " not in line] for path in (one, other))
    return [] if first == second else ["the text"]


COMPARISONS = {"nc": _unequal_variables, "json": _unequal_json, "pt": _unequal_weights, "md": _unequal_text}


def main(arguments: list[str]) -> int:
    if len(arguments) == 2:
        return report(Path(arguments[0]), Path(arguments[1]))
    from tests.workflow.conftest import copy_of_project

    with tempfile.TemporaryDirectory() as folder:
        projects = [copy_of_project(Path(folder, name)) for name in ("one", 'an o\'ther "one"')]
        for project in projects:
            done = project.smoke()
            if done.returncode:
                print(done.stdout[-4000:], f"the smoke study failed in {project.folder}", sep="\n")
                return 1
        return report(*(project.path() for project in projects))


def report(one: Path, other: Path) -> int:
    """Print a line for each mismatch and a last line of what was compared; 1 where anything differs."""
    found, equal = differences(one, other)
    compared = ", ".join(f"{number} {kind}" for kind, number in sorted(equal.items()))
    print(*found, f"{len(found)} mismatches; equal files: {compared or 'none'}", sep="\n")
    return int(bool(found) or not equal)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
