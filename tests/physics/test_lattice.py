"""Lattices in one to three dimensions: metric, reciprocal zone, neighbours, sublattices and point groups, against geometry."""

import itertools

import numpy as np
import pytest

from ennforce.lattice import Lattice
from ennforce.symmetry import FieldType, PointGroup, intertwiner_basis
from ennforce.symmetry.intertwiners import stencil_permutation

LATTICES = [
    Lattice.chain(10), Lattice.square(6, 8), Lattice.triangular(6, 6), Lattice.triangular(3, 14), Lattice.cubic(4, 6, 8)
]  # fmt: skip


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
def test_distances_are_the_shortest_of_all_images(lattice):
    ways = list(itertools.product(range(-6, 7), repeat=lattice.dimension))
    periods = lattice.basis * np.array(lattice.shape)[:, None]
    sites = np.moveaxis(np.indices(lattice.shape), 0, -1) @ lattice.basis
    nearest = np.min([np.linalg.norm(sites + np.array(n) @ periods, axis=-1) for n in ways], axis=0)
    np.testing.assert_allclose(lattice.distances(), nearest, atol=1e-12)
    assert lattice.inradius == pytest.approx(0.5 * min(np.linalg.norm(np.array(n) @ periods) for n in ways if any(n)))
    for element in range(len(lattice.point_group) if len(set(lattice.shape)) == 1 else 1):
        np.testing.assert_allclose(lattice.transformed(lattice.distances(), element), lattice.distances(), atol=1e-12)


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
def test_wave_vectors_are_those_of_the_transform_and_lie_in_the_zone(lattice):
    k = lattice.wave_vectors()
    assert k.shape == (*lattice.shape, lattice.dimension)
    field = np.random.default_rng(0).normal(size=lattice.shape)
    places = np.moveaxis(np.indices(lattice.shape), 0, -1).reshape(-1, lattice.dimension) @ lattice.basis
    phases = np.exp(-1j * k.reshape(-1, lattice.dimension) @ places.T)
    np.testing.assert_allclose(phases @ field.ravel(), np.fft.fftn(field).ravel(), atol=1e-9)
    # The zone is where no reciprocal vector G is nearer than 0: k . G <= G^2 / 2.
    reciprocal = 2 * np.pi * np.linalg.inv(lattice.basis).T
    others = [np.array(n) @ reciprocal for n in itertools.product(range(-2, 3), repeat=lattice.dimension) if any(n)]
    assert all((k @ g <= g @ g / 2 + 1e-9).all() for g in others)
    assert lattice.zone_radius == pytest.approx(min(np.linalg.norm(g) for g in others) / 2)


@pytest.mark.parametrize(
    ("lattice", "counts", "order", "bipartite"),
    [
        (Lattice.chain(10), [1, 2, 2], 2, True),
        (Lattice.square(6, 8), [1, 4, 4, 4], 8, True),
        (Lattice.square(6, 7), [1, 4, 4, 4], 8, False),
        (Lattice.triangular(6, 6), [1, 6, 6, 6], 12, False),
        (Lattice.cubic(4, 6, 8), [1, 6, 12, 8, 6], 48, True),
        (Lattice.cubic(4, 5, 4), [1, 6, 12, 8, 6], 48, False),
    ],
    ids=str,
)
def test_shells_groups_and_sublattices(lattice, counts, order, bipartite):
    assert [len(shell) for shell in lattice.shells(len(counts))] == counts
    assert len(lattice.point_group) == order and lattice.bipartite is bipartite
    assert lattice.axes == ("z", "y", "x")[3 - lattice.dimension :]
    if not bipartite:
        with pytest.raises(ValueError, match=f"needs a bipartite torus with even lengths, not {lattice}"):
            lattice.stagger()
        return
    sign = lattice.stagger()
    for shift in lattice.neighbours:
        np.testing.assert_array_equal(np.roll(sign, shift, axis=tuple(range(lattice.dimension))), -sign)


def test_the_cubic_lattice_has_the_full_octahedral_group():
    group = Lattice.cubic(4, 4, 4).point_group
    np.testing.assert_array_equal(group.matrices, PointGroup.named("Oh").matrices)
    assert group.trivial == "A1g" and FieldType.parse("T1uo+A1ge").dim(group) == 4
    # The six nearest neighbours are s, p and d(e_g) orbitals: A1g + Eg + T1u, as of octahedral complexes.
    shell = Lattice.cubic(4, 4, 4).shells(2)[1]
    counts = group.multiplicities(stencil_permutation(group, shell))
    assert {label: n for label, n in counts.items() if n} == {"A1g": 1, "Eg": 1, "T1u": 1}


@pytest.mark.parametrize("lattice", [Lattice.chain(8), Lattice.cubic(4, 4, 4)], ids=str)
@pytest.mark.parametrize("regular", [False, True])
def test_intertwiners_of_chain_and_cube_commute_and_are_counted(lattice, regular):
    group, stencil = lattice.point_group, lattice.ball(1.0)
    rho_out = group.regular if regular else group.cartesian
    for rho_in in (group.representation(group.trivial), group.regular):
        basis = intertwiner_basis(group, rho_in, rho_out, stencil)
        permutation = stencil_permutation(group, stencil)
        traces = [np.trace(r, axis1=1, axis2=2) for r in (rho_in, rho_out, permutation)]
        assert len(basis) == round(float(np.mean(traces[0] * traces[1] * traces[2])))
        np.testing.assert_allclose(np.linalg.norm(basis.reshape(len(basis), -1), axis=1), 1.0)
        kernel = np.tensordot(np.random.default_rng(0).normal(size=len(basis)), basis, axes=1)
        for out, there, moved in zip(rho_out, rho_in, permutation, strict=True):
            turned = np.moveaxis(out @ np.moveaxis(kernel @ moved.T, -1, 0) @ there.T, 0, -1)
            np.testing.assert_allclose(turned, kernel, atol=1e-9)
