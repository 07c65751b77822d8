"""P6, P7 on systems whose answers are known: the Gaussian lattice, planted domains, and Allen-Cahn's growth of a double well."""

import numpy as np
import pytest
import xarray as xr
from scipy import optimize, special, stats

from ennforce.analysis.collapse import collapse_spread_structure
from ennforce.analysis.ensemble import combine
from ennforce.analysis.growth import growth
from ennforce.analysis.laws import LAWS, law_misfit, shifted_exponent
from ennforce.analysis.lengths import SQUARE, lengths_of
from ennforce.analysis.porod import porod_exponent
from ennforce.dynamics import Langevin, Recorder, log_spaced_steps, quench
from ennforce.dynamics.langevin import State
from ennforce.lattice import Lattice
from ennforce.models import Holstein
from ennforce.models.double_well import DoubleWell
from ennforce.observables import Observer, observables_of
from ennforce.observables.domains import normal_distribution, smoothed, wall_anisotropy, wall_bonds, wall_density, wall_normals
from ennforce.observables.structure import RadialBins, correlation, structure_factor

BOX = 128
LATTICE = Lattice.square(BOX, BOX)
Y, X = np.indices((BOX, BOX))


def lengths_read(observer: Observer, correlations: np.ndarray, spectra: np.ndarray, walls: np.ndarray) -> dict[str, np.ndarray]:
    """The three lengths of arrays (..., r), (..., k) and (...)."""
    arrays = {"correlation": correlations, "structure_factor": spectra, "wall_density": walls}
    axes = xr.Dataset(coords=observer.coordinates).assign({name: ((), 0.0) for name in arrays})
    return lengths_of(axes, arrays)


# The double well.


def test_the_double_wells_force_is_the_gradient_of_its_energy():
    model, step = DoubleWell(Lattice.square(4, 6), stiffness=0.7), 1e-5
    fields = np.random.default_rng(0).normal(size=(2, 4, 6))
    for site in [(0, 0), (3, 5), (2, 1), (0, 5)]:
        shift = np.zeros((4, 6))
        shift[site] = step
        slope = (model.classical_energy(fields + shift) - model.classical_energy(fields - shift)) / (2 * step)
        np.testing.assert_allclose(model.forces(fields)[:, *site], -slope, atol=1e-8)


def test_the_double_well_orders_by_stagger():
    lattice = Lattice.square(6, 4)
    np.testing.assert_allclose(DoubleWell(lattice).forces(lattice.stagger()), 0.0, atol=1e-14)
    assert DoubleWell(lattice).classical_energy(lattice.stagger()) == pytest.approx(-0.25 * 24)
    with pytest.raises(ValueError, match="even lengths"):
        DoubleWell(Lattice.square(5, 4))
    with pytest.raises(ValueError, match="stiffness -1"):
        DoubleWell(lattice, stiffness=-1.0)


@pytest.fixture(scope="module")
def double_well_quench() -> tuple[xr.Dataset, xr.Dataset]:
    """Ensemble and growth after a quench, 6 replicas of 256 x 256 sites: about 20 s on one core."""
    lattice = Lattice.square(256, 256)
    model = DoubleWell(lattice, stiffness=0.5)
    bath = {
        "mass": 1.0,
        "friction": 0.3,
        "temperature": 0.02,
        "dt": 0.5,
        "initial_sigma": 0.3,
        "initial_temperature": 0.02,
        "initial_order": 0.0,
    }
    observer = Observer(model, observables_of(model), bath["mass"])
    chunks = []
    for replica in range(6):  # one at a time stays in the cache
        recorder = Recorder(
            lambda state: observer(state.fields, state.momenta, state.replicas),
            log_spaced_steps(20, 600, 28), np.array([600]), bath["dt"],
        )  # fmt: skip
        quench(model, model, np.array([replica]), 7, bath, 600, recorder)
        chunks.append(recorder.dataset())
    ensemble = combine(chunks, 200, np.random.default_rng(0))
    return ensemble, growth(ensemble, law=0.5, first_time=5.0, smoothing=0.5, count=200, rng=np.random.default_rng(1))


