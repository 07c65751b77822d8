"""P9: intervals and exact tests of pairs, stationary averages, drifts, rates, and biases of the time step."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ennforce.accuracy import ReferenceForces
from ennforce.analysis.comparison import compare, over_networks, overall, paired, total_energy, window_weights, windows
from ennforce.analysis.ensemble import pooled_error
from ennforce.analysis.equilibrium import averages, histograms, integrated_autocorrelation, stationary
from ennforce.analysis.intervals import half_width, jackknife, leave_one_out, members_needed
from ennforce.analysis.intervals import verdict as verdict_of
from ennforce.analysis.stability import drift, exponential_rate, first_above, verdict
from ennforce.analysis.swaps import curve_test, p_values, swaps, weights
from ennforce.analysis.timestep import biases, largest_unbiased, late_averages
from ennforce.dynamics import DivergenceError, Langevin, State
from ennforce.lattice import Lattice
from ennforce.limits import largest_step
from ennforce.models import Holstein
from ennforce.observables import Observer, observables_of
from ennforce.sections import Bath, Margins
from ennforce.workflow import Node
from tests.conftest import holstein

SCRIPTS = Path(__file__).parents[2] / "scripts"


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
        tested = {
            "mean": curve_test(lambda w, c=curves: w @ c, signs)[0],
            "square": curve_test(lambda w, c=curves: w @ c**2, signs)[0],
        }
        both = p_values(tested)
        found.append([both["mean"]["p_value"], both["square"]["p_value"], min(v["corrected_p_value"] for v in both.values())])
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
    model = Holstein(Lattice.square(16, 16), temperature=0.1)
    observer = Observer(model, observables_of(model))
    frames = []
    for time in (1.0, 2.0, 4.0):
        fields = start + (0.1 + change) * time * rng.normal(size=start.shape)
        frames.append(observer(fields, rng.normal(size=start.shape), np.arange(len(start))).expand_dims(time=[time]))
    merged = xr.concat(frames, "time", data_vars="minimal", coords="minimal", compat="override")
    merged["fields"] = (("snapshot_time", "replica", "y", "x"), np.stack([start, start]))
    merged = merged.assign_coords(snapshot_time=[1.5, 4.0])
    potential = xr.DataArray(np.zeros((2, len(start))), dims=("snapshot_time", "replica"), coords={"replica": merged["replica"]})
    return merged.assign(total_energy=total_energy(merged, potential))


MARGINS = Margins().model_dump()
COMPARED = 8  # what is compared of these made-up ensembles
TIMES = np.array([0.5, *np.geomspace(1.0, 100.0, 20)])


def quenches(rng, pairs: int, noise: float, shift: float = 0.0, factors: np.ndarray | None = None) -> xr.Dataset:
    """Made-up growth of ``pairs`` replicas: L = 2 t^0.4, <Q^2> = 0.4, S = L^2, each off by ``shift`` in its logarithm.

    ``factors`` (pairs,) are what pairs have in common; ``noise`` is each replica's and time's own, relative.
    """
    factors = np.zeros(pairs) if factors is None else factors
    length = 2.0 * TIMES**0.4

    def spread(values: np.ndarray) -> np.ndarray:
        own = noise * rng.normal(size=(len(TIMES), pairs))
        return values[:, None] * np.exp(shift + factors + own - 0.5 * noise**2)

    r, k = np.arange(11.0), np.arange(45) * 0.1
    size = spread(length)
    square = spread(0.4 + 0 * TIMES)
    snapshots = np.array([2.0, 6.0, 20.0, 100.0])
    variables = {
        "field_square": (("time", "replica"), square),
        "order": (("time", "replica"), spread(length / 100) * rng.choice([-1, 1], size=pairs)),
        "wall_density": (("time", "replica"), spread(1.0 / length)),
        "kinetic_temperature": (("time", "replica"), spread(0.05 + 0 * TIMES)),
        "correlation": (("time", "replica", "r"), np.exp(-r / size[..., None])),
        "structure_factor": (("time", "replica", "k"), spread(length**2)[..., None] / (1.0 + (10 * k) ** 2) + 1e-3),
    }
    coordinates = {"time": TIMES, "replica": np.arange(pairs), "r": r, "k": k, "k_modes": ("k", np.maximum(8 * np.arange(45), 1))}
    data = xr.Dataset(variables, coordinates).assign_coords(snapshot_time=snapshots)
    data["k"].attrs = {"zone": np.pi, "zone_corner": np.pi * np.sqrt(2)}
    data["field_square"].attrs = {"symbol": "Q^2", "compare": "ratio"}
    data["order"].attrs = {"symbol": "m", "compare": "modulus"}
    potential = xr.DataArray(np.full((4, pairs), -0.8), dims=("snapshot_time", "replica"), coords={"replica": data["replica"]})
    return data.assign(total_energy=total_energy(data, potential))


def verdicts(rows: list[dict]) -> dict[tuple[str, float], str]:
    return {(row["observable"], row["from"]): row["verdict"] for row in rows}


def test_a_planted_half_percent_is_different_none_is_equivalent_and_noise_cannot_tell():
    rng = np.random.default_rng(0)
    factors = 0.3 * rng.normal(size=8)  # pairs differ by far more than their members

    def compared(noise: float, shift: float) -> list[dict]:
        pair = quenches(rng, 8, noise, shift, factors), quenches(rng, 8, noise, 0.0, factors)
        return compare(*pair, [1.0, 12.0], MARGINS, 0.05)

    planted, none, noisy = compared(0.001, -0.005), compared(0.001, 0.0), compared(0.3, 0.0)
    assert {planted[0]["from"], planted[-1]["to"]} == {1.0, 100.0} and len(planted) == 2 * COMPARED
    for start in (1.0, 12.0):
        assert verdicts(planted)["field_square", start] == "different"  # 0.5 % against a margin of 0.2 %
        assert verdicts(planted)["length_half", start] == "equivalent"  # 0.5 % against a margin of 1 %
    row = planted[0]
    assert row["observable"] == "field_square" and row["difference"] == pytest.approx(-0.005, abs=0.001) and row["high"] < 0
    assert set(verdicts(none).values()) == {"equivalent"} and overall(none) == "equivalent"
    assert verdicts(noisy)["field_square", 1.0] == verdicts(noisy)["structure_factor", 12.0] == "cannot tell"
    assert overall(planted) == "different" and overall(noisy) == "cannot tell"
    assert noisy[0]["pairs_needed"] > 1000 > none[0]["pairs_needed"]


@pytest.mark.parametrize(("pairs", "common"), [(4, 0.3), (12, 0.0)])
def test_all_intervals_together_hold_the_truth_as_often_as_they_say(pairs, common):
    """Under a known difference of 2 % in everything; the intervals are wider than need be where observables go together."""
    rng = np.random.default_rng(pairs)
    together, single, width = [], [], []
    for _ in range(120):
        factors = common * rng.normal(size=pairs)
        rows = compare(
            quenches(rng, pairs, 0.05, 0.02, factors), quenches(rng, pairs, 0.05, 0.0, factors), [1.0, 12.0], MARGINS, 0.05
        )
        true = [row for row in rows if row["observable"] in ("field_square", "structure_factor", "order")]
        together.append(all(row["low"] <= 0.02 <= row["high"] for row in true))
        first = true[0]
        single.append(abs(first["difference"] - 0.02) <= half_width(first["standard_error"], pairs))
        width.append(first["high"] - first["low"])
    error = 3.0 * np.sqrt(0.05 * 0.95 / 120)
    assert np.mean(together) >= 0.95 - error
    assert abs(np.mean(single) - 0.95) <= error
    assert np.mean(width) < 0.5


def test_what_cannot_be_measured_and_what_is_no_pair():
    rng = np.random.default_rng(1)
    first, second = quenches(rng, 4, 0.01), quenches(rng, 4, 0.01)
    early = second["time"] < 3.0
    second["correlation"] = second["correlation"].where(~early | (second["r"] < 1), -0.01)  # before there is order
    rows = {(row["observable"], row["from"]): row for row in compare(first, second, [1.0, 2.5, 12.0, 500.0], MARGINS, 0.05)}
    assert rows["correlation", 1.0]["verdict"] == "not measured" and rows["correlation", 1.0]["low"] is None
    assert 0.5 < rows["correlation", 2.5]["used"] < 1.0 == rows["correlation", 12.0]["used"]
    assert len(rows) == 3 * COMPARED  # no window begins after the end
    assert compare(first, second, [1.0], MARGINS, 0.05) == compare(first, second, [1.0], MARGINS, 0.05)  # to the bit
    same = compare(first, first, [1.0], MARGINS, 0.05)
    assert {row["verdict"] for row in same} == {"equivalent"} and all(row["difference"] == 0 for row in same)
    with pytest.raises(ValueError, match="different replicas"):
        compare(first, first.isel(replica=slice(0, 2)), [1.0], MARGINS, 0.05)
    with pytest.raises(ValueError, match="different replicas"):
        paired(first, first.isel(replica=slice(0, 2)), ["order"])


def test_several_networks_together_hold_the_error_of_the_network():
    """Three networks, each off by its own: the interval of their mean is that of three numbers."""
    rng = np.random.default_rng(0)
    reference, offsets = quenches(rng, 12, 0.001), (0.004, -0.001, 0.003)
    tables = [compare(quenches(rng, 12, 0.001, offset), reference, [1.0], MARGINS, 0.05) for offset in offsets]
    assert [row["verdict"] for table in tables for row in table[:1]] == ["different", "equivalent", "different"]
    row = over_networks(tables)[0]
    assert row["difference"] == pytest.approx(0.002, abs=5e-4) and row["spread"] == pytest.approx(np.std(offsets, ddof=1), rel=0.2)
    assert row["verdict"] == "cannot tell" and row["high"] - row["difference"] == pytest.approx(
        4.303 * row["spread"] / np.sqrt(3), rel=1e-3
    )
    tables[0][0] |= {"difference": None}
    assert len(over_networks(tables)) == COMPARED - 1


def test_a_window_is_an_average_over_the_logarithm_of_time():
    for time in (np.geomspace(1, 12, 40), np.linspace(1, 12, 4000)):
        weights = window_weights(np.concatenate([[0.5], time, [13.0]]), 1.0, 12.0)
        assert weights[0] == weights[-1] == 0 and weights.sum() == pytest.approx(np.log(12))
        assert weights[1:-1] @ np.log(time) / weights.sum() == pytest.approx(0.5 * np.log(12), rel=1e-3)
    assert windows([1.0, 12.0, 40.0], 40.0) == [(1.0, 12.0), (12.0, 40.0)]
    assert not window_weights(np.array([1.0, 2.0]), 3.0, 4.0).any()


def test_verdicts_weigh_the_interval_against_the_margin_first():
    assert verdict_of(-0.1, 0.2, 0.3) == verdict_of(0.1, 0.2, 0.3) == "equivalent"  # real, but smaller than what matters
    assert verdict_of(0.1, 0.4, 0.3) == verdict_of(-0.9, -0.1, 0.3) == "different"
    assert verdict_of(-0.1, 0.4, 0.3) == verdict_of(-np.inf, np.inf, 0.3) == "cannot tell"
    assert members_needed(0.0, 0.3, 8) == 2
    assert members_needed(0.1, 0.1, 100) == pytest.approx((2 * 1.96) ** 2 * 100, rel=0.03)  # normal law: twice 1.96 errors


def test_the_jackknife_of_a_mean_is_the_textbook_error():
    values = np.random.default_rng(0).normal(size=12)
    estimate, error = jackknife(leave_one_out(12) @ values)
    assert estimate == pytest.approx(values.mean()) and error == pytest.approx(values.std(ddof=1) / np.sqrt(12))
    assert half_width(1.0, 4) == pytest.approx(3.182, abs=1e-3) and half_width(1.0, 8, 14) > half_width(1.0, 8)


def test_the_error_that_a_force_had_is_told():
    model = holstein("default", (8, 8), 0.1)
    fields = 0.5 * np.random.default_rng(0).normal(size=(3, 8, 8))
    loose, tight = (ReferenceForces(model, t, margin=0.03, method="chebyshev").error(fields) for t in (0.1, 1e-5))
    assert 0 < tight["rms"] < tight["largest"] < 1e-4 < loose["largest"] and loose["judge"] == "exact diagonalisation"
    assert loose["force_rms"] == tight["force_rms"] > 0.05
    both = pooled_error([loose, tight])
    assert both["largest"] == loose["largest"] and both["rms"] == pytest.approx(np.hypot(loose["rms"], tight["rms"]) / np.sqrt(2))


def test_averages_of_gaussian_and_of_frozen_order():
    """Gaussian m: <|m|> = s sqrt(2 / pi), Binder 0, chi = N s^2 (1 - 2 / pi) / T. Frozen m: chi 0, Binder 2/3."""
    rng, spread = np.random.default_rng(0), 0.05
    order = xr.DataArray(spread * rng.normal(size=(20, 4000)), dims=("replica", "time"))
    data = xr.Dataset({"order": order, "field_square": 0 * order + 0.3})
    data["order"].attrs = {"stationary": 1, "components": 1, "sites": 256}
    data["field_square"].attrs = {"stationary": 1}
    found = averages(data, np.full((1, 20), 1 / 20), 0.05)
    assert found["order"][0] == pytest.approx(spread * np.sqrt(2 / np.pi), rel=0.01)
    assert found["susceptibility"][0] == pytest.approx(256 * spread**2 * (1 - 2 / np.pi) / 0.05, rel=0.02)
    assert found["binder"][0] == pytest.approx(0.0, abs=0.02) and found["field_square"][0] == pytest.approx(0.3)
    frozen = averages(data.assign(order=(0 * order - 0.7).assign_attrs(data["order"].attrs)), np.eye(20), 0.05)
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
    said = verdict(slope, half_width(error, 6), slope * span, fluctuation)
    assert said == "heats" if curl else float(said.removeprefix("heats or cools by less than ")) < 1e-4


def test_a_swing_in_step_is_no_drift():
    """Three periods of an energy that swings alike in all replicas: the slope is many standard errors from zero."""
    time = np.linspace(0, 75, 31)
    phases = 0.02 * np.random.default_rng(0).normal(size=(4, 1))
    energies = np.sin(2 * np.pi * time / 25 + phases)
    slope, error = drift(time, energies)
    assert abs(slope) > 5 * error
    said = verdict(slope, half_width(error, 4), slope * time[-1], energies.std(axis=1).mean())
    assert said.startswith("heats or cools by less than")


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


@pytest.mark.parametrize("order", [0.0, 0.8])
def test_divergence_starts_where_the_quenches_do(tmp_path, monkeypatch, order):
    """Its first fields are those of ``before_quench``, order included; the learned force is stood in for by the solver."""
    specification = importlib.util.spec_from_file_location("divergence", SCRIPTS / "divergence.py")
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    model, bath = holstein("default", (8, 8), 0.1), {**Bath(temperature=0.1).model_dump(), "initial_order": order}
    monkeypatch.setattr(script.NetworkForces, "load", lambda folder, model: script.KPMForces(model, 1e-3))
    starts = []
    run = Langevin.run
    monkeypatch.setattr(Langevin, "run", lambda self, state, *rest: starts.append(state) or run(self, state, *rest))
    node = Node(
        rule="divergence", input={"model": [__file__]}, wildcards={}, threads=1, log=str(tmp_path / "x.log"), study="a",
        output={"distances": str(tmp_path / "d.nc"), "rates": str(tmp_path / "r.json")}, checkpoint_seconds=30.0,
        params={
            "model": model.parameters(), "bath": bath, "seed": 1, "replicas": 2, "time": 2.0, "observations": 5,
            "perturbation": 1e-6, "dynamics_tolerance": 0.02, "tolerance": 1e-3, "margin": 0.03, "method": "auto",
        },
    )  # fmt: skip
    script.main(node)
    expected = State.before_quench(model, np.arange(2), node.seed(6), bath)
    assert len(starts) == 4 and all(abs(state.fields - expected.fields).max() < 1e-5 for state in starts)
    assert (starts[0].fields * model.lattice.stagger()).mean() == pytest.approx(order, abs=0.05)


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
    bound = largest_step(model, Bath(mass=2.0))

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
