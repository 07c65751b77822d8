"""Entries of the shelf: made from finished studies, checked by the network's probe and its error on the stored configurations."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from ennforce.forces import ExactForces, NetworkForces
from ennforce.io import DataError, attribute, file_digest, inherited, provenance, read_dataset, read_json, write_dataset, write_json
from ennforce.models import Hamiltonian, from_parameters
from ennforce.networks import PACKAGED
from ennforce.shelf import AUDIT, FILES, FORMAT, Entry, read_entry, require_small
from ennforce.training.metrics import force_errors

KINDS = ("random", "quench")
SAMPLES = 4  # of each kind, at most
SAMPLE_BYTES = 2**18  # of all of them
AGREEMENT = 1e-3  # of an error found again with the one that was stored: other machines round otherwise


def shelve(study: str | Path, shelf: str | Path = "trained") -> Entry:
    """Put the network of the finished study in ``results/<study>`` on the shelf, in place of an earlier one of that name.

    Raises DataError where a part of the study is missing or belongs to another network, or the entry would be too large, and
    ValueError for a kind of network of a user's own, which the shelf could not build again. Nothing is changed then.
    """
    study, shelf = Path(study), Path(shelf)
    sources = {name: study / "models" / "enn" / name for name in FILES if name != "sample.nc"}
    description = _found(sources["model.json"], ("model", "target", "architecture"))
    forces = NetworkForces.load(study / "models" / "enn")
    if description["architecture"]["kind"] not in PACKAGED:
        raise ValueError(
            f"{study} has a network of a kind of your own, which others could not build: the shelf takes packaged ones"
        )
    if "shelf" in description:
        raise DataError(f"{study} took its network from {description['shelf']['entry']}: there is nothing new to put on the shelf")
    if forces.model.local:
        sources[AUDIT] = study / "analysis" / AUDIT
    data = study / "data" / "dataset.nc"
    for path in (*sources.values(), data):
        if not path.is_file():
            raise DataError(f"{study} is not finished, for it lacks {path.relative_to(study)}: run the study first, then shelve it")
    metrics = _found(sources["metrics.json"], ("errors", "provenance"))
    _require_made_of(sources["metrics.json"], metrics, [sources["model.json"], sources["weights.pt"], data])
    if file_digest(sources["history.csv"]) != description.get("history"):
        raise DataError(f"{sources['history.csv']} is not the file that model.json describes: run the study again")
    audit = None
    if AUDIT in sources:
        audit = _found(sources[AUDIT], ("rows", "largest_relative", "at", "provenance"))
        _require_made_of(sources[AUDIT], audit, [sources["metrics.json"]])
    sample = held_out(read_dataset(data, ["fields", "forces_electronic", "kind", "split"]), forces.model, data)
    shelf.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=shelf, prefix=".") as made:
        entry = Path(made) / study.name
        entry.mkdir()
        for name, path in sources.items():
            shutil.copyfile(path, entry / name)
        write_dataset(sample, entry / "sample.nc")
        files = {name: file_digest(entry / name) for name in (*sources, "sample.nc")}
        told = {
            "format": FORMAT,
            "study": study.name,
            "files": files,
            "errors": errors(forces, sample),  # on the stored configurations
            "held_out": metrics["errors"],  # on all that the study held out
            "audited": audit and {key: audit[key] for key in ("rows", "largest_relative", "at")},
            "provenance": made_of([*sources.values(), data], study),
        }
        write_json(entry / "entry.json", told)
        require_small(entry)
        check(entry)
        kept = shelf / study.name
        if kept.exists():
            kept.rename(Path(made) / "before")
        entry.rename(kept)
    return read_entry(kept)


def held_out(dataset: xr.Dataset, model: Hamiltonian, source: Path) -> xr.Dataset:
    """A few test configurations of each kind with their exact forces, spread over those of the data set, of its form."""
    bytes_each = 2 * 4 * dataset["fields"][0].size
    count = int(np.clip(SAMPLE_BYTES // (len(KINDS) * bytes_each), 1, SAMPLES))
    chosen = []
    for kind in KINDS:
        members = np.flatnonzero((dataset["split"].values == "test") & (dataset["kind"].values == kind))
        if not len(members):
            raise DataError(f"{source} holds out no {kind} configurations, by which the network could be judged: make it again")
        chosen += sorted({int(members[int(n)]) for n in np.linspace(0, len(members) - 1, count)})
    some = dataset[["fields", "forces_electronic"]].isel(sample=chosen)
    exact = ExactForces(model.resized(*some["fields"].shape[-model.lattice.dimension :]))
    labels = np.array([exact.electronic_forces(fields) for fields in some["fields"].values.astype(float)])
    some["forces_electronic"] = (some["fields"].dims, labels.astype(np.float32), some["forces_electronic"].attrs)
    # Rounding of the labels to single precision is all that is left of an error.
    facts = {**inherited(dataset), "solver": "exact", "tolerance": "1e-06"}
    if "bath" in dataset.attrs:
        facts["bath"] = dataset.attrs["bath"]
    some.attrs = made_of([source], source.parents[1], **facts)
    return some


def made_of(parents: list[Path], study: Path, **facts: object) -> dict[str, str]:
    """Attributes that say what was made of which files, with their paths within ``study``, wherever that lies."""
    digests = {path.relative_to(study.parent).as_posix(): file_digest(path) for path in parents}
    return {**provenance([], **facts), "parents": json.dumps(digests)}


def errors(forces: NetworkForces, sample: xr.Dataset) -> dict[str, dict[str, float]]:
    """Errors of the network on the stored configurations, by kind, as ``force_errors`` gives them."""
    found = {}
    for kind in KINDS:
        some = sample.isel(sample=np.flatnonzero(sample["kind"].values == kind))
        fields, labels = some["fields"].values, some["forces_electronic"].values
        both = (forces.model.space.acting(values, fields, axis=1) for values in (forces.electronic_forces(fields), labels))
        found[kind] = {**force_errors(*both), "configurations": some.sizes["sample"]}
    return found


def check(folder: str | Path) -> Entry:
    """The entry, whose network gives here the forces that it gave where it was shelved; raises DataError where it does not."""
    entry = read_entry(folder)
    forces = NetworkForces.load(entry.folder)  # which looks at the probe
    sample = read_dataset(entry.folder / "sample.nc", ["fields", "forces_electronic", "kind", "split"])
    if from_parameters(attribute(sample, "model")).parameters() != from_parameters(entry.model["model"]).parameters():
        raise DataError(f"{entry.folder}/sample.nc holds configurations of another model than the network's: shelve it again")
    for kind, found in errors(forces, sample).items():
        known = entry.told["errors"].get(kind, {"rmse": np.nan})["rmse"]
        if not abs(found["rmse"] - known) <= AGREEMENT * known:
            raise DataError(
                f"{entry.folder} errs by {found['rmse']:.4g} t on its {kind} configurations here, and by {known:.4g} where it was "
                f"shelved: shelve the study again"
            )
    return entry


def _found(path: Path, keys: tuple[str, ...]) -> dict:
    if not path.is_file():
        raise DataError(f"{path.parents[2]} is not finished, for it lacks {path.name}: run the study first, then shelve it")
    return read_json(path, keys)


def _require_made_of(path: Path, content: dict, parents: list[Path]) -> None:
    """Raise DataError unless a result was made from these very files."""
    known = set(json.loads(content["provenance"]["parents"]).values())
    others = [parent.name for parent in parents if file_digest(parent) not in known]
    if others:
        raise DataError(f"{path} was made from another {' and '.join(others)} than is there now: run the study again, then shelve")
