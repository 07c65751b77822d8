"""The smoke study end to end: results that are there and sane, reruns that do no more than they must, replay and report."""

import csv
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from ennforce.figures import table
from ennforce.io import read_dataset
from tests.workflow.check_results import FIGURES, problems, report_problems
from tests.workflow.golden import differences


def test_every_figure_and_number_is_there_and_sane(finished):
    assert problems(finished.path()) == []


def test_numbers_before_training_are_those_of_the_first_version(finished):
    assert differences(finished.path(), everywhere=True) == []


@pytest.mark.slow
def test_the_comparison_of_networks_ends_with_its_files(study):
    done = study.smoke(targets=("frontier",))
    assert done.returncode == 0, done.stdout[-4000:]
    rows = {row["name"]: row for row in csv.DictReader(study.path("frontier", "comparison.csv").read_text().splitlines())}
    for name in ("enn", "cnn"):
        assert 0 < float(rows[name]["quench_relative"]) < 1 and float(rows[name]["microseconds_1_thread"]) > 0
        assert (float(rows[name]["equivariance_error"]) < 1e-5) == (name == "enn")
        assert 0 < float(rows[name]["jacobian_antisymmetry"]) < 2**0.5 * 2
        card = study.path("frontier", "models", name, "card.md").read_text()
        assert "on 16 x 16 sites" in card and "2 s, " in card and "torch" in card
    assert float(rows["kpm 0.02"]["quench_relative"]) < float(rows["kpm 0.1"]["quench_relative"])
    fixed = [row for name, row in rows.items() if name.startswith("local ")]
    costs, errors = ([float(row[key]) for row in fixed] for key in ("microseconds_1_thread", "quench_relative"))
    assert costs == sorted(costs) and errors == sorted(errors, reverse=True) and float(rows["enn"]["times_cheaper_than_solver"]) > 0
    assert float(rows["exact 16 x 16"]["microseconds_all_threads"]) > 0
    curve = json.loads(study.path("frontier", "learning_curve.json").read_text())
    assert sorted({point["snapshots"] for point in curve["points"]}) == [10, 20] and set(curve["fits"]) == {"enn", "cnn"}
    elsewhere = list(csv.DictReader(study.path("frontier", "extrapolation.csv").read_text().splitlines()))
    assert {(row["bath_temperature"], row["shape"]) for row in elsewhere} == {("0.2", "16 x 16"), ("0.1", "20 x 20")}
    for name in ("frontier", "learning_curve"):
        assert study.path("figures", f"{name}.png").stat().st_size > 5000
    resume = study.path("resume")
    assert not resume.exists() or not list(resume.iterdir())


def test_data_keep_the_contract(finished):
    data = read_dataset(finished.path("data", "dataset.nc"))
    assert data["fields"].dims == ("sample", "component", "y", "x") == data["forces_electronic"].dims
    assert {"kind", "time", "temperature", "trajectory", "split"} <= set(data.coords)
    assert data["fields"].attrs["units"] and data["forces_electronic"].attrs["units"] == "t"
    for key in ("model", "solver", "tolerance", "seed", "ennforce_version", "git_commit", "parents"):
        assert key in data.attrs, key
    observed = read_dataset(finished.path("trajectories", "large_network_0.nc"))
    assert observed["structure_factor"].dims == ("time", "replica", "k")
    assert (np.diff(observed["time"]) > 0).all()
    square = (observed["structure_factor"] * observed["k_modes"]).sum("k") / 32**2
    np.testing.assert_allclose(square, observed["field_square"], rtol=1e-6)


def test_network_and_kpm_share_start_and_noise(finished):
    """Until chaos parts them the modes of a replica are nearly the same under both engines, and unlike another replica's."""
    paths = (finished.path("trajectories", f"comparison_{engine}_0.nc") for engine in ("network", "kpm"))
    first, second = (np.log(read_dataset(path)["structure_factor"][0].values) for path in paths)
    assert abs(first - second).max() < 0.2 < abs(first - second[::-1]).max()


