"""The configuration: defaults, bounds, one-line errors, schema in step."""

import json
from pathlib import Path

import pytest
import yaml

from ennforce.config import ConfigError, Study, json_schema, load_study
from ennforce.networks import KINDS, Architecture, build
from ennforce.reference import reference
from ennforce.sections import ODD_SCALAR, network_kinds
from ennforce.stages import left_out

ROOT = Path(__file__).parents[2]


def test_an_empty_configuration_is_the_default_study():
    assert load_study({}) == Study() and Study().study == "default"


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "config").glob("*.yaml")))
def test_every_study_of_the_repository_is_valid_and_named_after_its_file(name):
    assert load_study(yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())).study == name


def test_an_unprintable_name_is_told_in_one_line():
    with pytest.raises(ConfigError, match=r"^model\.\\x0b\\n\\u2028 is not a setting") as told:
        load_study({"model": {"\x0b\n\u2028": 1}})
    assert len(str(told.value).splitlines()) == 1


def test_the_paper_study_is_the_published_one():
    study = load_study(yaml.safe_load((ROOT / "config" / "paper.yaml").read_text()))
    assert study.data.shape == [40, 40] and study.data.random_configurations == 200
    assert study.data.trajectories * study.data.snapshots == 400
    # Q ~ N(0, 5/kappa), velocities ~ N(0, 5/m)
    assert study.bath.initial_sigma == pytest.approx((5 / 0.18) ** 0.5, rel=1e-3) and study.bath.initial_temperature == 5.0
    assert study.data.random_sigmas[1] >= study.bath.initial_sigma and study.runs()["equilibrium-0"][1].initial_sigma == 0.1
    assert study.large.shape == [200, 200] and study.large.steps * study.bath.dt == 1250
    assert (study.model.g, study.model.K, study.model.kappa, study.bath.mass) == (3.5, 1.0, 0.18, 5.0)
    assert study.timestep.dts[0] == 0.05  # the published one, against which larger steps are held


def test_runs_of_a_study_inherit_from_the_large_one_and_last_as_long():
    study = load_study({"large": {"steps": 500}, "variants": {"fine": {"dt": 0.1}, "cold": {"temperature": 0.02, "time": 8.0}}})
    runs = study.runs()
    run, bath = runs["fine"]
    assert (run.steps, bath.dt, run.shape) == (2000, 0.1, study.large.shape)
    run, bath = runs["cold"]
    assert (run.steps, bath.temperature, bath.dt) == (20, 0.02, study.bath.dt)
    times = {round(run.steps * bath.dt, 6) for name, (run, bath) in runs.items() if name.startswith("timestep")}
    assert times == {study.timestep.time}
    assert runs["equilibrium-1"][1].initial_order == study.equilibrium.initial_order and runs["large"][1].initial_order == 0


def test_the_long_comparison_is_in_the_regime_of_the_paper():
    paper, long = (
        load_study(yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())) for name in ("paper", "frontier_paper")
    )
    assert long.model == paper.model and long.bath == paper.bath and long.solver == paper.solver
    assert long.data.trajectories == 16 and long.data.shape == paper.data.shape


def test_every_kind_of_network_is_compared():
    """``typed_energy`` aside: on a scalar it is what ``enn_energy`` is, and dearer."""
    compared = {alternative.kind for alternative in Study().frontier.models.values()}
    assert compared == set(network_kinds()) - {"typed_energy"} and set(network_kinds()) == set(KINDS)


@pytest.mark.parametrize("kind", sorted(set(network_kinds()) - {"euclidean"}))
def test_it_is_known_which_kinds_need_an_odd_force(kind):
    made_for_any = kind not in ODD_SCALAR
    try:
        build(Architecture(kind, field_type="A1e", width=2))
    except ValueError as error:
        assert not made_for_any and "is defined for a field 1xA1o on the square lattice" in str(error)
    else:
        assert made_for_any


