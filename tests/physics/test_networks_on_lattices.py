"""P3: every kind of network that serves any lattice, on each of them, in training and as it is run: all elements of the group."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional

from ennforce.forces import NetworkForces
from ennforce.lattice import Lattice
from ennforce.models import Holstein, Kondo, Peierls
from ennforce.networks import Architecture, build
from ennforce.networks.equivariance import assert_equivariant, equivariance_error
from ennforce.networks.export import TiledNetwork
from ennforce.networks.layers import EquivariantConv, torus_pad
from ennforce.networks.wide import WideConv
from ennforce.symmetry import FieldType
from ennforce.training.dataset import Samples
from ennforce.training.loop import Recipe, fit
from ennforce.training.metrics import jacobian_antisymmetry

LATTICES = {
    "chain": Lattice.chain(24),
    "square": Lattice.square(8, 8),
    "triangular": Lattice.triangular(8, 8),
    "cubic": Lattice.cubic(6, 6, 6),
}


@pytest.fixture(autouse=True)
def one_thread():
    """Torch's threads cost more than they gain on tori as small as these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


KINDS = ("enn", "enn_energy", "typed", "typed_energy")


def network_for(model, kind, **settings):
    torch.manual_seed(1)
    given = {"width": 1, "depth": 1, "first_radius": 1, "separable": True, **settings}
    return build(Architecture(kind=kind, lattice=model.lattice.name, field_type=str(model.field_type), **given)).eval()


FAR = {"plain": {}, "dilated": {"dilations": (2,)}, "lines": {"wide": 2, "wide_radius": 2, "lines": True}}


@pytest.mark.parametrize("far", FAR)
@pytest.mark.parametrize("lattice", LATTICES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", [Holstein, Peierls, Kondo])
def test_forces_carry_the_whole_symmetry_and_tiles_change_nothing(model, kind, lattice, far):
    model = model(LATTICES[lattice], temperature=0.2)
    if model.components == 3 and kind.startswith("enn") and isinstance(model, Kondo):
        with pytest.raises(ValueError, match="use kind 'typed'"):
            network_for(model, kind)
        return
    network, group = network_for(model, kind, **FAR[far]), model.lattice.point_group
    # Far ones in double precision, where rounding hides no smaller asymmetry; plain ones as they run.
    exact, dtype = (network, torch.float32) if far == "plain" else (copy.deepcopy(network).double(), torch.float64)
    assert_equivariant(exact.on_torus, model.lattice, model.field_type, model.field_type, dtype)
    fields = torch.randn(1, model.field_type.dim(group), *model.lattice.shape)
    expected = network.on_torus(fields).detach()
    scale = float(expected.abs().max())
    tiled = TiledNetwork(network)
    for tile in (None, 5):
        assert float((tiled.on_torus(fields, tile=tile) - expected).abs().max()) < 1e-5 * scale


@pytest.mark.parametrize("lattice", ["chain", "square", "triangular"])
@pytest.mark.parametrize("kind", KINDS)
def test_dilated_full_stencils_carry_the_whole_symmetry_and_reach_what_they_say(kind, lattice):
    """Three, one and three times further: the sum of all, twice that for an energy; halos of a tile and of the torus agree."""
    lattice = {"chain": Lattice.chain(24), "square": Lattice.square(18, 18), "triangular": Lattice.triangular(18, 18)}[lattice]
    model = Holstein(lattice, temperature=0.2)
    network = network_for(model, kind, dilations=[3, 1], depth=3, separable=False).double()
    assert_equivariant(network.on_torus, lattice, model.field_type, model.field_type, torch.float64)
    reach = 8 if kind in ("enn", "typed") else 16
    assert network.receptive_radius == reach and network.architecture.spacings == (3, 1, 3)
    fields = torch.randn(1, 1, *(2 * reach + 5,) * lattice.dimension, dtype=torch.float64, requires_grad=True)
    forces = network.on_torus(fields)
    middle = (0, 0, *(reach + 2,) * lattice.dimension)
    (slope,) = torch.autograd.grad(forces[middle], fields)
    assert int((slope[0, 0].nonzero() - (reach + 2)).abs().max()) == reach
    inner = (0, 0, *(slice(reach, -reach),) * lattice.dimension)
    torch.testing.assert_close(network(fields)[0, 0], forces[inner], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("model", "lattice"),
    [
        (Holstein, Lattice.chain(40)),
        (Holstein, Lattice.square(18, 18)),
        (Holstein, Lattice.triangular(18, 18)),
        (Peierls, Lattice.square(18, 18)),
        (Kondo, Lattice.cubic(8, 8, 8)),
    ],
)
def test_lines_are_scalar_stencils_of_every_field_within_their_radius(model, lattice):
    model = model(lattice, temperature=0.2)
    field = model.field_type
    radius = 3 if lattice.dimension == 3 else 8
    far = WideConv(lattice.name, field, FieldType.parse(str(field)), 0, 3, radius, lines=True).double()
    assert_equivariant(far.on_torus, lattice, field, field, torch.float64)
    fields = torch.randn(1, field.dim(lattice.point_group), *lattice.shape, dtype=torch.float64)
    lines = far.far
    filters = lines.filter()[0]
    convolve = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}[lattice.dimension]
    padded = torus_pad(fields, radius)
    torch.testing.assert_close(lines(padded), convolve(padded, filters), rtol=1e-9, atol=1e-12)
    reached = int((filters.flatten(0, 1).abs().sum(0).nonzero() - radius).abs().max())
    assert reached == radius - radius % (2 if lattice.name == "triangular" else 1)
    # No more work and weights than free stencils of the same radius, which are the same on a chain.
    free = EquivariantConv(lattice.name, field, far.spread.in_type, radius)
    assert lines.multiply_adds <= free.multiply_adds and lines.lines.numel() <= sum(w.numel() for w in free.parameters())


