"""One network for many couplings: what a model states of its scaling, and the fields a network has seen (PHYSICS P2)."""

import json
import logging
from dataclasses import asdict

import numpy as np
import pytest
import torch

from ennforce.forces import ExactForces, NetworkForces
from ennforce.io import DataError, read_json
from ennforce.lattice import Lattice
from ennforce.models import Holstein, Kondo, Peierls
from ennforce.networks import Architecture, build
from ennforce.networks.export import save_model
from ennforce.networks.ranges import MARGIN, FieldRange

SQUARE, TRIANGULAR = Lattice.square(8, 8), Lattice.triangular(8, 8)
# Trained for the first, used for the second: (how much larger fields are in the first's units, and forces in the second's).
PAIRS = {
    "twice g": (Holstein(SQUARE, temperature=0.1), Holstein(SQUARE, temperature=0.1, g=3.0), 2.0, 2.0),
    "negative g": (Holstein(SQUARE, temperature=0.1), Holstein(SQUARE, temperature=0.1, g=-0.75), -0.5, -0.5),
    "K, kappa": (Holstein(SQUARE, temperature=0.1), Holstein(SQUARE, temperature=0.1, K=1.3, kappa=0.1), 1.0, 1.0),
    "all in other units": (
        Holstein(SQUARE, temperature=0.1, chemical_potential=-0.3),
        Holstein(SQUARE, t=3.0, g=2.0, temperature=0.3, chemical_potential=-0.9),
        4.0 / 9.0,
        4.0 / 3.0,
    ),
    "fixed filling": (
        Holstein(SQUARE, temperature=0.1, filling=0.3),
        Holstein(SQUARE, g=0.5, temperature=0.1, filling=0.3),
        1.0 / 3.0,
        1.0 / 3.0,
    ),
    "peierls": (Peierls(TRIANGULAR, temperature=0.2), Peierls(TRIANGULAR, temperature=0.1, t=0.5, alpha=0.2, K=2.0), 0.4, 0.2),
    "soft spins": (Kondo(TRIANGULAR, temperature=0.2, A=1.0), Kondo(TRIANGULAR, temperature=0.2, J=2.0, A=3.0), 2.0, 2.0),
    "unit spins": (Kondo(SQUARE, temperature=0.1, J=2.0), Kondo(SQUARE, temperature=0.2, t=2.0, J=4.0, H_z=0.1), 1.0, 2.0),
}


def network(model, kind=None, **options):
    torch.manual_seed(0)
    field_type = str(model.field_type)
    kind = kind or ("typed" if "l1" in field_type else "enn")
    given = {"width": 1, "depth": 1, "first_radius": 1, "separable": True} | options
    return build(Architecture(kind, model.lattice.name, field_type, **given), 0.7, 0.2).eval()


def fields_of(model, count=2):
    return model.space.near(0.0, 0.5, np.random.default_rng(3).normal(size=(count, *model.field_shape)), model.lattice)


@pytest.mark.parametrize("name", PAIRS)
def test_a_network_for_one_coupling_serves_all_of_the_same_electrons(name, tmp_path):
    trained, other, of_fields, of_forces = PAIRS[name]
    NetworkForces(network(trained), trained).save(tmp_path)
    here, there, fields = NetworkForces.load(tmp_path, trained), NetworkForces.load(tmp_path, other), fields_of(trained)
    scale = np.abs(there.electronic_forces(fields)).max()
    np.testing.assert_allclose(
        there.electronic_forces(fields), of_forces * here.electronic_forces(of_fields * fields), atol=1e-6 * scale
    )
    elastic = there.forces(fields) - there.electronic_forces(fields)
    np.testing.assert_allclose(elastic, other.classical_forces(fields), atol=1e-12)
    # So its error for the other model is that of the scaled fields: the exact forces scale alike.
    exact, truth = ExactForces(other).electronic_forces(fields), ExactForces(trained).electronic_forces(of_fields * fields)
    np.testing.assert_allclose(exact, of_forces * truth, atol=1e-9 * np.abs(exact).max())
    assert there.field_scale == pytest.approx(here.field_scale / abs(of_fields), rel=1e-6)


@pytest.mark.parametrize(
    ("kind", "options"), [("enn", {"separable": False}), ("enn_energy", {}), ("typed", {}), ("gnn", {"width": 4})]
)
def test_every_kind_of_network_is_rescaled(kind, options):
    trained, other, of_fields, of_forces = PAIRS["twice g"]
    net, fields = network(trained, kind, **options), fields_of(trained)
    there = NetworkForces(net, other, trained=trained)
    expected = of_forces * NetworkForces(net, trained).electronic_forces(of_fields * fields)
    np.testing.assert_allclose(there.electronic_forces(fields), expected, atol=1e-6 * np.abs(expected).max())


def test_learned_forces_keep_within_the_bound_of_the_model_at_hand():
    trained, other, *_ = PAIRS["twice g"]
    wild = build(Architecture(width=1, depth=1, first_radius=1), force_scale=1e3)
    assert np.abs(NetworkForces(wild, other, trained=trained).electronic_forces(fields_of(other))).max() == other.largest_force


