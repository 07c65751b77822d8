"""Training: splits by trajectory, determinism, resume after a kill, portable models and their refusal."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from ennforce.forces import NetworkForces
from ennforce.io import DataError, read_json
from ennforce.lattice import Lattice
from ennforce.models import Holstein
from ennforce.networks import Architecture, EquivariantNetwork, build
from ennforce.networks.export import TiledNetwork, load_model, save_model
from ennforce.networks.layers import point_group
from ennforce.symmetry import FieldType
from ennforce.training import gradients, loop
from ennforce.training.dataset import (
    Samples,
    assemble,
    configurations,
    nested_subset,
    soft,
    split_trajectories,
    spreads,
    with_total_force,
)
from ennforce.training.metrics import equivariance_error, errors_by_size, force_errors

SMALL = Architecture(width=1, depth=1, first_radius=1)
MODEL = Holstein(Lattice.square(8, 8), temperature=0.1)


def labelled(kind: str, trajectories: list[int], model: Holstein = MODEL) -> xr.Dataset:
    rng = np.random.default_rng(len(trajectories))
    data = configurations(
        rng.normal(size=(len(trajectories), 1, 8, 8)),
        Lattice.square(8, 8),
        kind=kind,
        time=np.arange(len(trajectories)),
        trajectory=np.array(trajectories),
    )
    data["forces_electronic"] = np.tanh(data["fields"])
    data.attrs = {"model": json.dumps(model.parameters())}
    return data


def samples(count: int = 6) -> Samples:
    fields = np.random.default_rng(0).normal(size=(count, 1, 8, 8)).astype(np.float32)
    return Samples(fields, np.tanh(fields + 0.3 * np.roll(fields, 1, -1) + 0.3 * np.roll(fields, -1, -1)))


def recipe(**changes) -> loop.Recipe:
    return loop.Recipe(**({"steps": 40, "batch": 2, "learning_rate": 1e-2, "validate_every": 10, "seed": 3} | changes))


def killed_and_resumed(how: loop.Recipe, after: int, state: Path) -> loop.Trained:
    """A training that is killed after so many steps and goes on from its checkpoint."""

    def kill(step, total, text):
        assert step <= total
        if step > after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.fit(SMALL, samples(), samples(), how, checkpoint=state, interval=0.0, progress=kill)
    return loop.fit(SMALL, samples(), samples(), how, checkpoint=state)


def test_no_trajectory_is_in_two_splits():
    quenches = [labelled("quench", [n] * 5) for n in range(5)]
    data = assemble(labelled("random", list(range(10))), quenches, (0.6, 0.2, 0.2))
    for kind in ("random", "quench"):
        part = data.isel(sample=np.flatnonzero(data["kind"].values == kind))
        seen = {s: set(part["trajectory"].values[part["split"].values == s]) for s in ("train", "validation", "test")}
        assert all(seen.values())
        assert not (seen["train"] & seen["validation"] or seen["train"] & seen["test"] or seen["validation"] & seen["test"])
    assert len(Samples.select(data, "train", "quench")) == 15


def test_weak_forces_count_as_much_as_strong_ones_down_to_the_floor():
    strong = samples(3)
    scales = np.array([1.0, 0.1, 1e-4])[:, None, None, None]
    mixed = Samples(strong.fields, (strong.forces * scales).astype(np.float32))
    counted = mixed.weights() * (mixed.forces.astype(float) ** 2).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(counted[:2], 1.0, atol=0.02)
    assert counted[2] < 1e-3


def test_the_symmetry_of_a_network_is_measured_on_a_rectangular_torus_too():
    fields = np.random.default_rng(0).normal(size=(2, 1, 12, 16)).astype(np.float32)
    assert equivariance_error(EquivariantNetwork(SMALL), fields) < 1e-5


def test_errors_are_pooled_by_the_size_of_the_field():
    fields = np.ones((3, 1, 4, 4)) * np.array([0.05, 0.06, 3.0])[:, None, None, None]
    exact = 2.0 * fields
    rows = errors_by_size(fields, exact * np.array([1.1, 1.1, 1.5])[:, None, None, None], exact)
    assert [row["configurations"] for row in rows] == [2, 1]
    np.testing.assert_allclose([row["relative"] for row in rows], [0.1, 0.5])


def test_soft_fields_are_waves_near_the_staggered_one():
    lattice = Lattice.square(16, 16)
    field = soft(np.random.default_rng(0).normal(size=(16, 16)), lattice.stagger(), 8.0, lattice)
    power = np.abs(np.fft.fft2(field)) ** 2
    assert np.sqrt(np.mean(field**2)) == pytest.approx(1.0)
    assert power[7:10, 7:10].sum() > 0.8 * power.sum()


def test_every_split_of_random_configurations_covers_the_whole_range_of_spreads():
    found = spreads(0.02, 1.0, 40)
    assert ((found >= 0.02) & (found <= 1.0)).all()
    for part in (found[:24], found[24:32], found[32:]):
        levels = np.sort(np.log(part / 0.02) / np.log(50.0))
        assert np.diff([0.0, *levels, 1.0]).max() < 2.7 / len(part)


def test_parts_of_the_training_data_are_nested_and_leave_the_rest_whole():
    data = assemble(labelled("random", list(range(10))), [labelled("quench", [n] * 5) for n in range(5)], (0.6, 0.2, 0.2))
    data = data.assign_coords(number=("sample", np.arange(data.sizes["sample"])))
    parts = [nested_subset(data, fraction, seed=1) for fraction in (0.01, 0.4, 0.8, 1.0)]
    assert [len(Samples.select(part, "train", "quench")) for part in parts] == [1, 6, 12, 15]
    assert [len(Samples.select(part, "train", "random")) for part in parts] == [1, 2, 5, 6]
    for smaller, larger in itertools.pairwise(parts):
        assert set(smaller["number"].values) < set(larger["number"].values)
        assert len(Samples.select(smaller, "test")) == len(Samples.select(data, "test"))
    xr.testing.assert_identical(parts[-1], data)
    assert not np.array_equal(nested_subset(data, 0.4, seed=2)["number"], parts[1]["number"])


def test_every_split_gets_a_trajectory():
    assert sorted(split_trajectories(np.array([0, 1, 2]), (0.9, 0.05, 0.05)).values()) == ["test", "train", "validation"]
    with pytest.raises(ValueError, match="2 trajectories cannot be split"):
        split_trajectories(np.array([0, 0, 1]), (0.6, 0.2, 0.2))


def test_labels_of_different_electron_temperatures_never_mix():
    hot = labelled("quench", [0, 1, 2], Holstein(Lattice.square(8, 8), temperature=0.2))
    with pytest.raises(ValueError, match="labels of 2 different models"):
        assemble(labelled("random", [0, 1, 2]), [hot], (0.6, 0.2, 0.2))


def test_total_force_is_electronic_plus_elastic():
    data = labelled("random", [0, 1])
    np.testing.assert_allclose(
        with_total_force(data)["forces_total"], data["forces_electronic"] - MODEL.K * data["fields"], rtol=1e-5, atol=1e-6
    )


def test_the_published_choice_of_learning_the_total_force_gives_the_same_interface():
    torch.manual_seed(0)
    network = EquivariantNetwork(SMALL, 1.0, 0.05)  # below the largest force that electrons can exert
    fields = samples(2).fields[:, 0].astype(float)
    total, electronic = NetworkForces(network, MODEL, "total"), NetworkForces(network, MODEL, "electronic")
    np.testing.assert_allclose(electronic.forces(fields) - total.forces(fields), MODEL.classical_forces(fields), atol=1e-6)
    np.testing.assert_allclose(total.electronic_forces(fields), total.forces(fields) - MODEL.classical_forces(fields))


def test_training_learns_and_is_deterministic():
    first, second = (loop.fit(SMALL, samples(), samples(), recipe(steps=400)) for _ in range(2))
    assert first.history[-1, 2] < 0.4 < first.history[0, 2]
    np.testing.assert_array_equal(first.history, second.history)
    for a, b in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not np.array_equal(loop.fit(SMALL, samples(), samples(), recipe(seed=4)).history, first.history[:4])


@pytest.mark.parametrize("killed_at", [7, 10, 33])
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path, killed_at):
    undisturbed = loop.fit(SMALL, samples(), samples(), recipe())

    class Killed(Exception):
        pass

    def kill(step, total, text):
        if step > killed_at:
            raise Killed

    with pytest.raises(Killed):
        loop.fit(SMALL, samples(), samples(), recipe(), checkpoint=tmp_path / "state", interval=0.0, progress=kill)
    steps = []
    resumed = loop.fit(
        SMALL, samples(), samples(), recipe(), checkpoint=tmp_path / "state", progress=lambda step, total, text: steps.append(step)
    )
    assert steps[0] == killed_at + 1
    np.testing.assert_array_equal(resumed.history, undisturbed.history)
    for a, b in zip(resumed.network.parameters(), undisturbed.network.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.fixture
def clock(monkeypatch):
    """CPU time that moves on by 1/128 second each time it is read: a training step takes exactly that long."""
    ticks = itertools.count()
    monkeypatch.setattr(loop.time, "process_time", lambda: next(ticks) / 128)


def test_training_by_time_spends_it_and_goes_on_with_what_was_left(tmp_path, clock):
    timed = recipe(steps=10**6, seconds=0.5)
    undisturbed = loop.fit(SMALL, samples(), samples(), timed)
    assert undisturbed.history[-1, 0] == 64 and len(undisturbed.history) == loop.VALIDATIONS
    assert undisturbed.history[-1, 2] < undisturbed.history[0, 2]

    resumed = killed_and_resumed(timed, 25, tmp_path / "state")
    np.testing.assert_array_equal(resumed.history, undisturbed.history)
    assert len(loop.fit(SMALL, samples(), samples(), recipe(steps=7, seconds=1e3)).history) == 1


def test_the_rate_falls_on_plateaus_and_the_training_ends_where_that_no_longer_helps():
    falling = [0.9**n for n in range(20)]
    assert loop.plateaus(falling, 2) == (0, False)
    assert loop.plateaus([1.0, 0.995, 0.988, 0.98], 3) == (0, False)  # slowly, but by more than a hundredth in three
    assert loop.plateaus([1.0, 0.999, 0.998], 2) == (1, False)
    assert loop.plateaus([1.0, 0.999, 0.998, 0.9, 0.9, 0.9], 2) == (2, False)  # the lower rate helped
    assert loop.plateaus([1.0, 0.999, 0.998, 0.997, 0.996], 2) == (1, True)
    assert loop.plateaus([1.0, 0.999, 0.998, 0.997, 0.996, 0.1], 2) == (1, True)


def test_training_with_patience_ends_by_itself_and_goes_on_after_a_kill(tmp_path):
    patient = recipe(steps=10**4, patience=2, validate_every=25)
    undisturbed = loop.fit(SMALL, samples(), samples(), patient)
    assert undisturbed.stopped == "patience" and undisturbed.history[-1, 0] < 10**4
    assert loop.plateaus(undisturbed.history[:, 2], 2)[1] and not loop.plateaus(undisturbed.history[:-1, 2], 2)[1]

    class Killed(Exception):
        pass

    def kill(step, total, text):
        if step > undisturbed.history[-1, 0] - 30:  # after the rate has fallen
            raise Killed

    with pytest.raises(Killed):
        loop.fit(SMALL, samples(), samples(), patient, checkpoint=tmp_path / "state", interval=0.0, progress=kill)
    resumed = loop.fit(SMALL, samples(), samples(), patient, checkpoint=tmp_path / "state")
    np.testing.assert_array_equal(resumed.history, undisturbed.history)
    for a, b in zip(resumed.network.parameters(), undisturbed.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_with_patience_bounds_only_cut_the_training_short(clock):
    long, timed, short = (
        loop.fit(SMALL, samples(), samples(), recipe(patience=2, **bounds))
        for bounds in ({"steps": 60}, {"steps": 10**4, "seconds": 0.25}, {"steps": 30})
    )
    assert (long.stopped, timed.stopped, short.stopped) == ("steps", "time", "steps")
    np.testing.assert_array_equal(short.history, long.history[:3])
    np.testing.assert_array_equal(timed.history[:3], long.history[:3])
    np.testing.assert_array_equal(timed.seconds, timed.history[:, 0] / 128)


def test_compiled_gradients_are_used_where_there_are_any(monkeypatch):
    """Held against torch's by a stand-in that computes what they promise, in double precision, without ``TorchGradients``."""
    calls = []

    def compiled(network, halo):
        def of_batch(fields, forces, weights):
            calls.append(len(fields))
            assert fields.is_contiguous() and forces.is_contiguous() and weights.shape == (len(fields),)
            errors = [
                weight * ((network.on_torus(f[None])[0] - t) ** 2).mean()
                for f, t, weight in zip(fields, forces, weights, strict=True)
            ]
            loss = sum(error.double() for error in errors) / len(errors)
            found = torch.autograd.grad(loss, list(network.parameters()))
            for parameter, gradient in zip(network.parameters(), found, strict=True):
                parameter.grad = gradient
            return float(loss.detach())

        return of_batch

    expected = loop.fit(SMALL, samples(), samples(), recipe(steps=12, batch=3))
    monkeypatch.setattr(gradients, "compiled_gradients", compiled)
    found = loop.fit(SMALL, samples(), samples(), recipe(steps=12, batch=3))
    assert calls == [3] * 12
    np.testing.assert_allclose(found.history, expected.history, rtol=1e-2)


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(width=2, depth=8),
        Architecture(width=2, depth=3, separable=True, wide=1, wide_radius=4),
        Architecture(kind="enn_energy", width=1, depth=2),
        Architecture(lattice="triangular", field_type="1xE1e", width=1, depth=2),
    ],
)
def test_training_starts_with_forces_of_about_the_right_size(architecture):
    torch.manual_seed(0)
    network = build(architecture, 0.5, 3.0)
    components = FieldType.parse(architecture.field_type).dim(point_group(architecture.lattice))
    fields = 0.5 * torch.randn(40, components, 12, 12)
    network.calibrate(fields)
    found = float(network.on_torus(fields).detach().square().mean().sqrt())
    assert found == pytest.approx(0.5 * 3.0, rel=0.1)


