"""P2, P4: forces against finite differences of the grand potential, KPM against exact diagonalisation."""

import numpy as np
import pytest

from ennforce.electrons import ExactElectrons, SpectrumError, solve
from ennforce.electrons.bounds import lanczos_window
from ennforce.electrons.chebyshev import SpectralWindow, coefficients, order_bound, truncated
from ennforce.electrons.exact import dense_hamiltonian, fermi
from ennforce.forces import ExactForces, KPMForces
from ennforce.hamiltonians import Holstein
from ennforce.lattice import Lattice
from tests.conftest import configuration, holstein


@pytest.mark.parametrize("regime", ["default", "paper"])
@pytest.mark.parametrize("maker", [ExactForces, lambda model: KPMForces(model, 1e-9)], ids=["exact", "kpm"])
def test_forces_are_the_negative_gradient_of_the_grand_potential(regime, maker):
    shape = (6, 8)
    forces = maker(holstein(regime, shape, 0.2))
    fields = configuration(regime, "walls", shape)
    step = 1e-4
    analytic = forces.forces(fields)
    for site in [(0, 0), (2, 5), (5, 7)]:
        up, down = fields.copy(), fields.copy()
        up[site] += step
        down[site] -= step
        numeric = -(forces.grand_potential(up) - forces.grand_potential(down)) / (2 * step)
        assert abs(analytic[site] - numeric) < 1e-6


def test_forces_are_the_gradient_at_fixed_chemical_potential_away_from_half_filling():
    shape = (6, 6)
    forces = ExactForces(holstein("default", shape, 0.1, chemical_potential=0.4))
    fields = configuration("default", "random", shape)
    up, down = fields.copy(), fields.copy()
    up[1, 2] += 1e-4
    down[1, 2] -= 1e-4
    numeric = -(forces.grand_potential(up) - forces.grand_potential(down)) / 2e-4
    assert abs(forces.forces(fields)[1, 2] - numeric) < 1e-6


@pytest.mark.parametrize("temperature", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("regime", ["default", "paper"])
@pytest.mark.parametrize("kind", ["random", "hot", "walls"])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-4])
def test_kpm_meets_its_tolerance(regime, kind, temperature, tolerance):
    shape = (24, 24)
    model = holstein(regime, shape, temperature)
    fields = configuration(regime, kind, shape)
    solution = solve(model, fields, tolerance)
    deviation = np.abs(solution.density - ExactElectrons(model, fields).density).max()
    assert deviation <= tolerance
    assert deviation <= solution.error  # the estimate is honest


@pytest.mark.parametrize("shape", [(3, 5), (4, 4), (7, 10), (13, 17), (10, 26)])
@pytest.mark.parametrize("options", [{"chemical_potential": 0.3}, {"filling": 0.4}], ids=str)
def test_kpm_on_small_odd_and_rectangular_tori(shape, options):
    model = holstein("default", shape, 0.1, **options)
    fields = configuration("default", "random", shape)
    exact = ExactElectrons(model, fields)
    solution = solve(model, fields, 1e-5)
    assert np.abs(solution.density - exact.density).max() < 1e-5
    assert solution.chemical_potential == pytest.approx(exact.chemical_potential, abs=1e-3)


def test_sampled_windows_agree_with_verified_ones():
    model = holstein("default", (32, 32), 0.1)
    fields = configuration("default", "walls", (32, 32))
    assert np.abs(solve(model, fields, 1e-2, sampled=True).density - solve(model, fields, 1e-6).density).max() < 1e-2


def test_the_coupling_of_the_published_regime():
    assert holstein("paper", (4, 4), 0.1).coupling == pytest.approx(3.06, abs=0.01)


def test_fixed_filling_fills():
    model = holstein("default", (8, 8), 0.1, filling=0.3)
    assert ExactForces(model).density(configuration("default", "random", (8, 8))).mean() == pytest.approx(0.3, abs=1e-9)


def test_particle_hole_symmetry_of_exact_forces():
    forces = ExactForces(holstein("default", (8, 8), 0.05))
    fields = configuration("default", "random", (8, 8))
    np.testing.assert_allclose(forces.forces(-fields), -forces.forces(fields), atol=1e-12)


@pytest.mark.parametrize("element", range(8))
def test_point_group_symmetry_of_exact_forces(element):
    forces = ExactForces(holstein("paper", (6, 6), 0.1))
    lattice = forces.model.lattice
    fields = configuration("paper", "random", (6, 6))
    moved = np.roll(lattice.transformed(fields, element), (2, 1), axis=(0, 1))
    expected = np.roll(lattice.transformed(forces.forces(fields), element), (2, 1), axis=(0, 1))
    np.testing.assert_allclose(forces.forces(moved), expected, atol=1e-12)


