"""Check that a finished study's figures and numbers exist and are sane: python tests/workflow/check_results.py results/smoke"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import xarray as xr

from ennforce.figures import table
from ennforce.io import file_digest

FIGURES = [f"{name}.{ending}" for name, entry in table().items() if "figures" in entry.targets for ending in entry.formats]
STARTS = {"svg": b"<?xml", "png": b"\x89PNG", "gif": b"GIF8"}
MADE_BY = ("ennforce_version", "git_commit", "parents")
SETTINGS = ("model", "solver", "tolerance", "seed")


def provenance_problems(study: Path) -> list[str]:
    """Files that do not say what they were made from, and parents that are not what the files say."""
    found = []
    for path in sorted([*study.rglob("*.nc"), *study.rglob("*.json")]):
        inside = path.relative_to(study)
        if inside.parts[0] in ("logs", "resume"):
            continue
        if path.suffix == ".nc":
            with xr.open_dataset(path) as data:
                facts, wanted = dict(data.attrs), (*MADE_BY, *SETTINGS)
        else:
            facts, wanted = json.loads(path.read_text()).get("provenance", {}), MADE_BY
        missing = [name for name in wanted if not facts.get(name)]
        if missing:
            found.append(f"{path} does not tell its {', '.join(missing)}")
            continue
        if "model" in facts and "temperature" not in json.loads(facts["model"]):
            found.append(f"{path} does not tell the model's parameters")
        parents = json.loads(facts["parents"])
        first = "samples" in inside.parts or (inside.parts[0] == "trajectories" and "kpm" in path.name)
        first |= path.name in ("start.nc", "barrier.json", "model_check.json")  # made from the settings alone
        if not parents and not first:
            found.append(f"{path} does not tell what it was made from")
        for parent, digest in parents.items():
            name = Path(*Path(parent).parts[2:])  # below results/<study>
            if file_digest(study / name) != digest:
                found.append(f"{path} was made from another {name}")
    return found


def problems(study: Path) -> list[str]:
    """What is missing or not believable, one line each."""
    found = []
    for name in FIGURES:
        path = study / "figures" / name
        if not path.exists() or not path.read_bytes().startswith(STARTS[path.suffix[1:]]) or path.stat().st_size < 5000:
            found.append(f"{path} is missing or not a figure")
    summary = json.loads((study / "summary.json").read_text())
    if not summary["force_error"]["quench"]["relative"] < 0.3:
        found.append(f"the force error on quench data is {summary['force_error']['quench']['relative']:.2f}")
    if not summary["equivariance_error"] < 1e-5:
        found.append(f"the equivariance error is {summary['equivariance_error']:.1e}")
    rows = [row for row in summary["comparison"]["rows"] if row["difference"] is not None]
    if len(rows) < 4 or not all(row["low"] <= row["difference"] <= row["high"] for row in rows):
        found.append(f"impossible intervals of the comparison: {rows}")
    if not 0 < summary["comparison"]["solver_force_error"]["rms"] < 0.1:
        found.append(f"the solver's own force error is {summary['comparison']['solver_force_error']}")
    if "nan" in (study / "summary.md").read_text():
        found.append("the summary shows nan")
    if (study / "report.html").exists():
        found += report_problems((study / "report.html").read_text())
    return found + provenance_problems(study)


def report_problems(page: str) -> list[str]:
    """The opening of a report: question, answer and drawings, and nothing that docutils could not read."""
    opening = next(line for line in page.splitlines() if "var workflow_desc =" in line)
    found = [f"the report opens without {part!r}" for part in ("Question.", "Answer.") if part not in opening]
    found += [] if opening.count("<svg") == 3 else [f"the report opens with {opening.count('<svg')} figures"]
    return found + (["the report opens with an error of docutils"] if "system-message" in opening else [])


if __name__ == "__main__":
    found = problems(Path(sys.argv[1]))
    print("\n".join(found) or f"{sys.argv[1]}: {len(FIGURES)} figure files and all numbers are there and sane")
    sys.exit(bool(found))
