"""The compiled kernel computes what torch does, for any tiling and number of threads, and steps aside where it cannot serve."""

import numpy as np
import pytest
import torch

from ennforce.lattice import Lattice
from ennforce.networks import Architecture, EquivariantNetwork
from ennforce.networks import native as compiled
from ennforce.networks.equivariance import assert_equivariant
from ennforce.networks.expanded import ExpandedSeparable
from ennforce.networks.export import TiledNetwork
from ennforce.networks.native import NativeNetwork, native
from ennforce.symmetry import FieldType

SIZES = [(1, 1, 1), (2, 3, 2), (3, 2, 3), (4, 4, 2), (8, 1, 2)]


def network(width: int = 2, depth: int = 3, first: int = 2, **changes) -> EquivariantNetwork:
    torch.manual_seed(width)
    made = EquivariantNetwork(Architecture(width=width, depth=depth, first_radius=first, separable=True, **changes), 0.7, 0.4)
    for name, parameter in made.named_parameters():
        if "bias" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    return made


def kernel(made: EquivariantNetwork) -> NativeNetwork:
    found = native(made)
    if found is None:
        pytest.skip("no C compiler on this machine: the torch path serves")
    return found


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_kernel_agrees_with_torch(size):
    made = network(*size)
    fields = torch.randn(2, 1, 40 + 2 * made.receptive_radius, 101 + 2 * made.receptive_radius)
    expected = ExpandedSeparable(made)(fields)
    torch.testing.assert_close(kernel(made)(fields), expected, rtol=0, atol=3e-6 * float(expected.std()))


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
    found, expected = kernel(made)(fields), ExpandedSeparable(made)(fields)
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


def test_the_kernel_is_equivariant_over_every_element():
    made = network(4, 4, 2)
    assert kernel(made)
    scalar = FieldType.parse("A1o")
    assert_equivariant(TiledNetwork(made).on_torus, Lattice.square(30, 30), scalar, scalar, torch.float32)


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("size", [(1, 1, 2, 1, 1), (2, 2, 2, 1, 5), (3, 2, 1, 3, 10), (2, 1, 3, 2, 2)], ids=str)
def test_far_stencils_agree_with_torch(size, lines):
    width, depth, first, wide, radius = size
    made = network(width, depth, first, wide=wide, wide_radius=radius, lines=lines)
    fields = torch.randn(2, 1, 30 + 2 * made.receptive_radius, 101 + 2 * made.receptive_radius)
    expected = made(fields).detach()
    for frozen in (ExpandedSeparable(made), kernel(made)):
        torch.testing.assert_close(frozen(fields), expected, rtol=0, atol=3e-6 * float(expected.std()))
    torus = torch.randn(2, 1, 40, 32)
    torch.testing.assert_close(
        kernel(made).on_torus(torus), made.on_torus(torus).detach(), rtol=0, atol=3e-6 * float(expected.std())
    )
    scalar = FieldType.parse("A1o")
    assert_equivariant(TiledNetwork(made).on_torus, Lattice.square(30, 30), scalar, scalar, torch.float32)


@pytest.mark.parametrize("field_type", ["1xA1e", "1xEo"])
def test_far_stencils_are_equivariant_for_every_field(field_type):
    made = EquivariantNetwork(Architecture(field_type=field_type, width=1, depth=1, mixed=True, wide=2, wide_radius=4)).double()
    kind = FieldType.parse(field_type)
    assert_equivariant(made.on_torus, Lattice.square(12, 12), kind, kind, torch.float64)


@pytest.mark.parametrize("changes", [{"separable": False}, {"mixed": False}, {"dilations": (3,)}, {"lines": True}], ids=str)
def test_far_stencils_of_other_networks_expand(changes):
    torch.manual_seed(0)
    made = EquivariantNetwork(
        Architecture(**{"width": 1, "depth": 2, "separable": True, "wide": 2, "wide_radius": 6} | changes), 0.7, 0.4
    )
    fields = torch.randn(1, 1, 24, 24)
    torch.testing.assert_close(TiledNetwork(made).on_torus(fields), made.on_torus(fields).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "changes", [{"mixed": False}, {"radius": 2}, {"lattice": "triangular"}, {"field_type": "1xEo"}, {"dilations": (1, 2)}], ids=str
)
def test_other_networks_run_in_torch(changes):
    assert native(network(**changes)) is None


def test_without_a_compiler_torch_serves_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr(compiled.shutil, "which", lambda name: None)
    monkeypatch.delenv("CC", raising=False)
    compiled._library.cache_clear()
    caplog.set_level("INFO", logger="ennforce")
    assert isinstance(network(width=5).expanded(), ExpandedSeparable)
    assert "no C compiler" in caplog.text
    compiled._library.cache_clear()


def test_a_compiler_that_fails_is_named(monkeypatch, caplog, tmp_path):
    monkeypatch.setenv("CC", "false")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiled._library.cache_clear()
    caplog.set_level("INFO", logger="ennforce")
    assert native(network()) is None
    assert "false cannot build" in caplog.text
    compiled._library.cache_clear()
