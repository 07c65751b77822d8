"""P3: named point groups, their irreps and couplings, quotients, and the internal O(3), all against counting and axioms."""

import numpy as np
import pytest

from ennforce.lattice import Lattice
from ennforce.symmetry import FieldType, PointGroup
from ennforce.symmetry.intertwiners import stencil_permutation
from ennforce.symmetry.rotations import coupling, random_rotation, wigner
from ennforce.symmetry.schoenflies import SYMBOLS

ROTATIONS = [random_rotation(np.random.default_rng(seed)) for seed in range(3)]

# Orders and irreps as in the character tables of Altmann and Herzig, pairs of complex irreps joined.
TABLES = {
    "C1": "A",
    "C2": "A B",
    "C4": "A B E",
    "C2v": "A1 A2 B1 B2",
    "C4v": "A1 A2 B1 B2 E",
    "C3v": "A1 A2 E",
    "C6v": "A1 A2 B1 B2 E1 E2",
    "D2h": "Ag B1g B2g B3g Au B1u B2u B3u",
    "D3h": "A1' A2' E' A1'' A2'' E''",
    "D2d": "A1 A2 B1 B2 E",
    "Td": "A1 A2 E T1 T2",
    "Th": "Ag Eg Tg Au Eu Tu",
    "Oh": "A1g A2g Eg T1g T2g A1u A2u Eu T1u T2u",
}


@pytest.mark.parametrize("name", TABLES)
def test_irreps_have_the_labels_of_the_character_tables(name):
    assert " ".join(PointGroup.named(name).irreps) == TABLES[name]


@pytest.mark.parametrize("name", SYMBOLS)
def test_groups_obey_the_axioms_and_characters_the_orthogonality(name):
    group = PointGroup.named(name)
    n, table = len(group), group.table
    np.testing.assert_array_equal(table[table], table[:, table])  # (g h) k = g (h k)
    np.testing.assert_array_equal(table[np.arange(n), group.inverse], 0)
    assert sum(map(len, group.classes)) == n
    # Frobenius and Schur: <chi, chi> is 1 for real irreps, 2 for a complex pair; the indicator <chi(g^2)> is 1 or 0 times that.
    squares = table[np.arange(n), np.arange(n)]
    dimensions = count = 0
    for label, matrices in group.irreps.items():
        np.testing.assert_allclose(np.einsum("gij,hjk->ghik", matrices, matrices), matrices[table], atol=1e-10, err_msg=label)
        np.testing.assert_allclose(np.einsum("gij,gkj->gik", matrices, matrices), np.broadcast_to(np.eye(matrices.shape[1]), matrices.shape), atol=1e-10)  # fmt: skip  # noqa: E501
        norm = group.characters[label] @ group.characters[label] / n
        assert norm == pytest.approx(2 - round(group.characters[label][squares].mean()))
        dimensions += matrices.shape[1] ** 2 / norm
        count += norm
    assert dimensions == pytest.approx(n) and count == pytest.approx(len(group.classes))
    characters = np.array(list(group.characters.values()))
    gram = characters @ characters.T / n
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-10)


def test_lattices_have_the_named_groups():
    for name, lattice in (("C4v", Lattice.square(4, 4)), ("C6v", Lattice.triangular(4, 4))):
        np.testing.assert_array_equal(PointGroup.named(name).matrices, lattice.point_group.matrices)
    with pytest.raises(ValueError, match="point group 'C5v' is unknown"):
        PointGroup.named("C5v")
    with pytest.raises(ValueError, match="does not keep the lattice"):
        PointGroup.from_cartesian([PointGroup.named("C6").cartesian[1]], Lattice.square(4, 4).basis)


def test_direct_products_of_the_textbooks():
    c4v, oh, c4 = map(PointGroup.named, ("C4v", "Oh", "C4"))
    assert c4v.product("E", "E") == {"A1": 1, "A2": 1, "B1": 1, "B2": 1}
    assert oh.product("Eg", "Eg") == {"A1g": 1, "A2g": 1, "Eg": 1}
    assert oh.product("T1u", "T2g") == {"A2u": 1, "Eu": 1, "T1u": 1, "T2u": 1}
    assert c4.product("E", "E") == {"A": 2, "B": 2}
    # Position and angular momentum in a cube: the vector, and its antisymmetric square.
    assert oh.multiplicities(oh.cartesian)["T1u"] == 1
    assert oh.multiplicities(np.linalg.det(oh.cartesian)[:, None, None] * oh.cartesian)["T1g"] == 1