def test_crops_teach_the_forces_that_the_torus_has_there():
    """A network that is already right learns nothing from crops, wherever they lie and also across the border of the torus."""
    torch.manual_seed(0)
    network = build(Architecture(width=1, depth=1, first_radius=1), 0.7, 0.4)
    fields = torch.randn(3, 1, 8, 8)
    forces = network.on_torus(fields).detach()
    places, reach = torch.tensor([[0, 0], [6, 7], [3, 2**30]]), network.receptive_radius
    found = network(loop.windows(fields, places - reach, 3 + 2 * reach)).detach()
    torch.testing.assert_close(found, loop.windows(forces, places, 3))
    assert torch.equal(loop.windows(forces, places, 3)[1, 0, :, 0], forces[1, 0, [6, 7, 0], 7])


@pytest.mark.parametrize(("shape", "reach", "crop", "batch"), [((8, 9), 4, 4, 8), ((8, 7), 4, 4, 2), ((8, 9), 5, 4, 2)])
def test_crops_take_the_place_of_what_is_large_enough(shape, reach, crop, batch):
    found = recipe(batch=2, crop=crop).cropped(shape, reach)
    assert (found.crop, found.batch) == (crop if batch == 8 else None, batch)


def test_training_by_crops_learns_and_goes_on_after_a_kill(tmp_path):
    cropped = recipe(steps=300, crop=4)
    undisturbed = loop.fit(SMALL, samples(), samples(), cropped)
    assert undisturbed.history[-1, 2] < 0.4

    resumed = killed_and_resumed(cropped, 17, tmp_path / "state")
    np.testing.assert_array_equal(resumed.history, undisturbed.history)


