"""Learning from audits: what is drawn to be labelled, data that grow, and training that goes on."""

import json

import numpy as np
import pytest
import xarray as xr

from ennforce import limits
from ennforce.config import ConfigError, load_study
from ennforce.corrected import FollowingForces
from ennforce.data import Data
from ennforce.dynamics import log_spaced_steps
from ennforce.forces import ExactForces, NetworkForces
from ennforce.limits import snapshots, split_counts
from ennforce.networks import Architecture, build
from ennforce.refining import audited, chances, choose, drawn, explore
from ennforce.sections import Bath
from ennforce.training.dataset import FLOOR, Samples, assemble, configurations, extended
from ennforce.training.loop import Recipe, fit
from tests.conftest import configuration, holstein

FRACTIONS = (0.6, 0.2, 0.2)
SMALL = Architecture(width=1, depth=1, first_radius=1)


def test_chances_are_in_proportion_as_far_as_they_can_be():
    np.testing.assert_allclose(chances(np.array([1.0, 2.0, 3.0, 4.0]), 2), [0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(chances(np.array([1.0, 1.0, 8.0]), 2), [0.5, 0.5, 1.0])
    np.testing.assert_allclose(chances(np.array([0.0, 0.0, 5.0]), 2), [0.5, 0.5, 1.0])
    np.testing.assert_allclose(chances(np.ones(5), 5), 1.0)
    np.testing.assert_allclose(chances(np.ones(5), 0), 0.0)
    with pytest.raises(ValueError, match=r"^6 of 5 candidates cannot be drawn"):
        chances(np.ones(5), 6)


def test_every_candidate_is_drawn_with_its_chance():
    rng = np.random.default_rng(3)
    given = chances(rng.random(40) ** 3, 7)
    draws = [drawn(given, rng) for _ in range(4000)]
    assert {len(numbers) for numbers in draws} == {7}  # exactly so many, none twice
    assert all((np.diff(numbers) > 0).all() for numbers in draws)
    shares = np.bincount(np.concatenate(draws), minlength=40) / len(draws)
    np.testing.assert_allclose(shares, given, atol=5 * 0.5 / np.sqrt(len(draws)))


def test_draws_are_spread_over_the_order_of_the_candidates():
    for seed in range(20):
        numbers = drawn(chances(np.ones(60), 6), np.random.default_rng(seed))
        np.testing.assert_array_equal(np.bincount(numbers // 10), 1)


def test_only_training_is_drawn_by_error():
    """The errors of what is held out are those of the runs: every candidate there is equally likely, whatever its error."""
    splits = np.repeat(["train", "validation", "test"], (40, 20, 20))
    errors = np.tile([1.0, 9.0], 40)
    found = np.concatenate([choose(errors, splits, 10, FRACTIONS, np.random.default_rng(seed)) for seed in range(3000)])
    shares = np.bincount(found, minlength=80) / 3000
    np.testing.assert_allclose(shares[:40], np.tile([0.03, 0.27], 20), atol=0.04)
    np.testing.assert_allclose(shares[40:], 0.1, atol=0.03)
    one, same, other = (choose(errors, splits, 10, FRACTIONS, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert split_counts(10, FRACTIONS) == [6, 2, 2] == [(splits[one] == name).sum() for name in ("train", "validation", "test")]
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.fixture
def model():
    return holstein("default", (12, 12), 0.2)


def test_audited_errors_are_those_of_the_network(model):
    network = NetworkForces(build(SMALL), model)
    fields = np.stack([configuration("default", kind, (12, 12), n) for n, kind in enumerate(("random", "walls", "hot"))])[:, None]
    exact = ExactForces(model).electronic_forces(fields[:, 0])
    squares = [(values**2).mean(axis=(1, 2)) for values in (network.electronic_forces(fields[:, 0]) - exact, exact)]
    true = squares[0] / (squares[1] + FLOOR**2 * squares[1].mean())
    found = audited(network, FollowingForces(model, 5e-3), fields, seed=1)
    np.testing.assert_allclose(found, true, rtol=0.4)  # of 128 sites
    np.testing.assert_array_equal(found, audited(network, FollowingForces(model, 5e-3), fields, seed=1))


@pytest.mark.parametrize("first", [0, 1])
def test_exploring_keeps_the_asked_steps_of_every_run(model, first):
    bath = Bath(temperature=0.1, dt=0.2).model_dump()
    kept = [0, 2, 5] if first == 0 else [2, 5]
    fields, times = explore(ExactForces(model), model, [7, 3], 1, bath, kept)
    assert fields.shape == (2, len(kept), 1, 12, 12) and fields.dtype == np.float32
    np.testing.assert_allclose(times, 0.2 * np.array(kept))
    alone, _ = explore(ExactForces(model), model, [3], 1, bath, kept)
    np.testing.assert_array_equal(fields[1], alone[0])
    assert not np.array_equal(fields[0], fields[1])


def labels(model, kind, count, trajectory, **coords):
    made = configurations(
        np.random.default_rng(count).normal(size=(count, 1, 12, 12)), model.lattice, kind=kind, time=np.zeros(count),
        trajectory=np.full(count, trajectory) if kind == "quench" else np.arange(count),
    )  # fmt: skip
    made["forces_electronic"] = -made["fields"]
    made.attrs["model"] = json.dumps(model.parameters())
    return made.assign_coords({name: ("sample", np.full(count, value)) for name, value in coords.items()})


def test_a_data_set_grows_and_keeps_its_splits(model):
    before = assemble(labels(model, "random", 5, 0), [], FRACTIONS)
    assert set(before["kind"].values) == {"random"} and before["split"].values.tolist() == ["train"] * 3 + ["validation", "test"]
    new = labels(model, "quench", 4, 12, split="test").assign(audited_error=("sample", np.ones(4)))
    grown = extended(before, new)
    xr.testing.assert_identical(grown.isel(sample=slice(5)), before)
    assert grown["split"].values.tolist()[5:] == ["test"] * 4 and "audited_error" not in grown
    other = labels(holstein("paper", (12, 12), 0.2), "quench", 4, 12, split="test")
    with pytest.raises(ValueError, match=r"^labels of 2 different models cannot share a data set"):
        extended(before, other)


def test_training_goes_on_from_given_weights():
    rng = np.random.default_rng(0)
    fields = rng.normal(size=(4, 1, 8, 8)).astype(np.float32)
    samples = Samples(fields, -np.tanh(fields))
    first = fit(SMALL, samples, samples, Recipe(steps=80, batch=1, learning_rate=3e-2, validate_every=40, seed=1))
    brief = Recipe(steps=1, batch=1, learning_rate=1e-6, validate_every=1, seed=2)
    further = fit(SMALL, samples, samples, brief, start=first.network)
    afresh = fit(SMALL, samples, samples, brief)
    assert abs(further.history[-1, 2] - first.history[:, 2].min()) < 1e-3 < afresh.history[-1, 2] - further.history[-1, 2]
    assert further.network.force_scale == first.network.force_scale
    with pytest.raises(ValueError, match="another architecture"):
        fit(Architecture(width=2, depth=1, first_radius=1), samples, samples, brief, start=first.network)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"data": {"driver": "network"}}, "data.driver = network with refine.rounds = 0 gives no quenches to learn from"),
        ({"data": {"driver": "nobody"}}, "data.driver = 'nobody': input should be 'solver' or 'network'"),
        ({"refine": {"rounds": -1}}, "refine.rounds = -1: input should be greater than or equal to 0"),
        ({"refine": {"rounds": 1, "runs": 2}}, "refine.runs = 2: input should be greater than or equal to 3"),
        (
            {"refine": {"rounds": 1, "labels": 400}},
            "refine.labels = 400 are 240 for training, but its 4 of ",
        ),
        ({"refine": {"temperatures": [1.0, 1.0]}}, "refine.temperatures = [1.0, 1.0] has a value twice"),
        ({"refine": {"rounds": 1, "steps": 10**12}}, "refine of 1e+12 steps on batches of 1 takes more than"),
        (
            {
                "refine": {"rounds": 1, "runs": 3},
                "data": {"trajectories": 20, "split": {"train": 0.9, "validation": 0.05, "test": 0.05}},
            },
            "refine.runs = 3 are too few for a split that leaves one in each of (0.9, 0.05, 0.05)",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_rounds_that_cannot_be_are_refused_in_one_line(content, message):
    with pytest.raises(ConfigError) as told:
        load_study(content)
    assert message in str(told.value) and "\n" not in str(told.value)


def test_rounds_are_refused_where_no_solver_audits(monkeypatch):
    monkeypatch.setattr(limits, "left_out", lambda study: {"audit": "its reason"})
    load_study({})
    with pytest.raises(
        ConfigError, match=r"^refine.rounds = 1 needs audits, which this model does not have \(its reason\): set it to 0$"
    ):
        load_study({"refine": {"rounds": 1}})


@pytest.mark.parametrize(("first", "steps", "count"), [(0, 300, 40), (5, 60, 10), (0, 2, 1), (3, 300, 1), (2, 2, 4)])
def test_snapshots_are_counted_as_they_are_kept(first, steps, count):
    data = Data(first_snapshot=first, steps=steps, snapshots=count)
    assert snapshots(data) == len(log_spaced_steps(first, steps, count)) + (first == 0)