def test_a_rescaled_network_is_saved_as_it_was_trained(tmp_path):
    trained, other, *_ = PAIRS["all in other units"]
    NetworkForces(network(trained), trained).save(tmp_path / "one")
    NetworkForces.load(tmp_path / "one", other).save(tmp_path / "two")
    assert (tmp_path / "one" / "model.json").read_bytes() == (tmp_path / "two" / "model.json").read_bytes()


@pytest.mark.parametrize(
    ("trained", "other", "said"),
    [
        (Holstein(SQUARE, temperature=0.1), Holstein(SQUARE, temperature=0.1, t=2.0), r"electron_temperature = 0.1 \(not 0.05\)"),
        (Kondo(SQUARE, temperature=0.1), Kondo(SQUARE, temperature=0.1, J=2.0), r"J = 1.0 \(not 2.0\)"),
        (Kondo(SQUARE, temperature=0.1), Kondo(SQUARE, temperature=0.1, A=1.0), r"J = 1.0 \(not None\)"),
        # Without electrons that feel the fields nothing can be scaled, and every setting must agree.
        (Holstein(SQUARE, temperature=0.1, g=0.0), Holstein(SQUARE, temperature=0.1, K=2.0, g=0.0), r"K = 0.67 \(not 2.0\)"),
    ],
)
def test_other_electrons_are_refused_in_one_line(trained, other, said, tmp_path):
    NetworkForces(network(trained), trained).save(tmp_path)
    with pytest.raises(ValueError, match=said) as caught:
        NetworkForces.load(tmp_path, other)
    assert "\n" not in str(caught.value)


def test_a_network_of_total_forces_serves_its_own_model_alone(tmp_path):
    trained, other, *_ = PAIRS["twice g"]
    NetworkForces(network(trained), trained, "total").save(tmp_path)
    with pytest.raises(ValueError, match=r"was trained for g = 1.5 \(not 3.0\): train"):
        NetworkForces.load(tmp_path, other)


@pytest.fixture
def seen():
    return FieldRange.of(np.random.default_rng(0).normal(size=(6, 1, 8, 8)) * np.geomspace(0.1, 1.0, 6)[:, None, None, None])


@pytest.mark.parametrize("name", ["twice g", "negative g"])
def test_the_fields_of_training_bound_those_it_may_be_used_on(name, seen, tmp_path, caplog):
    trained, other, of_fields, _ = PAIRS[name]
    NetworkForces(network(trained), trained, seen=seen).save(tmp_path)
    strict = NetworkForces.load(tmp_path, other, strict=True)
    flat = np.ones((1, 8, 8)) / abs(of_fields)  # of the same rms in the units of training
    for inside in (seen.least, seen.most, seen.most * (MARGIN - 1e-6), seen.least / (MARGIN - 1e-6)):
        strict.forces(inside * flat)
    peak = flat * seen.least
    peak[0, 3, 4] = seen.largest / of_fields
    strict.forces(peak)
    peak[0, 3, 4] *= MARGIN + 1e-6
    for beyond in (peak, seen.most * (MARGIN + 1e-6) * flat, seen.least / (MARGIN + 1e-6) * flat):
        with pytest.raises(ValueError, match="outside of those that the network was trained on") as caught:
            strict.forces(beyond)
        assert "\n" not in str(caught.value)
    # By default a run goes on, and is told once: audits measure what it is worth.
    lenient = NetworkForces.load(tmp_path, other)
    with caplog.at_level(logging.WARNING, "ennforce"):
        lenient.forces(flat)
        assert not caplog.records
        first, second = lenient.forces(3.0 * seen.most * flat), lenient.forces(3.0 * seen.most * flat)
    assert len(caplog.records) == 1 and "guesses" in caplog.text
    np.testing.assert_array_equal(first, second)


def test_the_range_of_fields_knows_no_direction():
    vectors = np.random.default_rng(1).normal(size=(4, 2, 6, 6))
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    turned = np.einsum("ab,nbyx->nayx", turn, np.rot90(vectors, axes=(2, 3)))
    assert asdict(FieldRange.of(turned)) == pytest.approx(asdict(FieldRange.of(vectors)))
    assert FieldRange.of(vectors).complaint(torch.from_numpy(turned)) is None


def test_a_model_saved_before_ranges_were_kept_loads_and_a_damaged_range_is_refused(seen, tmp_path):
    model = PAIRS["twice g"][0]
    NetworkForces(network(model), model, seen=seen).save(tmp_path)
    facts = read_json(tmp_path / "model.json")
    assert facts["seen"] == asdict(seen)
    del facts["seen"]
    (tmp_path / "model.json").write_text(json.dumps(facts))
    assert NetworkForces.load(tmp_path, strict=True).seen is None
    (tmp_path / "model.json").write_text(json.dumps(facts | {"seen": {"least": -1.0, "most": 1.0, "largest": 2.0}}))
    with pytest.raises(DataError, match="seen.least: Input should be greater than or equal to 0"):
        NetworkForces.load(tmp_path)
    with pytest.raises(ValueError, match="cannot be saved so that it loads again"):
        save_model(tmp_path, network(model), {"model": model.parameters(), "target": "electronic", "seen": {"least": 0.1}})
