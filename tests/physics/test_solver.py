"""P4: the local solvers against exact diagonalisation, at the tolerance asked for."""

import itertools

import numpy as np
import pytest
import torch

from ennforce.electrons import ExactElectrons, SpectrumError, local_density_of_states, solve
from ennforce.electrons.bounds import gershgorin_window, lanczos_window
from ennforce.electrons.chebyshev import SpectralWindow, coefficients, order_bound, truncated
from ennforce.electrons.engines import ChebyshevEngine
from ennforce.electrons.exact import fermi
from ennforce.electrons.poles import fermi_poles
from ennforce.electrons.stencil import Stencil, window_around
from ennforce.forces import ExactForces, KPMForces
from ennforce.lattice import BASES, Lattice
from ennforce.models import Blocks, Holstein
from tests.conftest import configuration, holstein
from tests.physics.test_electrons import MODELS, random_fields

REGIME_CASES = list(itertools.product(["default", "paper"], ["random", "hot", "walls"], [0.01, 0.03, 0.1, 0.2, 0.5]))
METAL = Holstein(Lattice.square(150, 150), temperature=0.01, chemical_potential=0.5)  # thermal length 130
TORI = [(3, 5), (4, 4), (7, 10), (13, 17), (10, 26), (6, 40)]


def check(model, fields, tolerance, **options):
    """The solution, after the comparison of all its elements, potential and number with exact ones."""
    exact = ExactElectrons(model, fields)
    solution = solve(model, fields, tolerance, **options)
    deviation = solution.density.largest_difference(exact.density)
    assert deviation <= solution.error <= tolerance
    assert solution.number == pytest.approx(exact.number, abs=tolerance * model.lattice.num_sites * model.orbitals)
    if solution.grand_potential is not None:
        scale = tolerance * (1.0 + model.temperature) * model.lattice.num_sites * model.orbitals
        assert solution.grand_potential == pytest.approx(exact.grand_potential, abs=scale)
    return solution


@pytest.mark.parametrize(("regime", "kind", "temperature"), REGIME_CASES)
@pytest.mark.parametrize(("tolerance", "method"), [(1e-2, "chebyshev"), (1e-4, "chebyshev"), (1e-3, "local"), (1e-4, "recursion")])
def test_the_tolerance_is_met(regime, kind, temperature, tolerance, method):
    shape = (20, 20)
    model = holstein(regime, shape, temperature)
    check(model, configuration(regime, kind, shape), tolerance, method=method, energy=method == "chebyshev")


@pytest.mark.parametrize("shape", TORI)
@pytest.mark.parametrize("options", [{"chemical_potential": 0.3}, {"filling": 0.4}], ids=str)
@pytest.mark.parametrize("method", ["chebyshev", "recursion"])
def test_small_odd_and_rectangular_tori(shape, options, method):
    model = holstein("default", shape, 0.1, **options)
    fields = configuration("default", "random", shape)
    solution = check(model, fields, 1e-5, method=method, energy=method == "chebyshev")
    assert solution.chemical_potential == pytest.approx(ExactElectrons(model, fields).chemical_potential, abs=1e-3)


@pytest.mark.parametrize("method", ["chebyshev", "recursion"])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_gets_the_elements_its_forces_need(name, method):
    model = MODELS[name]
    solution = check(model, random_fields(model), 1e-5, method=method, energy=method == "chebyshev")
    assert tuple(solution.density.bonds) == model.density_bonds


@pytest.mark.parametrize(
    ("name", "shape", "temperature"),
    [("peierls-square", (24, 26), 0.8), ("kondo-square", (24, 26), 0.8), ("holstein-triangular", (24, 26), 0.8),
     ("holstein-cubic", (10, 11, 10), 2.0)],
)  # fmt: skip
def test_windows_smaller_than_the_torus_serve_every_model(name, shape, temperature):
    """Strong thermal smearing keeps the windows small: no result of the whole torus hides them."""
    model = type(MODELS[name])(Lattice(MODELS[name].lattice.name, shape), temperature=temperature, chemical_potential=0.3)
    for method in ("chebyshev", "recursion"):
        solution = check(model, random_fields(model), 2e-2, method=method, energy=False)
        assert solution.radius is not None and solution.radius < 12


def flux_model(shape, flux):
    """A square lattice in a magnetic field, ``flux`` quanta a plaquette in Landau gauge, and on-site disorder."""

    class Hofstadter(Holstein):
        def blocks(self, fields):
            phases = np.exp(2j * np.pi * flux * np.arange(shape[1]))[None, :] * np.ones(shape)
            return Blocks(self.lattice, -self.g * fields, {(0, 1): np.array(-self.t), (1, 0): -self.t * phases})

    return Hofstadter(Lattice.square(*shape), temperature=0.1)


