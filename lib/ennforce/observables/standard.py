"""The observables that every study keeps, as far as its model has what they measure."""

from __future__ import annotations

import numpy as np

from ennforce.models import Hamiltonian
from ennforce.models.fields import WITH_MOMENTA
from ennforce.observables.base import Moment, Observable
from ennforce.observables.domains import smoothed, wall_anisotropy, wall_density, wall_normals


def structure(moment: Moment) -> np.ndarray:
    """S(k) of the order field, (replica, *lattice shape)."""
    return moment.structure


def correlation(moment: Moment) -> np.ndarray:
    """C(r) = <phi_i phi_(i+r)> / <phi^2> of the order field, (replica, *lattice shape)."""
    axes = tuple(range(-moment.model.lattice.dimension, 0))
    product = np.fft.ifftn(moment.structure, axes=axes).real
    return product / moment.over_sites(moment.order**2).reshape(-1, *(1 for _ in axes))


def order(moment: Moment) -> np.ndarray:
    """The mean of a scalar order, else the length of the mean vector, (replica,)."""
    mean = moment.mean_order
    return mean[:, 0] if mean.shape[1] == 1 else np.linalg.norm(mean, axis=1)


def walls(moment: Moment) -> np.ndarray:
    """Share of bonds across a domain wall, (replica,)."""
    lattice = moment.model.lattice
    return wall_density(moment.model.order.domains(smoothed(moment.order, lattice)), lattice)


def anisotropy(moment: Moment) -> np.ndarray:
    """<cos n theta> of the walls' normals, n the order of the lattice's rotations, (replica,)."""
    lattice = moment.model.lattice
    return wall_anisotropy(*wall_normals(moment.order[:, 0], lattice), lattice.point_group.largest_rotation)


def energy(moment: Moment) -> np.ndarray:
    """Energy per site of the fields alone, (replica,)."""
    potential = moment.model.classical_energy(moment.fields) / moment.model.lattice.num_sites
    if moment.momenta is None:
        return potential
    return potential + 0.5 * moment.model.components * moment.kinetic_temperature


def observables_of(model: Hamiltonian, dynamics: str | None = None) -> tuple[Observable, ...]:
    """What is measured of a model's trajectories: what its order, its fields and their momenta have.

    ``dynamics`` is that of ``sections.Bath``, the usual one of the model's fields where None is given.
    """
    symbol, lattice = model.order.symbol, model.lattice
    square = Observable(
        "field_square", lambda m: m.over_sites(m.fields**2), "mean square field", "Q^2", compare="ratio", stationary=True
    )
    found = [
        *(() if model.space.fixed_length else (square,)),
        Observable("structure_factor", structure, f"S(k) of {symbol}, averaged over directions", "S(k)", over="k"),
        Observable("correlation", correlation, f"C(r) of {symbol}, averaged over directions", "C(r)", over="r"),
        Observable(
            "order", order, f"mean {model.order.name}", "m", compare="modulus", stationary=True,
            facts={"components": model.order.components, "sites": lattice.num_sites},
        ),
    ]  # fmt: skip
    if model.order.states:
        found.append(Observable("wall_density", walls, "share of bonds across a domain wall"))
        if lattice.dimension == 2 and model.order.components == 1:
            fold = lattice.point_group.largest_rotation
            found.append(Observable("wall_anisotropy", anisotropy, rf"<cos {fold} theta> of the walls' normals"))
    found.append(Observable("energy", energy, "kinetic and classical energy per site, without the electrons'", units="t"))
    if model.space.chosen(dynamics) in WITH_MOMENTA:
        text = "kinetic temperature <P^2>/m"
        found.append(Observable("kinetic_temperature", lambda m: m.kinetic_temperature, text, "T", "t", stationary=True))
    return tuple(found)