def test_away_from_half_filling_networks_for_odd_forces_are_left_out_or_refused():
    study = load_study({"model": {"chemical_potential": 0.15}})
    kinds = {study.frontier.models[name].kind for name in study.usable(study.frontier.models)}
    assert kinds == {"enn", "enn_energy", "typed"} and study.usable(["cnn", "enn", "gnn"]) == ["enn"]
    assert load_study({}).usable(["cnn", "enn", "gnn"]) == ["cnn", "enn", "gnn"]
    with pytest.raises(
        ConfigError, match="network.kind = gnn cannot learn this model.s force: it is made for the odd force of half filling"
    ):
        load_study({"model": {"filling": 0.4}, "network": {"kind": "gnn"}})
    cnn = {"models": {"cnn": {"kind": "cnn"}}, "efficiency_models": ["cnn"]}
    with pytest.raises(ConfigError, match=r"none of frontier.models \(cnn\) can learn this model's force; as to cnn, it is"):
        load_study({"model": {"chemical_potential": 0.1}, "frontier": cnn, "conservation": {"networks": []}})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"modle": {}}, "modle is not a setting: allowed here are study, sweep, sweep_network, seed, model,"),
        ({"model": {"gg": 1}}, "model.gg is not a setting: allowed here are name, class, lattice,"),
        ({"data": {"split": {"tset": 1}}}, "data.split.tset is not a setting: allowed here are train, validation, test"),
        ({"bath": {"temperature": -1}}, "bath.temperature = -1: input should be greater than 0"),
        ({"model": {"electron_temperature": 0}}, "model.electron_temperature = 0: input should be greater than 0"),
        ({"model": {"K": 0.5, "kappa": 0.2}}, "model: K = 0.5 with kappa = 0.2 is elastically unstable: K must exceed 4 |kappa|"),
        (
            {"model": {"filling": 0.4, "chemical_potential": 0.1}},
            "model: filling = 0.4 and chemical_potential = 0.1 exclude each other",
        ),
        ({"large": {"shape": [33, 32]}}, "large.shape.0 = 33: input should be a multiple of 2"),
        ({"large": {"shape": [32]}}, "large.shape = [32]:"),
        ({"solver": {"spectral_margin": 0}}, "solver.spectral_margin = 0: input should be greater than 0"),
        ({"data": {"split": {"train": 0.5, "validation": 0.2, "test": 0.2}}}, "data.split: train + validation + test = 0.9, but"),
        ({"data": {"steps": 3, "first_snapshot": 5}}, "data: first_snapshot = 5 comes after the last of 3 steps"),
        (
            {"data": {"random_sigma": 0.7}},
            "data: random_sigma = 0.7 is now a range: write random_sigmas: [0.02, 0.7], or [0.7, 0.7]",
        ),
        ({"data": {"random_sigmas": [1.0, 0.1]}}, "data: random_sigmas = [1.0, 0.1] must grow"),
        ({"model": {"t": "one"}}, "model.t = 'one': input should be a valid number"),
        ({"model": {"g": float("nan")}}, "model.g = nan"),
        ({"study": "../elsewhere"}, "study = '../elsewhere'"),
        ({"comparison": {"replicas": 1}}, "comparison.replicas = 1: input should be greater than or equal to 2"),
        ({"network": {"kind": "mlp"}}, "network.kind = 'mlp': input should be one of enn, enn_energy,"),
        ({"frontier": {"models": {"a": {"wdith": 1}}}}, "frontier.models.a.wdith is not a setting: allowed here are kind, width,"),
        ({"frontier": {"models": {"../a": {}}}}, "should match pattern"),
        ({"frontier": {"models": {"a": {}}, "efficiency_models": ["b"]}}, "efficiency_models names b, but models are a"),
        ({"conservation": {"networks": ["b"]}}, "conservation.networks names b, but frontier.models are enn, "),
        ({"frontier": {"fractions": [0.0]}}, "frontier.fractions.0 = 0.0: input should be greater than 0"),
        ({"seed": -1}, "seed = -1"),
        ({"model": None}, "model = None"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_impossible_settings_end_in_one_line_that_names_them(content, message):
    with pytest.raises(ConfigError) as caught:
        load_study(content)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_several_problems_are_all_named():
    with pytest.raises(ConfigError, match="seed = -1.*bath.dt = 0"):
        load_study({"seed": -1, "bath": {"dt": 0}})


def test_the_default_study_has_every_stage_and_every_kind_of_network():
    study = load_study({})
    assert left_out(study) == {} and study.usable(study.frontier.models) == list(study.frontier.models)


def test_the_schema_in_the_repository_is_in_step():
    stored = json.loads((ROOT / "workflow" / "schemas" / "study.schema.json").read_text())
    assert stored == json_schema(), "run `make schema`"
    assert (ROOT / "config" / "README.md").read_text() == reference(), "run `make schema`"
