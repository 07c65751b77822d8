"""P9: exact tests of pairs, stationary averages of known distributions, drifts, rates, and biases of the time step."""

import numpy as np
import pytest
import xarray as xr

from ennforce.analysis.comparison import compare, paired, total_energy
from ennforce.analysis.equilibrium import averages, histograms, integrated_autocorrelation, stationary
from ennforce.analysis.stability import drift, exponential_rate, first_above, verdict
from ennforce.analysis.structure import OrderObserver
from ennforce.analysis.swaps import curve_test, energy_distance_test, p_values, swaps, weights
from ennforce.analysis.timestep import biases, largest_unbiased, late_averages, stability_bound
from ennforce.dynamics import DivergenceError, Langevin, State
from ennforce.lattice import Lattice
from tests.conftest import holstein


def ensembles_of_pairs(rng, pairs: int, shared: float, shift: float = 0.0) -> np.ndarray:
    """Curves (2 pairs, 8): the members of a pair have a share in common, and the second ensemble is shifted."""
    common, own = rng.normal(size=(pairs, 8)), rng.normal(size=(2, pairs, 8)).cumsum(axis=-1) / 3
    first, second = shared * common + own
    return np.concatenate([first, second + shift])


def test_swaps_are_all_of_the_group_or_a_sample_with_none_first():
    every = swaps(4, 16, np.random.default_rng(0))
    assert len({tuple(row) for row in every}) == 16 and (every[0] == 1).all()
    sample = swaps(20, 100, np.random.default_rng(0))
    assert sample.shape == (100, 20) and (sample[0] == 1).all() and abs(sample[1:].mean()) < 0.1
    first, second = weights(np.array([[1.0, -1.0, 0.0]]))
    np.testing.assert_array_equal(first, [[0.5, 0, 0, 0, 0.5, 0]])
    np.testing.assert_array_equal(second, [[0, 0.5, 0, 0.5, 0, 0]][:1])


@pytest.mark.parametrize("shared", [0.0, 3.0])
@pytest.mark.parametrize("pairs", [5, 16])
def test_p_values_are_uniform_under_the_null_even_of_correlated_pairs(shared, pairs):
    """P(p <= alpha) <= alpha is exact; for curves, it is reached."""
    rng = np.random.default_rng(pairs)
    found = []
    for _ in range(400):
        curves = ensembles_of_pairs(rng, pairs, shared)
        signs = swaps(pairs, 64, rng)
        tested = {"mean": curve_test(lambda w, c=curves: w @ c, signs)[0], "distribution": energy_distance_test(curves, signs)[0]}
        both = p_values(tested)
        found.append([both["mean"]["p_value"], both["distribution"]["p_value"], min(v["corrected_p_value"] for v in both.values())])
    error = 3.5 * np.sqrt(0.25 * 0.75 / 400)
    for column, values in enumerate(np.transpose(found)):
        share = np.mean(values <= 0.25)
        assert share <= 0.25 + error
        if column == 0:
            assert share >= 0.25 - error and np.mean(values) == pytest.approx(0.5 + 0.5 / 64, abs=0.08)


def test_a_planted_difference_is_seen_behind_larger_variations_between_pairs():
    rng = np.random.default_rng(0)
    curves = ensembles_of_pairs(rng, 16, shared=5.0, shift=2.0)
    signs = swaps(16, 2000, rng)
    statistic, facts = curve_test(lambda w: w @ curves, signs)
    found = p_values({"planted": statistic, "null": curve_test(lambda w: w @ ensembles_of_pairs(rng, 16, 5.0), signs)[0]})
    assert found["planted"]["corrected_p_value"] < 0.01 and facts["largest_difference"] > 3
    wide = np.concatenate([rng.normal(size=(16, 3)), 4.0 * rng.normal(size=(16, 3))])  # equal means, unequal widths
    assert p_values({"width": energy_distance_test(wide, signs)[0]})["width"]["p_value"] < 0.05


