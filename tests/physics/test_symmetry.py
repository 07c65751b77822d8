"""P3: group axioms, irreps, counted intertwiners, and exact equivariance of every layer over every element."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from ennforce.lattice import Lattice
from ennforce.networks import Architecture, EquivariantNetwork
from ennforce.networks.equivariance import assert_equivariant
from ennforce.networks.layers import EquivariantConv
from ennforce.symmetry import FieldType, intertwiner_basis
from ennforce.symmetry.groups import PointGroup
from ennforce.symmetry.intertwiners import stencil_permutation
from ennforce.training.metrics import equivariance_error
from tests.conftest import EQUIVARIANCE

LATTICES = [Lattice.square(6, 6), Lattice.triangular(6, 6), Lattice.chain(6)]


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
def test_irreps_are_orthogonal_homomorphisms_and_complete(lattice):
    group = lattice.point_group
    assert sum(m.shape[1] ** 2 for m in group.irreps.values()) == len(group)
    assert len(group.irreps) == len(group.classes)
    for label, matrices in {**group.irreps, "R": group.regular}.items():
        np.testing.assert_allclose(np.einsum("gij,hjk->ghik", matrices, matrices), matrices[group.table], atol=1e-10, err_msg=label)
        np.testing.assert_allclose(
            np.einsum("gij,gkj->gik", matrices, matrices), np.eye(matrices.shape[1])[None].repeat(len(group), 0), atol=1e-10
        )
    characters = np.array(list(group.characters.values()))
    np.testing.assert_allclose(characters @ characters.T / len(group), np.eye(len(characters)), atol=1e-10)


def test_square_lattice_has_the_labels_of_the_textbooks(square_group):
    assert list(square_group.irreps) == ["A1", "A2", "B1", "B2", "E"]
    np.testing.assert_allclose(square_group.irreps["E"], square_group.cartesian)
    x, y = np.array([[1.0], [0.0]]), np.array([[0.0], [1.0]])
    for label, form in (("B1", x @ x.T - y @ y.T), ("B2", x @ y.T + y @ x.T), ("A1", x @ x.T + y @ y.T), ("A2", x @ y.T - y @ x.T)):
        for g, matrix in enumerate(square_group.cartesian):
            np.testing.assert_allclose(matrix @ form @ matrix.T, square_group.irreps[label][g, 0, 0] * form, atol=1e-10)


def test_the_45_site_neighbourhood_decomposes_as_published(square_group):
    """The paper's nine shells: 9, 3, 6, 5 and 11 copies of A1, A2, B1, B2 and E."""
    shells = Lattice.square(20, 20).shells(9)
    total = np.sum([list(square_group.multiplicities(stencil_permutation(square_group, s)).values()) for s in shells], axis=0)
    sites = sum(len(s) for s in shells)
    assert (sites, total.tolist()) == (45, [9, 3, 6, 5, 11])


def test_groups_from_generators_and_broken_groups():
    rotation, mirror = np.array([[0, 1], [-1, 0]]), np.array([[1, 0], [0, -1]])
    basis = Lattice.square(4, 4).basis
    assert len(PointGroup.from_generators([rotation], basis)) == 4
    assert len(PointGroup.from_generators([rotation, mirror], basis)) == 8
    with pytest.raises(ValueError, match="not a group"):
        PointGroup.from_matrices([np.eye(2, dtype=int), rotation], basis)
    with pytest.raises(ValueError, match="finite order"):
        PointGroup.from_generators([np.array([[1, 1], [0, 1]])], basis)


@pytest.mark.parametrize("lattice", LATTICES[:2], ids=str)
@pytest.mark.parametrize("labels", [("A1", "A1"), ("A1", "R"), ("R", "R"), ("E", "R"), ("B1", "E")], ids=str)
def test_intertwiners_commute_and_are_counted_by_the_character_formula(lattice, labels):
    group = lattice.point_group
    rho_in, rho_out = (group.representation(label if label in group.irreps or label == "R" else "E1") for label in labels)
    stencil = lattice.ball(2.0)
    basis = intertwiner_basis(group, rho_in, rho_out, stencil)
    permutation = stencil_permutation(group, stencil)
    expected = np.mean([np.trace(rho_in[g]) * np.trace(rho_out[g]) * np.trace(permutation[g]) for g in range(len(group))])
    assert len(basis) == round(expected)
    for g in range(len(group)):
        transformed = np.einsum("ab,nbcs,dc,ts->nadt", rho_out[g], basis, rho_in[g], permutation[g], optimize=True)
        np.testing.assert_allclose(transformed, basis, atol=1e-10)
    flat = basis.reshape(len(basis), -1)
    np.testing.assert_allclose(flat @ flat.T, np.eye(len(basis)), atol=1e-10)