def test_truncation_error_is_bounded_by_the_coefficients_left_out():
    window = SpectralWindow(5.0, 0.1)
    series = coefficients(lambda e: fermi(e, 0.0, 0.1), window, order_bound(window, 0.1, 1e-8))
    short = truncated(series, 1e-4)
    x = np.linspace(-1, 1, 2001)
    error = np.abs(np.polynomial.chebyshev.chebval(x, short) - fermi(window.a * x + window.b, 0.0, 0.1)).max()
    assert error <= 1e-4
    assert len(short) < len(series)


def test_expansion_order_grows_as_the_pole_distance_says():
    """P4: a factor 10 in error for every 0.73 a / T orders."""
    window = SpectralWindow(5.0, 0.0)
    series = coefficients(lambda e: fermi(e, 0.0, 0.05), window, 1200)
    lengths = [len(truncated(series, 10.0**-n)) for n in (3, 6)]
    assert (lengths[1] - lengths[0]) / 3 == pytest.approx(0.73 * 5.0 / 0.05, rel=0.05)


@pytest.mark.parametrize("regime", ["default", "paper"])
@pytest.mark.parametrize("kind", ["random", "hot", "walls"])
def test_lanczos_bounds_hold_the_spectrum_and_are_tight(regime, kind):
    model = holstein(regime, (16, 16), 0.1)
    fields = configuration(regime, kind, (16, 16))
    energies = np.linalg.eigvalsh(dense_hamiltonian(model, fields))
    window = lanczos_window(model.onsite(fields), model.hoppings())
    assert window.b - window.a < energies[0] and energies[-1] < window.b + window.a
    assert window.a < 0.5 * (energies[-1] - energies[0]) * 1.15


def test_a_spectrum_outside_its_bounds_raises():
    model = holstein("default", (16, 16), 0.1)
    with pytest.raises(SpectrumError, match="spectrum leaves its bounds"):
        solve(model, configuration("default", "random", (16, 16)), 1e-4, bounds=SpectralWindow(3.0, 0.0))


def test_batches_and_component_axes():
    forces = KPMForces(holstein("default", (8, 8), 0.2), 1e-4)
    fields = np.stack([configuration("default", "random", (8, 8), seed) for seed in range(3)])
    batch = forces.forces(fields)
    assert batch.shape == (3, 8, 8)
    np.testing.assert_array_equal(batch[1], forces.forces(fields[1]))
    np.testing.assert_array_equal(forces.forces(fields[:, None]), batch[:, None])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Holstein(Lattice.square(8, 8), temperature=0.0), "temperature 0.0 is not positive"),
        (lambda: Holstein(Lattice.square(8, 8), temperature=0.1, K=0.5, kappa=0.2), "elastically unstable"),
        (lambda: Holstein(Lattice.square(8, 8), temperature=0.1, filling=1.5), "filling 1.5"),
        (lambda: KPMForces(holstein("default", (8, 8), 0.1), 0.0), "tolerance 0.0"),
        (lambda: KPMForces(holstein("default", (8, 8), 0.1), 1e-4, margin=0.0), "spectral margin 0.0"),
        (lambda: KPMForces(holstein("default", (8, 8), 0.1)).forces(np.full((8, 8), np.nan)), "64 field values are NaN"),
        (lambda: KPMForces(holstein("default", (8, 8), 0.1)).forces(np.zeros((6, 8))), "do not end in the lattice's"),
        (lambda: KPMForces(holstein("default", (2, 2), 0.1)).forces(np.zeros((2, 2))), "smaller than twice the hopping range"),
    ],
)
def test_impossible_inputs_are_named(call, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        call()


@pytest.mark.parametrize("factor", [1.02, 1.1, 1.5])
def test_bounds_find_the_bound_state_of_one_rare_site(factor):
    """A gapped order with one larger distortion: the state outside the bands hides from short Lanczos runs."""
    model = holstein("paper", (24, 24), 0.1)
    fields = 2.5 * model.lattice.stagger()
    fields[7, 11] *= factor
    energies = np.linalg.eigvalsh(dense_hamiltonian(model, fields))
    window = lanczos_window(model.onsite(fields), model.hoppings())
    assert window.b - window.a < energies[0] and energies[-1] < window.b + window.a


def test_failing_lanczos_bounds_give_way_to_certain_ones(monkeypatch):
    from ennforce.electrons import kpm

    model = holstein("default", (16, 16), 0.1)
    fields = configuration("default", "random", (16, 16))
    monkeypatch.setattr(kpm, "lanczos_window", lambda onsite, hoppings, margin: SpectralWindow(3.0, 0.0))
    assert np.abs(solve(model, fields, 1e-4).density - ExactElectrons(model, fields).density).max() < 1e-4
