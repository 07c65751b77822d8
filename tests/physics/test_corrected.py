"""P12: forces of chosen sites, forces corrected on drawn sites, and dynamics that take the draws' noise off the thermostat."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import xarray as xr

from ennforce import noise
from ennforce.corrected import LONG, CorrectedForces, FollowingForces, block_of
from ennforce.dynamics import Langevin, Overdamped, Recorder, SpinDynamics, State, quench
from ennforce.electrons import SpectrumError, following
from ennforce.electrons.bounds import lanczos_window
from ennforce.electrons.chosen import ChosenSites
from ennforce.electrons.engines import ChebyshevEngine
from ennforce.electrons.stencil import Stencil, window_of
from ennforce.forces import Drawn, ExactForces, NetworkForces
from ennforce.lattice import Lattice
from ennforce.models import Blocks, DensityMatrix, Hamiltonian, Holstein, Kondo, Peierls, Sphere
from ennforce.networks import Architecture, build
from ennforce.sections import Bath
from ennforce.symmetry import FieldType
from tests.conftest import configuration, holstein


@dataclass(frozen=True)
class Differences(Hamiltonian):
    """Electrons that feel differences of neighbouring fields: the force of a site needs the density of two."""

    @property
    def field_type(self) -> FieldType:
        return FieldType.parse("A1e")

    def blocks(self, fields: np.ndarray) -> Blocks:
        return Blocks(self.lattice, fields - self._at(fields, (0, 1)), {s: np.array(-1.0) for s in self.lattice.half_neighbours})

    def electronic_forces(self, density: DensityMatrix, fields: np.ndarray) -> np.ndarray:
        return self._at(density.occupation, (0, -1)) - density.occupation

    @property
    def force_bound(self) -> float:
        return 2.0

    def electronic_energy_shift(self, fields: np.ndarray) -> np.ndarray:
        return np.zeros(fields.shape[:-2])

    def classical_energy(self, fields: np.ndarray) -> np.ndarray:
        return 0.5 * (fields**2).sum(axis=(-2, -1))

    def classical_forces(self, fields: np.ndarray) -> np.ndarray:
        return -fields


def spins(*shape: int, seed: int = 0) -> np.ndarray:
    lattice = Lattice("square" if len(shape) == 2 else "cubic", shape)
    return Sphere().near(0.0, 1.0, np.random.default_rng(seed).normal(size=(3, *shape)), lattice)


def normal(*shape: int, scale: float = 0.5) -> np.ndarray:
    return np.random.default_rng(3).normal(scale=scale, size=shape)


CASES = {
    "default": (holstein("default", (24, 24), 0.1), configuration("default", "random", (24, 24))),
    "paper": (holstein("paper", (24, 24), 0.1), configuration("paper", "walls", (24, 24))),
    "paper random": (holstein("paper", (24, 24), 0.1), configuration("paper", "random", (24, 24))),
    "hot": (holstein("default", (24, 24), 0.2), configuration("default", "hot", (24, 24))),
    "filling": (Holstein(Lattice.square(24, 24), temperature=0.2, filling=0.4), normal(24, 24)),
    "cubic": (Holstein(Lattice("cubic", (8, 8, 8)), temperature=0.3), normal(8, 8, 8)),
    "chain": (Holstein(Lattice("chain", (200,)), temperature=0.1), normal(200)),
    "peierls": (Peierls(Lattice.square(20, 20), temperature=0.2), normal(2, 20, 20, scale=0.2)),
    "kondo": (Kondo(Lattice.square(14, 14), temperature=0.2, J=2.0, chemical_potential=-1.0), spins(14, 14)),
    "differences": (Differences(Lattice.square(20, 20), temperature=0.3), normal(20, 20)),
}


@pytest.mark.parametrize("name", CASES)
def test_an_effort_settled_on_a_sample_serves_other_sites(name):
    """The rms error of all sites, over the force's standard deviation, is what was asked for on 128 of them."""
    model, fields = CASES[name]
    count = model.lattice.num_sites
    sample = noise.places(0, noise.SAMPLES, 0, 0, 128, count)
    exact = ExactForces(model).electronic_forces(fields).reshape(model.components, -1)
    everywhere = following.active(model, exact, fields, np.arange(count))
    for rms in (1e-2, 1e-3):
        settled, best = following.settle(model, fields, rms, sample)
        found = following.electronic_forces(model, fields, settled, np.arange(count))
        error = following.active(model, found - exact, fields, np.arange(count))
        assert np.sqrt((error**2).mean()) < 2.0 * rms * everywhere.std()
        better = following.active(model, best - exact[:, sample], fields, sample)
        assert np.sqrt((better**2).mean()) < 1.2 * rms * everywhere.std()


