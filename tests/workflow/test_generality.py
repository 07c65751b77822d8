"""Small studies from end to end beside the smoke study: spins, vectors, three dimensions, and everything of a user's own."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from ennforce.io import read_dataset
from tests.workflow.conftest import ROOT, copy_of_project

STUDIES = Path(__file__).parent / "studies"
DOCS = ROOT / "docs"
# Of each study: elements of point group times internal symmetry tried on the trained weights, and stages that its model lacks.
EXPECTED = {
    "kondo": (12 * 6, {"equilibrium", "conservation", "barrier", "response", "frontier"}),
    "peierls": (8, {"conservation", "barrier", "response", "walls"}),
    "jahnteller": (8 * 2, {"barrier", "response"}),
    "hubbard": (8 * 2, {"audit"}),
    "cubic": (48 * 2, {"barrier", "response", "walls", "symmetry", "frontier"}),
}


@pytest.fixture(scope="module")
def general(tmp_path_factory):
    return copy_of_project(tmp_path_factory.mktemp("general") / "project", compiled=True)


def require_whole(folder: Path) -> dict:
    """Every figure, number and card is there; returns the metrics of the trained network."""
    metrics, summary = (json.loads((folder / name).read_text()) for name in ("models/enn/metrics.json", "summary.json"))
    assert metrics["equivariance_error"] < 1e-5 and metrics["expansion_error"] < 1e-5
    assert summary["comparison"]["verdict"] in ("equivalent", "different", "cannot tell")
    for kind in ("random", "quench"):
        assert 0 < metrics["errors"][kind]["relative"] < 10
    figures = list((folder / "figures").glob("*.png"))
    assert len(figures) >= 10 and all(path.stat().st_size > 5000 for path in figures)
    assert "point group" in (folder / "models" / "enn" / "card.md").read_text()
    return metrics


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_a_model_of_another_kind_goes_from_its_hamiltonian_to_its_figures(name, general):
    elements, lacking = EXPECTED[name]
    done = general.snakemake("--configfile", str(STUDIES / f"{name}.yaml"))
    assert done.returncode == 0, done.stdout[-4000:]
    assert set(re.findall(r"left out: (\w+), for", done.stdout)) == lacking
    folder = general.folder / "results" / name
    assert require_whole(folder)["group_elements"] == elements
    observed = read_dataset(folder / "trajectories" / "large_network_0.nc")
    square = (observed["structure_factor"] * observed["k_modes"]).sum("k")
    assert np.isfinite(square).all() and (square > 0).all()
    if name == "kondo":  # spins keep their length in files of single precision, and have no momenta
        np.testing.assert_allclose((observed["fields"].astype(float) ** 2).sum("component"), 1.0, atol=1e-6)
        assert "kinetic_temperature" not in observed and "field_square" not in observed


def test_points_of_a_sweep_share_one_network(general):
    """Trained once, on the data of all points in units of the first, and folded into a plain network of each."""
    folders = [general.folder / "results" / "shared" / f"t={t}" for t in (1.0, 1.5)]
    metrics = [str((folder / "models" / "enn" / "metrics.json").relative_to(general.folder)) for folder in folders]
    done = general.snakemake("--configfile", str(STUDIES / "shared.yaml"), "--", *metrics)
    assert done.returncode == 0, done.stdout[-4000:]
    shared = json.loads((general.folder / "results" / "shared" / "models" / "enn" / "model.json").read_text())
    assert shared["architecture"]["inputs"] == ["electron_temperature"]
    data = [read_dataset(folder / "data" / "dataset.nc") for folder in folders]
    merged = read_dataset(general.folder / "results" / "shared" / "data" / "dataset.nc")
    assert merged.sizes["sample"] == sum(one.sizes["sample"] for one in data)
    np.testing.assert_allclose(sorted(set(merged["temperature"].values)), [0.2 / 1.5, 0.2])  # in units of the first hopping
    for folder, t in zip(folders, (1.0, 1.5), strict=True):
        facts = json.loads((folder / "models" / "enn" / "model.json").read_text())
        assert facts["model"]["t"] == t and facts["architecture"]["inputs"] == []
        assert facts["seen"]["most"] == pytest.approx(t * shared["seen"]["most"])
        found = json.loads((folder / "models" / "enn" / "metrics.json").read_text())
        assert found["equivariance_error"] < 1e-5 and 0 < found["errors"]["quench"]["relative"] < 10


def test_a_network_learns_from_its_own_runs_alone(general):
    """Two rounds of learning from audits, and no trajectory that the solver drives."""
    call = ("--configfile", str(STUDIES / "refined.yaml"), "--", "results/refined/models/enn/card.md")
    done = general.snakemake(*call)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "sample_quench" not in done.stdout
    folder = general.folder / "results" / "refined"
    data = read_dataset(folder / "data" / "dataset.nc")
    quench = data.isel(sample=np.flatnonzero(data["kind"].values == "quench"))
    splits = {name: set(quench["trajectory"].values[quench["split"].values == name]) for name in ("train", "validation", "test")}
    assert quench.sizes["sample"] == 2 * 8 and all(splits.values())
    assert len(set.union(*splits.values())) == sum(map(len, splits.values()))  # no run is in two of them
    for number in (1, 2):
        told = json.loads((folder / "data" / "samples" / f"round_{number}.json").read_text())
        # Of two temperatures, two runs of four for training, at six times each.
        assert told["labels"] == 8 and told["candidates"] == 24 and 0 < told["relative_error"] < told["largest_relative_error"]
    samples = [
        json.loads((folder / "models" / name / "model.json").read_text())["samples"] for name in ("round-0", "round-1", "enn")
    ]
    assert samples == [{"random": 2, "quench": n} for n in (0, 4, 8)]
    assert "Nothing to be done" in general.snakemake(*call).stdout


@pytest.mark.slow
def test_the_files_of_the_page_on_extending_run_as_they_stand_there(general):
    text = (DOCS / "extending.md").read_text()
    files = dict(re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", text, re.S))
    assert set(files) == {"my_study.yaml", "my_model.py", "my_observable.py", "my_figure.py", "my_network.py"}
    for name, content in files.items():
        (general.folder / name).write_text(content)
    done = general.snakemake("--configfile", "my_study.yaml")
    assert done.returncode == 0, done.stdout[-4000:]
    folder = general.folder / "results" / "anharmonic"
    require_whole(folder)
    assert (folder / "figures" / "my_figure.svg").stat().st_size > 5000
    assert (
        "extreme" in (folder / "analysis" / "comparison.md").read_text()
        or "max Q" in (folder / "analysis" / "comparison.md").read_text()
    )
    assert json.loads((folder / "models" / "enn" / "model.json").read_text())["architecture"]["kind"] == "quadratic"
    # An edit of the observable's file runs the trajectories again, and trains nothing.
    (general.folder / "my_observable.py").write_text(files["my_observable.py"] + "\n# edited\n")
    planned = general.snakemake("--configfile", "my_study.yaml", "-n").stdout
    assert re.search(r"^trajectory +\d", planned, re.M) and not re.search(r"^(train|label|sample_quench) +\d", planned, re.M)


def test_a_model_that_is_not_what_it_says_stops_the_study_at_its_first_job(general):
    text = (DOCS / "extending.md").read_text()
    model = re.search(r"```python\n# my_model.py\n(.*?)```", text, re.S)[1]
    (general.folder / "wrong.py").write_text(
        model.replace("return self.g * density.occupation", "return 1.1 * self.g * density.occupation")
    )
    (general.folder / "wrong.yaml").write_text('study: wrong\nmodel: {class: "wrong.py:Anharmonic"}\n')
    done = general.snakemake("--configfile", "wrong.yaml", "--", "results/wrong/data/samples/random.nc")
    assert done.returncode != 0
    last = done.stdout.strip().splitlines()[-1]
    assert re.match(r"check_model: Anharmonic: the force at .* but minus the gradient of the energy is", last), done.stdout[-1500:]
    assert not (general.folder / "results" / "wrong" / "data" / "samples").exists()
