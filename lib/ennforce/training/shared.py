"""Data of many couplings and conditions as one set, for a network that serves them all."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ennforce.io import attribute
from ennforce.models import Hamiltonian, from_parameters
from ennforce.networks import ForceNetwork


def in_units_of(dataset: xr.Dataset, model: Hamiltonian) -> xr.Dataset:
    """Labelled samples with fields and forces in the units of ``model``, and the conditions of their electrons as coordinates.

    The electrons of both are the same function of scaled fields, up to these conditions (``Hamiltonian.scaling``). Raises
    ValueError where a model does not state its scaling, or the fields are those of another model or lattice.
    """
    own = from_parameters(attribute(dataset, "model"))
    if own.scaling is None or model.scaling is None:
        raise ValueError(
            f"the {type(own).__name__} model states no scaling, or has none: train a network for each of its couplings"
        )
    if (type(own), own.lattice.name) != (type(model), model.lattice.name):
        raise ValueError("data of different models or lattices cannot be shared: train a network for each")
    of_fields, of_forces = own.scaling.relative_to(model.scaling)
    unit = model.scaling.energy
    known = {key: value if key == "filling" else value * unit for key, value in own.conditions.items() if value is not None}
    names = {"temperature" if key == "electron_temperature" else key: value for key, value in known.items()}
    every = dataset.sizes["sample"]
    scaled = {
        name: (dataset[name].dims, (factor * dataset[name].values).astype(np.float32), dataset[name].attrs)
        for name, factor in (("fields", of_fields), ("forces_electronic", 1.0 / of_forces))
    }
    return dataset.assign(scaled).assign_coords({name: ("sample", np.full(every, value)) for name, value in names.items()})


def merged(parts: list[xr.Dataset], model: Hamiltonian) -> xr.Dataset:
    """Data sets of several points as one in the units of ``model``; each sample keeps its split."""
    scaled = [in_units_of(part, model) for part in parts]
    shared = [name for name in scaled[0].variables if all(name in part.variables for part in scaled)]
    return xr.concat([part[shared] for part in scaled], "sample", combine_attrs="override")


def brought(network: ForceNetwork, trained: Hamiltonian, model: Hamiltonian) -> ForceNetwork:
    """A network that was trained for one model in the units of another's electrons, as far as both state them, to be trained on."""
    if trained.scaling is None or model.scaling is None:
        return network
    return network.rescaled(*model.scaling.relative_to(trained.scaling))
