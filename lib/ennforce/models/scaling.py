"""What electrons see of a lattice model: fields in units of their own, energies in units of one of theirs (PHYSICS P2)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ennforce.models.base import Hamiltonian


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


def difference(trained: Hamiltonian, model: Hamiltonian, target: str, told: Iterable[str] = ()) -> str:
    """In what the electrons of ``model`` differ from those a network was trained for, in words; empty where it serves both.

    Whatever is only the lattice's may differ where the network learned the ``electronic`` force, and couplings as far as both
    models state their ``scaling``; so may the conditions that the network is ``told``.
    """
    scaled = target == "electronic" and model.scaling is not None and trained.scaling is not None
    wanted, known = (
        {**(one.conditions if scaled else one.parameters()), "name": type(one).__name__.lower(), "lattice": one.lattice.name}
        for one in (model, trained)
    )
    free = {*told, *(("temperature",) if "electron_temperature" in told else ())}
    differing = [key for key in sorted((wanted | known).keys() - free) if not equal(wanted.get(key), known.get(key))]
    if not differing:
        return ""
    given = ", ".join(f"{key} = {known.get(key)} (not {wanted.get(key)})" for key in differing)
    return given + (", energies in units of their scaling" if scaled else "")


def equal(one: object, other: object) -> bool:
    """Whether two settings are; of ratios to rounding."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return one == other
