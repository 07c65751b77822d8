"""P13: spins in a bath keep their length, conserve energy without damping, and reach Boltzmann's distribution."""

from dataclasses import replace

import numpy as np
import pytest

from ennforce.dynamics import SpinDynamics, State
from ennforce.lattice import Lattice
from ennforce.models import Kondo, Real, Sphere

SHAPE = (4, 6)


class Heisenberg:
    """E = -J sum over bonds along the last axis of S_i . S_j - H . S_i, with all spins of a row on a ring."""

    def __init__(self, coupling: float = 1.0, field: float = 0.0) -> None:
        self.coupling, self.field = coupling, field

    def forces(self, fields: np.ndarray) -> np.ndarray:
        forces = self.coupling * (np.roll(fields, 1, axis=-1) + np.roll(fields, -1, axis=-1))
        forces[:, 2] += self.field
        return forces

    def energy(self, fields: np.ndarray) -> np.ndarray:
        bonds = (fields * np.roll(fields, 1, axis=-1)).sum(axis=1)
        return -(self.coupling * bonds + self.field * fields[:, 2]).reshape(len(fields), -1).sum(axis=1)


def random_spins(replicas: int, *shape: int, seed: int = 0) -> State:
    lattice = Lattice.square(*shape)
    normals = np.random.default_rng(seed).normal(size=(replicas, 3, *shape))
    return State(Sphere().near(0.0, 1.0, normals, lattice), None, 0, 5, np.arange(replicas))


def test_what_acts_on_a_spin_is_across_it_and_turns_it_as_all_of_the_force_does():
    spins = random_spins(2, *SHAPE).fields
    forces = np.random.default_rng(1).normal(size=spins.shape)
    acting = Sphere().acting(forces, spins, axis=1)
    np.testing.assert_allclose((acting * spins).sum(axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.cross(spins, acting, axis=1), np.cross(spins, forces, axis=1), atol=1e-12)
    assert Real(3).acting(forces, spins, axis=1) is forces


def test_spins_keep_their_length_to_rounding():
    end = SpinDynamics(Heisenberg(), damping=0.3, temperature=0.5, dt=0.1).run(random_spins(3, *SHAPE), 500)
    np.testing.assert_allclose((end.fields**2).sum(axis=1), 1.0, atol=1e-12)


def test_without_damping_the_energy_drifts_as_the_square_of_the_step():
    start, model, drifts = random_spins(4, *SHAPE), Heisenberg(), []
    for dt in (0.1, 0.05, 0.025):
        end = SpinDynamics(model, damping=0.0, temperature=0.0, dt=dt).run(start, round(5.0 / dt))
        drifts.append(np.abs(model.energy(end.fields) - model.energy(start.fields)).max() / 24)
    assert drifts[0] < 2e-2
    assert drifts[1] < 0.35 * drifts[0] and drifts[2] < 0.35 * drifts[1]


def test_one_spin_precesses_as_it_should_and_falls_into_the_field():
    start = replace(random_spins(1, 1, 1), fields=np.array([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1))
    field = Heisenberg(0.0, 2.0)
    free = SpinDynamics(field, damping=0.0, temperature=0.0, dt=0.01).run(start, 100).fields[0, :, 0, 0]
    # dS/dt = S x H z turns clockwise about the field, by 2 radians in a unit of time.
    np.testing.assert_allclose(free, [np.cos(2.0), -np.sin(2.0), 0.0], atol=1e-3)
    damped = SpinDynamics(field, damping=0.5, temperature=0.0, dt=0.01).run(start, 200).fields[0, 2, 0, 0]
    assert damped == pytest.approx(np.tanh(0.5 * 2.0 * 2.0), abs=1e-3)  # dS_z/dt = alpha H (1 - S_z^2)


@pytest.mark.parametrize("field", [0.5, 2.0])
def test_one_spin_in_a_field_has_langevins_magnetisation(field):
    temperature, rounds, kept = 0.5, 40, []
    engine, state = SpinDynamics(Heisenberg(0.0, field), damping=0.5, temperature=temperature, dt=0.05), random_spins(8, 16, 16)
    state = engine.run(state, 200)
    for _ in range(rounds):
        state = engine.run(state, 20)
        kept.append(state.fields[:, 2].mean(axis=(1, 2)))
    x, values = field / temperature, np.mean(kept, axis=0)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert values.mean() == pytest.approx(1 / np.tanh(x) - 1 / x, abs=4 * error + 2e-3)


def test_two_coupled_spins_are_correlated_as_boltzmann_says():
    """A ring of two spins has both bonds between them: coupling 2 J."""
    temperature, kept = 0.8, []
    engine, state = SpinDynamics(Heisenberg(0.5), damping=0.5, temperature=temperature, dt=0.05), random_spins(8, 64, 2)
    state = engine.run(state, 200)
    for _ in range(40):
        state = engine.run(state, 20)
        kept.append((state.fields[..., 0] * state.fields[..., 1]).sum(axis=1).mean(axis=1))
    x, values = 1.0 / temperature, np.mean(kept, axis=0)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert values.mean() == pytest.approx(1 / np.tanh(x) - 1 / x, abs=4 * error + 2e-3)


def test_small_fluctuations_share_the_energy_equally():
    """In a strong field each of the two components across it has H <S_x^2> / T = 1, up to order T / H."""
    temperature, field, kept = 0.02, 2.0, []
    engine, state = SpinDynamics(Heisenberg(0.0, field), damping=0.5, temperature=temperature, dt=0.02), random_spins(8, 16, 16)
    state = engine.run(
        replace(state, fields=Sphere().near(0.0, 1.0, np.full_like(state.fields, 1e-3) + UP, Lattice.square(16, 16))), 400
    )
    for _ in range(20):
        state = engine.run(state, 20)
        kept.append(field * (state.fields[:, :2] ** 2).mean(axis=(0, 2, 3)) / temperature)
    np.testing.assert_allclose(np.mean(kept, axis=0), 1.0, atol=0.04)


UP = np.array([0.0, 0.0, 1.0]).reshape(1, 3, 1, 1)


def test_the_noise_is_counted_and_a_run_goes_on_as_if_never_stopped():
    engine, start = SpinDynamics(Heisenberg(), damping=0.3, temperature=0.5, dt=0.1), random_spins(3, *SHAPE)
    whole = engine.run(start, 20).fields
    np.testing.assert_array_equal(engine.run(engine.run(start, 7), 13).fields, whole)
    alone = replace(start, fields=start.fields[1:2], replicas=np.array([1]))
    np.testing.assert_array_equal(engine.run(alone, 20).fields[0], whole[1])


def test_bad_states_are_refused_in_one_line():
    engine, start = SpinDynamics(Heisenberg(), damping=0.3, temperature=0.5, dt=0.1), random_spins(3, *SHAPE)
    with pytest.raises(ValueError, match="unit length"):
        engine.run(replace(start, fields=2.0 * start.fields), 1)
    with pytest.raises(ValueError, match="damping = -1"):
        SpinDynamics(Heisenberg(), damping=-1.0, temperature=0.5, dt=0.1)
    with pytest.raises(ValueError, match="2 spins are not of unit length"):
        fields = start.fields.copy()
        fields[0, :, :2, 0] *= 1.1
        Sphere().check(fields, Lattice.square(*SHAPE))


def test_kondo_spins_live_on_the_sphere_and_soft_moments_do_not():
    lattice = Lattice.square(4, 4)
    assert Kondo(lattice, temperature=0.1).space == Sphere()
    assert Kondo(lattice, temperature=0.1, A=1.0).space.chosen() == "langevin"
