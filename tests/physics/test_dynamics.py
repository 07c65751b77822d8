"""P5: equipartition, the exact Gaussian lattice, energy conservation, reproducible noise, checkpoints."""

import numpy as np
import pytest
import torch
import xarray as xr
from scipy import stats

from ennforce.dynamics import DivergenceError, Langevin, Recorder, State, log_spaced_steps
from ennforce.forces import ExactForces, NetworkForces
from ennforce.lattice import Lattice
from ennforce.models import Holstein
from ennforce.networks import Architecture, EquivariantNetwork
from ennforce.noise import NOISE, normal
from tests.conftest import holstein


class Elastic:
    """The lattice without electrons, g = 0: Gaussian, every mode known."""

    def __init__(self, model: Holstein) -> None:
        self.model = model

    def forces(self, fields: np.ndarray) -> np.ndarray:
        return self.model.classical_forces(fields)


def start(shape, replicas, **options):
    defaults = {"sigma": 0.3, "mass": 1.0, "temperature": 0.1}
    return State.uncorrelated(shape, np.arange(replicas), 5, **(defaults | options))


@pytest.mark.parametrize("mass", [1.0, 5.0])
def test_equipartition_and_the_gaussian_lattice(mass):
    """<P^2> = m T and <|Q_k|^2> = T / (K + 2 kappa (cos kx + cos ky)) in the stationary state."""
    temperature, shape = 0.3, (8, 8)
    model = Holstein(Lattice.square(*shape), K=1.0, kappa=0.18, temperature=0.1)
    engine = Langevin(Elastic(model), mass=mass, friction=1.0, temperature=temperature, dt=0.2)
    state = engine.run(start(shape, 64, sigma=0.5, mass=mass), 100)
    momenta, modes, samples = 0.0, np.zeros(shape), 300
    for _ in range(samples):
        state = engine.run(state, 10)
        momenta += np.mean(state.momenta**2) / samples
        modes += np.mean(np.abs(np.fft.fft2(state.fields)) ** 2, axis=0) / (64 * samples)
    k = 2 * np.pi * np.fft.fftfreq(8)
    expected = temperature / (1.0 + 2 * 0.18 * (np.cos(k)[:, None] + np.cos(k)[None, :]))
    assert momenta == pytest.approx(mass * temperature, rel=0.003)  # no bias of the time step: omega dt = 0.26 would make 1.7 %
    np.testing.assert_allclose(modes, expected, rtol=0.15)
    assert np.mean(modes / expected) == pytest.approx(1.0, abs=0.02)


def test_without_friction_the_energy_of_the_electrons_and_the_lattice_is_conserved():
    forces = ExactForces(holstein("default", (6, 6), 0.1))
    state = start((6, 6), 1)

    def energy(state, dt):
        momenta = state.momenta + dt / 2 * forces.forces(state.fields)  # half a step on, at the time of the fields
        return float(forces.energy(state.fields)[0] + (momenta**2).sum() / 2)

    drift = []
    for dt in (0.2, 0.1):
        engine = Langevin(forces, mass=1.0, friction=0.0, temperature=0.0, dt=dt)
        drift.append(abs(energy(engine.run(state, round(4.0 / dt)), dt) - energy(state, dt)))
    assert drift[1] < 2e-3
    assert drift[1] < 0.4 * drift[0]  # second order


def test_noise_is_normal_and_uncorrelated():
    noise = normal(3, NOISE, np.arange(20), 7, (50, 50))
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    correlations = np.corrcoef(noise.reshape(20, -1))
    assert np.abs(correlations - np.eye(20)).max() < 0.1
    next_step = normal(3, NOISE, np.arange(20), 8, (50, 50))
    assert abs(np.corrcoef(noise.ravel(), next_step.ravel())[0, 1]) < 0.02


