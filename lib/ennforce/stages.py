"""Parts of a study that not every model has: which are left out, and why.

Rules and figures name the stage that they belong to; all others are of every study. Imported while the Snakefile is parsed, so
nothing heavy is imported here.
"""

from __future__ import annotations

from typing import Any

from ennforce.models.fields import WITH_MOMENTA, Real

Study = Any  # ``config.Study``
# All that is beside a network and its errors.
OF_QUENCHES = ("quenches", "equilibrium", "conservation", "barrier", "response", "audit", "walls", "frontier", "symmetry")


def left_out(study: Study) -> dict[str, str]:
    """Stages that the study's model does not have, by name, each with the reason in words."""
    model = study.lattice_model
    order, space, dimension = model.order, model.space, model.lattice.dimension
    found: dict[str, str] = {}
    try:
        order.pattern()
    except ValueError:
        found |= dict.fromkeys(
            ("equilibrium", "conservation", "barrier"), f"the {order.name} cannot be written as fields from which a run could start"
        )
    if space.chosen(study.bath.dynamics) not in WITH_MOMENTA:
        found["conservation"] = "its energy is that of fields with momenta"
    if space != Real(1) or order.states != 2 or not model.lattice.is_square:
        found["barrier"] = "it moves a wall between two values of a scalar on the square lattice"
    if space != Real(1) or model.density_bonds or not model.lattice.is_square:
        found["response"] = "it is that of a scalar on the sites of the square lattice"
    if not model.local:
        found["audit"] = "the local solver does not find its electrons, so no network is audited or corrected"
    if dimension != 2 or order.states != 2 or order.components != 1:
        found["walls"] = "they are lines between two kinds of domains in the plane"
    if dimension != 2:
        found["symmetry"] = "it draws the shells of neighbours in the plane"
    if not model.lattice.is_square:
        found["frontier"] = "networks and solvers are timed on the square lattice"
    if study.data.files:
        why = "a study of data.files is a network and its errors"
        return dict.fromkeys(OF_QUENCHES, why)
    return found
