"""P6, P7: sum rules, planted lengths, known exponents."""

import numpy as np
import pytest
import xarray as xr

from ennforce.analysis.collapse import collapse_spread
from ennforce.analysis.ensemble import bootstrap_weights, combine, standard_error
from ennforce.analysis.growth import growth
from ennforce.analysis.laws import effective_exponent
from ennforce.analysis.lengths import length_half, length_structure, length_wall, mean_lengths
from ennforce.lattice import Lattice
from ennforce.models import Holstein
from ennforce.observables import Observer, observables_of
from ennforce.observables.domains import smoothed, wall_density
from ennforce.observables.structure import RadialBins, correlation, structure_factor


def observer_of(lattice: Lattice) -> Observer:
    model = Holstein(lattice, temperature=0.1)
    return Observer(model, observables_of(model))


def stripes(length: int, size: int) -> np.ndarray:
    """phi = +-1 in stripes of ``size`` rows."""
    return np.where((np.arange(length) // size) % 2 == 0, 1.0, -1.0)[:, None] * np.ones((1, length))


def gaussian_domains(size: float, length: int, seed: int) -> np.ndarray:
    """A smooth random field with C(r) = exp(-r^2 / (4 size^2))."""
    k = np.linalg.norm(Lattice.square(length, length).wave_vectors(), axis=-1)
    noise = np.random.default_rng(seed).normal(size=(length, length))
    field = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-0.5 * (k * size) ** 2)).real
    return field / field.std()


def test_structure_factor_sum_rule_and_correlation():
    order = np.random.default_rng(0).normal(size=(3, 12, 16))
    np.testing.assert_allclose(structure_factor(order).mean(axis=(1, 2)), (order**2).mean(axis=(1, 2)))
    r = correlation(order)
    np.testing.assert_allclose(r[:, 2, 3], (order * np.roll(order, (-2, -3), axis=(1, 2))).mean(axis=(1, 2)))


def test_radial_bins_keep_the_sum_rule():
    order = np.random.default_rng(0).normal(size=(2, 16, 16))
    bins = RadialBins.of_wave_vectors(Lattice.square(16, 16))
    total = (bins.mean(structure_factor(order)) * bins.count).sum(axis=1) / 256
    np.testing.assert_allclose(total, (order**2).mean(axis=(1, 2)))
    assert bins.count.sum() == 256 and bins.count[0] == 1 and bins.centre[0] == 0


def test_the_charge_density_wave_peak_is_at_zero():
    lattice = Lattice.square(8, 8)
    observer = observer_of(lattice)
    observed = observer(0.7 * lattice.stagger()[None], np.zeros((1, 8, 8)), np.array([0]))
    assert observed["structure_factor"].values[0, 0] == pytest.approx(0.49 * 64)
    assert observed["order"].item() == pytest.approx(0.7)
    np.testing.assert_allclose(observed["correlation"].values, 1.0)


@pytest.mark.parametrize("size", [4, 8])
def test_walls_of_planted_stripes(size):
    lattice = Lattice.square(32, 32)
    # One wall every `size` bonds along y, none along x: half of that per bond.
    assert length_wall(wall_density(smoothed(stripes(32, size), lattice) > 0, lattice)) == pytest.approx(2 * size)


@pytest.mark.parametrize("size", [2.0, 4.0])
def test_half_length_of_a_gaussian_field(size):
    fields = np.array([gaussian_domains(size, 128, seed) for seed in range(20)])
    bins = RadialBins.of_distances(Lattice.square(128, 128))
    measured = bins.mean(correlation(fields)).mean(axis=0)
    assert length_half(measured / measured[0], bins.centre) == pytest.approx(2 * size * np.sqrt(np.log(2)), rel=0.05)


def test_half_length_ignores_uncorrelated_thermal_noise():
    bins = RadialBins.of_distances(Lattice.square(128, 128))
    domains = np.array([np.sign(gaussian_domains(8.0, 128, seed)) for seed in range(10)])
    noisy = domains + np.random.default_rng(0).normal(scale=0.7, size=domains.shape)
    clean, thermal = (length_half((c := bins.mean(correlation(f)).mean(axis=0)) / c[0], bins.centre) for f in (domains, noisy))
    assert thermal == pytest.approx(clean, rel=0.03)


def test_half_length_is_absent_without_decay_or_correlation():
    r = np.arange(20.0)
    assert np.isinf(length_half(np.ones(20), r))
    assert np.isnan(length_half(np.eye(20)[0], r))