def test_the_size_of_a_difference_is_in_its_own_standard_errors():
    rng = np.random.default_rng(1)
    curves = ensembles_of_pairs(rng, 12, 2.0, 0.5)
    differences = curves[:12] - curves[12:]
    t = differences.mean(axis=0) / (differences.std(axis=0, ddof=1) / np.sqrt(12))
    statistic, facts = curve_test(lambda w: w @ curves, swaps(12, 4096, rng))
    assert facts["largest_difference"] == pytest.approx(abs(t).max())
    assert statistic.mean() == pytest.approx(1.0)
    with pytest.raises(ValueError, match="no entry that is finite"):
        curve_test(lambda w: w @ np.full((24, 3), np.nan), swaps(12, 100, rng))


def recorded(rng, start: np.ndarray, change: float = 0.0) -> xr.Dataset:
    """Observables of replicas (replica, y, x) that share ``start`` and have noise of their own, at three times."""
    observer = OrderObserver(Lattice.square(16, 16), 1.0, lambda fields: np.zeros(len(fields)))
    frames = []
    for time in (1.0, 2.0, 4.0):
        fields = start + (0.1 + change) * time * rng.normal(size=start.shape)
        frames.append(observer(fields, rng.normal(size=start.shape), np.arange(len(start))).expand_dims(time=[time]))
    merged = xr.concat(frames, "time", data_vars="minimal", coords="minimal", compat="override")
    merged["fields"] = (("snapshot_time", "replica", "y", "x"), np.stack([start, start]))
    merged = merged.assign_coords(snapshot_time=[1.5, 4.0])
    potential = xr.DataArray(np.zeros((2, len(start))), dims=("snapshot_time", "replica"), coords={"replica": merged["replica"]})
    return merged.assign(total_energy=total_energy(merged, potential))


VARIABLES = ["correlation", "structure_factor", "wall_density", "order", "field_square", "kinetic_temperature", "total_energy"]