def test_gradients_are_shortened_together():
    parts = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    loop.cut(parts, 10.0)
    assert [part.tolist() for part in parts] == [[3.0, 0.0], [[4.0]]]
    loop.cut(parts, 1.0)
    np.testing.assert_allclose(torch.cat([part.flatten() for part in parts]), [0.6, 0.0, 0.8], rtol=1e-6)


def test_a_broken_training_state_is_not_taken_for_whole(tmp_path):
    (tmp_path / "state").write_bytes(b"half")
    steps = []
    loop.fit(SMALL, samples(), samples(), recipe(steps=3), checkpoint=tmp_path / "state", progress=lambda s, t, x: steps.append(s))
    assert steps == [1, 2, 3]


def test_a_diverging_loss_names_the_step():
    broken = Samples(samples().fields, np.where(np.arange(8) == 3, np.nan, samples().forces).astype(np.float32))
    with pytest.raises(FloatingPointError, match="not finite at step 1: use a smaller learning rate"):
        loop.fit(SMALL, broken, samples(), recipe())


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    save_model(tmp_path / "enn", EquivariantNetwork(SMALL, 0.7, 0.4), {"model": MODEL.parameters(), "target": "electronic"})
    return tmp_path / "enn"


def test_a_model_round_trips_and_its_expanded_filters_agree(folder):
    network, _ = load_model(folder)
    fields = torch.as_tensor(samples().fields)
    np.testing.assert_allclose(TiledNetwork(network).on_torus(fields), network.on_torus(fields).detach(), atol=1e-6)
    forces = NetworkForces.load(folder, MODEL.resized(16, 12))
    assert forces.forces(np.zeros((3, 16, 12))).shape == (3, 16, 12)
    np.testing.assert_array_equal(forces.forces(np.zeros((16, 12))), 0.0)


