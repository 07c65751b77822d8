"""Compiled kernels compute the forces and gradients of torch for every network they know, and step aside where they cannot."""

import subprocess

import numpy as np
import pytest
import torch

from ennforce.lattice import Lattice
from ennforce.networks import Architecture, ForceNetwork, build
from ennforce.networks.compiled import build as building
from ennforce.networks.compiled.inference import NativeNetwork, native
from ennforce.networks.compiled.plan import plan
from ennforce.networks.compiled.source import source
from ennforce.networks.compiled.training import EnergyGradients, compiled_gradients
from ennforce.networks.compiled.transform import operations, transform
from ennforce.networks.equivariance import assert_equivariant
from ennforce.networks.export import TiledNetwork
from ennforce.networks.layers import point_group
from ennforce.symmetry import FieldType

SPINS = "1xA1l1o"
# One of every shape that the generator has words for: lattice, field, parities, stencils, far ones, dilations, energies, degrees.
DIRECT = {
    "separable": {"width": 2, "depth": 3, "separable": True},
    "full": {"width": 2, "depth": 2, "wide": 2, "wide_radius": 5},
    "odd alone": {"width": 3, "depth": 1, "mixed": False, "separable": True},
    "even": {"width": 1, "depth": 2, "field_type": "1xA1e", "radius": 2, "first_radius": 1},
    "two terms": {"width": 1, "depth": 2, "field_type": "1xEo+1xA1e", "separable": True},
    "dilated lines": {
        "width": 1,
        "depth": 3,
        "separable": True,
        "dilations": (1, 2, 3),
        "wide": 2,
        "wide_radius": 5,
        "lines": True,
    },
    "chain": {"lattice": "chain", "width": 2, "depth": 2, "dilations": (3, 1)},
    "triangular vector": {"lattice": "triangular", "width": 1, "depth": 2, "separable": True, "field_type": "1xE1o"},
    "triangular full": {"lattice": "triangular", "width": 1, "depth": 2, "wide": 1, "wide_radius": 4, "lines": True},
    "cubic": {"lattice": "cubic", "field_type": "1xA1go", "width": 1, "depth": 2, "separable": True, "first_radius": 1},
    "spins": {"kind": "typed", "field_type": SPINS, "width": 1, "depth": 2, "separable": True, "wide": 1, "wide_radius": 3},
    "full spins": {"kind": "typed", "lattice": "triangular", "field_type": SPINS, "width": 1, "depth": 1},
}
ENERGIES = {
    "energy": {"kind": "enn_energy", "width": 2, "depth": 2, "separable": True, "wide": 1, "wide_radius": 4, "dilations": (2, 1)},
    "full energy": {"kind": "enn_energy", "lattice": "triangular", "width": 1, "depth": 2, "field_type": "1xE1o"},
    "energy of a chain": {"kind": "enn_energy", "lattice": "chain", "width": 2, "depth": 2},
    "energy of spins": {"kind": "typed_energy", "field_type": SPINS, "width": 1, "depth": 2, "separable": True},
    "cubic energy": {
        "kind": "enn_energy", "lattice": "cubic", "width": 1, "depth": 1, "separable": True, "field_type": "1xT1uo",
        "first_radius": 1,
    },
}  # fmt: skip
# Of a torus that is no multiple of a strip, and of a small one.
SHAPES = {1: ((190,), (50,)), 2: ((141, 101), (20, 26)), 3: (((20, 19, 18)), (8, 10, 12))}


def network(**changes) -> ForceNetwork:
    torch.manual_seed(5)
    made = build(Architecture(**{"width": 2, "depth": 3, "separable": True} | changes), 0.7, 0.4)
    for name, parameter in made.named_parameters():
        if "bias" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    return made


def kernel(made: ForceNetwork) -> NativeNetwork:
    found = native(made)
    if found is None:
        pytest.skip("no C compiler on this machine: the torch path serves")
    return found


def fields_of(made: ForceNetwork, batch: int, small: int = 0, halo: int = 0) -> torch.Tensor:
    group, architecture = point_group(made.architecture.lattice), made.architecture
    shape = SHAPES[group.matrices.shape[1]][small]
    return torch.randn(batch, FieldType.parse(architecture.field_type).dim(group), *(n + 2 * halo for n in shape))


