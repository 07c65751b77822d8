"""Networks that are told the conditions of the electrons: folded into plain ones, exactly symmetric, trained on many at once."""

import json
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import xarray as xr

from ennforce.forces import ExactForces, NetworkForces
from ennforce.io import DataError, read_json
from ennforce.lattice import Lattice
from ennforce.models import Holstein, Kondo
from ennforce.networks import Architecture, EquivariantNetwork, build
from ennforce.networks.compiled.inference import NativeNetwork, native
from ennforce.networks.equivariance import assert_equivariant
from ennforce.networks.export import load_model
from ennforce.networks.layers import torus_pad
from ennforce.networks.ranges import FieldRange
from ennforce.symmetry import FieldType
from ennforce.training.dataset import Samples, conditions_of, configurations
from ennforce.training.loop import Recipe, fit, relative_error
from ennforce.training.shared import brought, merged

SQUARE = Lattice.square(8, 8)
MODEL = Holstein(SQUARE, temperature=0.1)
T, MU = "electron_temperature", "chemical_potential"
CASES = {
    "compiled": ({"separable": True}, (T,)),
    "full": ({"separable": False}, (T,)),
    "far": ({"separable": True, "wide": 2, "wide_radius": 3}, (T,)),
    "two inputs": ({"field_type": "A1e"}, (T, MU)),
    "energy": ({"kind": "enn_energy"}, (T,)),
    "vector": ({"lattice": "triangular", "field_type": "E1e"}, (T, "filling")),
    "spins": ({"kind": "typed", "field_type": "A1l1o"}, (T, "J")),
}
LEAST, MOST = [0.03, -0.5], [0.2, 0.5]


def told(name="compiled", field_scale=0.7, force_scale=0.05):
    """A network with random changes of its weights, and conditions within its span."""
    options, inputs = CASES[name]
    torch.manual_seed(1)
    network = build(
        Architecture(**({"width": 1, "depth": 1, "first_radius": 1} | options), inputs=inputs), field_scale, force_scale
    )
    network.span(torch.tensor([LEAST, MOST])[:, : len(inputs)])
    for change in network.changes.parameters():
        torch.nn.init.normal_(change, std=0.2)
    return network, dict(zip(inputs, (0.05, 0.2), strict=False))


def fields_for(network, count=2):
    architecture = network.architecture
    lattice = Lattice(architecture.lattice, (8, 8))
    components = FieldType.parse(architecture.field_type).dim(lattice.point_group)
    return torch.randn(count, components, 8, 8, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", CASES)
def test_at_fixed_conditions_it_is_a_plain_network(name):
    network, conditions = told(name)
    fields, values = fields_for(network), torch.tensor([list(conditions.values())] * 2)
    folded = network.at(conditions)
    assert not folded.architecture.inputs and folded.architecture.kind == network.architecture.kind
    expected = network.on_torus(fields, values).detach()
    torch.testing.assert_close(folded.on_torus(fields).detach(), expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))
    padded = torus_pad(fields, network.receptive_radius)
    torch.testing.assert_close(network(padded, values).detach(), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    other = network.at({name: 1.01 * value for name, value in conditions.items()}).on_torus(fields).detach()
    assert float((other - expected).abs().max()) > 1e-4 * float(expected.abs().max())  # the conditions do matter


@pytest.mark.parametrize("name", CASES)
def test_it_is_exactly_equivariant_under_all_conditions(name):
    network, conditions = told(name)
    field = FieldType.parse(network.architecture.field_type)
    lattice = Lattice(network.architecture.lattice, (8, 8))
    for value in (LEAST, list(conditions.values()), MOST):
        values = torch.tensor(value[: len(conditions)])
        assert_equivariant(lambda x, v=values: network.on_torus(x, v.expand(len(x), -1)).detach(), lattice, field, field)


@pytest.mark.parametrize("name", CASES)
def test_every_weight_learns(name):
    """Of the plain network and of its changes, also through the gradient that a conservative force is."""
    network, conditions = told(name)
    fields = fields_for(network)
    network.on_torus(fields, torch.tensor([list(conditions.values())] * 2)).square().mean().backward()
    learning = {key for key, weight in network.plain.named_parameters() if weight.grad is not None and weight.grad.abs().max() > 0}
    for change in network.changes:
        found = {key.replace("/", ".") for key, weight in change.items() if weight.grad is not None and weight.grad.abs().max() > 0}
        assert found == learning and len(learning) >= 3


def test_the_compiled_kernel_serves_it_unchanged():
    network, conditions = told()
    folded = network.at(conditions)
    if native(EquivariantNetwork(Architecture(width=1, depth=1, first_radius=1, separable=True))) is None:
        pytest.skip("no C compiler")
    compiled = NetworkForces(network, Holstein(SQUARE, temperature=0.05))
    assert isinstance(compiled.network.body, NativeNetwork)
    fields = fields_for(network)
    expected = folded.on_torus(fields).detach().numpy()[:, 0]
    found = compiled.electronic_forces(fields.numpy()[:, 0].astype(float))
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())


