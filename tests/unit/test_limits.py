"""What a configuration may not ask for is told in one line, naming the setting, before anything runs."""

import time

import pytest

from ennforce import limits
from ennforce.config import ConfigError, Study, load_study
from ennforce.networks import KINDS, Architecture, build
from ennforce.reading import repeated_key
from ennforce.sections import Network
from ennforce.sweep import sweep_points

ALONE = {"conservation": {"networks": []}}  # no network of the comparison drives anything


def refusal(content: dict) -> str:
    with pytest.raises(ConfigError) as told:
        load_study(content)
    assert "\n" not in str(told.value) and len(str(told.value)) < 600
    return str(told.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("depth", "first_radius", "wide", "dilations"), [(2, 1, 0, []), (3, 2, 0, [2, 3]), (2, 2, 1, []), (2, 1, 1, [1, 2, 4])]
)
def test_the_reach_of_every_kind_is_known_without_building_it(kind, depth, first_radius, wide, dilations):
    settings = Network(kind=kind, width=8, depth=depth, first_radius=first_radius, wide=wide, wide_radius=5, dilations=dilations)
    network = build(Architecture(**settings.model_dump()))
    assert limits.reach(settings) == limits.reach(network.architecture) == network.receptive_radius


def test_networks_that_cannot_be_built_are_named():
    assert "network: depth = 1: an irrep_mlp has 2 to 4 layers" in refusal({"network": {"kind": "irrep_mlp", "depth": 1}})
    assert "network.mixed = false: an enn_energy" in refusal(
        {"network": {"kind": "enn_energy", "mixed": False, "depth": 2, "wide": 0}}
    )