def test_philox_matches_the_published_vectors():
    """Known answers of Philox4x32-10 (Salmon et al., Random123 distribution, kat_vectors)."""
    from ennforce.noise import philox_words

    zero, ones = philox_words([0, 0, 0, 0], [0, 0]), philox_words([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2)
    assert [hex(w) for w in zero] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
    assert [hex(w) for w in ones] == ["0x408f276d", "0x41c83b0e", "0xa20bc7c6", "0x6d5451fd"]


def test_noise_depends_on_its_counters_alone():
    whole = normal(9, NOISE, np.arange(6), 3, (8, 8))
    np.testing.assert_array_equal(whole[[4, 1]], normal(9, NOISE, np.array([4, 1]), 3, (8, 8)))
    for other in (normal(10, NOISE, np.arange(6), 3, (8, 8)), normal(9, NOISE, np.arange(6), 4, (8, 8))):
        assert not np.isclose(whole, other).any()
    with pytest.raises(ValueError, match="64 bits"):
        normal(-1, NOISE, np.arange(1), 0, (2, 2))


def test_replicas_do_not_depend_on_their_batch():
    engine = Langevin(Elastic(holstein("paper", (6, 6), 0.1)), mass=1.0, friction=0.2, temperature=0.1, dt=0.1)
    together = engine.run(start((6, 6), 4), 50)
    alone = State.uncorrelated((6, 6), np.array([2]), 5, sigma=0.3, mass=1.0, temperature=0.1)
    np.testing.assert_array_equal(engine.run(alone, 50).fields[0], together.fields[2])


DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))]


@pytest.mark.parametrize("device", DEVICES)
def test_tensors_on_a_device_follow_the_same_trajectory(device):
    torch.manual_seed(0)
    model = holstein("paper", (32, 28), 0.1)
    network = EquivariantNetwork(Architecture(width=2, depth=2, first_radius=1, separable=True), 0.7, 0.4)
    bath = {"mass": 2.0, "friction": 0.2, "temperature": 0.1, "dt": 0.2}
    begin = start((32, 28), 3)
    expected = Langevin(NetworkForces(network, model), **bath).run(begin, 20)
    shown = []
    found = Langevin(NetworkForces(network, model, device=device), **bath).run(begin.on(device), 20, shown.append)
    assert found.fields.device.type == device and len(shown) == 20
    np.testing.assert_allclose(found.as_arrays().fields, expected.fields, atol=2e-5)  # forces are float32
    elastic = Langevin(Elastic(model), **bath)
    exact = elastic.run(begin.on(device), 20).as_arrays()
    np.testing.assert_allclose(exact.fields, elastic.run(begin, 20).fields, rtol=1e-12, atol=1e-13)
    with pytest.raises(DivergenceError, match="step 100"):
        Langevin(Elastic(model), **(bath | {"dt": 5.0})).run(begin.on(device), 150)


def test_divergence_stops_with_the_step():
    engine = Langevin(Elastic(holstein("paper", (6, 6), 0.1)), mass=1.0, friction=0.2, temperature=0.1, dt=5.0)
    with pytest.raises(DivergenceError, match="diverged at step .* smaller time step than 5.0"):
        engine.run(start((6, 6), 1), 1000)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"dt": 0.0}, "dt = 0.0 must be positive"),
        ({"mass": -1.0}, "mass"),
        ({"friction": -0.1}, "friction"),
        ({"temperature": np.nan}, "temperature"),
    ],
)
def test_impossible_baths_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        Langevin(
            Elastic(holstein("paper", (6, 6), 0.1)), **({"mass": 1.0, "friction": 0.2, "temperature": 0.1, "dt": 0.1} | setting)
        )


def test_a_run_goes_on_from_its_checkpoint_bit_for_bit(tmp_path):
    engine = Langevin(Elastic(holstein("paper", (6, 6), 0.1)), mass=1.0, friction=0.2, temperature=0.1, dt=0.1)

    def recorder(path=None):
        def observe(state):
            return xr.Dataset({"square": ("replica", (state.fields**2).mean(axis=(1, 2)))}, coords={"replica": state.replicas})

        return Recorder(observe, log_spaced_steps(1, 60, 12), np.array([10, 60]), 0.1, path, interval=0.0)

    undisturbed = recorder()
    engine.run(start((6, 6), 2), 60, undisturbed)

    first = recorder(tmp_path / "checkpoint")
    engine.run(start((6, 6), 2), 23, first)
    second = recorder(tmp_path / "checkpoint")
    state = second.resume(start((6, 6), 2))
    assert state.step == 23
    engine.run(state, 60 - state.step, second)
    xr.testing.assert_identical(second.dataset(), undisturbed.dataset())

    (tmp_path / "checkpoint").write_bytes(b"half a file")
    assert recorder(tmp_path / "checkpoint").resume(start((6, 6), 2)).step == 0
