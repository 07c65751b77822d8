"""Networks for other kinds, fields and dimensions than the study of reference: what can be built can be saved, loaded and used."""

import pickle
from dataclasses import KW_ONLY, dataclass

import numpy as np
import pytest
import torch

from ennforce import networks, sections
from ennforce.config import ConfigError, load_study
from ennforce.forces import NetworkForces
from ennforce.io import DataError
from ennforce.lattice import Lattice
from ennforce.models import Holstein, Kondo, Peierls
from ennforce.networks import Architecture, build
from ennforce.networks.equivariance import assert_equivariant
from ennforce.networks.export import TiledNetwork, load_model, save_model
from ennforce.networks.models import EquivariantNetwork
from ennforce.symmetry import FieldType
from ennforce.training.metrics import equivariance_error, symmetry_elements

EVEN = [("square", "A1e"), ("square", "Ee"), ("square", "A1e+B1e"), ("triangular", "A1e"), ("chain", "A1e")]


@pytest.fixture
def own_kind(monkeypatch):
    """As docs/networks.md says: a subclass and a line in ``networks.KINDS``."""

    class Own(EquivariantNetwork):
        """A network of a user."""

    monkeypatch.setitem(networks.KINDS, "own", Own)
    return Own


def test_a_new_kind_is_saved_and_loaded(own_kind, tmp_path):
    network = build(Architecture("own", width=1, depth=1), 0.7, 0.05)
    model = Holstein(Lattice.square(8, 8), temperature=0.1)
    save_model(tmp_path, network, {"model": model.parameters(), "target": "electronic"})
    loaded, facts = load_model(tmp_path)
    assert isinstance(loaded, own_kind) and facts["architecture"]["kind"] == "own"
    fields = np.random.default_rng(0).normal(size=(8, 8))
    with torch.no_grad():
        expected = network.on_torus(torch.as_tensor(fields, dtype=torch.float32)[None, None])[0, 0].double().numpy()
    np.testing.assert_allclose(NetworkForces.load(tmp_path).electronic_forces(fields), expected, atol=1e-5)


def test_a_model_of_a_kind_that_is_not_here_is_refused_in_one_line(own_kind, monkeypatch, tmp_path):
    network, model = build(Architecture("own", width=1, depth=1)), Holstein(Lattice.square(8, 8), temperature=0.1)
    save_model(tmp_path, network, {"model": model.parameters(), "target": "electronic"})
    monkeypatch.delitem(networks.KINDS, "own")
    with pytest.raises(DataError, match="network kind 'own' is unknown: choose one of enn, "):
        load_model(tmp_path)


@dataclass(frozen=True)
class Quartic(Holstein):
    """A model of a user: Holstein's with an elastic energy b Q^4 / 4 more, which does not say how it scales."""

    _: KW_ONLY
    b: float = 0.1
    scaling = None

    def classical_forces(self, fields):
        return super().classical_forces(fields) - self.b * fields**3


@pytest.mark.parametrize("lattice", [Lattice.square(8, 8), Lattice.chain(16)])
def test_a_network_for_a_model_of_ones_own_is_saved_and_loaded_with_it(lattice, tmp_path):
    model = Quartic(lattice, temperature=0.1, b=0.3)
    forces = NetworkForces(build(Architecture(lattice=lattice.name, width=1, depth=1, first_radius=1), 0.7, 0.4), model)
    forces.save(tmp_path)
    fields = np.random.default_rng(0).normal(size=lattice.shape)
    np.testing.assert_array_equal(NetworkForces.load(tmp_path, model).forces(fields), forces.forces(fields))
    with pytest.raises(DataError, match=r"lattice model 'quartic', which is none of .*: hand over a model of that class"):
        NetworkForces.load(tmp_path)
    with pytest.raises(DataError, match="hand over a model of that class"):
        NetworkForces.load(tmp_path, Holstein(lattice, temperature=0.1))
    other = Quartic(lattice, temperature=0.1, b=0.4)
    with pytest.raises(ValueError, match=r"was trained for b = 0.3 \(not 0.4\)"):
        NetworkForces.load(tmp_path, other)
    beyond = pickle.loads(pickle.dumps(NetworkForces.load(tmp_path, other, extrapolate=True)))
    assert beyond.model == other
    beyond.save(tmp_path / "copy")  # it still says what it was trained for
    assert load_model(tmp_path / "copy", model)[1]["model"] == model.parameters()