@pytest.mark.parametrize("method", ["chebyshev", "recursion"])
def test_magnetic_flux(method):
    model = flux_model((12, 15), 1 / 5)
    fields = configuration("default", "random", (12, 15))
    check(model, fields, 1e-5, method=method, energy=method == "chebyshev")
    without = ExactElectrons(flux_model((12, 15), 0.0), fields).density
    assert ExactElectrons(model, fields).density.largest_difference(without) > 0.01


def test_long_hops_and_orbitals_that_differ():
    """Two orbitals with complex blocks, hops of two sites: nothing rests on nearest neighbours or on one kind of bond."""
    rng = np.random.default_rng(5)
    lattice = Lattice.square(7, 9)

    class Tangle(Holstein):
        orbitals = 2
        density_bonds = ((1, -2), (0, 1))

        def blocks(self, fields):
            onsite = np.zeros((7, 9, 2, 2), dtype=complex)
            onsite[..., 0, 0], onsite[..., 1, 1] = fields, 0.7
            onsite[..., 0, 1] = 0.3j * fields
            onsite[..., 1, 0] = -0.3j * fields
            return Blocks(lattice, onsite, {(1, -2): self.bond, (0, 1): np.array([[-1.0, 0.2j], [0.4, 0.5]])})

        bond = 0.3 * (rng.normal(size=(7, 9, 2, 2)) + 1j * rng.normal(size=(7, 9, 2, 2)))

    model = Tangle(lattice, temperature=0.3, chemical_potential=0.1)
    for method in ("chebyshev", "recursion"):
        check(model, rng.normal(size=(7, 9)), 1e-6, method=method, energy=method == "chebyshev")


def test_sampled_windows_agree_with_verified_ones():
    model = holstein("default", (32, 32), 0.1)
    fields = configuration("default", "walls", (32, 32))
    sampled = solve(model, fields, 1e-2, method="local", sampled=True)
    assert sampled.radius is not None and not sampled.verified
    assert sampled.density.largest_difference(solve(model, fields, 1e-6).density) < 1e-2


@pytest.mark.parametrize("element", range(8))
def test_local_densities_are_equivariant_to_rounding(element):
    """Windows are centred on their sites and have the lattice's symmetry: even a coarse one breaks none."""
    lattice = Lattice.square(20, 20)
    model = Holstein(lattice, temperature=0.3)
    fields = configuration("default", "random", (20, 20))

    def coarse(fields: np.ndarray) -> np.ndarray:
        stencil = Stencil.of(model.blocks(fields)).scaled(6.0, 0.0, np.float64)
        function = coefficients(lambda e: fermi(e, 0.0, 0.3), SpectralWindow(6.0, 0.0), 40)
        window = window_around("square", 2, stencil.shifts)
        return ChebyshevEngine(stencil, (), function[None]).values(np.arange(400), window).reshape(20, 20)

    def moved(values: np.ndarray) -> np.ndarray:
        return np.roll(lattice.transformed(values, element), (3, 1), axis=(0, 1))

    np.testing.assert_allclose(coarse(moved(fields)), moved(coarse(fields)), atol=1e-13)


@pytest.mark.parametrize("name", ["holstein-triangular", "peierls-chain", "kondo-square"])
def test_local_density_of_states(name):
    model = MODELS[name]
    fields = random_fields(model)
    energies = np.linspace(-5.0, 5.0, 11)
    exact = ExactElectrons(model, fields).local_density_of_states(energies, 0.2).reshape(len(energies), -1)
    height = 1.0 / (np.sqrt(2 * np.pi) * 0.2)
    np.testing.assert_allclose(local_density_of_states(model, fields, energies, 0.2, tolerance=1e-4), exact, atol=1e-4 * height)
    some = local_density_of_states(model, fields, energies, 0.2, sites=np.array([3, 7]), tolerance=1e-4)
    np.testing.assert_allclose(some, exact[:, [3, 7]], atol=1e-4 * height)


def test_densities_of_states_hold_every_state():
    model = Holstein(Lattice.square(12, 12), temperature=0.1)
    energies = np.linspace(-8.0, 8.0, 401)
    spectrum = local_density_of_states(model, random_fields(model), energies, 0.3, sites=np.arange(5))
    np.testing.assert_allclose(np.trapezoid(spectrum, energies, axis=0), 1.0, atol=2e-3)


@pytest.mark.parametrize("name", ["holstein-triangular", "peierls-square", "kondo-chain", "kondo-cubic"])
def test_the_torch_engine_agrees_with_the_kernels(name):
    model = MODELS[name]
    fields = random_fields(model)
    kernel, tensor = (solve(model, fields, 1e-6, method="chebyshev", device=device) for device in ("cpu", "cpu:0"))
    assert kernel.density.largest_difference(tensor.density) < 1e-12
    assert kernel.grand_potential == pytest.approx(tensor.grand_potential, abs=1e-10)