@pytest.mark.parametrize(
    "architecture",
    [
        SMALL,
        Architecture(width=2, depth=3),
        Architecture(width=2, depth=2, mixed=False),
        Architecture(width=4, depth=3, separable=True),
    ],
)
def test_expanded_networks_agree_with_the_training_graph(architecture):
    torch.manual_seed(0)
    network = EquivariantNetwork(architecture, 0.7, 0.4)
    fields = torch.randn(2, 1, 12, 16)
    reference = network.on_torus(fields).detach()
    torch.testing.assert_close(
        TiledNetwork(network).on_torus(fields), reference, rtol=0, atol=1e-6 * float(reference.abs().max()) * 10
    )


@pytest.mark.parametrize("tile", [5, 8, 16])
def test_forces_do_not_depend_on_the_tiling(tile):
    torch.manual_seed(0)
    network = TiledNetwork(EquivariantNetwork(Architecture(width=1, depth=2), 0.7, 0.4))
    fields = torch.randn(2, 1, 18, 14)
    torch.testing.assert_close(network.on_torus(fields, tile), network.on_torus(fields, 100), rtol=1e-5, atol=1e-6)


def test_a_model_of_other_couplings_is_refused_and_says_which(folder):
    with pytest.raises(ValueError, match=r"was trained for electron_temperature = 0.1 \(not 0.05\), energies in units of"):
        NetworkForces.load(folder, Holstein(Lattice.square(8, 8), temperature=0.1, t=2.0))
    with pytest.raises(ValueError, match=r"lattice = square \(not triangular\)"):
        NetworkForces.load(folder, Holstein(Lattice.triangular(8, 8), temperature=0.1))