def test_the_quenched_double_well_grows_as_allen_and_cahn_say(double_well_quench):
    _, result = double_well_quench
    for name in ("half", "wall"):
        late = result.sel(definition=name)
        assert 0.005 < float(late["late_exponent_error"]) < 0.05
        assert abs(float(late["late_deviation"])) < 3.0
        assert abs(float(late["late_exponent"]) - 0.5) < 0.06
        # t to the half in all three disguises is accepted, a logarithm is not.
        assert abs(float(late["law_curvature"].sel(law="power"))) < 4.0
        assert abs(float(late["law_curvature"].sel(law="allen_cahn"))) < 4.0
        assert float(late["law_curvature"].sel(law="logarithm")) > 4.0
    assert float(result["length"].sel(definition="half").max()) < 256 / 8


def test_the_structure_length_is_slowed_by_its_cutoff_alone(double_well_quench):
    """The scaling function of Ohta, Jasnow and Kawasaki, cut off as we do, gives the same deficit from L ~ t^(1/2)."""
    _, result = double_well_quench
    half = result["length"].sel(definition="half").values
    half = half[np.isfinite(half) & (result["time"].values >= result["late_from"].values[0])]
    lattice = Lattice.square(256, 256)
    observer = Observer(DoubleWell(lattice), ())
    curves = [2 / np.pi * np.arcsin(np.exp(-0.5 * np.log(2) * (lattice.distances() / size) ** 2)) for size in half]
    spectra = np.array([observer.k_bins.mean(np.fft.fft2(curve).real) for curve in curves])
    theory = lengths_read(observer, observer.r_bins.mean(np.array(curves)), spectra, np.ones(len(half)))
    ratio = np.polyfit(np.log(theory["half"]), np.log(theory["structure"]), 1)[0]
    exponents = {name: float(result["late_exponent"].sel(definition=name)) for name in ("half", "structure")}
    assert 0.7 < ratio < 0.8
    assert exponents["structure"] / exponents["half"] == pytest.approx(ratio, abs=0.05)
    # Cut off at the same point of the scaling function, the same S(k) gives Allen and Cahn's exponent.
    assert abs(float(result["scaled_cutoff_exponent"]) - 0.5) < 3 * float(result["scaled_cutoff_exponent_error"])