@pytest.mark.parametrize("name", ["C4", "C4v", "C6v", "Td", "Oh", "Th"])
def test_clebsch_gordan_maps_commute_and_are_counted(name):
    group = PointGroup.named(name)
    rng = np.random.default_rng(0)
    for a, b, c in (rng.choice(list(group.irreps), 3) for _ in range(40)):
        maps = group.clebsch_gordan(a, b, c)
        rho_a, rho_b, rho_c = map(group.representation, (a, b, c))
        # Complex pairs count twice: the maps of such an irrep to itself are two-dimensional.
        norm = group.characters[c] @ group.characters[c] / len(group)
        assert len(maps) == round(group.product(a, b).get(c, 0) * norm)
        np.testing.assert_allclose(
            np.einsum("gkl,nlij->gnkij", rho_c, maps), np.einsum("nkij,gil,gjm->gnklm", maps, rho_a, rho_b), atol=1e-10
        )
        flat = maps.reshape(len(maps), maps[0].size if len(maps) else 0)
        np.testing.assert_allclose(flat @ flat.T, np.eye(len(maps)), atol=1e-10)


@pytest.mark.parametrize("lattice", [Lattice.square(4, 4), Lattice.triangular(4, 4)], ids=str)
def test_quotients_are_the_permutations_of_shells(lattice):
    group = lattice.point_group
    for shell in lattice.shells(5):
        label = group.orbit_label(shell[0])
        np.testing.assert_allclose(
            np.trace(group.representation(label), axis1=1, axis2=2),
            np.trace(stencil_permutation(group, shell), axis1=1, axis2=2),
        )
        matrices = group.representation(label)
        np.testing.assert_allclose(np.einsum("gij,hjk->ghik", matrices, matrices), matrices[group.table])
    with pytest.raises(ValueError, match="element 99 does not exist"):
        group.representation("R/99")


def test_a_shell_of_four_sites_is_named_by_the_mirror_that_keeps_one(square_group):
    axis, diagonal = square_group.orbit_label((0, 1)), square_group.orbit_label((1, 1))
    mirror = square_group.element([[-1, 0], [0, 1]])
    assert axis == f"R/{mirror}" != diagonal
    assert FieldType.parse(f"2x{axis}o").dim(square_group) == 8
    present = lambda label: {k for k, n in square_group.multiplicities(square_group.representation(label)).items() if n}  # noqa: E731
    assert (present(axis), present(diagonal)) == ({"A1", "B1", "E"}, {"A1", "B2", "E"})


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_wigner_matrices_are_orthogonal_homomorphisms_and_harmonics(degree):
    q, r = ROTATIONS[:2]
    np.testing.assert_allclose(wigner(degree, q) @ wigner(degree, r), wigner(degree, q @ r), atol=1e-12)
    np.testing.assert_allclose(wigner(degree, q) @ wigner(degree, q).T, np.eye(2 * degree + 1), atol=1e-12)
    # chi_l(angle) = sin((l + 1/2) angle) / sin(angle / 2)
    angle = np.arccos((np.trace(q) - 1) / 2)
    assert np.trace(wigner(degree, q)) == pytest.approx(np.sin((degree + 0.5) * angle) / np.sin(angle / 2))


def test_degree_two_has_the_order_of_the_d_orbitals():
    def harmonics(v):
        x, y, z = v
        return np.array([x * y, y * z, (2 * z * z - x * x - y * y) / 12**0.5, x * z, (x * x - y * y) / 2])

    for q in ROTATIONS:
        v = np.array([0.3, -1.2, 0.7])
        np.testing.assert_allclose(harmonics(q @ v), wigner(2, q) @ harmonics(v), atol=1e-12)