def test_an_explicit_override_uses_a_model_beyond_its_training(folder):
    other = Holstein(Lattice.square(8, 8), temperature=0.2, K=0.9)
    fields = samples(1).fields[0, 0].astype(float)
    forces = NetworkForces.load(folder, other, extrapolate=True)
    np.testing.assert_array_equal(forces.electronic_forces(fields), NetworkForces.load(folder).electronic_forces(fields))
    np.testing.assert_allclose(forces.forces(fields) - forces.electronic_forces(fields), -0.9 * fields, atol=1e-12)
    with pytest.raises(ValueError, match="on the square lattice, but the model has"):
        NetworkForces.load(folder, Holstein(Lattice.triangular(8, 8), temperature=0.1), extrapolate=True)


def test_a_model_of_another_lattice_symmetry_is_refused(folder):
    facts = read_json(folder / "model.json")
    facts["architecture"]["lattice"] = "triangular"
    (folder / "model.json").write_text(json.dumps(facts))
    with pytest.raises((ValueError, DataError), match="on the triangular lattice|does not fit the architecture"):
        NetworkForces.load(folder)
    with pytest.raises(ValueError, match="carries a 1xA1o field on the square lattice, but the model has 1xA1e"):
        NetworkForces(EquivariantNetwork(SMALL), Holstein(Lattice.square(8, 8), temperature=0.1, chemical_potential=0.2))