def test_what_would_not_load_is_not_saved(tmp_path):
    network, model = build(Architecture(width=1, depth=1)), Holstein(Lattice.square(8, 8), temperature=0.1)
    for facts in ({}, {"model": model.parameters()}, {"model": model.parameters(), "target": "sum"}):
        with pytest.raises(
            ValueError, match=r"cannot be saved so that it loads again .*: use NetworkForces\(network, model\)"
        ) as caught:
            save_model(tmp_path, network, facts)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    state = torch.get_rng_state()
    save_model(tmp_path, network.double(), {"model": model.parameters(), "target": "electronic"})
    assert torch.equal(torch.get_rng_state(), state)
    loaded, facts = load_model(tmp_path)
    save_model(tmp_path, loaded, facts)  # what was read of the file is not taken for what is written
    assert load_model(tmp_path)[1] == facts


def test_a_field_type_has_one_spelling():
    assert Architecture(field_type="A1e") == Architecture(field_type="1xA1e")
    with pytest.raises(ValueError, match="is not like '4xRo'"):
        Architecture(field_type="A1")


def test_a_line_in_kinds_is_all_that_a_study_needs(monkeypatch, tmp_path):
    text = (sections.Path(networks.__file__)).read_text().replace('    "enn": ', '    "own": EquivariantNetwork,\n    "enn": ')
    (tmp_path / "networks").mkdir()
    (tmp_path / "networks" / "__init__.py").write_text(text)
    with pytest.raises(ConfigError, match="network.kind = 'own': input should be one of enn, "):
        load_study({"network": {"kind": "own"}})
    monkeypatch.setattr(sections, "__file__", str(tmp_path / "sections.py"))
    sections.network_kinds.cache_clear()
    try:
        assert load_study({"network": {"kind": "own"}}).network.kind == "own"
    finally:
        sections.network_kinds.cache_clear()


@pytest.mark.parametrize("separable", [True, False])
@pytest.mark.parametrize(("lattice", "field"), EVEN)
def test_an_even_field_leaves_no_channel_empty(lattice, field, separable):
    """Odd features of an even field could only be zero."""
    torch.manual_seed(0)
    network = build(Architecture("enn", lattice, field, width=2, depth=2, first_radius=1, separable=separable))
    torus = Lattice(lattice, (10,) * len(Lattice(lattice, (1,) if lattice == "chain" else (1, 1)).shape))
    channels = network.embed.in_type.dim(torus.point_group)
    features = network.embed.on_torus(torch.randn(1, channels, *torus.shape))
    assert (features.flatten(2).std(dim=2) > 0).all()
    assert features.shape[1] == 2 * len(torus.point_group) and {term.parity for term in network.embed.out_type.terms} == {1}
    network.on_torus(torch.randn(2, channels, *torus.shape)).square().sum().backward()
    assert all((parameter.grad != 0).any() for parameter in network.parameters())
    assert_equivariant(network.double().on_torus, torus, network.embed.in_type, network.embed.in_type, torch.float64)


def test_odd_and_even_features_are_kept_where_the_field_has_odd_terms():
    def hidden(field: str, mixed: bool) -> str:
        return str(build(Architecture(field_type=field, width=3, depth=1, mixed=mixed)).embed.out_type)

    assert (hidden("A1o", True), hidden("A1o", False), hidden("A1o+A1e", True)) == ("3xRo+3xRe", "3xRo", "3xRo+3xRe")
    assert hidden("A1e", True) == hidden("A1e", False) == "3xRe"
    with pytest.raises(ValueError, match="odd features alone cannot make the even part of a field 1xA1o"):
        hidden("A1o+A1e", False)
    with pytest.raises(ValueError, match="network kind 'enn' has no features that rotate as those of 1xA1l1o do: use kind 'typed'"):
        hidden("A1l1o", True)