@pytest.mark.parametrize("case", DIRECT | ENERGIES)
def test_forces_are_those_of_torch_on_tori_and_with_halos(case):
    made = network(**(DIRECT | ENERGIES)[case])
    found = kernel(made)
    for fields, call in ((fields_of(made, 2), "on_torus"), (fields_of(made, 1, 1, made.receptive_radius), "forward")):
        expected = getattr(made, call)(fields).detach()
        torch.testing.assert_close(getattr(found, call)(fields), expected, rtol=0, atol=1e-5 * float(expected.std()))


@pytest.mark.parametrize(
    ("case", "patch"), [(case, patch) for case in DIRECT for patch in (False, True)] + [(c, False) for c in ENERGIES]
)
def test_gradients_are_those_of_torch(case, patch):
    made = network(**(DIRECT | ENERGIES)[case])
    gradients = compiled_gradients(made)
    if gradients is None:
        pytest.skip("no C compiler on this machine: the torch path serves")
    forces, weights = torch.randn_like(fields_of(made, 2, 1)), torch.tensor([0.5, 2.0])
    fields = fields_of(made, 2, 1, made.receptive_radius if patch else 0)
    predicted = made(fields) if patch else made.on_torus(fields)
    loss = (((predicted - forces) ** 2).flatten(1).mean(1) * weights).mean()
    made.zero_grad()
    loss.backward()
    expected = {name: weight.grad.clone() for name, weight in made.named_parameters() if weight.grad is not None}
    assert gradients(fields, forces, weights) == pytest.approx(float(loss.detach()), rel=1e-5)
    for name, weight in made.named_parameters():
        if name in expected:
            torch.testing.assert_close(weight.grad, expected[name], rtol=0, atol=1e-4 * float(expected[name].abs().max()), msg=name)


def test_gradients_follow_the_weights_and_do_not_depend_on_threads():
    made = network(wide=1, wide_radius=3)
    gradients = compiled_gradients(made)
    if gradients is None:
        pytest.skip("no C compiler on this machine: the torch path serves")
    fields, weights, threads = fields_of(made, 3, 1), torch.ones(3), torch.get_num_threads()
    forces = torch.randn_like(fields)
    try:
        found = []
        for count in (1, 2, 7):
            torch.set_num_threads(count)
            gradients = compiled_gradients(made)
            found.append((gradients(fields, forces, weights), [weight.grad.clone() for weight in made.parameters()]))
    finally:
        torch.set_num_threads(threads)
    for loss, slopes in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=1e-6)
        for slope, first in zip(slopes, found[0][1], strict=True):
            torch.testing.assert_close(slope, first, rtol=0, atol=1e-5 * float(first.abs().max()))
    # A step along the gradient lowers the loss by the gradient's square.
    step = 1e-3 / float(sum(slope.square().sum() for slope in found[0][1]))
    with torch.no_grad():
        for weight, slope in zip(made.parameters(), found[0][1], strict=True):
            weight -= step * slope
    assert found[0][0] - gradients(fields, forces, weights) == pytest.approx(1e-3, rel=0.05)


@pytest.mark.parametrize("shape", [(1, 40, 101), (5, 24, 18), (3, 130, 64), (2, 16, 90)], ids=str)
def test_strips_of_the_torus_may_hold_several_lattices(shape):
    made = network()
    fields = torch.randn(shape[0], 1, *shape[1:], dtype=torch.float64)
    found, expected = kernel(made).on_torus(fields), made.on_torus(fields.float()).detach()
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=3e-6 * float(expected.std()))
    for n in range(shape[0]):
        assert torch.equal(kernel(made).on_torus(fields[n : n + 1])[0], found[n])


