"""The alternatives that the equivariant network is measured against: contracts all share, and what each claims of its own."""

import copy
import sys

import numpy as np
import pytest
import torch

from ennforce.config import Study
from ennforce.lattice import Lattice
from ennforce.models import Holstein
from ennforce.networks import KINDS, Architecture, ForceNetwork, build
from ennforce.networks.descriptor_mlp import Descriptors
from ennforce.networks.export import TiledNetwork, load_model, save_model
from ennforce.networks.irrep_mlp import Gate
from ennforce.networks.layers import torus_pad
from ennforce.networks.neighbourhood import NeighbourhoodIrreps
from ennforce.training.augmentation import augmented
from ennforce.training.metrics import equivariance_error
from tests.conftest import EQUIVARIANCE

SMALL = {
    "enn": Architecture(width=1, depth=1),
    "enn_energy": Architecture("enn_energy", width=1, depth=1),
    "irrep_mlp": Architecture("irrep_mlp", width=8, depth=4),
    "descriptor_mlp": Architecture("descriptor_mlp", width=16, depth=2),
    "gnn": Architecture("gnn", width=8, depth=4),
    "cnn": Architecture("cnn", width=1, depth=2),
    "cnn_augmented": Architecture("cnn_augmented", width=1, depth=2),
    "euclidean": Architecture("euclidean", width=3, depth=2),
}
SYMMETRIC = [kind for kind in SMALL if not kind.startswith("cnn")]
REACH = {"enn": 3, "enn_energy": 6, "irrep_mlp": 3, "descriptor_mlp": 3, "gnn": 4, "cnn": 4, "cnn_augmented": 4, "euclidean": 4}


@pytest.fixture(params=SMALL)
def network(request) -> ForceNetwork:
    return small(request.param)


def small(kind: str) -> ForceNetwork:
    """With scales that are not one, biases that are not zero and forces of order one."""
    if kind == "euclidean":
        pytest.importorskip("e3nn")
    torch.manual_seed(0)
    network = build(SMALL[kind], field_scale=0.7, force_scale=0.4)
    for name, parameter in network.named_parameters():
        if "bias" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    network.calibrate(torch.randn(4, 1, 16, 16))
    with torch.no_grad():
        network.force_scale /= network.on_torus(torch.randn(1, 1, 16, 16)).std()
    return network


def test_every_kind_is_tested():
    # Those for fields of any type have tests of their own in tests/physics.
    assert [*SMALL, "typed", "typed_energy"] == list(KINDS) and list(SMALL) == list(REACH)


