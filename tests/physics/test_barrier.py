"""The way of a wall: known for the staggered phi^4 lattice without stiffness, symmetric at a kink of the Holstein model."""

import numpy as np
import pytest

from ennforce.dynamics.barrier import flip_path, ordered_amplitude, walls
from ennforce.forces import ExactForces
from ennforce.lattice import Lattice
from ennforce.models.double_well import DoubleWell
from tests.conftest import holstein


class Wells:
    """Sites of their own with V = (phi^2 - 1)^2 / 4: the barrier is 1/4."""

    def __init__(self, lattice: Lattice) -> None:
        self.model = DoubleWell(lattice, stiffness=1e-9)

    def forces(self, fields):
        return self.model.forces(fields[None])[0]

    def grand_potential(self, fields):
        return self.model.classical_energy(fields[None])[0]


def test_independent_wells_have_their_own_barrier():
    lattice = Lattice.square(8, 8)
    wells = Wells(lattice)
    amplitude = ordered_amplitude(wells, 0.7 * lattice.stagger())
    assert amplitude == pytest.approx(1.0, abs=1e-4)
    for sign, site in walls(lattice).values():
        path = flip_path(wells, lattice.stagger(), sign, site, amplitude, 21)
        assert path.barrier == pytest.approx(0.25, abs=1e-4) and path.gain == pytest.approx(0.0, abs=1e-6)
        np.testing.assert_allclose(path.energies, 0.25 * (path.values**2 - 1) ** 2, atol=1e-5)


def test_a_kink_moves_between_equal_energies_and_a_flat_wall_uphill():
    lattice = Lattice.square(12, 12)
    potential = ExactForces(holstein("paper", (12, 12), 0.1))
    amplitude = ordered_amplitude(potential, potential.model.ordered_guess())
    paths = {name: flip_path(potential, lattice.stagger(), *wall, amplitude, 7) for name, wall in walls(lattice).items()}
    assert paths["kink"].gain == pytest.approx(0.0, abs=0.05)
    assert paths["kink"].barrier > 0.5
    assert paths["flat"].barrier > 2 * paths["kink"].barrier
    np.testing.assert_allclose(paths["kink"].energies, paths["kink"].energies[::-1], atol=0.1)
