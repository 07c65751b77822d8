"""Models of one's own: found, checked, refused in one line; and what every model says of its order."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from ennforce.checking import check_model
from ennforce.config import ConfigError, load_study
from ennforce.lattice import Lattice
from ennforce.models import MODELS, Holstein, Kondo, Peierls, Sphere, from_parameters, register
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


def test_a_model_that_is_not_what_it_says_is_told_so():
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
