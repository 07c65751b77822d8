"""P2: blocks of the lattice models, exact diagonalisation, and forces as gradients of the grand potential."""

import numpy as np
import pytest

from ennforce.electrons import ExactElectrons
from ennforce.forces import ExactForces, KPMForces
from ennforce.lattice import Lattice
from ennforce.models import Blocks, Holstein, Kondo, Peierls, from_parameters
from tests.conftest import configuration, holstein

CHAIN, SQUARE, TRIANGULAR, CUBIC = Lattice.chain(14), Lattice.square(6, 5), Lattice.triangular(5, 6), Lattice.cubic(4, 3, 5)
MODELS = {
    "holstein-chain": Holstein(CHAIN, temperature=0.1, kappa=0.1),
    "holstein-triangular": Holstein(TRIANGULAR, temperature=0.2, kappa=-0.05, chemical_potential=0.3),
    "peierls-chain": Peierls(CHAIN, temperature=0.1, alpha=0.7, k0=0.1),
    "peierls-square": Peierls(SQUARE, temperature=0.1, alpha=0.5, chemical_potential=0.2),
    "peierls-triangular": Peierls(TRIANGULAR, temperature=0.2, alpha=0.4, k0=0.2),
    "kondo-chain": Kondo(CHAIN, temperature=0.1, J=1.5, A=0.3),
    "kondo-square": Kondo(SQUARE, temperature=0.1, J=1.0, H_z=0.2, A=0.5, chemical_potential=-0.7),
    "kondo-triangular": Kondo(TRIANGULAR, temperature=0.2, J=2.0, chemical_potential=-1.0),
    "holstein-cubic": Holstein(CUBIC, temperature=0.2, kappa=0.05, chemical_potential=-0.4),
    "peierls-cubic": Peierls(CUBIC, temperature=0.2, alpha=0.4, k0=0.1),
    "kondo-cubic": Kondo(CUBIC, temperature=0.2, J=1.5, H_z=0.1, chemical_potential=0.5),
}


def random_fields(model, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=0.5, size=model.field_shape)


def gradient(energy, fields: np.ndarray, site: tuple, step: float = 1e-4) -> float:
    up, down = fields.copy(), fields.copy()
    up[site] += step
    down[site] -= step
    return (energy(up) - energy(down)) / (2 * step)


@pytest.mark.parametrize("regime", ["default", "paper"])
@pytest.mark.parametrize("maker", [ExactForces, lambda model: KPMForces(model, 1e-9)], ids=["exact", "kpm"])
def test_forces_are_the_negative_gradient_of_the_grand_potential(regime, maker):
    forces = maker(holstein(regime, (6, 8), 0.2))
    fields = configuration(regime, "walls", (6, 8))
    analytic = forces.forces(fields)
    for site in [(0, 0), (2, 5), (5, 7)]:
        assert abs(analytic[site] + gradient(forces.grand_potential, fields, site)) < 1e-6


@pytest.mark.parametrize("name", MODELS)
def test_forces_of_every_model_are_gradients_of_the_exact_grand_potential(name):
    model = MODELS[name]
    fields = random_fields(model)
    exact = ExactForces(model)
    local = KPMForces(model, 1e-9).forces(fields)
    np.testing.assert_allclose(exact.forces(fields), local, atol=1e-7)
    rng = np.random.default_rng(1)
    for _ in range(4):
        site = tuple(rng.integers(model.field_shape))
        assert abs(local[site] + gradient(exact.grand_potential, fields, site)) < 1e-6


@pytest.mark.parametrize("name", MODELS)
def test_force_errors_stay_within_the_force_bound(name):
    model = MODELS[name]
    fields = random_fields(model)
    rng = np.random.default_rng(2)
    exact = ExactElectrons(model, fields).density
    noisy = type(exact)(
        exact.onsite + rng.choice([-1.0, 1.0], size=exact.onsite.shape),
        {s: block + rng.choice([-1.0, 1.0], size=block.shape) for s, block in exact.bonds.items()},
    )
    change = model.electronic_forces(noisy, fields) - model.electronic_forces(exact, fields)
    assert 0.4 * model.force_bound < np.abs(change).max() <= model.force_bound + 1e-9


@pytest.mark.parametrize("name", MODELS)
def test_models_come_back_from_their_parameters(name):
    assert from_parameters(MODELS[name].parameters()) == MODELS[name]


def test_spin_rotations_turn_the_kondo_forces():
    """The internal O(3) of P3: independent of the lattice."""
    model = MODELS["kondo-chain"]
    fields = random_fields(model)
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    rotation *= np.linalg.det(rotation)
    forces = ExactForces(model)
    np.testing.assert_allclose(forces.forces(rotation @ fields), rotation @ forces.forces(fields), atol=1e-12)
    np.testing.assert_allclose(forces.forces(-fields), -forces.forces(fields), atol=1e-12)  # time reversal