def test_all_observables_are_compared_and_a_wrong_noise_is_seen():
    rng = np.random.default_rng(0)
    stripes = np.where(np.arange(16) // 8, 1.0, -1.0)[:, None] * Lattice.square(16, 16).stagger()
    start = stripes + 0.1 * rng.normal(size=(12, 16, 16))
    same = compare(paired(recorded(rng, start), recorded(rng, start), VARIABLES), 4096, rng)
    wrong = compare(paired(recorded(rng, start), recorded(rng, start, 0.05), VARIABLES), 4096, rng)
    for name in ("correlation", "structure_factor", "length_half", "order_distribution", "absolute_order", "total_energy"):
        assert 0 < same[name]["p_value"] <= same[name]["corrected_p_value"] <= 1
    assert min(row["corrected_p_value"] for row in same.values()) > 0.01
    assert wrong["field_square"]["corrected_p_value"] < 0.02 and wrong["kinetic_temperature"]["p_value"] > 0.01
    kinetic = recorded(rng, start)
    middle = kinetic["kinetic_temperature"].isel(time=slice(0, 2)).mean("time")
    np.testing.assert_allclose(kinetic["total_energy"].isel(snapshot_time=0), 0.5 * middle)
    with pytest.raises(ValueError, match="different replicas"):
        paired(kinetic, kinetic.isel(replica=slice(0, 4)), VARIABLES)


def test_averages_of_gaussian_and_of_frozen_order():
    """Gaussian m: <|m|> = s sqrt(2 / pi), Binder 0, chi = N s^2 (1 - 2 / pi) / T. Frozen m: chi 0, Binder 2/3."""
    rng, spread = np.random.default_rng(0), 0.05
    order = xr.DataArray(spread * rng.normal(size=(20, 4000)), dims=("replica", "time"))
    data = xr.Dataset({"order": order, "field_square": 0 * order + 0.3, "kinetic_temperature": 0 * order + 0.05})
    found = averages(data, np.full((1, 20), 1 / 20), 0.05, 256)
    assert found["order"][0] == pytest.approx(spread * np.sqrt(2 / np.pi), rel=0.01)
    assert found["susceptibility"][0] == pytest.approx(256 * spread**2 * (1 - 2 / np.pi) / 0.05, rel=0.02)
    assert found["binder"][0] == pytest.approx(0.0, abs=0.02) and found["field_square"][0] == pytest.approx(0.3)
    frozen = averages(data.assign(order=0 * order - 0.7), np.eye(20), 0.05, 256)
    np.testing.assert_allclose(frozen["binder"], 2 / 3)
    np.testing.assert_allclose(frozen["susceptibility"], 0, atol=1e-9)


def test_only_the_stationary_part_counts():
    data = xr.Dataset(coords={"time": np.arange(1.0, 11), "snapshot_time": [2.0, 5.0, 10.0]})
    late = stationary(data, 0.25)
    assert late["time"].values.tolist() == list(range(3, 11)) and late["snapshot_time"].values.tolist() == [5.0, 10.0]


@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_autocorrelation_time_of_an_autoregressive_series(memory):
    """rho(n) = memory^n: 1/2 + memory / (1 - memory)."""
    rng = np.random.default_rng(0)
    series = np.zeros((8, 5000))
    for n in range(1, 5000):
        series[:, n] = memory * series[:, n - 1] + rng.normal(size=8)
    assert integrated_autocorrelation(series) == pytest.approx(0.5 + memory / (1 - memory), rel=0.1)
    assert np.isnan(integrated_autocorrelation(np.ones((2, 10))))


def test_histograms_are_densities():
    fields = np.random.default_rng(0).normal(size=(3, 10, 8, 8))
    edges = np.linspace(-6, 6, 25)
    density = histograms(fields, edges)
    np.testing.assert_allclose(density.sum(axis=1) * 0.5, 1.0)
    assert density[:, 12].mean() == pytest.approx(0.387, rel=0.1)  # of the normal law, averaged over (0, 1/2)


class Swirl:
    """A force with a curl, on pairs of neighbouring columns: F = -Q + c (Q', -Q). Only a potential conserves energy."""

    def __init__(self, curl: float) -> None:
        self.curl = curl

    def forces(self, fields: np.ndarray) -> np.ndarray:
        partner = fields.reshape(*fields.shape[:-1], -1, 2)[..., ::-1] * [1.0, -1.0]
        return -fields + self.curl * partner.reshape(fields.shape)


@pytest.mark.parametrize("curl", [0.0, 0.02])
def test_a_force_without_a_potential_heats_and_the_drift_shows_it(curl):
    dt, energies, times = 0.1, [], []
    forces = Swirl(curl)

    def observe(state):
        if state.step % 10 == 0:
            momenta = state.momenta + 0.5 * dt * forces.forces(state.fields)
            energies.append(0.5 * (momenta**2 + state.fields**2).mean(axis=(1, 2)))
            times.append(state.step * dt)

    start = State.uncorrelated((8, 8), np.arange(6), 1, sigma=1.0, mass=1.0, temperature=1.0)
    Langevin(forces, mass=1.0, friction=0.0, temperature=0.0, dt=dt).run(start, 500, observe)
    slope, error = drift(np.array(times), np.transpose(energies))
    # The energy of the two circular motions goes as exp(+-curl t): on average cosh, whose mean slope over [0, T] is sinh-like.
    assert (slope > 5 * error and slope > 1e-3) if curl else abs(slope) < 1e-4
    span, fluctuation = times[-1] - times[0], np.std(energies, axis=0).mean()
    assert verdict(slope, error, slope * span, fluctuation) == "heats" or not curl


def test_a_swing_in_step_is_no_drift():
    """Three periods of an energy that swings alike in all replicas: the slope is many standard errors from zero."""
    time = np.linspace(0, 75, 31)
    phases = 0.02 * np.random.default_rng(0).normal(size=(4, 1))
    energies = np.sin(2 * np.pi * time / 25 + phases)
    slope, error = drift(time, energies)
    assert abs(slope) > 5 * error
    assert verdict(slope, error, slope * time[-1], energies.std(axis=1).mean()) == "no drift seen"


def test_exponential_rates_are_found_in_their_window_alone():
    time = np.linspace(0, 100, 101)
    rng = np.random.default_rng(0)
    rates = 0.2 + 0.01 * rng.normal(size=6)
    distance = 1e-6 * np.exp(rates[:, None] * time)
    distance = 1.0 / (1.0 / distance + 1.0)  # saturates at 1
    rate, error, (first, last) = exponential_rate(time, distance, 0.1)
    assert abs(rate - rates.mean()) < 0.006 and error == pytest.approx(rates.std(ddof=1) / np.sqrt(6), rel=0.2)
    assert first == 10.0 and 50 < last < 65
    assert np.isnan(exponential_rate(time, 0 * distance + 1.0, 0.1)[0])
    assert first_above(time, distance, 0.1) > last and np.isinf(first_above(time, distance, 2.0))


def test_biases_of_the_time_step_are_weighed_against_both_errors():
    finest = {"a": (1.0, 0.01), "b": (2.0, 0.001), "c": (np.nan, np.nan)}
    other = {"a": (1.03, 0.01), "b": (2.1, 0.001), "c": (1.0, 0.1)}
    large = {"a": (1.0, 0.02), "b": (2.0, 0.02), "c": (1.0, 0.1)}
    rows = {row["observable"]: row for row in biases(finest, other, large)}
    assert not rows["a"]["biased"] and rows["b"]["biased"] and not rows["c"]["biased"] and rows["c"]["relative_bias"] is None
    assert rows["b"]["relative_bias"] == pytest.approx(0.05) and rows["b"]["statistical_error"] == pytest.approx(0.01)
    assert largest_unbiased([0.1, 0.2, 0.4, 0.8], [False, False, True, False]) == 0.2
    assert largest_unbiased([0.1, 0.2], [False, False]) == 0.2


def test_the_bound_of_the_time_step_is_where_the_scheme_turns_unstable():
    """The stiffest mode of the lattice alone, uniform for kappa > 0: omega_max^2 = (K + 4 kappa) / m."""
    model = holstein("paper", (4, 4), 0.1)
    bound = stability_bound(model.K, model.kappa, 2.0)

    class Elastic:
        def forces(self, fields):
            return model.classical_forces(fields)

    def largest(dt):
        state = State(np.full((1, 4, 4), 1e-3), np.zeros((1, 4, 4)), 0, 0, np.arange(1))
        return abs(Langevin(Elastic(), mass=2.0, friction=0.0, temperature=0.0, dt=dt).run(state, 60).fields).max()

    assert largest(0.98 * bound) < 0.1
    with pytest.raises(DivergenceError):
        largest(1.05 * bound)


def test_late_averages_take_the_window_and_have_the_textbook_error():
    rng = np.random.default_rng(0)
    start = np.where(np.arange(16) // 8, 1.0, -1.0)[:, None] * Lattice.square(16, 16).stagger() + 0.1 * rng.normal(size=(8, 16, 16))
    data = recorded(rng, start)
    found = late_averages(data, 2.0, 4.0, 2.0, 2000, rng)
    each = data["kinetic_temperature"].isel(time=[1, 2]).mean("time").values / 2.0
    value, error = found["kinetic_temperature / T"]
    assert value == pytest.approx(each.mean()) and error == pytest.approx(each.std(ddof=1) / np.sqrt(8), rel=0.1)
    assert {"field_square", "length_half", "length_wall", "length_structure"} <= set(found)
    with pytest.raises(ValueError, match="nothing is recorded between the times 5 and 6"):
        late_averages(data, 5.0, 6.0, 2.0, 20, rng)
