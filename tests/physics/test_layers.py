"""P3: every typed layer and network commutes with every symmetry, has the counted number of weights, and refuses what cannot be."""

import numpy as np
import pytest
import torch

from ennforce.forces import ExactForces, NetworkForces
from ennforce.lattice import Lattice
from ennforce.models import Kondo
from ennforce.networks import Architecture, TypedNetwork, build
from ennforce.networks.equivariance import assert_equivariant, equivariance_error
from ennforce.networks.layers import EquivariantConv, SeparableConv, filter_basis, torus_pad
from ennforce.networks.nonlinearities import Gated, Pointwise, Saturated, TensorProduct
from ennforce.symmetry import FieldType
from ennforce.symmetry.intertwiners import stencil_permutation

SQUARE, TRIANGULAR, CHAIN = Lattice.square(6, 6), Lattice.triangular(6, 6), Lattice.chain(7)
SPIN = FieldType.parse("A1l1o")
DTYPES = [torch.float32, torch.float64]


def excited(module: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """The module in ``dtype`` with all weights random, biases too."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module.to(dtype)


TYPES = {
    "square": [("A1l1o", "2xRl1o+Re"), ("2xRl2e+Re+2xEl1o", "El1o+Rl2e+B1e"), ("R/3o", "2xRo"), ("Ee+2xB1e", "Re+A1e")],
    "triangular": [("A1l1o", "2xRl1o+Re"), ("E1l2e+Re", "E2l2e+B1e+A1e"), ("Ro", "R/1.3o")],
    "chain": [("A1l1o", "2xRl1o"), ("A2e", "Re+A1e"), ("2xRl2e+Re", "A1l2e+A2e")],
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("radius", [0, 1, 2])
@pytest.mark.parametrize("lattice", [SQUARE, TRIANGULAR, CHAIN], ids=str)
def test_convolutions_between_any_types_are_equivariant(lattice, radius, dtype):
    for pair in TYPES[lattice.name]:
        in_type, out_type = map(FieldType.parse, pair)
        layer = excited(EquivariantConv(lattice.name, in_type, out_type, radius), dtype)
        assert_equivariant(layer.on_torus, lattice, in_type, out_type, dtype)


@pytest.mark.parametrize("lattice", [SQUARE, TRIANGULAR, CHAIN], ids=str)
@pytest.mark.parametrize("radius", [0, 2])
def test_weights_are_counted_by_the_character_formula(lattice, radius):
    group = lattice.point_group
    stencil = [s for s in lattice.ball(2 * radius) if all(np.abs(m @ np.array(s)).max() <= radius for m in group.matrices)]
    sites = np.trace(stencil_permutation(group, stencil), axis1=1, axis2=2)
    for pair in TYPES[lattice.name]:
        in_type, out_type = map(FieldType.parse, pair)
        expected = constants = 0.0
        for target in out_type.terms:
            chi_out = np.trace(group.representation(target.label), axis1=1, axis2=2)
            constants += target.copies * chi_out.mean() * (target.parity > 0 and target.degree == 0)
            for source in in_type.terms:
                chi_in = np.trace(group.representation(source.label), axis1=1, axis2=2)
                # Schur for the internal group: irreps (parity, l) meet only their own kind, with one weight.
                alike = (source.parity, source.degree) == (target.parity, target.degree)
                expected += target.copies * source.copies * alike * (chi_out * chi_in * sites).mean()
        layer = EquivariantConv(lattice.name, in_type, out_type, radius)
        found = {name: parameter.numel() for name, parameter in layer.named_parameters()}
        assert found.pop("bias", 0) == round(constants)
        assert sum(found.values()) == round(expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("lattice", [SQUARE, TRIANGULAR, CHAIN], ids=str)
def test_nonlinearities_are_equivariant(lattice, dtype):
    group = lattice.point_group
    parse = FieldType.parse
    vector = {"square": "E", "triangular": "E1", "chain": "A2"}[lattice.name]
    modules = [
        Pointwise(group, parse("2xRo+2xRe+1xR/1e+2xR/1o")),
        Saturated(group, parse(f"2xRo+2x{vector}l1o+A1l2e+R/1l1o")),
        Gated(group, parse(f"2xRo+2x{vector}l1o+A1l2e+R/1l1o")),
        TensorProduct(group, parse("2xRo+2xRl1o"), parse("2xRe+2xRl1e+2xRl2e")),
        TensorProduct(group, parse(f"2x{vector}l1o+2x{vector}e+2x{vector}l1o"), parse("2xA1e+2xA1l1e+2xA1l1o")),
        TensorProduct(group, parse("R/1l1o+R/1o"), parse("R/1l1e+R/1e")),
    ]
    for module in modules:
        assert_equivariant(excited(module, dtype), lattice, module.in_type, module.out_type, dtype)


def test_products_are_the_products_they_claim_to_be(square_group):
    spins = torch.randn(1, 6, 3, 3, dtype=torch.float64)
    cross = TensorProduct(square_group, FieldType.parse("A1l1o+A1l1o"), FieldType.parse("A1l1e"))
    assert cross.paths == [(0, 0, 1)]  # a vector times itself has no antisymmetric part
    torch.nn.init.constant_(cross.weight_0_0_1, 6**0.5)
    expected = torch.linalg.cross(spins[:, :3], spins[:, 3:], dim=1)
    torch.testing.assert_close(cross.double()(spins), expected)


def test_a_pair_of_odd_and_even_features_makes_products(square_group):
    """Odd features alone can never make an even one from an even function: the sum of tanh(x) and tanh(-x) vanishes."""
    module = Pointwise(square_group, FieldType.parse("1xRo+1xRe")).double()
    odd = torch.randn(1, 8, 2, 2, dtype=torch.float64)
    even = module(torch.cat([odd, torch.zeros_like(odd)], dim=1))[:, 8:]
    assert even.abs().mean() > 0.1


FIELDS = [
    (SQUARE, "A1o"), (SQUARE, "Ee"), (SQUARE, "1xA1o+1xB1o"), (SQUARE, "A1e+B1e"), (SQUARE, "A1l1o"), (SQUARE, "A1l2e"),
    (TRIANGULAR, "A1o"), (TRIANGULAR, "E1e"), (TRIANGULAR, "A1l1o"), (CHAIN, "A2e"), (CHAIN, "A1l1o"),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("lattice", "text"), FIELDS, ids=str)
def test_typed_networks_are_equivariant_on_every_field(lattice, text, dtype):
    field_type = FieldType.parse(text)
    architecture = Architecture(kind="typed", lattice=lattice.name, field_type=text, width=1, depth=2, first_radius=1)
    network = excited(TypedNetwork(architecture, field_scale=0.7, force_scale=1.3), dtype)
    assert_equivariant(network.on_torus, lattice, field_type, field_type, dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("separable", [True, False])
@pytest.mark.parametrize("kind", ["enn", "enn_energy"])
@pytest.mark.parametrize(("lattice", "text"), [case for case in FIELDS if "l" not in case[1] and case[0].dimension == 2], ids=str)
def test_regular_networks_are_equivariant_on_every_field_without_degree(lattice, text, kind, separable, dtype):
    torch.manual_seed(2)
    architecture = Architecture(
        kind, lattice.name, str(FieldType.parse(text)), width=1, depth=1, first_radius=1, separable=separable
    )
    network = build(architecture).to(dtype)
    assert_equivariant(network.on_torus, lattice, FieldType.parse(text), FieldType.parse(text), dtype)


@pytest.mark.parametrize("lattice", [SQUARE, TRIANGULAR], ids=str)
def test_a_separable_convolution_is_one_of_the_intertwiners(lattice):
    torch.manual_seed(0)
    features = FieldType.parse("2xRo+1xRe")
    layer = SeparableConv(lattice.name, features, 1).double()
    assert_equivariant(lambda x: layer(torus_pad(x, 1)), lattice, features, features, torch.float64)
    # A copy's stencil is free: one weight for each site that the group keeps within reach.
    assert layer.stencils.shape == (3, len(filter_basis(lattice.name, "A1", "A1", 1).sum(axis=(0, 1, 2)).nonzero()[0]))


def test_typed_networks_are_local_and_any_tiling_agrees():
    network = excited(TypedNetwork(Architecture("typed", field_type="1xA1l1o", width=1, depth=1)), torch.float64)
    reach = network.receptive_radius
    fields = torch.randn(1, 3, 12, 12, dtype=torch.float64)
    whole = network.on_torus(fields)
    torch.testing.assert_close(network(fields), whole[..., reach:-reach, reach:-reach])


def test_forces_of_a_spin_network_are_the_networks_and_the_models_own():
    model = Kondo(Lattice.square(10, 10), temperature=0.2, A=2.0, H_z=0.1)
    # Small enough to stay below the largest force that electrons can exert.
    network = TypedNetwork(Architecture("typed", field_type=str(model.field_type), width=1, depth=2), force_scale=0.05)
    spins = np.random.default_rng(0).normal(size=(2, 3, 10, 10))
    with torch.no_grad():
        expected = network.on_torus(torch.as_tensor(spins, dtype=torch.float32)).double().numpy()
    forces = NetworkForces(network, model)
    np.testing.assert_allclose(forces.electronic_forces(spins), expected, atol=1e-5)
    own = -2.0 * 2.0 * ((spins**2).sum(axis=1, keepdims=True) - 1.0) * spins  # A/2 (|S|^2 - 1)^2 - H_z S^z
    own[:, 2] += 0.1
    np.testing.assert_allclose(forces.forces(spins) - expected, own, atol=1e-5)


def test_spin_networks_learn_exchange_within_seconds():
    """S_i -> sum_j S_j (S_i . S_j): a force linear in the spins leaves 4 (1/3 - 1/9) / 3 of it; a spin network learns the rest."""
    lattice = Lattice.square(6, 6)
    spins = torch.as_tensor(np.random.default_rng(0).normal(size=(4, 3, 6, 6)), dtype=torch.float32)
    spins = spins / spins.norm(dim=1, keepdim=True)
    near = [spins.roll(shift, dims=(2, 3)) for shift in lattice.neighbours]
    target = sum(s * (s * spins).sum(dim=1, keepdim=True) for s in near)
    torch.manual_seed(0)
    network = TypedNetwork(Architecture("typed", field_type=str(SPIN), width=4, depth=1, first_radius=1, radius=0, mixed=False))
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-2)
    for _ in range(200):
        optimiser.zero_grad()
        loss = (network.on_torus(spins) - target).square().mean()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.2 * 8 / 27
    assert_equivariant(network.on_torus, lattice, SPIN, SPIN)


def test_a_typed_convolution_is_the_plain_one_of_its_filter():
    layer = excited(EquivariantConv("square", FieldType.parse("2xRl1o+Re"), FieldType.parse("Re+A1l1o"), 1), torch.float64)
    features = torch.randn(2, 56, 6, 6, dtype=torch.float64)
    filters, bias = layer.dense_filter()
    torch.testing.assert_close(layer(features), torch.nn.functional.conv2d(features, filters, bias))


@pytest.mark.parametrize("lattice", [Lattice.square(4, 4), Lattice.triangular(3, 3)], ids=str)
def test_the_exchange_field_of_electrons_has_the_symmetry_that_its_type_says(lattice):
    model = Kondo(lattice, temperature=0.3, J=1.3, chemical_potential=0.2)
    assert model.field_type == SPIN
    exact = ExactForces(model)

    def forces(fields: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(exact.electronic_forces(fields.numpy()))

    assert_equivariant(forces, lattice, SPIN, SPIN, torch.float64)


def test_the_harness_sees_each_broken_symmetry():
    fields = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    field = torch.tensor([0.0, 0.0, 1e-3], dtype=torch.float64)[:, None, None]
    near = lambda s: sum(s.roll(shift, dims=(2, 3)) for shift in SQUARE.neighbours)  # noqa: E731
    breakers = {
        "rotation of spins": lambda s: s * (1.0 + field),
        "time reversal": lambda s: s + 1e-3 * torch.linalg.cross(s, near(s), dim=1),
        "point group": lambda s: s + 1e-3 * s.roll(1, dims=2),
        "translation": lambda s: s * (1.0 + 1e-3 * torch.arange(6)),
    }
    for name, module in breakers.items():
        assert equivariance_error(module, SQUARE, SPIN, SPIN, fields) > 1e-4, name
    with pytest.raises(AssertionError, match="is off by"):
        assert_equivariant(breakers["translation"], SQUARE, SPIN, SPIN, torch.float64)
    with pytest.raises(ValueError, match="proves nothing"):
        equivariance_error(torch.zeros_like, SQUARE, SPIN, SPIN, fields)
    with pytest.raises(ValueError, match=r"the output has shape \(2, 1, 6, 6\)"):
        equivariance_error(lambda s: s[:, :1], SQUARE, SPIN, SPIN, fields)


def test_layers_that_do_not_fit_are_refused(square_group):
    parse = FieldType.parse
    with pytest.raises(ValueError, match="no equivariant map leads from 1xA1o to 2xRe"):
        EquivariantConv("square", parse("A1o"), parse("2xRe"), 1)
    with pytest.raises(ValueError, match="no equivariant map leads from 1xA1l1o to 1xA1o"):
        EquivariantConv("square", parse("A1l1o"), parse("A1o"), 1)
    with pytest.raises(ValueError, match="within radius 0"):
        EquivariantConv("square", parse("A1o"), parse("Eo"), 0)
    with pytest.raises(ValueError, match="radius -1"):
        EquivariantConv("square", parse("A1o"), parse("A1o"), -1)
    with pytest.raises(ValueError, match="lattice 'kagome' is unknown"):
        EquivariantConv("kagome", parse("A1o"), parse("A1o"), 1)
    with pytest.raises(ValueError, match="representation 'T2' is unknown"):
        EquivariantConv("square", parse("T2o"), parse("A1o"), 1)
    with pytest.raises(ValueError, match="breaks the symmetry of 2xRl1o"):
        Pointwise(square_group, parse("2xRl1o"))
    with pytest.raises(ValueError, match="no product of terms of 2xRo makes 2xRo"):
        TensorProduct(square_group, parse("2xRo"), parse("2xRo"))
