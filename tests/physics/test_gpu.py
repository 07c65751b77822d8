"""On a GPU every network, every dynamics and training do what they do on the processor; here the device "cpu" runs the same code.

That all tensors of a network are on its device is seen without a GPU too, on torch's device without memory, "meta".
"""

import copy

import numpy as np
import pytest
import torch
import xarray as xr

from ennforce.dynamics import Overdamped, Recorder, SpinDynamics, State, quench
from ennforce.forces import NetworkForces
from ennforce.lattice import Lattice
from ennforce.models import Holstein, Kondo, Peierls
from ennforce.networks import KINDS, PACKAGED, Architecture, build
from ennforce.sections import Bath
from ennforce.training.dataset import Samples
from ennforce.training.loop import Recipe, fit

CUDA = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"))
DEVICES = ["cpu", CUDA]
SIZES = {"irrep_mlp": (16, 2)}
MODELS = {
    "scalar": Holstein(Lattice.square(28, 32), temperature=0.1),
    "two components": Peierls(Lattice.triangular(28, 24), temperature=0.1),
    "spins": Kondo(Lattice.triangular(20, 24), temperature=0.1),
    "cubic": Holstein(Lattice.cubic(10, 8, 12), temperature=0.1),
}
CASES = {
    **{kind: ("scalar", {"kind": kind}) for kind in sorted(PACKAGED)},
    "enn, separable, far stencils": ("scalar", {"separable": True, "wide": 2, "wide_radius": 6}),
    "enn, odd features alone": ("scalar", {"mixed": False}),
    "enn, two components": ("two components", {}),
    "enn, cubic": ("cubic", {"separable": True, "depth": 1, "width": 1}),
    "typed, spins": ("spins", {"kind": "typed", "width": 1}),
    "typed_energy, spins": ("spins", {"kind": "typed_energy", "width": 1, "depth": 1}),
}


def network(case):
    name, settings = CASES[case]
    if settings.get("kind") == "euclidean":
        pytest.importorskip("e3nn", reason="e3nn is not installed")
    torch.manual_seed(0)
    model = MODELS[name]
    width, depth = SIZES.get(settings.get("kind"), (2, 2))
    settings = {"width": width, "depth": depth, "first_radius": 1, **settings}
    return model, build(Architecture(lattice=model.lattice.name, field_type=str(model.field_type), **settings), 0.5, 0.02).eval()


def assert_close(found, expected):
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES)
def test_networks_give_the_forces_of_the_processor(case, device):
    model, made = network(case)
    fields = np.random.default_rng(0).normal(scale=0.5, size=(2, *model.field_shape))
    channels = torch.tensor(fields, dtype=torch.float32).reshape(2, model.components, *model.lattice.shape)
    expected = made.on_torus(channels).detach().numpy().reshape(fields.shape)
    forces = NetworkForces(copy.deepcopy(made), model, device=device)
    assert_close(forces.electronic_forces(fields), expected)
    on_device = forces.electronic_forces(torch.tensor(fields, device=device))
    assert on_device.device.type == device and on_device.dtype == torch.float64
    assert_close(on_device.cpu().numpy(), expected)


@pytest.mark.parametrize("case", sorted(set(CASES) - {"euclidean"}))
def test_all_of_a_network_is_on_its_device(case, monkeypatch):
    """A matrix left on the processor would end in an error on a GPU: so it does on "meta"."""
    monkeypatch.setenv("ENNFORCE_NATIVE", "0")
    model, made = network(case)
    made.to("meta")
    for name in ("field_scale", "force_scale"):  # whose values are looked at; a scalar may be anywhere
        setattr(made, name, torch.tensor(0.5))
    wide = [length + 2 * made.receptive_radius for length in model.lattice.shape]
    forces = made.expanded()(torch.zeros(1, model.components, *wide, device="meta"))
    assert forces.device.type == "meta" and forces.shape == (1, model.components, *model.lattice.shape)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dynamics", ["overdamped", "spins"])
def test_the_other_dynamics_follow_the_host(dynamics, device):
    """Langevin dynamics is held against the host's in test_dynamics."""
    case = "typed, spins" if dynamics == "spins" else "enn, separable, far stencils"
    model, made = network(case)
    rng = np.random.default_rng(0)
    fields = model.space.near(0.0, 0.3, rng.normal(size=(2, *model.field_shape)), model.lattice)
    begin, bath = State(fields, None, 0, 5, np.arange(2)), {"temperature": 0.05, "dt": 0.1}

    def run(state, **where):
        forces = NetworkForces(copy.deepcopy(made), model, **where)
        if dynamics == "spins":
            return SpinDynamics(forces, damping=0.1, **bath).run(state, 10)
        return Overdamped(forces, mass=1.0, friction=0.5, **bath).run(state, 10)

    # Spins are turned on the processor, by forces from the device.
    found = run(begin if dynamics == "spins" else begin.on(device), device=device)
    assert dynamics == "spins" or found.fields.device.type == device
    np.testing.assert_allclose(found.as_arrays().fields, run(begin).fields, atol=2e-5)


@pytest.mark.parametrize("device", ["cpu:0", CUDA])
@pytest.mark.parametrize("case", ["typed, spins", "enn, separable, far stencils"])
def test_a_quench_runs_wherever_its_dynamics_can(case, device):
    """Spins stay on the processor, also where the workflow finds a GPU for their network."""
    model, made = network(case)
    bath = Bath(initial_sigma=0.3, dt=0.1).model_dump()

    def run(device):
        def observe(state):
            return xr.Dataset({"square": ("replica", (state.fields**2).mean(axis=tuple(range(1, state.fields.ndim))))})

        recorder = Recorder(observe, np.arange(1, 6), np.array([5]), bath["dt"], None, 1.0, model.space.axes(model.lattice))
        forces = NetworkForces(copy.deepcopy(made), model, device=device)
        return quench(forces, model, np.arange(2), 3, bath, 5, recorder, device=device).as_arrays().fields

    np.testing.assert_allclose(run(device), run("cpu"), atol=2e-5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["enn", "enn_energy", "cnn_augmented"])
def test_training_runs_on_the_device(kind, device):
    """It learns there what another network computes, as on the processor, and comes back to that."""
    teacher = build(Architecture(width=1, depth=1), 0.5, 0.1)
    rng = np.random.default_rng(0)

    def samples(count):
        fields = rng.normal(scale=0.5, size=(count, 1, 24, 24)).astype(np.float32)
        with torch.no_grad():
            return Samples(fields, teacher.on_torus(torch.tensor(fields)).numpy())

    training, validation = samples(6), samples(2)
    architecture = Architecture(kind=kind, width=1, depth=1, separable=kind == "enn")
    recipe = Recipe(steps=40, batch=2, learning_rate=1e-2, validate_every=20, seed=0)
    trained = fit(architecture, training, validation, recipe, device=device)
    assert all(weight.device.type == "cpu" for weight in trained.network.parameters())
    assert np.isfinite(trained.history).all() and trained.history[-1, 2] < trained.history[0, 2]
    if device != "cpu":
        host = fit(architecture, training, validation, recipe)
        np.testing.assert_allclose(trained.history[0], host.history[0], rtol=0.02)


def test_all_kinds_are_tried():
    assert {settings.get("kind", "enn") for _, settings in CASES.values()} == PACKAGED <= set(KINDS)