@pytest.mark.parametrize("element", range(8))
def test_peierls_forces_transform_as_vectors(element):
    lattice = Lattice.square(6, 6)
    forces = ExactForces(Peierls(lattice, temperature=0.1, alpha=0.6))
    fields = random_fields(forces.model)
    matrix = forces.model.field_type.matrices(lattice.point_group)[element]

    def turned(vectors: np.ndarray) -> np.ndarray:
        return np.einsum("ab,byx->ayx", matrix, lattice.transformed(vectors, element))

    np.testing.assert_allclose(forces.forces(turned(fields)), turned(forces.forces(fields)), atol=1e-12)


def test_the_ssh_chain_dimerises_and_opens_its_gap():
    """Su, Schrieffer and Heeger: hoppings t +- 2 alpha u leave the band edges at +- 4 alpha u."""
    model = Peierls(Lattice.chain(40), temperature=0.05, alpha=0.5)
    u = 0.2
    energies = ExactElectrons(model, u * model.lattice.stagger()).energies
    gap = energies[20] - energies[19]
    assert gap == pytest.approx(2 * 4 * 0.5 * u, rel=1e-9)


def test_the_coupling_of_the_published_regime():
    assert holstein("paper", (4, 4), 0.1).coupling == pytest.approx(3.06, abs=0.01)


def test_fixed_filling_fills():
    model = holstein("default", (8, 8), 0.1, filling=0.3)
    assert ExactForces(model).density(configuration("default", "random", (8, 8))).mean() == pytest.approx(0.3, abs=1e-9)


def test_particle_hole_symmetry_of_exact_forces():
    forces = ExactForces(holstein("default", (8, 8), 0.05))
    fields = configuration("default", "random", (8, 8))
    np.testing.assert_allclose(forces.forces(-fields), -forces.forces(fields), atol=1e-12)


@pytest.mark.parametrize("element", range(8))
def test_point_group_symmetry_of_exact_forces(element):
    forces = ExactForces(holstein("paper", (6, 6), 0.1))
    lattice = forces.model.lattice
    fields = configuration("paper", "random", (6, 6))
    moved = np.roll(lattice.transformed(fields, element), (2, 1), axis=(0, 1))
    expected = np.roll(lattice.transformed(forces.forces(fields), element), (2, 1), axis=(0, 1))
    np.testing.assert_allclose(forces.forces(moved), expected, atol=1e-12)


def test_dense_and_sparse_blocks_are_hermitian_and_hold_every_bond():
    rng = np.random.default_rng(4)
    onsite = rng.normal(size=(4, 5, 2, 2)) + 1j * rng.normal(size=(4, 5, 2, 2))
    onsite += np.swapaxes(onsite, -1, -2).conj()
    bond = rng.normal(size=(4, 5, 2, 2)) + 1j * rng.normal(size=(4, 5, 2, 2))
    blocks = Blocks(Lattice.square(4, 5), onsite, {(1, -1): bond, (0, 1): np.array([[1.0, 2.0], [0.0, 1.0]])})
    dense = blocks.dense()
    np.testing.assert_allclose(dense, dense.conj().T)
    from_site, to_site = 2 * (3 * 5 + 0), 2 * (0 * 5 + 4)
    np.testing.assert_allclose(dense[from_site : from_site + 2, to_site : to_site + 2], bond[3, 0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Blocks(SQUARE, np.full((6, 5, 2, 2), [[0, 1], [0, 0]]), {}), "Hermitian conjugates"),
        (lambda: Blocks(SQUARE, np.zeros((6, 5)) + 1j, {}), "Hermitian conjugates"),
        (lambda: Blocks(SQUARE, np.zeros((6, 5)), {(0, 1): np.array(np.nan)}), "NaN or infinite"),
        (lambda: Blocks(SQUARE, np.zeros((5, 6)), {}), "on-site blocks of shape"),
        (lambda: Blocks(SQUARE, np.zeros((6, 5)), {(0, 1): np.eye(2)}), r"bond \(0, 1\) has shape"),
        (lambda: Blocks(SQUARE, np.zeros((6, 5)), {(0, 1): np.array(1.0), (0, -1): np.array(1.0)}), "given as its opposite"),
        (lambda: Blocks(SQUARE, np.zeros((6, 5)), {(0, 0): np.array(1.0)}), "does not join two sites"),
        (lambda: Blocks(SQUARE, np.zeros((6, 5)), {(0, 3): np.array(1.0)}), "not larger than twice the hopping range"),
        (lambda: Holstein(Lattice.square(8, 8), temperature=0.0), "temperature 0.0 is not positive"),
        (lambda: Holstein(Lattice.square(8, 8), temperature=0.1, K=0.5, kappa=0.2), "elastically unstable"),
        (lambda: Peierls(CHAIN, temperature=0.1, K=-1.0), "elastically unstable"),
        (lambda: Holstein(Lattice.square(8, 8), temperature=0.1, filling=1.5), "filling 1.5"),
        (lambda: Kondo(CHAIN, temperature=0.1, filling=2.5), "between 0 and 2"),
        (lambda: ExactForces(MODELS["kondo-chain"]).forces(np.zeros((2, 14))), "do not end in"),
        (lambda: ExactForces(MODELS["peierls-chain"]).forces(np.full(14, np.inf)), "14 field values are NaN or infinite"),
    ],
)
def test_impossible_models_and_fields_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