@pytest.mark.parametrize(
    ("kind", "field"), [("enn", "A1o"), ("enn", "A1e"), ("enn_energy", "A1o"), ("enn_energy", "A1e"), ("typed", "A1e")]
)
def test_a_network_of_a_chain_is_saved_loaded_and_used(kind, field, tmp_path):
    torch.manual_seed(0)
    model = Holstein(Lattice.chain(40), temperature=0.1, chemical_potential=0.0 if field == "A1o" else 0.1)
    network = build(Architecture(kind, "chain", f"1x{field}", width=2, depth=2, first_radius=1), 0.7, 0.05)
    save_model(tmp_path, network, {"model": model.parameters(), "target": "electronic"})
    forces = NetworkForces.load(tmp_path, model)
    fields = np.random.default_rng(0).normal(size=(3, 40))
    predicted = forces.forces(fields)
    assert predicted.shape == (3, 40)
    np.testing.assert_allclose(forces.forces(fields[:, ::-1]), predicted[:, ::-1], atol=1e-5)
    np.testing.assert_allclose(forces.forces(np.roll(fields, 7, axis=1)), np.roll(predicted, 7, axis=1), atol=1e-5)
    reach = network.receptive_radius
    inner = network(torch.as_tensor(fields, dtype=torch.float32)[:, None]).detach().numpy()[:, 0]
    np.testing.assert_allclose(inner, forces.electronic_forces(fields)[:, reach:-reach], atol=1e-5)
    with pytest.raises(ValueError, match=f"do not end in a torus of at least {2 * reach} sites"):
        forces.forces(fields[:, : 2 * reach - 1])


def test_a_bond_field_of_a_chain_has_its_forces(tmp_path):
    model = Peierls(Lattice.chain(24), temperature=0.1)
    network = build(Architecture("enn", "chain", str(model.field_type), width=2, depth=1, first_radius=1))
    save_model(tmp_path, network, {"model": model.parameters(), "target": "electronic"})
    fields = 0.1 * np.random.default_rng(0).normal(size=(2, *model.field_shape))
    assert NetworkForces.load(tmp_path).forces(fields).shape == fields.shape


@pytest.mark.parametrize("length", [15, 16])
def test_off_half_filling_an_odd_torus_has_its_forces(length, tmp_path):
    """No sublattices, no need for even lengths; at half filling an odd torus has no particle-hole symmetry and is refused."""
    model = Holstein(Lattice.square(16, 16), temperature=0.1, chemical_potential=0.15)
    network = build(Architecture(field_type=str(model.field_type), width=1, depth=1))
    fields = np.random.default_rng(0).normal(size=(length, length))
    assert np.isfinite(NetworkForces(network, model).forces(fields)).all()
    half = Holstein(Lattice.square(16, 16), temperature=0.1)
    network = build(Architecture(field_type=str(half.field_type), width=1, depth=1))
    if length % 2:
        with pytest.raises(ValueError, match="odd in the fields needs even lengths"):
            NetworkForces(network, half).forces(fields)


def test_tiles_make_the_forces_of_the_torus_for_even_fields():
    network = build(Architecture(field_type="1xEe", width=1, depth=2, separable=True))
    fields = torch.randn(2, 2, 17, 14)
    with torch.no_grad():
        reference = network.on_torus(fields)
    torch.testing.assert_close(TiledNetwork(network).on_torus(fields, 6), reference, rtol=1e-4, atol=1e-5)


def test_the_check_of_a_spin_network_rotates_the_spins():
    """The internal group is the field's: 8 elements of the point group, times 1 and two rotations, times time reversal."""
    model = Kondo(Lattice.square(8, 8), temperature=0.2)
    assert symmetry_elements(model.field_type, model.lattice) == 8 * 3 * 2
    assert symmetry_elements(FieldType.parse("A1o"), model.lattice) == 16
    assert symmetry_elements(FieldType.parse("A1e"), model.lattice) == 8
    torch.manual_seed(0)
    network = build(Architecture("typed", field_type=str(model.field_type), width=1, depth=1)).double()
    spins = np.random.default_rng(0).normal(size=(1, 3, 8, 8))
    assert equivariance_error(network, spins) < 1e-12
    exact = network.on_torus
    network.on_torus = lambda s: exact(s) * torch.tensor([1.0, 1.0, 2.0], dtype=s.dtype)[:, None, None]  # an easy axis
    assert equivariance_error(network, spins) > 0.1 and equivariance_error(network, spins, [np.eye(3)]) < 1e-12
