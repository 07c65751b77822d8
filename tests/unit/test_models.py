"""Models of one's own: found, checked, refused in one line; and what every model says of its order."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from ennforce import figures
from ennforce.checking import check_model
from ennforce.config import ConfigError, load_study
from ennforce.lattice import Lattice
from ennforce.models import MODELS, Holstein, JahnTeller, Kondo, Peierls, Scaling, Sphere, from_parameters, register
from ennforce.symmetry import FieldType

OWN = Path(__file__).parents[1] / "models" / "quartic.py"
TORI = {
    "chain": Lattice.chain(8),
    "square": Lattice.square(8, 8),
    "triangular": Lattice.triangular(8, 8),
    "cubic": Lattice.cubic(4, 4, 4),
}


@pytest.fixture
def quartic():
    known = dict(MODELS)
    yield register(f"{OWN}:Quartic")
    MODELS.clear()
    MODELS.update(known)


@pytest.mark.parametrize("lattice", TORI)
@pytest.mark.parametrize("model", [Holstein, Kondo, Peierls])
def test_every_model_is_what_it_says_on_every_lattice(model, lattice):
    check_model(model(TORI[lattice], temperature=0.3))


@pytest.mark.parametrize("lattice", TORI)
def test_second_neighbours_and_coupled_displacements_too(lattice):
    check_model(
        Peierls(TORI[lattice].resized(*(12 for _ in TORI[lattice].shape)), temperature=0.3, t2=0.3, K=0.0, k0=2.0, kappa=0.3)
    )


@pytest.mark.parametrize(("mu", "parity"), [(0.0, "o"), (0.4, "e")])
def test_orbitals_that_turn_with_the_lattice(mu, parity):
    model = JahnTeller(TORI["square"], temperature=0.3, chemical_potential=mu, kappa=0.1)
    assert str(model.field_type) == f"1xA1{parity}+1xB1{parity}"
    check_model(model)
    turned = replace(model, chemical_potential=0.4)
    with pytest.raises(ValueError, match="does not transform"):  # as a vector it would not do
        check_model(type("Turned", (JahnTeller,), {"field_type": FieldType.parse("1xEe")})(turned.lattice, temperature=0.3))


def test_a_users_model_is_found_checked_and_studied(quartic):
    model = quartic(Lattice.triangular(6, 6), temperature=0.3, B=0.1)
    check_model(model)
    assert from_parameters(model.parameters()) == model
    content = {"model": {"class": f"{OWN}:Quartic", "lattice": "triangular", "B": 0.1}, "network": {"kind": "typed", "wide": 0}}
    study = load_study(content)
    assert study.lattice_model == quartic(Lattice.triangular(48, 48), temperature=0.05, B=0.1) and not study.odd


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"K": -1.0}, "model.K = -1.0: input should be greater than 0"),
        ({"k": 1.0}, "model.k is not a setting: allowed here are name, class, lattice"),
        ({"lattice": "kagome"}, "model.lattice = 'kagome': input should be 'chain', 'square', 'triangular' or 'cubic'"),
        ({"lattice": "cubic"}, "network reaches 14 sites, but data.shape = [14, 14, 14] is shorter than twice that"),
    ],
)
def test_its_settings_have_bounds_and_names(quartic, settings, message):
    with pytest.raises(ConfigError) as caught:
        load_study({"model": {"class": f"{OWN}:Quartic", **settings}})
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (None, "Quartic", "does not exist: give its path"),
        ("class Quartic(:", "Quartic", "line 1: invalid syntax"),
        ("import nothing_like_it", "Quartic", "cannot be imported (ModuleNotFoundError"),
        ("class Quartik: pass", "Quartic", "holds no Quartic; did you mean Quartik?"),
        ("class Quartic: pass", "Quartic", "is no model: let the class inherit"),
        ("from ennforce.models import Hamiltonian\nclass Q(Hamiltonian): pass", "Q", "lacks blocks, classical_energy"),
        (OWN.read_text().replace("@dataclass(frozen=True)", ""), "Quartic", "is no dataclass"),
    ],
)
def test_a_model_file_that_cannot_be_used_is_refused_in_one_line(tmp_path, text, name, message):
    path = tmp_path / "own.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_study({"model": {"class": f"{path}:{name}"}})
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_model_file_may_postpone_its_annotations(tmp_path, quartic):
    path = tmp_path / "postponed.py"
    path.write_text("from __future__ import annotations\n" + OWN.read_text())
    load_study({"model": {"class": f"{path}:Quartic", "lattice": "triangular"}, "network": {"kind": "typed", "wide": 0}})
    with pytest.raises(ConfigError, match="model.K = -1.0: input should be greater than 0"):
        load_study({"model": {"class": f"{path}:Quartic", "K": -1.0}})


def test_a_users_model_takes_no_name_of_the_package(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("from ennforce.models import Holstein as Base\nclass Holstein(Base): pass")
    with pytest.raises(ConfigError, match="rename your class"):
        load_study({"model": {"class": f"{path}:Holstein"}})
    assert MODELS["holstein"] is Holstein


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"observables": ["own.py:X"]}, "own.py:X is no observable: make it an"),
        ({"observables": ["own.py:SAME"]}, "two observables are called order: rename one of them"),
        ({"observables": ["own.py:fails"]}, "own.py:fails fails for Holstein (RuntimeError: no): mend it"),
        (
            {"observables": ["own.py:SHAPE"]},
            "own.py:SHAPE cannot be measured (ValueError: observable shape has shape (2, 8, 8), not",
        ),
        ({"observables": ["none.py:X"]}, "none.py, the file of your own observable, does not exist"),
        ({"observables": ["own.py:Y"]}, "own.py holds no Y: it defines fails, Half"),
        ({"observables": ["thing"]}, "observable 'thing' is unknown: name the file of your own"),
        ({"network": {"kind": "own.py:Half"}}, "own.py:Half lacks multiply_adds, receptive_radius, response"),
        ({"network": {"kind": "own.py:fails"}}, "own.py:fails is no kind of network: let the class inherit"),
        ({"network": {"kind": "none.py:A"}}, "none.py, the file of your own network kind, does not exist"),
        ({"network": {"kind": "en"}}, "network.kind = 'en': input should be one of enn,"),
        ({"model": {"name": "kondo"}}, "it has no features that rotate as 1xA1l1o does: choose typed or typed_energy"),
        (
            {"model": {"name": "kondo", "lattice": "triangular"}, "network": {"kind": "typed"}, "bath": {"initial_order": 0.5}},
            "bath.initial_order = 0.5: the chirality is not linear in the fields: set initial_order to 0",
        ),
    ],
)
def test_what_a_study_cannot_have_of_its_own_is_refused_in_one_line(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(
        "from ennforce.networks import ForceNetwork\nfrom ennforce.observables import Observable\nX = 3\n"
        "def fails(model):\n    raise RuntimeError('no')\n"
        "SAME = Observable('order', lambda m: m.over_sites(m.fields), 'a name that is taken')\n"
        "SHAPE = Observable('shape', lambda m: m.fields, 'a number for each site')\n"
        "class Half(ForceNetwork):\n    pass\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_study(content)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("own.py", "def draw(", "own.py, line 1: '(' was never closed: mend the figure's file"),
        ("own.py", "X = 1", "own.py is no figure, for it lacks CAPTION, CATEGORY, TARGETS"),
        ("growth.py", "X = 1", "growth.py has the name of a figure that there is, growth: rename the file"),
        ("own.txt", "", "own.txt does not exist, or its name does not end in .py"),
    ],
)
def test_what_is_no_figure_is_refused_in_one_line(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError) as caught:
        figures.table([str(tmp_path / name)])
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_parameters_from_elsewhere_import_nothing(tmp_path):
    trap = tmp_path / "trap.py"
    trap.write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')")
    for name in (f"{trap}:Trap", "trap"):
        with pytest.raises(ValueError, match="hand over the model, or register its class"):
            from_parameters({"name": name, "class": f"{trap}:Trap", "lattice": {"name": "square", "shape": [4, 4]}})
    assert not (tmp_path / "sprung").exists()
    with pytest.raises(ValueError, match="did you mean holstein"):
        register("holstien")


@dataclass(frozen=True)
class Skewed(Holstein):
    """A force that is no gradient."""

    def electronic_forces(self, density, fields):
        return 1.01 * super().electronic_forces(density, fields)


@dataclass(frozen=True)
class Claims(Holstein):
    """Away from half filling, and yet said to be odd."""

    @property
    def field_type(self) -> FieldType:
        return FieldType.parse("A1o")


@dataclass(frozen=True)
class TooMany(Holstein):
    """A scalar field with the type of a vector."""

    @property
    def field_type(self) -> FieldType:
        return FieldType.parse("Ee")


@dataclass(frozen=True)
class Unscaled(Holstein):
    """Said to depend on Q alone, whatever g is."""

    @property
    def scaling(self) -> Scaling | None:
        return Scaling.of(self.t, self.t)


def test_a_model_that_is_not_what_it_says_is_told_so():
    with pytest.raises(ValueError, match=r"Unscaled.scaling does not hold: with another g, .*: name it among") as caught:
        check_model(Unscaled(TORI["square"], temperature=0.3))
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="minus the gradient of the energy"):
        check_model(Skewed(TORI["square"], temperature=0.3))
    with pytest.raises(ValueError, match="does not transform as field_type"):
        check_model(Claims(TORI["square"], temperature=0.3, chemical_potential=0.4))
    with pytest.raises(ValueError, match="has 2 components on the square lattice, but the field has 1"):
        check_model(TooMany(TORI["square"], temperature=0.3))


def test_orders_project_their_own_pattern_onto_one_domain():
    pairs = ((Holstein, "square"), (Holstein, "cubic"), (Peierls, "square"))
    models = [model(TORI[name], temperature=0.1) for model, name in pairs]
    for model in models:
        order = model.order.project(model.order.pattern())
        assert order.shape == (model.order.components, *model.lattice.shape)
        np.testing.assert_array_equal(order[0], 1.0)
    assert Holstein(TORI["cubic"], temperature=0.1).order.wave_vector_label == "(π, π, π)"
    assert (Holstein(TORI["square"], temperature=0.1).order.domains(np.ones((2, 1, 8, 8))) == 1).all()


def test_the_chirality_of_tetrahedral_order():
    """P14: four spins to the corners of a tetrahedron, |chi| = 4 / (3 sqrt 3), and its mirror image has the other sign."""
    model = Kondo(TORI["triangular"], temperature=0.1)
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
    y, x = np.indices(model.lattice.shape)
    spins = np.moveaxis(corners[2 * (y % 2) + x % 2], -1, 0)
    Sphere().check(spins, model.lattice)
    chirality = model.order.project(spins)
    assert chirality.shape == (1, 8, 8)
    np.testing.assert_allclose(np.abs(chirality), 4 / (3 * np.sqrt(3)), atol=1e-12)
    np.testing.assert_allclose(model.order.project(-spins), -chirality, atol=1e-12)
    with pytest.raises(ValueError, match="not linear in the fields"):
        model.order.pattern()
    with pytest.raises(ValueError, match="chirality needs triangles"):
        replace(model.order, lattice=TORI["square"])