DEEP = {"network": {"depth": 64}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**DEEP, "data": {"shape": [12, 12]}}, "network reaches 66 sites, but data.shape = [12, 12] is shorter than twice that"),
        ({**DEEP, "data": {"shape": [132, 132]}}, "network reaches 66 sites, but large.shape = [128, 128]"),
        ({"data": {"shape": [4, 4]}, **ALONE}, "but data.shape = [4, 4]"),
        ({"data": {"shape": [48, 8]}, **ALONE}, "but data.shape = [48, 8]"),
        ({"data": {"shape": [16, 24]}}, "frontier.models.enn_energy reaches 12 sites, but data.shape = [16, 24]"),
        ({"conservation": {"shape": [16, 16]}}, "frontier.models.enn_energy reaches 12 sites, but conservation.shape = [16, 16]"),
        ({"large": {"shape": [4, 4]}}, "but large.shape = [4, 4]"),
        ({"comparison": {"shape": [8, 8]}}, "but comparison.shape = [8, 8]"),
        ({"timestep": {"shape": [8, 8]}}, "but timestep.shape = [8, 8]"),
        ({"equilibrium": {"shape": [8, 8]}}, "but equilibrium.shape = [8, 8]"),
        ({"divergence": {"shape": [8, 8]}}, "but divergence.shape = [8, 8]"),
        ({"variants": {"tiny": {"shape": [4, 4]}}}, "network reaches 6 sites, but variants.tiny.shape = [4, 4]"),
        ({"frontier": {"extrapolation": {"shapes": [[8, 8]]}}}, "but frontier.extrapolation.shapes.0 = [8, 8]"),
        ({"frontier": {"size": 16}}, "frontier.models.enn reaches 14 sites, but frontier.size = 16"),
        (
            {"frontier": {"models": {"a": {"depth": 30, "wide": 0}}, "efficiency_models": ["a"]}, **ALONE},
            "frontier.models.a reaches 32 sites, but data.shape = [48, 48]",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_lattice_shorter_than_twice_the_reach_is_named(content, message):
    assert message in refusal({**content, "network": {"wide": 0, **content.get("network", {})}})


def test_far_stencils_count_as_reach():
    assert "network reaches 14 sites, but equilibrium.shape = [16, 16]" in refusal({"equilibrium": {"shape": [16, 16]}})


def test_rectangles_and_small_lattices_within_reach_are_allowed():
    load_study({"network": {"wide": 0}, "data": {"shape": [16, 24]}, **ALONE})
    load_study(
        {"network": {"depth": 1, "wide": 0}, "data": {"shape": [8, 12]}, **ALONE}
    )  # whose default comparison is not asked for


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"timestep": {"time": 0.01}}, "timestep.time = 0.01 is less than 10 steps of dt = 0.1: run longer"),
        ({"variants": {"v": {"time": 0.0001}}}, "variants.v.time = 0.0001 is less than 10 steps of dt = 0.4"),
        ({"variants": {"v": {"time": 0.5, "dt": 0.1}}}, "variants.v.time = 0.5 is less than 10 steps of dt = 0.1"),
        ({"large": {"steps": 10}, "variants": {"v": {"dt": 1.0}}}, "the time of large, 4, for variants.v, is less than 10 steps"),
        ({"conservation": {"time": 1.0}}, "conservation.time = 1 is less than 5 steps of dt = 0.4"),
        ({"conservation": {"equilibration": 1.0}}, "conservation.equilibration = 1 is less than"),
        ({"divergence": {"time": 1.0}}, "divergence.time = 1 is less than"),
        ({"bath": {"dt": 1e-320}}, "bath.dt = 1e-320: input should be greater than or equal to 0.000001"),
        ({"bath": {"dt": 1e-9}}, "bath.dt = 1e-09: input should be greater"),
        ({"bath": {"dt": 2.5}}, "bath.dt = 2.5 is not below 2/omega = 2.44 of the stiffest lattice wave"),
        ({"bath": {"dt": 100}}, "bath.dt = 100 is not below 2/omega"),
        ({"timestep": {"dts": [0.1, 3.0]}}, "timestep.dts.1 = 3 is not below 2/omega"),
        ({"variants": {"v": {"dt": 3.0}}}, "variants.v.dt = 3 is not below 2/omega"),
        ({"equilibrium": {"discard": 0.99}}, "equilibrium.discard = 0.99: input should be less than or equal to 0.9"),
        ({"equilibrium": {"discard": 0.9, "observations": 20}}, "equilibrium.discard = 0.9 leaves 2.0 of 20 observations"),
        ({"analysis": {"first_time": 1e9}}, "analysis.first_time = 1e+09 is not before the end of large, 400"),
        ({"variants": {"v": {"time": 4.0}}}, "analysis.first_time = 5 is not before the end of v, 4"),
        ({"analysis": {"smoothing": 1e-12}}, "analysis.smoothing = 1e-12 holds too few of large.observations = 60"),
        ({"training": {"learning_rate": 1e3}}, "training.learning_rate = 1000.0: input should be less than or equal to 1"),
        ({"model": {"g": 1e308}}, "model.g = 1e+308: beyond 1e+12"),
        ({"model": {"g": 1e5}}, "model.g = 100000.0: input should be less than or equal to 10000"),
        ({"model": {"K": 1e-9}}, "orders at fields beyond 1000"),
        ({"model": {"electron_temperature": 1e-300}}, "temperature 1e-300 is too low to tell from zero"),
        ({"model": {"electron_temperature": 1e-6}}, "windows of t/T = 1e+06 sites"),
        ({"bath": {"temperature": 1e300}}, "bath.temperature = 1e+300"),
        ({"bath": {"initial_sigma": 1e8}}, "bath.initial_sigma = 100000000.0: input should be less than or equal to 1000"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_runs_that_are_too_short_unstable_or_unmeasurable_are_named(content, message):
    assert message in refusal(content)


def test_drivers_cannot_share_a_name():
    models = {"enn": {}, "kpm-0.02": {}}
    content = {"frontier": {"models": models, "efficiency_models": ["enn"]}, "conservation": {"networks": ["kpm-0.02"]}}
    assert "frontier.models may not be called kpm-0.02" in refusal(content)
    content = {"frontier": {"models": {"start": {}}, "efficiency_models": ["start"]}, **ALONE}
    assert "frontier.models may not be called start" in refusal(content)
    assert "as the study's own network" in refusal({"conservation": {"networks": ["enn"]}})
    assert "conservation.tolerances = [0.02, 0.02] has a value twice" in refusal({"conservation": {"tolerances": [0.02, 0.02]}})
    load_study({"conservation": {"tolerances": [0.02, 0.02000001]}})  # named by all their digits


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"large": {"replicas": True}}, "large.replicas = True: true is not a number"),
        ({"seed": True}, "seed = True: true is not a number"),
        ({"bath": {"temperature": True}}, "bath.temperature = True: true is not a number"),
        ({"model": {"filling": True}}, "model.filling = True: true is not a number"),
        ({"large": {"shape": [True, 8]}}, "large.shape = [True, 8]: true is not a number"),
        ({"network": {"mixed": 1}}, "network.mixed = 1: write true or false"),
        ({"large": {"replicas": "1e3"}}, "large.replicas = '1e3': text to YAML, not a whole number: write 1000"),
        ({"large": {"steps": 10**13}}, "large.steps = 10000000000000: beyond 1e+12"),
        ({"modle": {}}, "checkpoint_seconds; did you mean model?"),
        ({"model": {"temprature": 1}}, "; did you mean electron_temperature?"),
        ({"g": 1.5}, "; did you mean model.g?"),
        ({"frontier": {"models": {"a": {"wdith": 1}}}}, "; did you mean width?"),
        ({"study": "a" * 300}, "a name of a folder with more than 200 characters"),
        ({"variants": {"v" * 100: {}}}, "string should have at most 64 characters"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_reading_is_strict(content, message):
    assert message in refusal(content)


def test_a_number_that_yaml_takes_for_text_is_a_number():
    assert load_study({"bath": {"dt": "1e-1"}}).bath.dt == 0.1  # as 1e-1 is written, to YAML no number
    assert load_study({"large": {"replicas": "4"}}).large.replicas == 4  # as --config hands numbers in sections over


def test_keys_stand_once(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("model: {g: 1.0}\nlarge: &a\n  steps: 10\n  steps: 20\n")
    assert repeated_key(path) == f"{path}: steps stands there twice, in lines 3 and 4: keep one"
    fine = tmp_path / "fine.yaml"
    fine.write_text("model: &a {g: 1.0}\nother: {<<: *a, g: 2.0}\n")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1\nb: {")
    assert repeated_key(fine) is None and repeated_key(broken) is None and repeated_key(tmp_path) is None


GIGABYTES = 16 * 2**30


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"large": {"shape": [100000, 100000]}}, "large of 100000 x 100000 sites with 4 replicas a job needs about 1.92 TB"),
        ({"large": {"replicas": 10**9, "chunk": 10**9}}, "large of 128 x 128 sites with 1000000000 replicas a job needs about"),
        ({"data": {"shape": [256, 256]}}, "data.shape = [256, 256], which is diagonalised exactly, needs about 103 GB of memory"),
        ({"training": {"batch": 10**6}}, "training on batches of 1000000 x 48 x 48 sites needs about"),
        ({"data": {"random_configurations": 10**9}}, "data of 1000000400 configurations of 48 x 48 sites needs about"),
        ({"large": {"steps": 10**11}}, "large of 1e+11 steps of 0.4 takes more than"),
        ({"training": {"steps": 10**12}}, "training of 1e+12 steps on batches of 1 takes more than"),
        ({"conservation": {"time": 1e12}}, "conservation of 2.5e+12 steps of 0.4 takes more than"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_study_that_cannot_fit_is_told_how_much_it_needs(monkeypatch, content, message):
    monkeypatch.setattr(limits, "physical_memory", lambda: GIGABYTES)
    told = refusal(content)
    assert message in told
    if "memory" in told:
        assert "and this machine has 17.2 GB: " in told


def test_the_studies_fit_a_small_machine_and_a_silent_one(monkeypatch):
    for memory in (4 * 2**30, None):
        monkeypatch.setattr(limits, "physical_memory", lambda memory=memory: memory)
        assert not limits.problems(Study())


def test_too_many_jobs_are_refused_at_once():
    began = time.monotonic()
    assert "the study has about 500000258 jobs, and 20000 are the most that can be planned" in refusal(
        {"large": {"replicas": 10**9}}
    )
    with pytest.raises(ConfigError, match="sweep: 1000000 points of about 262 jobs each are more than the 20000 jobs"):
        sweep_points({"sweep": {"model.g": [1 + n / 1000 for n in range(1000)], "seed": list(range(1000))}})
    assert time.monotonic() - began < 30.0  # it took minutes, or never came to an end
