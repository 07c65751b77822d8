"""Sweeps: points, their names and configurations, and one line for what is impossible."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ennforce.config import ConfigError, load_study
from ennforce.sweep import inputs_of, sweep_points

ROOT = Path(__file__).parents[2]


def test_every_combination_is_a_study_of_its_own():
    content = {
        "study": "a",
        "model": {"g": 1.0, "t": 2.0},
        "sweep": {"model.g": [1.4, 1.5], "bath.temperature": [0.03, 0.05], "large.shape": [[32, 64]]},
    }
    points = sweep_points(content)
    assert next(iter(points)) == "g=1.4,temperature=0.03,shape=32x64" and len(points) == 4
    studies = [load_study(configuration) for _, configuration in points.values()]
    assert {(s.model.g, s.bath.temperature) for s in studies} == {(g, T) for g in (1.4, 1.5) for T in (0.03, 0.05)}
    assert {s.study for s in studies} == {f"a/{name}" for name in points}
    assert all(s.model.t == 2.0 and s.large.shape == [32, 64] and not s.sweep for s in studies)
    assert content["model"] == {"g": 1.0, "t": 2.0}  # as it was


def test_points_of_equal_last_keys_do_not_collide():
    names = list(sweep_points({"sweep": {"data.shape": [[28, 28]], "large.shape": [[30, 30], [32, 32]]}}))
    assert names == ["data.shape=28x28,large.shape=30x30", "data.shape=28x28,large.shape=32x32"]


def test_no_study_can_take_the_folder_of_a_point():
    point = next(iter(sweep_points({"study": "a", "sweep": {"seed": [1]}})))
    assert load_study({"study": f"a/{point}"}).study == "a/seed=1"
    for name in ("a/data", f"a-{point}", "a/../b=1", "a/b=1/c", "/b=1"):
        with pytest.raises(ConfigError):
            load_study({"study": name})


def test_without_a_sweep_there_are_no_points():
    assert sweep_points({}) == sweep_points({"sweep": {}}) == {}


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"model.gg": [1]}, "sweep at gg=1: model.gg is not a setting: allowed here are name, class, lattice"),
        ({"modle.g": [1]}, "sweep at g=1: modle is not a setting"),
        ({"model.g": [1.0, -1]}, "sweep at g=-1: model.g = -1: input should be greater than 0"),
        ({"large.shape": [[32, 33]]}, "sweep at shape=32x33: large.shape.1 = 33: input should be a multiple of 2"),
        ({"model.K": [0.1, 1.0], "model.kappa": [0.2]}, "sweep at K=0.1,kappa=0.2: model: K = 0.1 with kappa = 0.2 is elastically"),
        ({"model.g": []}, "sweep.model.g = []"),
        ({"model.g": 1.5}, "sweep.model.g = 1.5: input should be a valid list"),
        ({"model.g": [1.5, 1.5]}, "sweep: the point g=1.5 is there twice"),
        ({"model": [{"g": 1}]}, "sweep.model has the value {'g': 1}: only numbers, words and lists"),
        ({"model.g": ["../x"]}, "sweep.model.g has the value '../x'"),
        ({"seed.x": [1]}, "sweep.seed.x: seed is a setting, not a section"),
        ({"study": ["a"]}, "sweep.study changes no result"),
        ([1], "sweep = [1]"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_impossible_sweep_ends_in_one_line(sweep, message):
    with pytest.raises(ConfigError) as caught:
        sweep_points({"seed": 3, "sweep": sweep})
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_table_has_a_line_for_each_point(tmp_path):
    def summary(error, alpha):
        growth = {"half": {"alpha": alpha, "error": None if alpha is None else 0.03, "from_time": 5.0}}
        errors = {"random": {"relative": 2 * error}, "quench": {"relative": error}}
        rows = [
            {"observable": "energy", "from": 1.0, "verdict": "equivalent"},
            {"observable": "order", "from": 12.0, "verdict": "different"},
        ]
        return {"force_error": errors, "comparison": {"verdict": "different", "rows": rows}, "growth": growth}

    points = sweep_points({"study": "a", "sweep": {"model.g": [1.4, 1.5]}})
    paths = [tmp_path / f"{n}.json" for n in range(2)]
    for path, content in zip(paths, (summary(0.02, 0.4), summary(0.03, None)), strict=True):
        path.write_text(json.dumps(content))
    parameters = {"points": [point for point, _ in points.values()], "names": list(points)}
    record = {
        "rule": "sweep", "input": {"summaries": [str(path) for path in paths]}, "wildcards": {}, "threads": 1,
        "output": {"csv": str(tmp_path / "sweep.csv"), "markdown": str(tmp_path / "sweep.md")}, "log": str(tmp_path / "sweep.log"),
        "params": parameters, "study": "a", "checkpoint_seconds": 1.0,
    }  # fmt: skip
    (tmp_path / "sweep.json").write_text(json.dumps(record))
    subprocess.run([sys.executable, ROOT / "scripts" / "sweep.py", tmp_path / "sweep.json"], check=True, cwd=tmp_path)
    first, second = csv.DictReader((tmp_path / "sweep.csv").read_text().splitlines())
    assert first["model.g"] == "1.4" and first["point"] == "g=1.4" and float(first["exponent_half_error"]) == 0.03
    assert float(second["force_error_quench"]) == 0.03 and second["exponent_half"] == ""
    table = (tmp_path / "sweep.md").read_text()
    assert (
        "| 1.4 | 4.00 % | 2.00 % | different | order from t = 12 | 0.40 ± 0.03 |" in table
        and "| 1.5 | 6.00 % | 3.00 % | different | order from t = 12 | not measured |" in table
    )


def shared(**changes):
    return {"study": "a", "sweep_network": "shared", **changes}


def test_points_that_share_a_network_tell_it_what_differs_of_their_electrons():
    sweep = {"model.g": [1.4, 1.5], "model.electron_temperature": [0.1, 0.2], "model.K": [0.67, 0.8]}
    studies = [load_study(content) for _, content in sweep_points(shared(sweep=sweep)).values()]
    assert inputs_of(studies) == (studies[0], ["electron_temperature"])
    assert all(study.sweep_network == "own" for study in studies)
    studies = [load_study(c) for _, c in sweep_points(shared(sweep={"model.chemical_potential": [-0.2, 0.3]})).values()]
    assert inputs_of(studies) == (studies[0], ["chemical_potential"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sweep": {"network.width": [1, 2]}}, "sweep.network with sweep_network = shared: one network has one network"),
        ({"sweep": {"training.steps": [10, 20]}}, "sweep.training with sweep_network = shared: one network has one training"),
        ({"sweep": {"model.g": [1, 2]}, "training": {"target": "total"}}, "training.target = total with sweep_network = shared"),
        ({"sweep": {"model.g": [1, 2]}, "refine": {"rounds": 1}}, "refine.rounds = 1 with sweep_network = shared"),
        ({"sweep": {"model.lattice": ["square", "triangular"]}}, "sweep over models or lattices with sweep_network = shared"),
        ({"sweep": {"model.chemical_potential": [0.0, 0.4]}}, "over points of different symmetry, as half filling has: leave"),
        ({"sweep": {"model.filling": [None, 0.4]}}, "only numbers, words and lists"),
        ({"sweep": {"model.g": [1, 2]}, "sweep_network": "one"}, "sweep_network = 'one': input should be 'own' or 'shared'"),
    ],
)
def test_points_that_cannot_share_a_network_end_in_one_line(changes, message):
    with pytest.raises(ConfigError) as caught:
        sweep_points(shared(**changes))
    assert message in str(caught.value) and "\n" not in str(caught.value)