def test_no_leftovers(finished):
    assert not list(finished.folder.joinpath("results").rglob("*.part"))
    resume = finished.path("resume")
    assert not resume.exists() or not list(resume.iterdir())


def test_a_second_call_does_nothing(finished):
    done = finished.smoke()
    assert done.returncode == 0 and "Nothing to be done" in done.stdout


def planned(project, *arguments):
    """Rules that a dry run would run; a figure with its name."""
    done = project.smoke("-n", "--quiet", "host", *arguments)
    assert done.returncode == 0, done.stdout[-2000:]
    found = re.findall(r"^Job \d+: (\w+)(?: name=(\w+))?", done.stdout, re.MULTILINE)
    return {" ".join(filter(None, names)) for names in found} - {"all", "figures"}


EDITS = {
    "a plot": ("lib/ennforce/figures/growth.py", "effective exponent $", "exponent $", {"figure growth"}),
    "a script": ("scripts/walls.py", "\nrun_node(", "\nSPARE = 0\nrun_node(", {"walls", "figure walls"}),
    "the style of all figures": (
        "lib/ennforce/figures/style.py",
        '"Software": None',
        '"Software": ""',
        {f"{'movie' if name.endswith('gif') else 'figure'} {name[:-4]}" for name in FIGURES},
    ),
    "a remark": ("lib/ennforce/figures/growth.py", "\ndef draw(", "\n# A remark.\ndef draw(", set()),
    "a caption": ("lib/ennforce/figures/growth.py", "Domain size by three definitions", "Three domain sizes", set()),
    "the settings": ("lib/ennforce/sections.py", "class Section(BaseModel):", "SPARE = 0\n\n\nclass Section(BaseModel):", set()),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_changed_source_reruns_its_own_stage_only(study, edit):
    changed, old, new, rules = EDITS[edit]
    path = study.folder / changed
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert planned(study) == rules


def test_changed_analysis_does_not_retrain(study):
    path = study.folder / "lib/ennforce/analysis/growth.py"
    assert "HALF = 0" in path.read_text()
    path.write_text(path.read_text().replace("HALF = 0", "HALF = 1 - 1"))
    rules = planned(study)
    assert "growth" in rules and not rules & {"train", "label", "sample_quench", "evaluate"}


def test_a_changed_plot_is_redrawn_alone(study):
    path = study.folder / "lib/ennforce/figures/growth.py"
    path.write_text(path.read_text().replace("effective exponent $", "effective growth exponent $"))
    before = {p: p.stat().st_mtime_ns for p in study.path("figures").iterdir()}
    done = study.smoke(targets=("figures",))
    assert done.returncode == 0, done.stdout[-2000:]
    changed = {p.name for p, t in before.items() if p.stat().st_mtime_ns != t}
    assert changed == {"growth.svg", "growth.png"}


def test_figures_depend_on_their_data_alone(study):
    """The same data give the same bytes."""
    before = {p: p.read_bytes() for p in study.path("figures").glob("*.svg")}
    some = (f"results/smoke/figures/{name}.svg" for name in ("growth", "symmetry"))
    assert study.smoke("--forcerun", *some, targets=("figures",)).returncode == 0
    assert {p: p.read_bytes() for p in before} == before


def test_one_node_runs_again_from_its_record(study):
    figure = study.path("figures", "growth.svg")
    content = figure.read_bytes()
    figure.unlink()
    record = "results/smoke/logs/figure-growth.json"
    done = subprocess.run(
        [sys.executable, "scripts/figure.py", record], cwd=study.folder, env=study.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert figure.read_bytes() == content


def test_the_report_is_one_self_contained_page(finished, tmp_path):
    done = finished.smoke("--report", str(tmp_path / "report.html"))
    assert done.returncode == 0, done.stdout[-2000:]
    page = (tmp_path / "report.html").read_text()
    assert report_problems(page) == []
    assert "Coarsening" in page
    for entry in table().values():
        words = entry.caption.format(order="staggered distortion", wave_vector="(π, π)").split()
        assert "figures" not in entry.targets or " ".join(words[-6:]) in " ".join(page.replace("\\n", " ").split()), words
