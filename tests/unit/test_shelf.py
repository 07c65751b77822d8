"""The shelf: every entry computes what it did where it was made, studies take what fits them, and nothing incomplete gets there."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from ennforce.cli import main
from ennforce.config import ConfigError, load_study
from ennforce.files import DataError, file_digest, read_json, write_json
from ennforce.forces import ExactForces, NetworkForces
from ennforce.io import provenance, write_dataset
from ennforce.lattice import Lattice
from ennforce.models import Holstein, Peierls
from ennforce.networks import Architecture, build
from ennforce.networks.export import save_model
from ennforce.shelf import LARGEST, read_entry
from ennforce.shelving import check, shelve
from ennforce.training.dataset import configurations

ROOT = Path(__file__).parents[2]
SHELF = sorted(path.parent for path in (ROOT / "trained").glob("*/entry.json"))
MODEL = Holstein(Lattice.square(12, 12), temperature=0.2)


@pytest.mark.parametrize("folder", SHELF, ids=lambda folder: folder.name)
def test_an_entry_of_the_repository_computes_what_it_did(folder):
    entry = check(folder)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= LARGEST
    assert entry.told["study"] == folder.name and "# Model card" in (folder / "card.md").read_text()
    assert entry.told["audited"]["rows"] and all(0 < error["relative"] < 0.5 for error in entry.told["held_out"].values())


def test_the_shelf_is_not_empty():
    assert SHELF


def finished(folder: Path, model=MODEL, seed=0, **settings) -> Path:
    """What a finished study leaves of its network, with random weights: enough for the shelf."""
    torch.manual_seed(seed)
    settings = {"width": 1, "depth": 1, **settings}
    network = build(Architecture(lattice=model.lattice.name, field_type=str(model.field_type), **settings), 0.5, 0.1)
    enn, rng = folder / "models" / "enn", np.random.default_rng(seed)
    enn.mkdir(parents=True)
    shape = (4, model.components, *model.lattice.shape)
    parts = []
    for kind in ("random", "quench"):
        one = configurations(
            rng.normal(scale=0.5, size=shape), model.lattice, kind=kind, time=np.zeros(4), trajectory=np.arange(4)
        )  # fmt: skip
        labels = ExactForces(model).electronic_forces(one["fields"].values.reshape(4, *model.field_shape)).reshape(shape)
        one["forces_electronic"] = (one["fields"].dims, labels.astype(np.float32))
        parts.append(one.assign_coords(split=("sample", np.array(["train", "validation", "test", "test"]))))
    dataset = xr.concat(parts, "sample")
    dataset.attrs = provenance(model=model.parameters(), solver="exact", tolerance=1e-6, seed=1)
    data = folder / "data" / "dataset.nc"
    write_dataset(dataset, data)
    (enn / "history.csv").write_text("step,training_error,validation_error\n1,1.0,1.0\n")
    facts = {"model": model.parameters(), "target": "electronic", "history": file_digest(enn / "history.csv")}
    save_model(enn, network, facts)
    (enn / "card.md").write_text("# Model card\n")
    parents = [data, enn / "model.json", enn / "weights.pt"]
    found = {kind: {"relative": 0.9, "rmse": 0.1} for kind in ("random", "quench")}
    write_json(enn / "metrics.json", {"errors": found, "provenance": provenance(parents)})
    (folder / "analysis").mkdir()
    audit = {"rows": [{"relative": 0.9}], "largest_relative": 1.0, "at": 2.0}
    write_json(folder / "analysis" / "audit.json", {**audit, "provenance": provenance([enn / "metrics.json"])})
    return folder


@pytest.fixture
def entry(tmp_path):
    return shelve(finished(tmp_path / "results" / "tiny"), tmp_path / "trained")


def changed(entry, **told) -> None:
    """The entry with another ``entry.json``, signed as by its author."""
    write_json(entry.folder / "entry.json", {**entry.told, **told})


def test_a_study_is_shelved_whole_and_again(tmp_path, entry):
    names = {"entry.json", "model.json", "weights.pt", "history.csv", "metrics.json", "card.md", "sample.nc", "audit.json"}
    assert {path.name for path in entry.folder.iterdir()} == names
    assert check(entry.folder).digest == entry.digest
    # Labels stored with it are exact, and on configurations that were held out.
    forces = NetworkForces.load(entry.folder)
    with xr.open_dataset(entry.folder / "sample.nc") as sample:
        assert set(sample["split"].values) == {"test"} and sample.sizes["sample"] == 4
        exact = ExactForces(MODEL).electronic_forces(sample["fields"].values.astype(float))
        assert np.abs(sample["forces_electronic"].values - exact).max() < 1e-6
        one = sample.isel(sample=np.flatnonzero(sample["kind"].values == "random"))
        off = forces.electronic_forces(one["fields"].values.astype(float)) - one["forces_electronic"].values
    assert entry.told["errors"]["random"]["rmse"] == pytest.approx(np.sqrt((off**2).mean()), rel=1e-5)
    # Another training takes its place; other entries stay.
    again = shelve(finished(tmp_path / "more" / "tiny", seed=1), tmp_path / "trained")
    assert again.folder == entry.folder and again.digest != entry.digest and len(list((tmp_path / "trained").iterdir())) == 1


def test_a_model_that_is_not_audited_needs_no_audit(tmp_path):
    class Unaudited(Holstein):
        local = False

    study = finished(tmp_path / "results" / "far", model=Unaudited(MODEL.lattice, temperature=0.2))
    (study / "analysis" / "audit.json").unlink()
    from ennforce.models import registry

    registry.MODELS["unaudited"] = Unaudited
    try:
        assert shelve(study, tmp_path / "trained").told["audited"] is None
    finally:
        del registry.MODELS["unaudited"]


MISSING = ("model.json", "weights.pt", "history.csv", "metrics.json", "card.md", "dataset.nc", "audit.json")


@pytest.mark.parametrize("name", MISSING)
def test_an_incomplete_study_is_refused(tmp_path, capsys, name):
    study = finished(tmp_path / "results" / "tiny")
    (path,) = study.rglob(name)
    path.unlink()
    assert main(["shelve", str(study), "--to", str(tmp_path / "trained")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("ennforce shelve: ") and name in said and said.count("\n") == 1
    assert not (tmp_path / "trained").exists() or not list((tmp_path / "trained").iterdir())


def test_results_of_another_network_are_refused(tmp_path):
    study, other = finished(tmp_path / "results" / "tiny"), finished(tmp_path / "results" / "other", seed=1)
    for name, message in (
        ("models/enn/metrics.json", "was made from another model.json and weights.pt and dataset.nc than is there now"),
        ("models/enn/history.csv", "is not the file that model.json describes"),
    ):
        kept = (study / name).read_bytes()
        (study / name).write_bytes((other / name).read_bytes() + b"\n")
        with pytest.raises(DataError, match=message):
            shelve(study, tmp_path / "trained")
        (study / name).write_bytes(kept)
    write_json(study / "models" / "enn" / "metrics.json", {**read_json(study / "models" / "enn" / "metrics.json"), "more": 1})
    with pytest.raises(DataError, match=r"audit.json was made from another metrics.json"):
        shelve(study, tmp_path / "trained")


def test_what_is_too_large_is_refused(tmp_path):
    with pytest.raises(DataError, match="1 MiB is the most for an entry of the shelf: use a smaller network"):
        shelve(finished(tmp_path / "results" / "wide", width=160, separable=True), tmp_path / "trained")
    assert not list((tmp_path / "trained").iterdir())


def test_a_network_from_the_shelf_does_not_go_there_again(tmp_path, entry):
    study = finished(tmp_path / "results" / "again")
    facts = read_json(study / "models" / "enn" / "model.json")
    write_json(study / "models" / "enn" / "model.json", {**facts, "shelf": {"entry": "trained/tiny", "digest": "0"}})
    with pytest.raises(DataError, match="took its network from trained/tiny"):
        shelve(study, tmp_path / "trained")


@pytest.mark.parametrize("name", ["model.json", "weights.pt", "history.csv", "metrics.json", "card.md", "sample.nc", "audit.json"])
def test_a_damaged_entry_is_refused(entry, name):
    path = entry.folder / name
    path.write_bytes(path.read_bytes()[:-1] + b"~")
    with pytest.raises(DataError, match=f"{name} in .* changed since the study was shelved") as told:
        read_entry(entry.folder)
    assert "\n" not in str(told.value)
    path.unlink()
    with pytest.raises(DataError, match=f"lacks {name}"):
        read_entry(entry.folder)


def test_other_entries_are_refused_in_one_line(tmp_path, entry):
    changed(entry, format=2)
    with pytest.raises(DataError, match="an entry of version 2 of the shelf, and this is version 1"):
        read_entry(entry.folder)
    for told, message in (
        ({"files": 3}, "has no such files"),
        ({"files": {**entry.told["files"], "../../x": "0"}}, "has no such files"),
        ({"errors": {"quench": {}}}, "has no such errors.quench.rmse"),
    ):
        changed(entry, **told)
        with pytest.raises(DataError, match=message) as said:
            read_entry(entry.folder)
        assert "\n" not in str(said.value)
    changed(entry)
    (entry.folder / "notes.txt").write_bytes(b" " * LARGEST)
    with pytest.raises(DataError, match=r"has 1\.\d+ MiB, and 1 MiB is the most"):
        read_entry(entry.folder)
    (entry.folder / "notes.txt").unlink()
    with pytest.raises(DataError, match="is no network of the shelf, for it holds no entry.json: there are tiny"):
        read_entry(tmp_path / "trained" / "none")
    text = (entry.folder / "entry.json").read_text()
    (entry.folder / "entry.json").write_text(text.replace('"tiny"', '"other"'))
    with pytest.raises(DataError, match="has changed since it was written"):
        read_entry(entry.folder)


def test_a_network_that_errs_otherwise_than_it_did_is_refused(entry):
    errors = json.loads(json.dumps(entry.told["errors"]))
    errors["quench"]["rmse"] *= 1.01
    changed(entry, errors=errors)
    with pytest.raises(DataError, match="on its quench configurations here"):
        check(entry.folder)


def study(entry, **sections) -> dict:
    """A study that takes the entry, for its model."""
    network = {"from": str(entry.folder), **sections.get("network", {})}
    return {"model": {"electron_temperature": 0.2}, **sections, "network": network}


def test_a_study_takes_a_network_with_all_that_describes_it(entry):
    found = load_study(study(entry))
    assert found.network.width == 1 and found.network.architecture["kind"] == "enn" and found.shelf_entry.digest == entry.digest
    assert found.network.held_out == "stored" and load_study({}).shelf_entry is None
    assert "shelf" not in found.network.architecture and "from" not in found.network.architecture
    assert found.conservation.networks == []  # nothing is trained that was not asked for
    assert load_study(study(entry, conservation={"networks": ["cnn"]})).conservation.networks == ["cnn"]
    # The coupling is free: electrons see g Q alone.
    assert load_study(study(entry, model={"electron_temperature": 0.2, "g": 1.4})).model.g == 1.4


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"model": {"electron_temperature": 0.1}}, r"trained for electron_temperature = 0.2 \(not 0.1\), energies in units of"),
        (
            {"model": {"electron_temperature": 0.2, "g": 1.4}, "training": {"target": "total"}},
            "to learn the force called electronic",
        ),
        ({"model": {"electron_temperature": 0.2, "lattice": "triangular"}}, "on the lattice square, and the study has triangular"),
        ({"model": {"electron_temperature": 0.2, "chemical_potential": 0.1}}, "for a field of type 1xA1o, and the study has 1xA1e"),
        ({"training": {"target": "total"}}, "to learn the force called electronic, and the study has total"),
        ({"network": {"width": 2}}, "network: a network from .* has its own width: leave that out"),
        ({"refine": {"rounds": 1}}, "is used as it is, but refine.rounds asks to train"),
        ({"network": {"from": "nowhere"}}, "network: from = nowhere is no network of the shelf"),
        ({"large": {"shape": [4, 4]}}, "network reaches 3 sites, but large.shape"),
    ],
)
def test_what_does_not_fit_is_told_when_the_configuration_is_read(entry, sections, message):
    with pytest.raises(ConfigError, match=message) as told:
        load_study(study(entry, **sections))
    assert len(str(told.value).splitlines()) == 1


def test_a_second_model_has_a_shelf_too(tmp_path):
    """Displacements of two components on another lattice."""
    model = Peierls(Lattice.triangular(12, 12), temperature=0.2)
    entry = shelve(finished(tmp_path / "results" / "ions", model=model), tmp_path / "trained")
    section = {"name": "peierls", "lattice": "triangular", "electron_temperature": 0.2}
    found = load_study(study(entry, model=section))
    assert found.network.architecture["separable"] is False
    with pytest.raises(ConfigError, match="trained for a field of type 1xE1e"):
        load_study(study(entry, model={"name": "holstein", "lattice": "triangular", "electron_temperature": 0.2}))