def test_couplings_commute_and_obey_the_triangle_rule():
    for a, b, c in np.ndindex(3, 3, 3):
        found = coupling(a, b, c)
        assert len(found) == (abs(a - b) <= c <= a + b)
        for q in ROTATIONS:
            turned = np.einsum("kl,nlij->nkij", wigner(c, q), found)
            np.testing.assert_allclose(turned, np.einsum("nkij,il,jm->nklm", found, wigner(a, q), wigner(b, q)), atol=1e-12)
    u, v = np.random.default_rng(0).normal(size=(2, 3))
    np.testing.assert_allclose(np.einsum("kij,i,j->k", coupling(1, 1, 1)[0], u, v) * 6**0.5, np.cross(u, v), atol=1e-12)
    np.testing.assert_allclose(coupling(1, 1, 0)[0, 0] * 3**0.5, np.eye(3), atol=1e-12)


def test_couplings_are_those_of_e3nn():
    o3 = pytest.importorskip("e3nn.o3", reason="e3nn is not installed: couplings are compared with it only where it is")
    torch = pytest.importorskip("torch")
    # e3nn's polar axis is y: its (x, y, z) are our (y, z, x).
    cycle = np.roll(np.eye(3), 1, axis=0)
    axes = {0: np.eye(1), 1: cycle, 2: np.eye(5)}
    for q in ROTATIONS:
        theirs = o3.Irrep(2, 1).D_from_matrix(torch.tensor(cycle.T @ q @ cycle)).numpy()
        np.testing.assert_allclose(wigner(2, q), theirs, atol=1e-5)
    for a, b, c in np.ndindex(3, 3, 3):
        if abs(a - b) <= c <= a + b:
            theirs = np.einsum("ijk,ai,bj,ck->cab", o3.wigner_3j(a, b, c, dtype=torch.float64).numpy(), axes[a], axes[b], axes[c])
            ours = coupling(a, b, c)[0]
            sign = np.sign((ours * theirs).sum())
            np.testing.assert_allclose(ours, sign * theirs, atol=1e-6)


@pytest.mark.parametrize("text", ["1xA1l1o", "4xRl2e+2xEl1o+1xA1e", "2xR/3e+1xR/1.3l1o", "1xA1l2e+1xEl2o"])
def test_field_types_with_degrees_are_representations_of_both_groups(text, square_group):
    field_type = FieldType.parse(text)
    assert str(field_type) == text and eval(repr(field_type)) == field_type
    matrices = field_type.matrices(square_group)
    np.testing.assert_allclose(np.einsum("gij,hjk->ghik", matrices, matrices), matrices[square_group.table], atol=1e-10)
    q, r = ROTATIONS[0], -ROTATIONS[1]
    inner = field_type.internal(square_group, q) @ field_type.internal(square_group, r)
    np.testing.assert_allclose(inner, field_type.internal(square_group, q @ r), atol=1e-10)
    np.testing.assert_allclose(inner @ matrices[3], matrices[3] @ inner, atol=1e-10)
    np.testing.assert_allclose(np.diag(field_type.internal(square_group, -np.eye(3))), field_type.parities(square_group))


def test_primed_and_gerade_labels_parse():
    for name, text in (("D3h", "2xA2''e+1xE'l1o"), ("Oh", "1xT2go+2xA1ul1e")):
        field_type, group = FieldType.parse(text), PointGroup.named(name)
        assert str(field_type) == text
        assert field_type.matrices(group).shape == (len(group), field_type.dim(group), field_type.dim(group))


def test_a_spin_turns_as_a_vector_and_flips_in_time(square_group):
    spin = FieldType.parse("A1l1o")
    for q in (ROTATIONS[0], -ROTATIONS[0]):
        np.testing.assert_allclose(spin.internal(square_group, q), q, atol=1e-12)
    np.testing.assert_allclose(spin.matrices(square_group), np.eye(3)[None].repeat(8, 0))
    # Copy by copy, point-group index, then m.
    np.testing.assert_allclose(
        FieldType.parse("2xEl1o").matrices(square_group)[2], np.kron(np.eye(2), np.kron(square_group.irreps["E"][2], np.eye(3)))
    )


def test_degrees_and_rotations_that_cannot_be_are_refused(square_group):
    with pytest.raises(ValueError, match="degree l = 3 is not offered"):
        FieldType.parse("A1l3o")
    with pytest.raises(ValueError, match="representation 'T1g' is unknown here"):
        FieldType.parse("T1go").matrices(square_group)
    with pytest.raises(ValueError, match="orthogonal"):
        FieldType.parse("A1l1o").internal(square_group, 2 * np.eye(3))