@pytest.mark.parametrize("name", ["default", "paper", "peierls", "kondo", "differences", "cubic"])
def test_chosen_sites_get_the_forces_of_all(name):
    """To the last bit but rounding: their windows do not depend on what else is solved."""
    model, fields = CASES[name]
    count = model.lattice.num_sites
    settled, _ = following.settle(model, fields, 1e-2, np.arange(64))
    every = following.electronic_forces(model, fields, settled, np.arange(count))
    few = np.array([0, 7, count - 1, count // 2])
    np.testing.assert_allclose(following.electronic_forces(model, fields, settled, few), every[:, few], atol=1e-12)


def test_the_sites_that_a_force_depends_on_are_found():
    site = np.array([0])
    assert list(ChosenSites(CASES["default"][0], site).needed) == [0]
    shape = (20, 20)
    assert sorted(ChosenSites(CASES["differences"][0], site).needed) == sorted(np.ravel_multi_index(([0, 0], [0, 19]), shape))
    assert sorted(ChosenSites(CASES["peierls"][0], site).needed) == sorted(np.ravel_multi_index(([0, 0, 19], [0, 19, 0]), shape))


def test_elements_hold_what_blocks_hold():
    model, fields = CASES["kondo"]
    stencil = Stencil.of(model.blocks(fields))
    values = np.random.default_rng(0).normal(size=(2, 4, model.lattice.num_sites))
    onsite = stencil.density_matrix(values, ()).onsite
    np.testing.assert_array_equal(np.moveaxis(stencil.elements(values)[:, 0], -1, 0).reshape(onsite.shape), onsite)


@pytest.mark.parametrize("growth", [60.0, 1e25])
@pytest.mark.parametrize("name", ["default", "kondo"])
def test_a_spectrum_that_outgrows_its_bounds_is_noticed_at_any_site(name, growth):
    """The recursion of one site of many diverges, up to numbers that are none: it is told, wherever the site stands."""
    model, fields = CASES[name]
    stencil = Stencil.of(model.blocks(fields))
    bounds = lanczos_window(stencil)
    scaled = stencil.scaled(bounds.a, bounds.b, np.float32)
    scaled.arrays[:, 3, 3] *= growth
    engine = ChebyshevEngine(scaled, (), np.ones((1, 60)))
    sites, bad = np.arange(model.lattice.num_sites), 3 * model.lattice.shape[1] + 3
    for place in (0, 10, len(sites) // 2, len(sites) - 1):
        order = np.insert(np.delete(sites, bad), place, bad)
        with pytest.raises(SpectrumError, match="spectrum leaves its bounds"):
            engine.values(order, window_of(stencil, 2))


def network(model: Hamiltonian, scale: float = 1.0, seed: int = 0) -> NetworkForces:
    """An untrained network, whose force is wrong by as much as it is large."""
    torch.manual_seed(seed)
    kind = "typed" if model.components == 3 else "enn"
    options = {"mixed": True} if kind == "typed" else {"separable": True}
    architecture = Architecture(kind, model.lattice.name, str(model.field_type), width=1, depth=1, first_radius=1, **options)
    return NetworkForces(build(architecture, 0.5, scale).eval(), model)


@pytest.fixture(scope="module")
def square():
    model = holstein("default", (16, 16), 0.2)
    fields = np.stack([configuration("default", kind, (16, 16), 1) for kind in ("walls", "random", "hot")])
    return model, fields, CorrectedForces(network(model, 0.2), FollowingForces(model, 1e-3), 1 / 8, seed=4)


def test_the_mean_over_draws_is_the_solvers_force_on_every_site(square):
    """Ordered, random and small fields: no site is off by more than 5 standard errors, and errors have the size they should."""
    model, fields, corrected = square
    draws, step0 = 1200, 1000
    corrected.forget()
    every = [corrected.drawn(fields, step, np.arange(3)) for step in range(1 + step0 // LONG * LONG, draws + step0)]
    exact = ExactForces(model).forces(fields)
    blocks = [block_of(step) for step in range(1 + step0 // LONG * LONG, draws + step0)]
    assert len(set(blocks)) > 30
    forces = np.array([drawn.forces for drawn in every])
    variance = np.mean([drawn.variance for drawn in every], axis=0)
    error = forces.mean(axis=0) - exact
    off = error / np.sqrt(forces.var(axis=0) / len(forces) + 1e-12)
    assert np.abs(off).max() < 5.0
    assert abs((off**2).mean() - 1.0) < 0.25
    assert np.abs(error.mean(axis=(1, 2))).max() < 5e-3
    # The variance that the dynamics is told is that of the draws: per class of sites, on average over configurations.
    assert forces.var(axis=0).mean(axis=(1, 2)) / variance.mean(axis=(1, 2)) == pytest.approx(1.0, abs=0.1)


def relative(forces: np.ndarray, model: Hamiltonian, fields: np.ndarray) -> float:
    """Largest rms error of a configuration, over the standard deviation of its electronic force."""
    exact = ExactForces(model)
    error = ((forces - exact.forces(fields)) ** 2).mean(axis=(1, 2))
    return float(np.sqrt(error / exact.electronic_forces(fields).var(axis=(1, 2))).max())


def test_a_share_of_one_is_the_solver(square):
    model, fields, _ = square
    whole = CorrectedForces(network(model), FollowingForces(model, 1e-3), 1.0)
    assert relative(whole.forces(fields), model, fields) < 2e-3
    assert whole.drawn(fields, 1, np.arange(3)).variance.max() == 0.0


def test_draws_depend_on_seed_replica_step_and_site_alone(square):
    _model, fields, corrected = square
    all_three = corrected.forces(fields, step=9, replicas=[5, 6, 7])
    np.testing.assert_array_equal(corrected.forces(fields[1], step=9, replicas=[6]), all_three[1])
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        np.testing.assert_array_equal(corrected.forces(fields, step=9, replicas=[5, 6, 7]), all_three)
    finally:
        torch.set_num_threads(threads)
    other = CorrectedForces(corrected.network, corrected.solver, corrected.share, seed=5)
    for different in (other.forces(fields, 9, [5, 6, 7]), corrected.forces(fields, 10, [5, 6, 7])):
        assert (different != all_three).any()


def test_a_network_far_off_leaves_all_to_the_solver_and_says_so(square, caplog):
    model, fields, _ = square
    bad = CorrectedForces(network(model, 5.0), FollowingForces(model, 1e-3), 1 / 16)
    drawn = bad.drawn(fields[:1], 1, np.array([0]), limit=1e-4)
    assert "far off" in caplog.text and drawn.variance.max() == 0.0
    assert relative(drawn.forces, model, fields[:1]) < 2e-3


def test_a_share_too_small_for_the_thermostat_is_raised_and_named(square, caplog):
    _model, fields, corrected = square
    error = np.sqrt(corrected._found(0, 0, fields[1], *_predicted(corrected, fields[1])).squares.mean())
    small = CorrectedForces(corrected.network, corrected.solver, 1 / 200)
    drawn = small.drawn(fields[1:2], 1, np.array([0]), limit=error**2 / 0.1)
    assert "share of 0.005 is too small" in caplog.text
    assert 0 < drawn.variance.max() <= error**2 / 0.1 * 1.001


def _predicted(corrected, fields):
    forces = corrected.network.electronic_forces(fields).reshape(1, -1)
    return forces, np.abs(forces[0])


class Spring:
    """F = -Q exactly, and on average over random forces of a given spread on drawn sites."""

    def __init__(self, spread: float) -> None:
        self.spread, self.random = spread, np.random.default_rng(8)

    def drawn(self, fields, step, replicas, limit):
        kicks = self.spread * self.random.normal(size=fields.shape)
        return Drawn(-fields + kicks, np.full(fields.shape, self.spread**2))

    def forget(self):
        pass


@pytest.mark.parametrize(
    "kind, settings",
    [(Langevin, {"mass": 1.0, "friction": 0.5}), (Overdamped, {"mass": 1.0, "friction": 1.0})],
    ids=["with inertia", "without"],
)
def test_what_forces_bring_of_noise_is_taken_off_the_thermostat(kind, settings):
    """Equipartition holds, with inertia and without, where the forces bring a third of the noise that the bath owes."""
    dynamics = kind(Spring(0.0), temperature=0.3, dt=0.1, **settings)
    dynamics.force_field = Spring(np.sqrt(dynamics.thermal / 3.0))
    shape = (4, 50, 50)
    momenta = None if kind is Overdamped else np.zeros(shape)
    squares: list[list[float]] = []

    def keep(state):
        if state.step > 300:
            squares.append([(values**2).mean() for values in state.arrays().values()])

    dynamics.run(State(np.zeros(shape), momenta, 0, 1, np.arange(4)), 1500, keep)
    known = 1.0 + dynamics.dt / 6.0 if kind is Overdamped else 1.0  # the bias that the class states
    np.testing.assert_allclose(np.mean(squares, axis=0), 0.3 * known, rtol=0.01)


class Field:
    """B = H z, and on average over random fields."""

    def __init__(self, spread: float) -> None:
        self.spread = spread

    def drawn(self, fields, step, replicas, limit):
        kicks = self.spread * np.random.default_rng(step).normal(size=fields.shape)  # of a step, as draws are
        return Drawn(kicks + np.array([0.0, 0.0, 1.0]).reshape(3, 1, 1), np.full((len(fields), *fields.shape[2:]), self.spread**2))

    def forget(self):
        pass


def test_random_exchange_fields_are_taken_off_a_spins_noise():
    """One spin in a field: Langevin's function coth(x) - 1/x at x = H/T, a third of the noise being the force's own."""
    dynamics = SpinDynamics(Field(0.0), damping=0.5, temperature=0.5, dt=0.05)
    dynamics.force_field = Field(np.sqrt(dynamics.thermal / 3.0))
    magnetisation: list[float] = []
    start = State(spins(40, 40)[None], None, 0, 1, np.arange(1))
    dynamics.run(start, 2500, lambda state: magnetisation.append(state.fields[:, 2].mean()) if state.step > 400 else None)
    assert np.mean(magnetisation) == pytest.approx(1.0 / np.tanh(2.0) - 0.5, abs=6e-3)


def test_without_a_thermostat_random_forces_are_refused(square):
    _model, fields, corrected = square
    state = State(fields, np.zeros_like(fields), 0, 1, np.arange(3))
    with pytest.raises(ValueError, match="need a thermostat"):
        Langevin(corrected, mass=1.0, friction=0.0, temperature=0.1, dt=0.1).run(state, 1)


def test_a_corrected_run_goes_on_to_the_bit(square, tmp_path):
    model, _, corrected = square
    bath = {**Bath().model_dump(), "temperature": 0.2}

    def run(steps: int, folder) -> tuple[xr.Dataset, State]:
        recorder = Recorder(
            lambda state: xr.Dataset({"square": ("replica", (state.fields**2).mean(axis=(1, 2)))}, {"replica": state.replicas}),
            np.arange(10, 101, 10), np.array([50, 100]), 0.4, folder / "state", interval=0.0, aligned=CorrectedForces.aligned,
        )  # fmt: skip
        fresh = CorrectedForces(corrected.network, corrected.solver, corrected.share, seed=4)
        return recorder.dataset(), quench(fresh, model, np.arange(2), 3, bath, steps, recorder)

    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    whole.mkdir()
    resumed.mkdir()
    _, once = run(100, whole)
    run(70, resumed)  # whose last checkpoint is that of step 64
    _, twice = run(100, resumed)
    np.testing.assert_array_equal(once.fields, twice.fields)
    np.testing.assert_array_equal(once.momenta, twice.momenta)


def test_corrected_spins_stay_unit_and_follow_the_solver():
    """A torque corrected on every eighth site: the mean over draws is the solver's, though the network's is made up."""
    model, fields = CASES["kondo"]
    corrected = CorrectedForces(network(model, 0.3), FollowingForces(model, 3e-3), 1 / 4)
    exact = ExactForces(model).forces(fields)
    sites = np.arange(model.lattice.num_sites)
    forces = np.mean([corrected.drawn(fields[None], step, np.array([0])).forces[0] for step in range(1, 400)], axis=0)
    error = following.active(model, (forces - exact).reshape(3, -1), fields, sites)
    wrong = following.active(model, (corrected.network.forces(fields) - exact).reshape(3, -1), fields, sites)
    assert np.sqrt((error**2).mean()) < 0.12 * np.sqrt((wrong**2).mean())
    dynamics = SpinDynamics(corrected, damping=0.3, temperature=0.2, dt=0.1)
    end = dynamics.run(State(fields[None], None, 0, 1, np.arange(1)), 20)
    np.testing.assert_allclose((end.fields**2).sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("nan")])
def test_shares_are_above_zero_and_at_most_one(square, share):
    _model, _, corrected = square
    with pytest.raises(ValueError, match="share = .* choose one above 0"):
        CorrectedForces(corrected.network, corrected.solver, share)


def test_bad_input_is_one_line(square):
    model, fields, corrected = square
    with pytest.raises(ValueError, match="of two models"):
        CorrectedForces(corrected.network, FollowingForces(holstein("paper", (16, 16), 0.2)))
    with pytest.raises(ValueError, match="accuracy 0.0"):
        FollowingForces(model, 0.0)
    with pytest.raises(ValueError, match="NaN or infinite"):
        corrected.forces(np.full_like(fields, np.nan))
    cold = Holstein(Lattice.square(96, 96), temperature=1e-3)
    with pytest.raises(ValueError, match="windows of radius 40 do not reach"):
        following.settle(cold, normal(96, 96, scale=0.01), 1e-3, np.arange(2))


def test_uniform_fields_have_an_effort_too():
    """Where no force varies, errors are held to a least size instead of to none."""
    model = holstein("default", (16, 16), 0.2)
    fields = np.full((16, 16), 0.3)
    found = FollowingForces(model).electronic_forces(fields)
    np.testing.assert_allclose(found, ExactForces(model).electronic_forces(fields), atol=1e-6)