def test_samples_of_one_batch_have_conditions_of_their_own():
    network, _ = told("two inputs")
    fields, values = fields_for(network, 3), torch.tensor([[0.03, 0.5], [0.1, 0.0], [0.2, -0.5]])
    together = network.on_torus(fields, values).detach()
    for n in range(3):
        alone = network.at(dict(zip((T, MU), values[n].tolist(), strict=True))).on_torus(fields[n : n + 1]).detach()
        torch.testing.assert_close(together[n : n + 1], alone, rtol=1e-5, atol=1e-6)


def test_beyond_the_span_it_is_refused_or_used_as_at_the_border():
    network, _ = told()
    fields = fields_for(network)
    border = network.at({T: 0.2}).on_torus(fields)
    with pytest.raises(ValueError, match=r"electron_temperature = 0.25 is outside of 0.03 to 0.2, on which") as caught:
        network.at({T: 0.25})
    assert "\n" not in str(caught.value)
    torch.testing.assert_close(network.at({T: 0.25}, beyond=True).on_torus(fields), border)
    with pytest.raises(ValueError, match="the network depends on electron_temperature, which the model does not have: it has J"):
        network.at({"J": 1.0, "filling": None})


@pytest.mark.parametrize(
    ("model", "unit"), [(Holstein(SQUARE, temperature=0.05, K=1.0), 1.0), (Holstein(SQUARE, t=2.0, g=1.0, temperature=0.1), 2.0)]
)
def test_a_saved_network_serves_every_temperature_and_coupling(model, unit, tmp_path):
    network, _ = told()
    NetworkForces(network, MODEL).save(tmp_path)
    assert read_json(tmp_path / "model.json")["architecture"]["inputs"] == [T]
    forces = NetworkForces.load(tmp_path, model)
    fields = fields_for(network).double()
    of_fields, of_forces = model.scaling.relative_to(MODEL.scaling)
    expected = of_forces * network.at({T: model.temperature / unit}).on_torus((of_fields * fields).float()).detach().numpy()
    found = forces.electronic_forces(fields.numpy()[:, 0])
    np.testing.assert_allclose(found, expected[:, 0].clip(-model.largest_force, model.largest_force), atol=1e-5)
    again = pickle.loads(pickle.dumps(forces))
    np.testing.assert_array_equal(again.electronic_forces(fields.numpy()[:, 0]), found)
    with pytest.raises(ValueError, match=r"electron_temperature = 0.5 is outside of 0.03 to 0.2"):
        NetworkForces.load(tmp_path, Holstein(SQUARE, temperature=0.5))
    with pytest.raises(ValueError, match=r"was trained for chemical_potential = 0.0 \(not 0.1\)|carries a 1xA1o field"):
        NetworkForces.load(tmp_path, Holstein(SQUARE, temperature=0.1, chemical_potential=0.1))
    NetworkForces.load(tmp_path, Holstein(SQUARE, temperature=0.5), extrapolate=True)


def test_folded_it_is_saved_as_a_plain_network_of_the_model_at_hand(tmp_path):
    network, _ = told()
    fields = fields_for(network).numpy()[:, 0].astype(float)
    NetworkForces(network, MODEL, seen=FieldRange(0.1, 1.0, 4.0)).save(tmp_path / "one")
    other = Holstein(SQUARE, temperature=0.05, g=3.0, K=2.0)
    forces = NetworkForces.load(tmp_path / "one", other)
    forces.folded().save(tmp_path / "own")
    own = NetworkForces.load(tmp_path / "own")
    assert (own.model, own.seen) == (other, FieldRange(0.05, 0.5, 2.0)) and not load_model(tmp_path / "own")[0].architecture.inputs
    np.testing.assert_array_equal(own.forces(fields), forces.forces(fields))
    beyond = NetworkForces.load(tmp_path / "one", Holstein(SQUARE, temperature=0.5), extrapolate=True)
    with pytest.raises(ValueError, match="used beyond what it knows is none of this model"):
        beyond.folded()


