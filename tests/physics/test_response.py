"""The electrons' linear response by its sum over wave vectors, and a network's (PHYSICS P10)."""

import numpy as np
import pytest
import torch

from ennforce.analysis.response import bare_response, distances, gains, network_response, shells
from ennforce.forces import ExactForces
from ennforce.lattice import Lattice
from ennforce.models import Holstein, Kondo, Peierls
from ennforce.networks import Architecture, EquivariantNetwork


@pytest.mark.parametrize(
    "changes", [{}, {"chemical_potential": 0.4}, {"filling": 0.3}, {"lattice": Lattice.square(6, 10)}], ids=str
)
def test_the_sum_is_the_derivative_of_exact_forces(changes):
    model = Holstein(**{"lattice": Lattice.square(8, 8), "temperature": 0.3, "g": 1.3} | changes)
    shape = model.lattice.shape
    impulse = np.zeros(shape)
    impulse[0, 0] = 1e-4
    forces = ExactForces(model).electronic_forces(np.stack([impulse, -impulse]))
    slope = np.fft.fft2(forces[0] - forces[1]).real / 2e-4
    expected = bare_response(model)[0, 0]
    if model.filling is not None:  # at fixed number the chemical potential follows, which only the uniform field feels
        slope[0, 0] = expected[0, 0]
    np.testing.assert_allclose(slope, expected, atol=1e-6)


def test_spins_answer_along_themselves_and_alike():
    model = Kondo(Lattice.square(6, 6), temperature=0.3)
    chi = bare_response(model)
    impulse = np.zeros(model.field_shape)
    impulse[2, 0, 0] = 1e-4
    forces = ExactForces(model).electronic_forces(np.stack([impulse, -impulse]))
    slope = np.fft.fft2((forces[0] - forces[1])[2]).real / 2e-4
    np.testing.assert_allclose(chi[2, 2], slope, atol=1e-6)
    np.testing.assert_allclose(chi[0, 0], chi[2, 2], atol=1e-9)
    np.testing.assert_allclose(chi[0, 2], 0.0, atol=1e-9)


def test_a_metal_at_half_filling_answers_most_where_its_fermi_surface_nests():
    chi = bare_response(Holstein(Lattice.square(24, 24), temperature=0.05))[0, 0]
    assert np.unravel_index(chi.argmax(), chi.shape) == (12, 12)
    # at (pi, pi) the two energies are opposite: g^2 times the mean of tanh(e / 2T) / 2e
    k = 2 * np.pi * np.arange(24) / 24
    e = -2.0 * (np.cos(k)[:, None] + np.cos(k)[None, :])
    small = np.abs(e) < 1e-9
    assert chi[12, 12] == pytest.approx(1.5**2 * np.where(small, 1 / 0.2, np.tanh(e / 0.1) / np.where(small, 1, 2 * e)).mean())


def test_couplings_on_bonds_are_refused():
    with pytest.raises(ValueError, match="bonds of Peierls depend on its field"):
        bare_response(Peierls(Lattice.square(6, 6), temperature=0.1))


def test_gains_of_small_fields_are_those_of_the_network_at_none():
    torch.manual_seed(0)
    network = EquivariantNetwork(Architecture(width=1, depth=1, first_radius=2)).double()
    chi = network_response(network, (24, 16))
    fields = 1e-5 * np.random.default_rng(0).normal(size=(2, 24, 16))
    with torch.no_grad():
        forces = network.on_torus(torch.as_tensor(fields)[:, None])[:, 0].numpy()
    found = gains(fields, forces)
    assert found[0] == pytest.approx(chi[12, 8], rel=1e-4) and distances((24, 16))[12, 8] == 0.0
    inside = shells((24, 16)).values()
    assert all(chi[m].min() - 1e-6 <= gain <= chi[m].max() + 1e-6 for m, gain in zip(inside, found, strict=True))
