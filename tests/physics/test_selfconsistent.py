"""Electrons that repel each other in Hartree approximation: forces, limits, and how the fixed point is found."""

import numpy as np
import pytest

from ennforce.checking import check_model
from ennforce.electrons import selfconsistent
from ennforce.electrons.selfconsistent import NotConverged, fixed_point
from ennforce.forces import ExactForces, KPMForces, LocalForces
from ennforce.lattice import Lattice
from ennforce.models import Holstein, HubbardHolstein

SQUARE = Lattice.square(8, 8)
FIELDS = np.random.default_rng(0).normal(size=SQUARE.shape)


def model(U: float, **settings) -> HubbardHolstein:
    return HubbardHolstein(SQUARE, temperature=0.1, U=U, **settings)


@pytest.mark.parametrize("lattice", [Lattice.chain(8), SQUARE, Lattice.triangular(6, 6), Lattice.cubic(4, 4, 4)])
def test_forces_are_gradients_and_keep_the_lattices_symmetry(lattice):
    check_model(HubbardHolstein(lattice, temperature=0.3, U=2.0, kappa=0.05))


def test_without_repulsion_two_spins_are_two_holstein_electrons():
    one, two = ExactForces(Holstein(SQUARE, temperature=0.1)), ExactForces(model(0.0))
    np.testing.assert_array_equal(two.electronic_forces(FIELDS), 2.0 * one.electronic_forces(FIELDS))
    np.testing.assert_allclose(two.density(FIELDS), 2.0 * one.density(FIELDS))
    free = two.grand_potential(FIELDS) - two.model.classical_energy(FIELDS)
    assert free == pytest.approx(2.0 * (one.grand_potential(FIELDS) - one.model.classical_energy(FIELDS)))


def test_the_density_is_that_of_the_fields_it_makes():
    forces = ExactForces(model(3.0))
    density = forces.density(FIELDS)
    seen = FIELDS - 3.0 / (2.0 * 1.5) * (density - 1.0)
    np.testing.assert_allclose(2.0 * ExactForces(Holstein(SQUARE, temperature=0.1)).density(seen), density, atol=1e-8)


def test_two_starts_find_one_fixed_point():
    forces = ExactForces(model(4.0))
    np.testing.assert_allclose(forces.seen(FIELDS, start=np.zeros_like(FIELDS)), forces.seen(FIELDS), atol=1e-8)


def test_repulsion_screens_a_charge_wave():
    wave = 0.3 * SQUARE.stagger()
    heights = [float(np.abs(ExactForces(model(U)).density(wave) - 1.0).max()) for U in (0.0, 1.0, 2.0, 4.0, 8.0)]
    assert heights == sorted(heights, reverse=True) and heights[-1] < 0.3 * heights[0]


def test_weak_fields_are_screened_as_linear_response_says():
    # <n> - 1 = chi g Q / (1 + chi U / 2) with the bare response chi = d<n>/d(gQ) of both spins.
    wave = 1e-4 * SQUARE.stagger()

    def response(U: float) -> float:
        return float(np.abs(ExactForces(model(U)).density(wave) - 1.0).max()) / (1.5 * 1e-4)

    bare = response(0.0)
    assert response(5.0) == pytest.approx(bare / (1.0 + 2.5 * bare), rel=1e-4)


def test_local_expansions_find_the_same_forces_and_count_their_solutions():
    exact, kpm = ExactForces(model(2.0)), KPMForces(model(2.0), 1e-5, method="local")
    expected = exact.electronic_forces(FIELDS)
    np.testing.assert_allclose(kpm.electronic_forces(FIELDS), expected, atol=3e-5 * kpm.model.force_bound)
    assert 2 < kpm.solutions < exact.solutions
    fixed = LocalForces(model(2.0), order=200, radius=8)
    np.testing.assert_allclose(fixed.electronic_forces(FIELDS), expected, atol=1e-4)


def test_a_warm_start_saves_solutions():
    forces = ExactForces(model(4.0))
    forces.consistency = 1e-5
    before = forces.seen(FIELDS)
    near = FIELDS + 0.01 * np.random.default_rng(1).normal(size=FIELDS.shape)
    forces.seen(near)
    cold = forces.solutions
    forces.seen(near, start=before)
    assert forces.solutions < cold


def test_what_does_not_converge_says_how_far_it_came(monkeypatch):
    monkeypatch.setattr(selfconsistent.fixed_point, "__defaults__", (4,))
    with pytest.raises(
        NotConverged, match="no self-consistent density within 4 solutions: the fields .* still change by"
    ) as caught:
        ExactForces(model(4.0)).electronic_forces(FIELDS)
    assert "\n" not in str(caught.value)


def test_a_fixed_point_is_a_function_of_its_start():
    found = [fixed_point(np.cos, np.full(3, 0.2), 1e-10) for _ in range(2)]
    np.testing.assert_array_equal(found[0].seen, found[1].seen)
    np.testing.assert_allclose(found[0].seen, 0.7390851332)
    assert found[0].solutions == found[1].solutions > 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"chemical_potential": 0.1}, "solved at half filling alone"),
        ({"filling": 0.4}, "filling = 0.4: repelling electrons"),
        ({"g": 0.0}, "the coupling must not be zero"),
    ],
)
def test_what_it_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        model(1.0, **settings)