def test_a_network_told_the_chemical_potential_serves_half_filling_too(tmp_path):
    network, _ = told("two inputs")
    NetworkForces(network, Holstein(SQUARE, temperature=0.1, chemical_potential=0.3)).save(tmp_path)
    half = NetworkForces.load(tmp_path, MODEL)
    fields = fields_for(network)
    expected = network.at({T: 0.1, MU: 0.0}).on_torus(fields).detach().numpy()[:, 0]
    np.testing.assert_allclose(half.electronic_forces(fields.numpy()[:, 0].astype(float)), expected.clip(-0.75, 0.75), atol=1e-5)


def test_spins_are_told_their_coupling(tmp_path):
    network, _ = told("spins")
    network.span(torch.tensor([[0.03, 0.5], [0.2, 2.0]]))
    NetworkForces(network, Kondo(SQUARE, temperature=0.1, J=1.0)).save(tmp_path)
    assert NetworkForces.load(tmp_path, Kondo(SQUARE, temperature=0.3, t=3.0, J=4.0)).network.radius == 2
    with pytest.raises(ValueError, match="J = 3 is outside of 0.5 to 2"):
        NetworkForces.load(tmp_path, Kondo(SQUARE, temperature=0.1, J=3.0))


def test_damaged_inputs_are_refused(tmp_path):
    NetworkForces(told()[0], MODEL).save(tmp_path)
    facts = read_json(tmp_path / "model.json")
    for inputs in ([], [T, T], [3], ["x" * 65], [T] * 5):
        facts["architecture"]["inputs"] = inputs
        (tmp_path / "model.json").write_text(json.dumps(facts))
        with pytest.raises(DataError, match="does not fit the architecture"):
            load_model(tmp_path)


def test_samples_carry_their_conditions():
    fields = np.random.default_rng(0).normal(size=(4, 1, 8, 8))
    data = configurations(fields, SQUARE, kind="random", time=np.zeros(4), trajectory=np.arange(4))
    model = Holstein(SQUARE, t=2.0, temperature=0.1, chemical_potential=0.4)
    data.attrs["model"] = json.dumps(model.parameters())
    own = data.assign_coords(temperature=("sample", [0.1, 0.2, 0.3, 0.4]))
    np.testing.assert_allclose(conditions_of(own, [T, MU]), [[0.05, 0.2], [0.1, 0.2], [0.15, 0.2], [0.2, 0.2]])
    np.testing.assert_allclose(conditions_of(data, [T]), 4 * [[0.05]])
    with pytest.raises(ValueError, match="input J is no condition of the model's electrons: choose among electron_temperature, ch"):
        conditions_of(own, ["J"])


def test_it_learns_what_the_temperature_does():
    """Forces at three temperatures from one network: better than the best that knows none, by a factor, in a short training."""
    temperatures, rng = (0.1, 0.6, 3.0), np.random.default_rng(0)
    fields = rng.normal(size=(8, 8, 8)).astype(np.float32)
    exact = np.concatenate([ExactForces(Holstein(SQUARE, temperature=t)).electronic_forces(fields) for t in temperatures])
    every = np.tile(fields, (3, 1, 1))[:, None]
    conditions = np.repeat(temperatures, 8).astype(np.float32)[:, None]
    data = {
        name: Samples(every, exact[:, None].astype(np.float32), values) for name, values in (("told", conditions), ("not", None))
    }
    found = {}
    for name, inputs in (("told", (T,)), ("not", ())):
        architecture = Architecture(width=1, depth=1, first_radius=1, separable=True, inputs=inputs)
        trained = fit(architecture, data[name], data[name], Recipe(150, 2, 3e-2, 50, 1))
        found[name] = relative_error(trained.network, data[name])
    assert found["told"] < 0.5 * found["not"], found