def test_a_model_saved_before_there_were_far_and_dilated_stencils_loads(folder):
    facts = read_json(folder / "model.json")
    expected = NetworkForces.load(folder).forces(samples(1).fields[0, 0])
    assert facts["architecture"].pop("wide") == 0 and facts["architecture"].pop("wide_radius")
    assert facts["architecture"].pop("dilations") == [] and facts["architecture"].pop("lines") is False
    (folder / "model.json").write_text(json.dumps(facts))
    np.testing.assert_array_equal(NetworkForces.load(folder).forces(samples(1).fields[0, 0]), expected)
    del facts["architecture"]["width"]
    (folder / "model.json").write_text(json.dumps(facts))
    with pytest.raises(DataError, match="architecture.width: Field required"):
        NetworkForces.load(folder)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("damage", ["flipped", "missing", "foreign", "old format", "pickle"])
def test_broken_models_are_refused(folder, damage):
    weights, description = folder / "weights.pt", folder / "model.json"
    facts = read_json(description)
    if damage == "flipped":
        content = bytearray(weights.read_bytes())
        content[len(content) // 2] ^= 1
        weights.write_bytes(content)
    elif damage == "missing":
        weights.unlink()
    elif damage == "foreign":
        facts["architecture"]["width"] = 3
    elif damage == "old format":
        facts["format"] = 0
    else:
        import pickle

        from ennforce.io import file_digest

        weights.write_bytes(pickle.dumps({"a": print}))
        facts["weights"] = file_digest(weights)
    description.write_text(json.dumps(facts))
    with pytest.raises(DataError) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_fields_that_a_network_cannot_take_are_named(folder):
    forces = NetworkForces.load(folder)
    for fields, message in (
        (np.full((8, 8), np.inf), "64 field values"),
        (np.zeros((2, 8)), "the reach of the network"),
        (np.zeros((7, 8)), "even"),
    ):
        with pytest.raises(ValueError, match=message):
            forces.forces(fields)


def test_force_errors_of_a_known_residual():
    exact = np.array([1.0, -1.0, 1.0, -1.0])
    assert force_errors(exact + 0.1, exact)["relative"] == pytest.approx(0.1)
    assert force_errors(exact + np.array([0, 0, 0, 0.2]), exact)["max"] == pytest.approx(0.2)