def test_structure_length_scales_with_the_domains():
    lengths = []
    for size in (3.0, 6.0):
        fields = np.array([gaussian_domains(size, 128, seed) for seed in range(10)])
        bins = RadialBins.of_wave_vectors(Lattice.square(128, 128))
        lengths.append(length_structure(bins.mean(structure_factor(fields)).mean(axis=0), bins.centre, bins.count))
    assert lengths[1] / lengths[0] == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("exponent", [0.25, 0.5])
def test_effective_exponent_of_a_power_law(exponent):
    time = np.geomspace(1, 1000, 40)
    alpha = effective_exponent(time, 3.0 * time**exponent, 0.5)
    np.testing.assert_allclose(alpha, exponent, atol=1e-10)
    length = 3.0 * time**exponent
    length[:10] = np.nan
    assert np.isnan(effective_exponent(time, length, 0.5)[:10]).all()


def growing_ensemble(exponent: float, replicas: int = 8, length: int = 96) -> xr.Dataset:
    """Smooth random fields whose size grows as a power of time, each replica with its own fluctuations."""
    time = np.geomspace(4, 60, 12)
    lattice = Lattice.square(length, length)
    observer = observer_of(lattice)
    frames = []
    for n, t in enumerate(time):
        fields = np.array([gaussian_domains(t**exponent, length, 100 * r + n) for r in range(replicas)]) * lattice.stagger()
        frames.append(observer(fields, np.zeros_like(fields), np.arange(replicas)).expand_dims(time=[t]))
    return xr.concat(frames, "time", data_vars="minimal", coords="minimal", compat="override")


@pytest.mark.parametrize("exponent", [0.25, 0.5])
def test_growth_recovers_a_planted_exponent_within_its_error(exponent):
    ensemble = growing_ensemble(exponent)
    result = growth(ensemble, law=0.5, first_time=5.0, smoothing=0.6, count=200, rng=np.random.default_rng(2))
    for name in ("half", "structure"):
        alpha, error = (float(result[key].sel(definition=name)) for key in ("late_exponent", "late_exponent_error"))
        assert 0.001 < error < 0.2
        assert abs(alpha - exponent) < 4 * error + 0.02
    assert np.nanmax(result["length"].sel(definition="half").values) < 24
    assert np.isnan(result["length"].values[:, 0]).all()  # before first_time
    assert 0 < float(result["collapse_spread"]) < 0.05  # these fields do scale


def test_perfect_scaling_collapses_and_wrong_scaling_does_not():
    r, length = np.arange(1, 60.0), np.array([4.0, 8.0, 16.0])
    correlations = np.exp(-r[None] / length[:, None])
    assert collapse_spread(r, correlations, length) < 0.01
    assert collapse_spread(r, correlations, np.full(3, 8.0)) > 0.1


def test_bootstrap_error_of_a_mean_is_the_textbook_one():
    values = np.random.default_rng(0).normal(size=(10, 3))
    samples = bootstrap_weights(10, 4000, np.random.default_rng(1)) @ values
    np.testing.assert_allclose(standard_error(samples, 10), values.std(axis=0, ddof=1) / np.sqrt(10), rtol=0.06)


def test_mean_lengths_are_those_of_the_averaged_correlation():
    ensemble = growing_ensemble(0.5, replicas=3)
    weights = np.array([0.5, 0.5, 0.0])
    averaged = ensemble["correlation"].transpose("replica", "time", "r").values[:2].mean(axis=0)
    np.testing.assert_allclose(mean_lengths(ensemble, weights)["half"], length_half(averaged, ensemble["r"].values))
    wall = ensemble["wall_density"].transpose("replica", "time").values
    np.testing.assert_allclose(mean_lengths(ensemble, np.array([1.0, 0, 0]))["wall"], length_wall(wall[0]))


def test_chunks_combine_in_any_order():
    def chunk(replicas):
        values = np.array([[10.0 * r + t for t in range(3)] for r in replicas])
        return xr.Dataset({"energy": (("replica", "time"), values)}, coords={"replica": replicas, "time": [0.0, 1.0, 2.0]})

    whole = combine([chunk([2, 3]), chunk([0, 1])], 50, np.random.default_rng(0))
    np.testing.assert_allclose(whole["energy_mean"], [15.0, 16.0, 17.0])
    assert list(whole["replica"].values) == [0, 1, 2, 3]
    assert (whole["energy_error"] > 0).all()
