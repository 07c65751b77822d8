"""P5: overdamped dynamics, the choice of the dynamics by the field, and checkpoints of every kind of field."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from ennforce.config import ConfigError, load_study
from ennforce.dynamics import DivergenceError, Langevin, Overdamped, Recorder, SpinDynamics, State, integrator, quench
from ennforce.lattice import Lattice
from ennforce.models import Holstein, Kondo, Peierls
from ennforce.sections import Bath


class Harmonic:
    def __init__(self, stiffness: float) -> None:
        self.stiffness = stiffness

    def forces(self, fields):
        return -self.stiffness * fields


def still(replicas: int, *shape: int) -> State:
    return State(np.zeros((replicas, *shape)), None, 0, 7, np.arange(replicas))


@pytest.mark.parametrize("dt", [0.1, 0.9])  # in units of the largest stable step
def test_a_harmonic_field_has_the_thermal_width_at_every_stable_step(dt):
    stiffness, mass, friction, temperature = 2.0, 3.0, 0.5, 0.3
    engine = Overdamped(
        Harmonic(stiffness), mass=mass, friction=friction, temperature=temperature, dt=dt * 2 * mass * friction / stiffness
    )
    state, kept = engine.run(still(8, 32, 32), 50), []
    for _ in range(20):
        state = engine.run(state, 20)
        kept.append((state.fields**2).mean(axis=(1, 2)))
    values = np.mean(kept, axis=0)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert values.mean() == pytest.approx(temperature / stiffness, abs=4 * error)


def test_a_free_field_diffuses_as_einstein_says():
    engine = Overdamped(Harmonic(0.0), mass=2.0, friction=0.5, temperature=0.4, dt=0.05)
    end = engine.run(still(16, 32, 32), 200)
    # The mean of two successive numbers leaves out half of the first and of the last: 200 steps count as 199.5.
    expected = 2 * 0.4 / (2.0 * 0.5) * 0.05 * 199.5
    assert (end.fields**2).mean() == pytest.approx(expected, rel=0.05)


def test_it_goes_on_as_if_never_stopped_and_tensors_give_the_same():
    engine = Overdamped(Harmonic(1.0), mass=1.0, friction=1.0, temperature=0.2, dt=0.1)
    start = still(3, 2, 4, 6)
    whole = engine.run(start, 20).fields
    np.testing.assert_array_equal(engine.run(engine.run(start, 7), 13).fields, whole)
    np.testing.assert_allclose(engine.run(start.on("cpu"), 20).as_arrays().fields, whole, atol=1e-12)
    assert isinstance(engine.run(start.on("cpu"), 1).fields, torch.Tensor)
    with pytest.raises(DivergenceError, match="smaller time step than 2.5"):
        Overdamped(Harmonic(1.0), mass=1.0, friction=1.0, temperature=0.2, dt=2.5).run(start, 300)
    with pytest.raises(ValueError, match="friction = 0"):
        Overdamped(Harmonic(1.0), mass=1.0, friction=0.0, temperature=0.2, dt=0.1)


LATTICE = Lattice.square(6, 6)
MODELS = {
    "langevin": (Peierls(LATTICE, temperature=0.2), Langevin),
    "overdamped": (Peierls(LATTICE, temperature=0.2), Overdamped),
    "spins": (Kondo(LATTICE, temperature=0.2), SpinDynamics),
}


@pytest.mark.parametrize("dynamics", MODELS)
def test_every_dynamics_runs_from_the_bath_and_goes_on_from_its_checkpoint_to_the_bit(dynamics, tmp_path):
    model, kind = MODELS[dynamics]
    bath = Bath(dynamics=dynamics, dt=0.05, temperature=0.1).model_dump()

    class Pull:
        def forces(self, fields):
            return -fields + 0.3 * np.roll(fields, 1, axis=-1)

    assert type(integrator(model, Pull(), bath)) is kind
    axes = model.space.axes(LATTICE)

    def recorder(path=None):
        return Recorder(lambda state: xr.Dataset(), np.array([]), np.array([10, 20]), bath["dt"], path, 1e9, axes)

    whole = quench(Pull(), model, np.arange(2), 5, bath, 20, recorder())
    assert (whole.momenta is None) == (dynamics != "langevin")
    # As after a kill at step 12: the state of that moment was saved, and a new process goes on.
    path = tmp_path / "checkpoint"
    first = recorder(path)
    middle = quench(Pull(), model, np.arange(2), 5, bath, 12, first)
    first.save(middle)
    told = []
    again = recorder(path)
    end = quench(Pull(), model, np.arange(2), 5, bath, 20, again, resumed=told.append)
    assert told == [12] and len(again.dataset()["snapshot_time"]) == 2
    for name, values in whole.arrays().items():
        np.testing.assert_array_equal(getattr(end, name), values)


def test_a_dynamics_that_does_not_act_on_the_field_is_refused_when_the_configuration_is_read():
    for content, message in (
        ({"bath": {"dynamics": "spins"}}, "bath.dynamics = spins does not act on Real fields: use langevin or overdamped"),
        ({"bath": {"dynamics": "overdamped", "friction": 0}}, "bath.friction = 0: overdamped dynamics needs friction"),
        ({"bath": {"dynamics": "overdamped", "dt": 0.5, "friction": 0.1}}, "bath.dt = 0.5 is not below 2 m gamma/k = 0.2"),
        (
            {"model": {"name": "kondo"}, "network": {"kind": "typed"}, "bath": {"dynamics": "langevin"}},
            "bath.dynamics = langevin does not act on Sphere fields: use spins",
        ),
    ):
        with pytest.raises(ConfigError, match="^.*" + message.replace("(", r"\(")):
            load_study(content)


def test_momenta_given_to_a_dynamics_without_them_are_dropped():
    start = replace(still(1, 4, 4), momenta=np.ones((1, 4, 4)))
    engine = Overdamped(Harmonic(1.0), mass=1.0, friction=1.0, temperature=0.0, dt=0.1)
    assert engine.run(start, 1).momenta is None


def test_learned_forces_never_exceed_what_electrons_can_exert():
    from ennforce.forces import NetworkForces
    from ennforce.networks import Architecture, build

    torch.manual_seed(0)
    model = Holstein(Lattice.square(8, 8), temperature=0.1, g=1.5)
    network = build(Architecture(width=1, depth=1, first_radius=1), force_scale=1e3)
    forces = NetworkForces(network, model)
    fields = np.random.default_rng(0).normal(size=(8, 8))
    assert abs(forces.electronic_forces(fields)).max() == pytest.approx(0.75)
    spins = Kondo(Lattice.square(8, 8), temperature=0.1, J=2.0)
    typed = build(Architecture(kind="typed", field_type=str(spins.field_type), width=1, depth=1, first_radius=1), force_scale=1e3)
    field = spins.space.near(0.0, 1.0, np.random.default_rng(0).normal(size=(3, 8, 8)), spins.lattice)
    lengths = np.linalg.norm(NetworkForces(typed, spins).electronic_forces(field), axis=0)
    assert lengths.max() == pytest.approx(2.0)