def test_a_training_goes_on_from_a_conditioned_network(tmp_path):
    rng = np.random.default_rng(0)
    fields = rng.normal(size=(4, 1, 8, 8)).astype(np.float32)
    samples = Samples(fields, np.tanh(fields), np.array([[0.05], [0.1], [0.15], [0.2]], dtype=np.float32))
    architecture = Architecture(width=1, depth=1, first_radius=1, inputs=(T,))
    first = fit(architecture, samples, samples, Recipe(10, 1, 1e-2, 5, 1)).network
    NetworkForces(first, MODEL).save(tmp_path)
    loaded, _ = load_model(tmp_path)
    second = fit(architecture, samples, samples, Recipe(1, 1, 1e-9, 1, 1), start=loaded).network
    torch.testing.assert_close(second.on_torus(torch.from_numpy(fields)), first.on_torus(torch.from_numpy(fields)))


def test_datasets_select_conditions():
    data = xr.Dataset(
        {name: (("sample", "component", "y", "x"), np.ones((2, 1, 8, 8), np.float32)) for name in ("fields", "forces_electronic")},
        coords={"split": ("sample", ["train", "test"]), "temperature": ("sample", [0.1, 0.2])},
        attrs={"model": json.dumps(MODEL.parameters())},
    )
    assert Samples.select(data, "train").conditions is None
    np.testing.assert_allclose(Samples.select(data, "test", inputs=[T]).conditions, [[0.2]])


def labelled(model, seed):
    fields = np.random.default_rng(seed).normal(size=(3, 1, 8, 8))
    data = configurations(fields, SQUARE, kind="random", time=np.zeros(3), trajectory=np.arange(3))
    exact = ExactForces(model).electronic_forces(data["fields"].values[:, 0])
    data["forces_electronic"] = (data["fields"].dims, exact[:, None].astype(np.float32))
    data = data.assign_coords(temperature=("sample", np.full(3, model.temperature)), split=("sample", ["train", "test", "train"]))
    data.attrs["model"] = json.dumps(model.parameters())
    return data


def test_data_of_many_couplings_become_one_set_in_the_units_of_one():
    here = Holstein(SQUARE, temperature=0.1)
    there = Holstein(SQUARE, t=2.0, g=1.0, K=1.0, temperature=0.6, chemical_potential=0.4)
    data = merged([labelled(here, 0), labelled(there, 1)], here)
    data.attrs["model"] = json.dumps(here.parameters())
    np.testing.assert_allclose(conditions_of(data, [T, MU]), [[0.1, 0.0]] * 3 + [[0.3, 0.2]] * 3, rtol=1e-6)
    assert data["split"].values.tolist() == ["train", "test", "train"] * 2
    other = Holstein(SQUARE, temperature=0.3, chemical_potential=0.2)
    exact = ExactForces(other).electronic_forces(data["fields"].values[3:, 0])
    np.testing.assert_allclose(data["forces_electronic"].values[3:, 0], exact, atol=1e-6)
    with pytest.raises(ValueError, match="data of different models or lattices cannot be shared"):
        merged([labelled(here, 0)], Kondo(SQUARE, temperature=0.1))
    with pytest.raises(ValueError, match="Holstein model states no scaling, or has none"):
        merged([labelled(Holstein(SQUARE, g=0.0, temperature=0.1), 0)], here)


def test_a_training_goes_on_from_another_coupling_in_its_own_units():
    network, fields = told()[0].at({T: 0.1}), torch.randn(2, 1, 8, 8)
    start = brought(network, MODEL, Holstein(SQUARE, temperature=0.1, g=3.0))
    torch.testing.assert_close(start.on_torus(fields), 2.0 * network.on_torus(2.0 * fields))
    assert brought(network, MODEL, Holstein(SQUARE, temperature=0.1, g=0.0)) is network


@dataclass(frozen=True)
class Silent(Holstein):
    """A model of a user's own that states no scaling."""

    scaling = None


def test_without_a_scaling_temperature_is_an_input_all_the_same(tmp_path):
    network, _ = told()
    NetworkForces(network, Silent(SQUARE, temperature=0.1)).save(tmp_path)
    fields = fields_for(network).numpy()[:, 0].astype(float)
    forces = NetworkForces.load(tmp_path, Silent(SQUARE, temperature=0.05))
    expected = NetworkForces(network.at({T: 0.05}), MODEL).electronic_forces(fields)
    np.testing.assert_array_equal(forces.electronic_forces(fields), expected)
    with pytest.raises(ValueError, match=r"was trained for g = 1.5 \(not 2.0\): train"):
        NetworkForces.load(tmp_path, Silent(SQUARE, temperature=0.05, g=2.0))