def test_the_torch_engine_on_windows_and_at_fixed_filling():
    model = Holstein(Lattice.triangular(24, 22), temperature=0.8, filling=0.4)
    fields = random_fields(model)
    kernel, tensor = (solve(model, fields, 2e-2, method="chebyshev", device=device) for device in ("cpu", "cpu:0"))
    assert kernel.radius == tensor.radius is not None
    assert kernel.density.largest_difference(tensor.density) < 1e-5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_cuda_meets_the_tolerance():
    model = holstein("default", (24, 24), 0.1)
    check(model, configuration("default", "walls", (24, 24)), 1e-3, device="cuda")


def test_the_recursion_is_taken_in_gapped_order_and_polynomials_elsewhere():
    gapped, gapless = holstein("paper", (24, 24), 0.1), holstein("default", (24, 24), 0.1)
    walls, hot = configuration("paper", "walls", (24, 24)), configuration("default", "hot", (24, 24))
    assert solve(gapped, walls, 1e-4, method="local", energy=False).method == "recursion"
    assert solve(gapless, hot, 1e-2, method="local", energy=False).method == "chebyshev"


def test_the_grand_potential_comes_from_polynomials_whatever_the_method():
    model, fields = holstein("paper", (16, 16), 0.1), configuration("paper", "walls", (16, 16))
    omega = KPMForces(model, 1e-5, method="recursion").grand_potential(fields)
    assert omega == pytest.approx(float(ExactForces(model).grand_potential(fields)), abs=1e-3)


@pytest.mark.parametrize(("width", "tolerance"), list(itertools.product([0.5, 5.0, 70.0], [1e-3, 1e-6, 1e-9])))
def test_poles_sum_to_the_fermi_function(width, tolerance):
    poles, residues, constant = fermi_poles(width, 0.1, 0.2, tolerance)
    energies = np.linspace(0.2 - width, 0.2 + width, 20011)
    values = constant + 2.0 * (residues / (poles - energies[:, None])).real.sum(axis=1)
    assert np.abs(values - fermi(energies, 0.2, 0.1)).max() <= 1.5 * tolerance
    assert len(poles) < 25


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
    blocks = model.blocks(configuration(regime, kind, (16, 16)))
    energies = np.linalg.eigvalsh(blocks.dense())
    window = lanczos_window(Stencil.of(blocks))
    assert window.b - window.a < energies[0] and energies[-1] < window.b + window.a
    assert window.a < 0.5 * (energies[-1] - energies[0]) * 1.15


@pytest.mark.parametrize("name", MODELS)
def test_both_bounds_hold_the_spectrum_of_every_model(name):
    blocks = MODELS[name].blocks(random_fields(MODELS[name]))
    energies = np.linalg.eigvalsh(blocks.dense())
    for window in (lanczos_window(Stencil.of(blocks)), gershgorin_window(Stencil.of(blocks))):
        assert window.b - window.a < energies[0] and energies[-1] < window.b + window.a


@pytest.mark.parametrize("factor", [1.02, 1.1, 1.5])
def test_bounds_find_the_bound_state_of_one_rare_site(factor):
    """A gapped order with one larger distortion: the state outside the bands hides from short Lanczos runs."""
    model = holstein("paper", (24, 24), 0.1)
    fields = 2.5 * model.lattice.stagger()
    fields[7, 11] *= factor
    blocks = model.blocks(fields)
    energies = np.linalg.eigvalsh(blocks.dense())
    window = lanczos_window(Stencil.of(blocks))
    assert window.b - window.a < energies[0] and energies[-1] < window.b + window.a


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_a_planted_spectrum_outside_its_bounds_raises(device):
    model = holstein("default", (16, 16), 0.1)
    with pytest.raises(SpectrumError, match="spectrum leaves its bounds"):
        fields = configuration("default", "random", (16, 16))
        solve(model, fields, 1e-4, method="chebyshev", bounds=SpectralWindow(3.0, 0.0), device=device)


def test_failing_lanczos_bounds_give_way_to_certain_ones(monkeypatch):
    from ennforce.electrons import solver

    model = holstein("default", (16, 16), 0.1)
    monkeypatch.setattr(solver, "lanczos_window", lambda stencil, margin: SpectralWindow(3.0, 0.0))
    check(model, configuration("default", "random", (16, 16)), 1e-4, method="chebyshev")