def test_large_and_small_features_do_not_overflow():
    made = network()
    fields = torch.linspace(-1e4, 1e4, 30 * 30).reshape(1, 1, 30, 30)
    found, expected = kernel(made).on_torus(fields), made.on_torus(fields).detach()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_tiles_threads_and_neighbours_make_no_difference():
    made = network()
    assert kernel(made)
    fields = torch.randn(2, 1, 150, 130)
    tiled = TiledNetwork(made)
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append(tiled.on_torus(fields))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1])
    assert torch.equal(tiled.on_torus(fields[1:])[0], results[0][1])
    torch.testing.assert_close(tiled.on_torus(fields, tile=48), results[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(results[0].numpy(), made.on_torus(fields).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("case", ["separable", "dilated lines", "spins", "energy"])
def test_kernels_are_equivariant_over_every_element(case):
    made = network(**(DIRECT | ENERGIES)[case])
    assert kernel(made)
    field = FieldType.parse(made.architecture.field_type)
    assert_equivariant(TiledNetwork(made).on_torus, Lattice.square(30, 30), field, field, torch.float32)


@pytest.mark.parametrize("lattice", ["chain", "square", "triangular", "cubic"])
def test_irreps_block_the_maps_of_regular_features(lattice):
    group, table = point_group(lattice), transform(lattice)
    assert operations(lattice) < 0.4 * len(group) ** 2 or len(group) == 2
    random = np.random.default_rng(0)
    any_map = random.normal(size=len(group))[group.table[group.inverse]]  # W(h, h') = w(h^-1 h') commutes with the group
    feature = random.normal(size=len(group))
    components, mixed = table.matrix @ feature, np.zeros(len(group))
    for (start, d), packing in zip(table.blocks, table.packing(), strict=True):
        block = packing @ any_map[:, 0]
        mixed[start : start + d * d] = (components[start : start + d * d].reshape(d, d) @ block.T).ravel()
    np.testing.assert_allclose(table.matrix.T @ mixed, any_map @ feature, atol=1e-12)


@pytest.mark.parametrize("kind", ["cnn", "gnn", "irrep_mlp"])
def test_kinds_without_a_kernel_run_in_torch(kind):
    made = build(Architecture(kind=kind, width=4, depth=2))
    assert native(made) is None
    assert compiled_gradients(made) is None


def test_energies_of_crops_are_trained_in_torch():
    assert compiled_gradients(network(kind="enn_energy"), halo=True) is None
    assert isinstance(compiled_gradients(network(kind="enn_energy")) or pytest.skip("no C compiler"), EnergyGradients)


@pytest.fixture
def fresh(monkeypatch, tmp_path, caplog):
    """No kernel is known in this process or on this machine."""
    building.library.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    caplog.set_level("INFO", logger="ennforce")
    yield
    building.library.cache_clear()


def test_without_a_compiler_torch_serves_and_says_so(fresh, monkeypatch, caplog):
    monkeypatch.setattr(building.shutil, "which", lambda name: None)
    monkeypatch.delenv("CC", raising=False)
    assert not isinstance(TiledNetwork(network(width=1)).body, NativeNetwork)
    assert "no C compiler" in caplog.text


@pytest.mark.parametrize("compiler", ["false", "no-such-compiler"])
def test_a_compiler_that_fails_is_named(fresh, monkeypatch, caplog, compiler):
    monkeypatch.setenv("CC", compiler)
    assert native(network(width=1)) is None
    assert f"{compiler} cannot build" in caplog.text


def test_a_cache_that_cannot_be_written_or_holds_rubbish_does_no_harm(fresh, monkeypatch, tmp_path):
    made = network(width=1, depth=1)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    fields = torch.randn(1, 1, 20, 20)
    torch.testing.assert_close(kernel(made).on_torus(fields), made.on_torus(fields).detach(), rtol=0, atol=1e-5)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "good"))
    monkeypatch.setenv("CC", "cc")
    building.library.cache_clear()
    damaged = tmp_path / "good" / "ennforce" / building.name_of(plan(made), False, "cc")
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"rubbish")
    torch.testing.assert_close(kernel(made).on_torus(fields), made.on_torus(fields).detach(), rtol=0, atol=1e-5)


def test_the_code_is_free_of_warnings(tmp_path):
    if building.library(plan(network())) is None:
        pytest.skip("no C compiler on this machine: the torch path serves")
    for gradients in (False, True):
        text = tmp_path / "network.c"
        text.write_text(source(plan(network()), gradients))
        told = subprocess.run(
            [
                "cc",
                "-std=gnu11",
                "-Wall",
                "-Wno-unused-function",
                "-Wno-maybe-uninitialized",
                "-march=native",
                "-fsyntax-only",
                text,
            ],
            capture_output=True,
            text=True,
        )
        assert (told.returncode, told.stderr) == (0, "")