def test_the_quenched_double_well_scales_and_has_porods_tail(double_well_quench):
    ensemble, result = double_well_quench
    assert float(result["collapse_spread"]) < 0.1 * float(result["collapse_spread_unscaled"])
    assert float(result["collapse_spread_structure"]) < 0.3 * float(result["collapse_spread_structure_unscaled"])
    assert 0 < float(result["collapse_spread_error"]) < 0.01
    # Walls of finite width make the tail steeper than 3; it flattens as L outgrows them.
    tail = result["porod_exponent"].values[np.isfinite(result["porod_exponent"].values)]
    assert tail[-1] == pytest.approx(3.0, abs=0.35)
    assert tail[-1] < tail[len(tail) // 2] - 0.2
    # Allen-Cahn walls on this lattice face every way alike, up to a few per cent.
    assert np.abs(ensemble["wall_anisotropy_mean"].values[-8:]).max() < 0.1


# The Gaussian lattice.


def test_structure_factor_of_the_gaussian_lattice_by_chi_square():
    """g = 0: <S(k)> of phi is T / (K - 2 kappa (cos kx + cos ky)), k from (pi, pi), in every bin within its exact error."""
    temperature, elastic, kappa, replicas, rounds = 0.3, 1.0, 0.2, 192, 8
    lattice = Lattice.square(16, 16)
    model = Holstein(lattice, K=elastic, kappa=kappa, temperature=0.1)

    class Elastic:
        forces = staticmethod(model.classical_forces)

    engine = Langevin(Elastic(), mass=1.0, friction=1.0, temperature=temperature, dt=0.4)
    observer = Observer(model, observables_of(model))
    state = State.uncorrelated(lattice.shape, np.arange(replicas), 3, sigma=0.5, mass=1.0, temperature=temperature)
    measured = np.zeros(len(observer.k_bins.count))
    for _ in range(rounds):  # 20 apart: the slowest mode, rate 0.28, has then forgotten all but 2e-5 of its square
        state = engine.run(state, 50)
        observed = observer(state.fields, state.momenta, state.replicas)
        measured += observed["structure_factor"].values.mean(axis=0) / rounds
    k = 2 * np.pi * np.fft.fftfreq(16)
    cosines = np.cos(k)[:, None] + np.cos(k)[None, :]

    def p_value(sign: float) -> float:
        exact = temperature / (elastic + sign * 2 * kappa * cosines)
        count = observer.k_bins.count
        used = count > 0
        # |phi_k|^2 is exponential, and that of -k the same number: variance 2 S^2 a mode, also where -k is k.
        error = np.sqrt(2 * observer.k_bins.mean(exact**2)[used] / count[used] / (replicas * rounds))
        chi = (((measured - observer.k_bins.mean(exact))[used] / error) ** 2).sum()
        return 2 * min(stats.chi2.sf(chi, used.sum()), stats.chi2.cdf(chi, used.sum()))

    assert p_value(-1.0) > 1e-3
    assert p_value(+1.0) < 1e-12  # measured from (0, 0) it would not fit


# Planted domains.


def planted(pattern: np.ndarray, noise: float) -> dict[str, float]:
    """The three lengths of a pattern with uncorrelated noise on top."""
    order = pattern + noise * np.random.default_rng(0).normal(size=(8, *pattern.shape))
    observer = Observer(DoubleWell(LATTICE), ())
    curves, spectra = observer.r_bins.mean(correlation(order)), observer.k_bins.mean(structure_factor(order))
    arrays = (curves, spectra, wall_density(smoothed(order, LATTICE) > 0, LATTICE))
    return {name: float(value) for name, value in lengths_read(observer, *(a.mean(axis=0) for a in arrays)).items()}


def structure_of(weights: np.ndarray, k: np.ndarray) -> float:
    """2 pi sum S / sum |k| S, |k| <= pi/2, of peaks with these weights."""
    return float(2 * np.pi * weights[k <= SQUARE.cutoff].sum() / (weights * k)[k <= SQUARE.cutoff].sum())


@pytest.mark.parametrize("noise", [0.0, 0.4])
@pytest.mark.parametrize("size", [8, 16])
def test_lengths_of_stripes(size, noise):
    found = planted(np.where((Y // size) % 2 == 0, 1.0, -1.0), noise)
    k = np.pi / size * np.arange(1, size, 2)
    assert found["half"] == pytest.approx(np.pi / 8 * size, rel=0.06)  # C(r) = 1 - 4 r / (pi size), all directions averaged
    assert found["structure"] == pytest.approx(structure_of(np.sin(k / 2) ** -2, k), rel=0.04)
    assert found["wall"] == pytest.approx(2 * size, rel=0.06)  # a wall across every size-th bond of one direction


@pytest.mark.parametrize("noise", [0.0, 0.4])
@pytest.mark.parametrize("size", [16, 32])
def test_lengths_of_squares(size, noise):
    found = planted(np.where((Y // size + X // size) % 2 == 0, 1.0, -1.0), noise)
    k = np.pi / size * np.arange(1, size, 2)
    weights = np.outer(np.sin(k / 2) ** -2, np.sin(k / 2) ** -2)
    # C(r) = <(1 - 2 |x|/size)(1 - 2 |y|/size)> = 1 - 8 u / pi + 4 u^2 / pi with u = r / size.
    assert found["half"] == pytest.approx((1 - np.sqrt(1 - np.pi / 8)) * size, rel=0.08)
    assert found["structure"] == pytest.approx(structure_of(weights, np.hypot(k[:, None], k)), rel=0.04)
    assert found["wall"] == pytest.approx(size, rel=0.06)


@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_lengths_of_discs_that_fill_half_the_box(noise):
    tile = BOX // 2
    radius = tile / np.sqrt(2 * np.pi)
    found = planted(np.where(np.hypot(Y % tile - 31.5, X % tile - 31.5) < radius, 1.0, -1.0), noise)

    def overlap(u: float) -> float:
        """Share of a disc that its copy, moved by 2 u radii, covers."""
        return 2 / np.pi * (np.arccos(u) - u * np.sqrt(1 - u * u))

    half = 2 * radius * optimize.brentq(lambda u: 2 * overlap(u) - 1.5, 0, 1)
    k = np.linalg.norm(Lattice.square(tile, tile).wave_vectors(), axis=-1).reshape(-1)[1:]
    assert found["half"] == pytest.approx(half, rel=0.04)
    assert found["structure"] == pytest.approx(structure_of((special.j1(k * radius) / k) ** 2, k), rel=0.04)
    assert found["wall"] == pytest.approx(tile**2 / (4 * radius), rel=0.06)  # 8 radii of 2 tile^2 bonds


def test_lengths_of_many_discs():
    order = np.full((BOX, BOX), -1.0)
    for y, x in np.ndindex(4, 4):
        order[np.hypot(Y - 32 * y - 15.5, X - 32 * x - 15.5) < 10] = 1.0
    assert planted(order, 0.0)["wall"] == pytest.approx(BOX**2 / (4 * 10 * 16), rel=0.06)


# Walls and their direction.

STRIPES = {
    "along x": (np.where((Y // 16) % 2 == 0, 1.0, -1.0), 16.0, 1.0),
    "along y": (np.where((X // 8) % 2 == 0, 1.0, -1.0), 8.0, 1.0),
    "diagonal": (np.where(((X + Y) // 16) % 2 == 0, 1.0, -1.0), 16 / np.sqrt(2), -1.0),
    "one in two": (np.sin(2 * np.pi * (4 * X + 2 * Y + 0.5) / BOX), BOX / np.sqrt(20) / 2, np.cos(4 * np.arctan(0.5))),
}


@pytest.mark.parametrize("name", STRIPES)
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_length_and_direction_of_straight_walls(name, noise):
    pattern, spacing, anisotropy = STRIPES[name]
    order = pattern + noise * np.random.default_rng(0).normal(size=pattern.shape)
    angle, length = wall_normals(order, LATTICE)
    assert length.sum() == pytest.approx(BOX**2 / spacing, rel=0.03)
    assert wall_anisotropy(angle, length) == pytest.approx(anisotropy, abs=0.04)


@pytest.mark.parametrize("radius", [12, 24, 40])
def test_circles_are_isotropic(radius):
    angle, length = wall_normals(np.where(np.hypot(Y - 64, X - 64) < radius, 1.0, -1.0), LATTICE)
    assert length.sum() == pytest.approx(2 * np.pi * radius, rel=0.04)
    assert abs(wall_anisotropy(angle, length)) < 0.03


def test_the_angle_is_that_of_the_normal():
    angle, length = wall_normals(STRIPES["one in two"][0], LATTICE)
    assert np.average(angle, weights=length) == pytest.approx(np.arctan(0.5), abs=0.02)
    mirrored, length = wall_normals(STRIPES["one in two"][0][:, ::-1], LATTICE)
    assert np.average(mirrored, weights=length) == pytest.approx(np.pi - np.arctan(0.5), abs=0.02)


def test_distribution_of_the_normals():
    circles = [np.where(np.hypot(Y - 64.3, X - 63.8) < radius, 1.0, -1.0) for radius in np.linspace(20, 50, 40)]
    centre, density = normal_distribution(*wall_normals(np.array(circles), LATTICE, 3.0), 6)
    assert density.sum() * (centre[1] - centre[0]) == pytest.approx(1.0)
    np.testing.assert_allclose(density, 2 / np.pi, rtol=0.25)
    centre, density = normal_distribution(*wall_normals(STRIPES["diagonal"][0], LATTICE), 6)
    assert density[3] * (centre[1] - centre[0]) == pytest.approx(1.0) and centre[3] == pytest.approx(np.pi / 4)


def test_wall_bonds_sit_where_the_sign_changes():
    along_x, along_y = wall_bonds(smoothed(STRIPES["along x"][0], LATTICE) > 0, LATTICE)
    assert LATTICE.half_neighbours == ((0, 1), (1, 0))
    assert along_y[15].all() and along_y[127].all() and not along_x.any() and along_y.sum() == 8 * BOX
    assert np.isnan(wall_anisotropy(*wall_normals(np.ones((8, 8)), Lattice.square(8, 8))))


# Porod's tail, collapse, laws of growth.


def smooth(size: float, count: int, length: int = 256) -> np.ndarray:
    """Gaussian fields with C(r) = exp(-r^2 / (4 size^2)), shape (count, length, length)."""
    noise = np.random.default_rng(5).normal(size=(count, length, length))
    squares = (Lattice.square(length, length).wave_vectors() ** 2).sum(axis=-1)
    fields = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-0.5 * squares * size**2)).real
    return fields / fields.std()


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("size", [9.0, 12.0])
def test_porods_tail_of_sharp_and_of_smooth_domains(size, noise):
    bins = RadialBins.of_wave_vectors(Lattice.square(256, 256))
    fields = smooth(size, 8)
    thermal = noise * np.random.default_rng(1).normal(size=fields.shape)
    half = 2 * size * np.sqrt(0.5 * np.log(2))  # of the sign: C(r) = 2/pi asin exp(-r^2 / (4 size^2))
    sharp = bins.mean(structure_factor(np.sign(fields) + thermal)).mean(axis=0)
    assert porod_exponent(sharp, bins.centre, bins.count, half) == pytest.approx(3.0, abs=0.12)
    gaussian = bins.mean(structure_factor(fields)).mean(axis=0)
    assert porod_exponent(gaussian, bins.centre, bins.count, half) > 6.0  # exp(-k^2 size^2) is no power
    buried = bins.mean(structure_factor(fields + 3.0)).mean(axis=0) * 0 + 1.0
    assert np.isnan(porod_exponent(buried, bins.centre, bins.count, half))
    assert np.isnan(porod_exponent(sharp, bins.centre, bins.count, np.inf))


def test_the_structure_factor_collapses_with_its_own_length_only():
    k, length = np.linspace(0.0, 2.0, 200), np.array([6.0, 9.0, 13.0])
    curves = length[:, None] ** 2 / (1 + (k * length[:, None]) ** 2) ** 1.5
    assert collapse_spread_structure(k, curves, length) < 0.01
    assert collapse_spread_structure(k, curves, np.full(3, 9.0)) > 0.15
    assert np.isnan(collapse_spread_structure(k, -curves, length))


PLANTED = {
    "power": lambda t: 2.0 * t**0.3,
    "allen_cahn": lambda t: np.sqrt(40.0 + 1.5 * t),
    "logarithm": lambda t: 1.0 + 3.0 * np.log(t),
}


def noisy_runs(truth: np.ndarray, replicas: int, rng: np.random.Generator) -> np.ndarray:
    """Runs (replica, time) about a curve: fluctuations of 4 % that wander from time to time, as those of real runs do."""
    steps = rng.normal(size=(replicas, len(truth))).cumsum(axis=1) / np.sqrt(len(truth))
    return truth * (1 + 0.04 * steps)


@pytest.mark.parametrize("truth", PLANTED)
def test_laws_of_growth_are_told_apart(truth):
    time, rng, replicas = np.geomspace(20, 400, 16), np.random.default_rng(4), 16
    accepted = []
    for _ in range(60):
        runs = noisy_runs(PLANTED[truth](time), replicas, rng)
        samples = rng.multinomial(replicas, np.full(replicas, 1 / replicas), size=200) / replicas @ runs
        found = {law: law_misfit(law, time, runs.mean(axis=0), samples, replicas) for law in LAWS}
        accepted.append(found[truth][0])
        for law in set(LAWS) - {truth}:
            assert found[law][1] > 0.5 * found[truth][1]
    # The true law's curvature is that of chance: standard deviation about 1 (Student's t, 15 degrees of freedom: 1.07).
    assert abs(np.mean(accepted)) < 0.5
    assert 0.75 < np.std(accepted) < 1.5
    wrong = "power" if truth == "logarithm" else "logarithm"
    assert abs(found[wrong][0]) > 3.0
    assert np.sign(found[wrong][0]) == (-1 if truth == "logarithm" else 1)  # slower, or faster, than the law


@pytest.mark.parametrize("alpha, start", [(0.5, 36.0), (0.4, -1.0), (1 / 3, 5.0)])
def test_an_exponent_is_found_whatever_the_head_start(alpha, start):
    time, rng = np.geomspace(60, 800, 20), np.random.default_rng(2)
    truth = (start + 0.7 * time) ** alpha
    assert shifted_exponent(time, truth) == pytest.approx(alpha, abs=0.0051)
    noisy = truth * (1 + 0.002 * rng.normal(size=(200, len(time))))
    found = shifted_exponent(time, noisy)
    assert found.shape == (200,)
    assert found.mean() == pytest.approx(alpha, abs=0.01)
    assert np.isnan(shifted_exponent(time[:4], noisy[:, :4])).all()


def test_a_law_needs_five_times_and_two_replicas():
    time = np.geomspace(1, 10, 8)
    samples = np.tile(time, (20, 1))
    assert np.isnan(law_misfit("power", time[:4], time[:4], samples[:, :4], 8)).all()
    assert np.isnan(law_misfit("power", time, time, samples, 1)).all()