@pytest.mark.parametrize("name", ["square", "triangular", "chain", "cubic"])
def test_windows_have_the_symmetry_of_the_lattice(name):
    lattice = Lattice(name, (1,) * len(BASES[name]))
    window = window_around(name, 5, lattice.neighbours)
    occupied = [np.arange(window.box[-1])[first:last] for first, last in window.spans[-1]]
    rows = np.indices((*window.box[:-1], 1)).reshape(lattice.dimension, -1)[:-1].T
    sites = {tuple(np.array((*row, x)) - window.centre) for row, xs in zip(rows.tolist(), occupied, strict=True) for x in xs}
    assert len(sites) == window.sites == {"square": 121, "triangular": 109, "chain": 11, "cubic": 1331}[name]
    for matrix in lattice.point_group.matrices:
        assert {tuple(matrix @ np.array(s)) for s in sites} == sites


@pytest.mark.parametrize("name", ["holstein-cubic", "peierls-cubic", "kondo-cubic"])
def test_windows_of_a_cubic_torus_hold_the_cluster_around_a_site(name):
    """Hops at the rim of a window are cut: the cluster of 27 sites, diagonalised by itself, has the same elements."""
    model = type(MODELS[name])(Lattice.cubic(4, 5, 6), temperature=0.3)
    blocks, b = model.blocks(random_fields(model)), model.orbitals
    stencil = Stencil.of(blocks)
    bounds = gershgorin_window(stencil)
    bonds = blocks.lattice.half_neighbours
    series = coefficients(lambda e: fermi(e, 0.1, 0.3), bounds, 300)
    engine = ChebyshevEngine(stencil.scaled(bounds.a, bounds.b, np.float64), bonds, series[None])
    values = engine.values(np.arange(120), window_around("cubic", 1, stencil.shifts))[0]
    found, numbers, dense = stencil.density_matrix(values, bonds), np.arange(120).reshape(4, 5, 6), blocks.dense()
    for site in [(0, 0, 0), (3, 2, 5), (1, 4, 3)]:
        cluster = numbers[np.ix_(*((s + np.arange(-1, 2)) % length for s, length in zip(site, numbers.shape, strict=True)))].ravel()
        states = (cluster[:, None] * b + np.arange(b)).ravel()
        energies, vectors = np.linalg.eigh(dense[np.ix_(states, states)])
        rho = ((vectors * fermi(energies, 0.1, 0.3)) @ vectors.conj().T).reshape(27, b, 27, b)
        np.testing.assert_allclose(found.onsite[site], rho[13, :, 13], atol=1e-10)
        for shift in bonds:
            there = np.flatnonzero(cluster == numbers[tuple((np.array(site) + shift) % numbers.shape)])[0]
            np.testing.assert_allclose(found.bonds[shift][site], rho[13, :, there], atol=1e-10)


@pytest.mark.parametrize("method", ["chebyshev", "recursion"])
def test_a_cubic_holstein_torus_within_its_tolerance(method):
    model = Holstein(Lattice.cubic(6, 6, 6), temperature=0.1)
    rng = np.random.default_rng(0)
    check(model, 2.0 * model.lattice.stagger() + rng.normal(scale=0.3, size=(6, 6, 6)), 1e-4, method=method, energy=False)


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
        (lambda: KPMForces(holstein("default", (8, 8), 0.1), 0.0), "tolerance 0.0"),
        (lambda: KPMForces(holstein("default", (8, 8), 0.1), 1e-4, margin=0.0), "spectral margin 0.0"),
        (lambda: KPMForces(holstein("default", (8, 8), 0.1)).forces(np.full((8, 8), np.nan)), "64 field values are NaN"),
        (lambda: KPMForces(holstein("default", (8, 8), 0.1)).forces(np.zeros((6, 8))), "do not end in"),
        (lambda: KPMForces(holstein("default", (2, 2), 0.1)).forces(np.zeros((2, 2))), "twice the hopping range"),
        (lambda: KPMForces(holstein("default", (8, 8), 0.1), method="magic").forces(np.zeros((8, 8))), "method 'magic'"),
        (lambda: KPMForces(holstein("default", (8, 8), 0.1), device="tpu").forces(np.zeros((8, 8))), "device 'tpu'"),
        (lambda: solve(holstein("default", (8, 8), 0.1), np.zeros((8, 8)), 1e-6, dtype="float32"), "what float32 can give"),
        (lambda: solve(METAL, np.zeros((150, 150)), 1e-4), "no window of up to 20000 sites"),
        (lambda: KPMForces(METAL).forces(np.full((150, 150), 1e6) * METAL.lattice.stagger()), "Chebyshev orders, more than"),
        (lambda: local_density_of_states(holstein("default", (8, 8), 0.1), np.zeros((8, 8)), np.zeros(1), 0.0), "line width"),
    ],
)
def test_impossible_requests_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