def test_forces_of_the_inner_sites(network):
    halo = 2 * network.receptive_radius
    assert network(torch.randn(2, 1, 5 + halo, 3 + halo)).shape == (2, 1, 5, 3)
    assert network.on_torus(torch.randn(2, 1, 12, 14)).shape == (2, 1, 12, 14)
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_tiles_make_the_forces_of_the_torus(network, mode):
    fields = torch.randn(2, 1, 17, 14)
    reference = network.on_torus(fields).detach()
    deployed = copy.deepcopy(network)
    with mode():
        tiled, whole = (TiledNetwork(deployed).on_torus(fields, tile) for tile in (6, 100))
    torch.testing.assert_close(tiled, whole, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(whole, reference, rtol=1e-5, atol=1e-5)


def test_the_reach_is_what_it_says(network):
    fields = torch.randn(1, 1, 20, 20, requires_grad=True)
    network.on_torus(fields)[0, 0, 10, 10].backward()
    reached = int((torch.nonzero(fields.grad[0, 0]) - 10).abs().max())
    assert reached == network.receptive_radius == REACH[network.architecture.kind]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", SYMMETRIC)
def test_exact_symmetry_over_all_16_elements(kind, dtype):
    fields = np.random.default_rng(0).normal(size=(2, 1, 12, 12)).astype(dtype)
    assert equivariance_error(small(kind).to(getattr(torch, dtype)), fields) < EQUIVARIANCE[dtype]


def test_plain_convolutions_carry_neither_symmetry():
    fields = np.random.default_rng(0).normal(size=(2, 1, 12, 12)).astype(np.float32)
    network = small("cnn")
    assert equivariance_error(network, fields) > 1e-3 and equivariance_error(network, fields, [np.eye(3)]) > 1e-3


def test_models_round_trip(network, tmp_path):
    model = Holstein(Lattice.square(8, 8), temperature=0.1)
    save_model(tmp_path, network, {"model": model.parameters(), "target": "electronic"})
    loaded, _ = load_model(tmp_path)
    fields = torch.randn(1, 1, 12, 12)
    assert type(loaded) is type(network) and loaded.architecture == network.architecture
    torch.testing.assert_close(loaded.on_torus(fields), network.on_torus(fields))


def test_a_few_steps_learn_a_local_odd_force(network):
    fields = torch.randn(2, 1, 12, 12)
    forces = torch.tanh(fields + 0.3 * fields.roll(1, -1) + 0.3 * fields.roll(-1, -1) + 0.3 * fields.roll((1, -1), (-2, -2)))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss = ((network.on_torus(fields) - forces) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_multiply_adds_are_those_counted_by_hand(network):
    a = network.architecture
    by_hand = {
        "cnn": 25 * 11 + 2 * 9 * 11**2 + 11,
        "gnn": 2 * (8 + 4 * 2 * 8**2 + 8),
        "enn": 25 * 16 + 2 * 9 * 8**2 + 16,
        "irrep_mlp": 2 * (49 * 45 + irrep_products(8)),
        "enn_energy": 2 * (25 * 16 + 2 * 9 * 8**2 + 16),
        "descriptor_mlp": 45 * 49 + 5 * 49 + 9 + 14 + 4 * 11 + 2 * (45 * 16 + 16 * 16 + 16),
        "euclidean": 2 * (25 * (1 * 33 + 27 * 3) + 3),
    }
    assert network.multiply_adds == by_hand[a.kind.removesuffix("_augmented")]


def irrep_products(width: int) -> int:
    """Multiply-adds of the layers and gates of ``irrep_mlp`` at depth 4: for each irrep made, weights on the first factor of a
    product, its sum against the second, and the couplings, of which one of two E, or of E with another, has two."""
    one, dims = ("A1", "A2", "B1", "B2"), {"A1": 1, "A2": 1, "B1": 1, "B2": 1, "E": 2}
    table = {(a, a): ("A1",) for a in one} | {("A1", a): (a,) for a in one} | {(a, "E"): ("E",) for a in one} | {("E", "E"): one}
    table |= {("A2", "B1"): ("B2",), ("A2", "B2"): ("B1",), ("B1", "B2"): ("A2",)}
    inputs, total = {"A1": 9, "A2": 3, "B1": 6, "B2": 5, "E": 11}, 0
    for copies in (width, width // 4, width // 8, 1):
        last = len(set(inputs.values())) == 1 and inputs["A1"] == width // 8
        made = ("A1",) if last else tuple(dims)
        for label in made:
            total += copies * inputs[label] * dims[label] + (0 if last else 2 * copies * dims[label])
        for (first, second), products in table.items():
            n, m = inputs[first], inputs[second]
            for out in set(products) & set(made):
                couplings = 2 if "E" in (first, second) else 1
                total += copies * m * dims[first] * (n + dims[out]) + m * couplings
        inputs = dict.fromkeys(dims, copies)
    return total


@pytest.mark.parametrize("mixed", [True, False])
def test_plain_convolutions_cost_what_the_equivariant_network_costs(mixed):
    cost = [build(Architecture(kind, width=4, depth=8, mixed=mixed)).multiply_adds for kind in ("enn", "cnn")]
    assert cost[1] == pytest.approx(cost[0], rel=0.02)


@pytest.mark.parametrize("kind", [kind for kind in SMALL if kind not in ("enn", "enn_energy")])
@pytest.mark.parametrize("field", [{"field_type": "1xA1e"}, {"lattice": "triangular"}])
def test_other_fields_and_lattices_are_refused_in_one_line(kind, field):
    with pytest.raises(ValueError, match="is defined for a field 1xA1o on the square lattice") as caught:
        build(Architecture(kind, **field))
    assert "\n" not in str(caught.value)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="set mixed to true"):
        build(Architecture("enn_energy", mixed=False))
    with pytest.raises(ValueError, match="2 to 4 tensor-product layers, not 5"):
        build(Architecture("irrep_mlp", depth=5))


def test_forces_of_an_energy_are_its_gradient_and_have_no_curl():
    network = small("enn_energy").double()
    fields = torch.randn(1, 1, 6, 6, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(network.on_torus, fields).reshape(36, 36)
    assert (jacobian - jacobian.T).abs().max() < 1e-12 * jacobian.abs().max()
    half = network.receptive_radius // 2

    def energy(values: torch.Tensor) -> torch.Tensor:
        return network.local_energies(torch.nn.functional.pad(values, (half,) * 4, mode="circular")).sum()

    with torch.no_grad():
        step = torch.zeros_like(fields)
        step[0, 0, 2, 3] = 1e-5
        slope = (energy(fields + step) - energy(fields - step)) / 2e-5
        assert network.on_torus(fields)[0, 0, 2, 3] == pytest.approx(-float(slope), rel=1e-7)


def test_an_energy_on_another_lattice_with_another_field():
    network = build(Architecture("enn_energy", "triangular", "1xE1o", width=1, depth=1)).double()
    fields = np.random.default_rng(0).normal(size=(1, 2, 8, 8))
    assert equivariance_error(network, fields) < EQUIVARIANCE["float64"]


def test_couplings_are_complete_and_equivariant(square_group):
    """Every pair of irreps couples to as many dimensions as it has; D4's are multiplicity-free."""
    for first, rho1 in square_group.irreps.items():
        for second, rho2 in square_group.irreps.items():
            dims = 0
            for out, rho3 in square_group.irreps.items():
                for coupling in square_group.clebsch_gordan(first, second, out).transpose(0, 2, 3, 1):
                    dims += rho3.shape[1]
                    rotated = np.einsum("gac,gbd,cde->gabe", rho1, rho2, coupling)
                    np.testing.assert_allclose(rotated, np.einsum("abe,gef->gabf", coupling, rho3), atol=1e-10)
            assert dims == rho1.shape[1] * rho2.shape[1]


def test_the_irrep_network_has_its_published_size():
    """45 = 9 + 3 + 6 + 5 + 2 x 11 inputs; weights of linear maps and of pairs of different channels; a bias for each gate."""
    irreps = NeighbourhoodIrreps()
    assert irreps.copies == {"A1": 9, "A2": 3, "B1": 6, "B2": 5, "E": 11}
    flat = irreps.filters.flatten(1)
    torch.testing.assert_close((flat @ flat.T).diagonal(), torch.ones(45, dtype=torch.float64))
    published = Study().frontier.models["irrep_mlp"]
    network = build(Architecture(**published.model_dump(include={"kind", "width", "depth"})))
    sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
    biases = sum(size for name, size in sizes.items() if "bias" in name)
    assert (sum(sizes.values()) - biases, biases) == (142914, 220)


def test_gates_of_the_irrep_network_are_bounded_and_continuous():
    """sign(y) sigmoid(|y| + b) beyond a few tenths, for E along its direction; nothing jumps at zero."""
    gate = Gate({"A1": 3, "E": 3}).double()
    for bias in gate.biases.values():
        torch.nn.init.normal_(bias)
    x = torch.tensor([-40.0, -1.0, -0.5, 0.5, 1.0, 40.0], dtype=torch.float64).expand(3, 1, 6)
    doublet = torch.cat([0.6 * x, -0.8 * x], dim=1)
    found = gate({"A1": x, "E": doublet})
    for label, direction in (("A1", torch.ones(1)), ("E", torch.tensor([0.6, -0.8]))):
        expected = x.sign() * torch.sigmoid(x.abs() + gate.biases[label][:, None, None])
        torch.testing.assert_close(found[label], expected * direction[:, None].double(), rtol=0, atol=0.03)
        assert float(found[label].detach().abs().max()) < 1.0
    tiny = gate({"A1": 1e-9 * x, "E": torch.zeros_like(doublet)})
    assert float(tiny["A1"].detach().abs().max()) < 1e-5 and bool((tiny["E"] == 0).all())


def test_inputs_of_one_irrep_are_scaled_by_their_largest_alike():
    fields = torch.randn(3, 1, 12, 12)
    network = build(SMALL["irrep_mlp"], field_scale=0.7)
    network.calibrate(fields)
    irreps = network.irreps(torus_pad(fields / 0.7, network.receptive_radius))
    torch.testing.assert_close(network.largest, torch.stack([x.abs().max() for x in irreps.values()]))
    turned = build(SMALL["irrep_mlp"], field_scale=0.7)
    turned.calibrate(-fields.transpose(-1, -2))
    torch.testing.assert_close(turned.largest, network.largest)


def test_descriptors_are_45_invariants_and_nine_carry_the_sign():
    descriptors, lattice = Descriptors().double(), Lattice.square(7, 7)
    fields = np.random.default_rng(0).normal(size=(4, 1, 7, 7))
    odd, even = descriptors(torch.as_tensor(fields))
    assert (odd.shape[1], even.shape[1], descriptors.count) == (9, 36, 45)
    for element in range(8):
        # The neighbourhood's centre must stay where it is on an odd torus: site 3 goes to -3 = 4 under a reflection.
        moved = np.roll(lattice.transformed(np.roll(fields, (-3, -3), (-2, -1)), element), (3, 3), (-2, -1))
        for sign in (1, -1):
            found_odd, found_even = descriptors(torch.as_tensor(sign * moved))
            torch.testing.assert_close(found_odd, sign * odd)
            torch.testing.assert_close(found_even, even)
    gradient = torch.zeros(1, 1, 7, 7, dtype=torch.float64, requires_grad=True)
    descriptors(gradient)[1].sum().backward()
    assert bool(torch.isfinite(gradient.grad).all())  # smooth where every reference vanishes


def test_augmentation_draws_every_element_with_its_sign():
    fields, generator = torch.randn(3, 1, 6, 6), torch.Generator().manual_seed(0)
    network = small("enn")
    with torch.no_grad():
        forces = network.on_torus(fields)
        seen = set()
        for _ in range(200):
            moved, answer = augmented(fields, forces, generator)
            torch.testing.assert_close(network.on_torus(moved), answer, rtol=1e-4, atol=1e-5)
            seen.add(moved.numpy().tobytes())
    assert len(seen) == 16
    rectangle = torch.randn(1, 1, 6, 10)
    answers = {augmented(rectangle, rectangle, generator)[0].numpy().tobytes() for _ in range(100)}
    assert len(answers) == 8  # a torus of unequal lengths has half of the point group
    with pytest.raises(ValueError, match="cannot be augmented"):
        augmented(fields, forces[..., :4], generator)


def test_only_one_kind_asks_for_augmentation():
    assert [kind for kind, network in KINDS.items() if network.augmented] == ["cnn_augmented"]


def test_without_e3nn_its_network_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "e3nn", None)
    with pytest.raises(ImportError, match=r"needs e3nn: pip install \"ennforce\[euclidean\]\""):
        build(SMALL["euclidean"])
