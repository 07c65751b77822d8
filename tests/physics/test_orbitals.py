"""P4: many orbitals with full hopping matrices: the kernels for a few terms and for many, against exact diagonalisation."""

import numpy as np
import pytest

from ennforce.electrons import local
from ennforce.electrons.bounds import gershgorin_window, lanczos_window
from ennforce.electrons.chebyshev import coefficients
from ennforce.electrons.engines import UNROLLED, ChebyshevEngine
from ennforce.electrons.exact import fermi
from ennforce.electrons.poles import few_poles
from ennforce.electrons.stencil import Stencil, whole_torus, window_around
from ennforce.lattice import Lattice
from ennforce.models import Blocks

MU, TEMPERATURE = 0.3, 0.5
SHIFTS = ((0, 1), (1, 0))


def full_blocks(orbitals, is_complex, varying_hops=False, shape=(4, 5), seed=1):
    """Random on-site blocks on every site, and random hopping matrices without a zero."""
    rng = np.random.default_rng(seed)

    def matrix(*leading):
        values = rng.normal(size=(*leading, orbitals, orbitals))
        return values + 1j * rng.normal(size=values.shape) if is_complex else values

    onsite = matrix(*shape)
    bonds = {shift: 0.3 * (matrix(*shape) if varying_hops else matrix()) for shift in SHIFTS}
    return Blocks(Lattice.square(*shape), onsite + np.swapaxes(onsite, -1, -2).conj(), bonds)


def exact_density(blocks):
    """rho as (r, o, r', o'), from eigenvectors."""
    energies, vectors = np.linalg.eigh(blocks.dense())
    rho = (vectors * fermi(energies, MU, TEMPERATURE)) @ vectors.conj().T
    return rho.reshape(blocks.lattice.num_sites, blocks.orbitals, -1, blocks.orbitals)


@pytest.mark.parametrize("orbitals", [1, 2, 3, 5])
@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("varying_hops", [False, True])
@pytest.mark.parametrize("method", ["chebyshev", "lanczos"])
def test_full_hopping_matrices(orbitals, is_complex, varying_hops, method):
    blocks = full_blocks(orbitals, is_complex, varying_hops)
    stencil = Stencil.of(blocks)
    assert orbitals < 3 or len(stencil.uniform[0]) + len(stencil.varying[0]) > UNROLLED
    sites, window = np.arange(blocks.lattice.num_sites), whole_torus(stencil.lattice.shape)
    bounds = lanczos_window(stencil)
    if method == "chebyshev":
        function = coefficients(lambda e: fermi(e, MU, TEMPERATURE), bounds, 400)
        values = ChebyshevEngine(stencil.scaled(bounds.a, bounds.b, np.float64), SHIFTS, function[None]).values(sites, window)[0]
    else:
        poles = few_poles(12, gershgorin_window(stencil).a + abs(MU), TEMPERATURE, MU)
        values = local.Steps(stencil.scaled(1.0, 0.0, np.float64), SHIFTS).values(sites, window, 90, *poles)
    density, exact = stencil.density_matrix(values, SHIFTS), exact_density(blocks)
    number = sites.reshape(stencil.lattice.shape)
    for shift, found in (((0, 0), density.onsite), *density.bonds.items()):
        there = np.roll(number, [-s for s in shift], axis=(0, 1)).ravel()
        expected = exact[sites, :, there, :].reshape(found.shape)
        np.testing.assert_allclose(found, expected, atol=1e-8 if method == "chebyshev" else 1e-5)


def test_parts_of_hermitian_blocks_are_stored_once():
    """On-site blocks of b complex orbitals have b (b + 1) / 2 real and b (b - 1) / 2 imaginary parts, these with either sign."""
    b = 4
    assert len(Stencil.of(full_blocks(b, True)).arrays) == b * (b + 1) // 2 + b * (b - 1)
    same = Blocks(Lattice.square(4, 5), np.broadcast_to(np.eye(2), (4, 5, 2, 2)).copy(), {(0, 1): np.ones((2, 2))})
    scaled = Stencil.of(same).scaled(2.0, 1.0, np.float64)
    assert len(scaled.arrays) == 1 and not scaled.arrays.any()  # the centre is taken off once, though two planes share the array


@pytest.mark.parametrize("is_complex", [False, True])
def test_windows_in_many_orbitals(is_complex):
    """In a window the hops at its rim are cut: an isolated cluster, diagonalised by itself, has the same density."""
    blocks = full_blocks(3, is_complex, shape=(9, 9))
    stencil, window = Stencil.of(blocks), window_around("square", 1, ((-1, 0), (0, -1), (0, 1), (1, 0)))
    bounds = lanczos_window(stencil)
    function = coefficients(lambda e: fermi(e, MU, TEMPERATURE), bounds, 300)
    values = ChebyshevEngine(stencil.scaled(bounds.a, bounds.b, np.float64), (), function[None]).values(np.array([40]), window)[0]
    cluster = (np.arange(81).reshape(9, 9)[3:6, 3:6].ravel()[:, None] * 3 + np.arange(3)).ravel()
    energies, vectors = np.linalg.eigh(blocks.dense()[np.ix_(cluster, cluster)])
    rho = ((vectors * fermi(energies, MU, TEMPERATURE)) @ vectors.conj().T)[12:15, 12:15]
    found = values[:, :3, 0] - 1j * values[:, 3:, 0] if is_complex else values[:, :, 0]
    np.testing.assert_allclose(found, rho, atol=1e-8)