@pytest.mark.parametrize("kind", ["enn", "typed"])
@pytest.mark.parametrize("far", FAR)
def test_networks_that_see_far_load_again(kind, far, tmp_path):
    model = Holstein(Lattice.triangular(8, 8), temperature=0.2)
    forces = NetworkForces(network_for(model, kind, **FAR[far]), model)
    forces.save(tmp_path)
    fields = np.random.default_rng(0).normal(size=model.field_shape)
    np.testing.assert_allclose(NetworkForces.load(tmp_path).forces(fields), forces.forces(fields), rtol=0, atol=1e-6)


def test_a_torus_shorter_than_a_dilated_stencil_is_one_line():
    network = network_for(Holstein(Lattice.square(8, 8), temperature=0.2), "enn", dilations=[9])
    with pytest.raises(ValueError, match="torus of 8 x 8 sites is shorter than the 9 that a stencil reaches: use a larger") as told:
        network.on_torus(torch.zeros(1, 1, 8, 8))
    assert "\n" not in str(told.value)
    with pytest.raises(ValueError, match=r"dilations \[2, 0\] hold one below 1"):
        Architecture(dilations=(2, 0))


@pytest.mark.parametrize(
    ("model", "kind", "small"),
    [
        (Holstein, "enn_energy", Lattice.cubic(4, 4, 4)),
        (Peierls, "enn_energy", Lattice.triangular(6, 6)),
        (Peierls, "typed_energy", Lattice.square(6, 6)),
        (Kondo, "typed_energy", Lattice.chain(10)),
    ],
)
def test_forces_of_an_energy_have_no_curl_on_any_lattice(model, kind, small):
    model = model(small, temperature=0.2)
    fields = np.random.default_rng(0).normal(size=(model.field_type.dim(small.point_group), *small.shape))
    for settings in FAR.values():
        assert jacobian_antisymmetry(network_for(model, kind, **settings).double(), fields) < 1e-10


def test_trained_weights_carry_all_elements_of_the_cube_and_load_again(tmp_path):
    model = Holstein(Lattice.cubic(6, 6, 6), temperature=0.3)
    rng = np.random.default_rng(0)
    fields = rng.normal(size=(6, 1, 6, 6, 6)).astype(np.float32)
    samples = Samples(fields, (np.tanh(fields) - 0.1 * np.roll(fields, 1, axis=-1)).astype(np.float32))
    architecture = Architecture("enn", "cubic", str(model.field_type), width=1, depth=1, first_radius=1, separable=True)
    trained = fit(architecture, samples, samples, Recipe(30, 1, 1e-2, 15, 0))
    assert trained.history[-1, 2] < trained.history[0, 2]
    field_type = model.field_type
    error = equivariance_error(trained.network.on_torus, model.lattice, field_type, field_type, torch.as_tensor(fields[:2]))
    assert error < 1e-5 and len(model.lattice.point_group) == 48
    forces = NetworkForces(trained.network, model)
    forces.save(tmp_path / "cubic")
    loaded = NetworkForces.load(tmp_path / "cubic", model)
    np.testing.assert_allclose(loaded.forces(fields[0, 0]), forces.forces(fields[0, 0]), atol=1e-6)
