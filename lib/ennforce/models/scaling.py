"""What electrons see of a lattice model: fields in units of their own, energies in units of one of theirs (PHYSICS P2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scaling:
    """H_e / energy is a function of coupling * fields / energy and of the numbers ``ratios``, and of no other setting.

    Then the electronic force is coupling * f(coupling * fields / energy), with one function f for all models of equal ratios, T_e
    and mu in units of ``energy``, and equal filling. ``coupling``: energy per unit of the field; for a field that cannot be scaled,
    as a unit spin, ``energy`` itself.
    """

    energy: float
    coupling: float
    ratios: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, energy: float, coupling: float, **energies: float) -> Scaling | None:
        """The scaling of these, with the ratios of further ``energies`` of H_e.

        None where nothing can be scaled: the energy is not positive, or the electrons are not coupled.
        """
        if not energy > 0 or coupling == 0:
            return None
        return cls(energy, coupling, {name: value / energy for name, value in energies.items()})

    def relative_to(self, other: Scaling) -> tuple[float, float]:
        """(a, b) with which the forces of these electrons are b F(a * fields), F being those of ``other``."""
        return self.coupling * other.energy / (self.energy * other.coupling), self.coupling / other.coupling