def test_bases_do_not_depend_on_the_number_of_threads():
    """A degenerate eigenspace has no basis of its own; weights stored against one that LAPACK happened to choose are lost."""
    program = (
        "import hashlib, numpy as np\nfrom ennforce.lattice import Lattice\nfrom ennforce.symmetry import intertwiner_basis\n"
        "for lattice in (Lattice.square(4, 4), Lattice.triangular(4, 4)):\n"
        "    group, stencil = lattice.point_group, lattice.ball(2.0)\n"
        "    bases = [intertwiner_basis(group, group.regular, rho, stencil) for rho in (group.regular, *group.irreps.values())]\n"
        "    bases += list(group.irreps.values())\n"
        "    print([hashlib.sha256((np.round(b, 6) + 0.0).tobytes()).hexdigest() for b in bases])\n"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "OMP_NUM_THREADS": n, "OPENBLAS_NUM_THREADS": n},
            capture_output=True, text=True, check=True,
        ).stdout
        for n in ("1", "2")
    }  # fmt: skip
    assert len(printed) == 1


def test_open_stencils_are_refused(square_group):
    with pytest.raises(ValueError, match="not closed"):
        intertwiner_basis(square_group, square_group.regular, square_group.regular, [(0, 0), (0, 1)])


@pytest.mark.parametrize("text", ["1xA1o", "4xRo+2xEe", "3xB2e+1xRo"])
def test_field_types_round_trip(text, square_group):
    field_type = FieldType.parse(text)
    assert str(field_type) == text and eval(repr(field_type)) == field_type
    matrices = field_type.matrices(square_group)
    np.testing.assert_allclose(np.einsum("gij,hjk->ghik", matrices, matrices), matrices[square_group.table], atol=1e-10)
    assert field_type.parities(square_group).shape == (field_type.dim(square_group),)


@pytest.mark.parametrize("text", ["", "A1", "0xA1o", "2xR", "x", "A1o+"])
def test_field_types_that_cannot_be_are_refused(text):
    with pytest.raises(ValueError, match="field type"):
        FieldType.parse(text)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lattice", LATTICES[:2], ids=str)
@pytest.mark.parametrize(
    "types", [("A1o", "2xRo"), ("2xRo+2xRe", "2xRo+2xRe"), ("2xRo+1xRe", "1xRe+3xRo"), ("Ro+Re", "A1o"), ("A1e", "Re")], ids=str
)
@pytest.mark.parametrize("radius", [0, 1, 2])
def test_every_convolution_is_equivariant(types, lattice, dtype, radius):
    torch.manual_seed(0)
    layer = EquivariantConv(lattice.name, *map(FieldType.parse, types), radius).to(getattr(torch, dtype))
    if layer.bias is not None:
        torch.nn.init.normal_(layer.bias)
    assert_equivariant(layer.on_torus, lattice, layer.in_type, layer.out_type, getattr(torch, dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mixed", [True, False])
def test_the_network_is_equivariant_over_all_16_elements(mixed, dtype):
    torch.manual_seed(1)
    network = EquivariantNetwork(Architecture(width=2, depth=3, mixed=mixed)).to(getattr(torch, dtype))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    fields = np.random.default_rng(0).normal(size=(2, 1, 14, 14)).astype(dtype)
    assert equivariance_error(network, fields) < EQUIVARIANCE[dtype]


def test_the_equivariance_check_can_fail():
    network = EquivariantNetwork(Architecture(width=1, depth=1))
    original = network.readout.forward
    network.readout.forward = lambda x: original(x) + 1e-3 * torch.linspace(0, 1, x.shape[-1])
    assert equivariance_error(network, np.random.default_rng(0).normal(size=(1, 1, 12, 12)).astype(np.float32)) > 1e-4


def test_receptive_radius_is_what_the_architecture_says():
    architecture = Architecture(width=1, depth=2, first_radius=2)
    network = EquivariantNetwork(architecture)
    fields = torch.randn(1, 1, 20, 20, requires_grad=True)
    network.on_torus(fields)[0, 0, 10, 10].backward()
    reached = torch.nonzero(fields.grad[0, 0]) - 10
    assert reached.abs().max() == network.receptive_radius
