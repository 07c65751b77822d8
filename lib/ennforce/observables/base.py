"""What is measured of a state: observables as values, and the observer that measures them while a trajectory runs.

An observable is one ``Observable``: a name, the words and symbols that files, tables and figures show, how two engines are compared
by it, and the function that measures it. A study of one's own adds some by ``observables: ["file.py:NAME"]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import xarray as xr

from ennforce.models import Hamiltonian
from ennforce.observables.structure import RadialBins, structure_factor

COMPARISONS = ("", "ratio", "modulus", "difference")


class Moment:
    """The replicas of a trajectory at one time, and what several observables need of them, each computed once.

    ``fields`` has shape (replica, *field shape of the model), ``momenta`` that shape or None, as for spins; ``mass`` is that of the
    momenta.
    """

    def __init__(self, model: Hamiltonian, fields: np.ndarray, momenta: np.ndarray | None = None, mass: float = 1.0) -> None:
        self.model, self.fields, self.momenta, self.mass = model, fields, momenta, mass

    def over_sites(self, values: np.ndarray) -> np.ndarray:
        """Mean over the sites of (replica, ..., *lattice shape), summed over what is between; shape (replica,)."""
        return values.reshape(len(values), -1).sum(axis=1) / self.model.lattice.num_sites

    @cached_property
    def order(self) -> np.ndarray:
        """The order field phi, (replica, components of the order, *lattice shape)."""
        return self.model.order.project(self.fields)

    @cached_property
    def mean_order(self) -> np.ndarray:
        """phi averaged over the sites, (replica, components of the order)."""
        return self.order.mean(axis=tuple(range(2, self.order.ndim)))

    @cached_property
    def structure(self) -> np.ndarray:
        """S(k) of phi on the grid of the FFT, summed over its components, (replica, *lattice shape)."""
        return structure_factor(self.order, self.model.lattice.dimension).sum(axis=1)

    @cached_property
    def kinetic_temperature(self) -> np.ndarray:
        """<P^2>/m of a component, (replica,)."""
        assert self.momenta is not None
        return self.over_sites(self.momenta**2) / (self.model.components * self.mass)


@dataclass(frozen=True)
class Observable:
    """A number, or a curve over |k| or |r|, of every replica at one time.

    ``measure(moment)`` gives shape (replica,), or the grid (replica, *lattice shape) where ``over`` is "k" or "r", which is
    averaged over directions. ``compare`` says how two engines are held against each other: by the logarithm of the mean ("ratio"),
    of the mean modulus ("modulus"), by the difference of means ("difference"), or not at all (""). ``stationary``: whether averages
    of stationary states are compared, too. ``symbol`` is TeX without dollars; ``facts`` are numbers that analysis needs beside.
    """

    name: str
    measure: Callable[[Moment], np.ndarray]
    text: str
    symbol: str = ""
    units: str = "1"
    over: Literal["", "k", "r"] = ""
    compare: Literal["", "ratio", "modulus", "difference"] = ""
    stationary: bool = False
    facts: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"{self.name!r} cannot name an observable: use letters, digits and underscores")
        if self.over not in ("", "k", "r") or self.compare not in COMPARISONS:
            raise ValueError(
                f"observable {self.name}: over is 'k', 'r' or '', compare 'ratio', 'modulus', 'difference' or '', "
                f"not {self.over!r} and {self.compare!r}"
            )

    @property
    def attributes(self) -> dict[str, str | int]:
        """What the variable in a file says of itself, which tables and figures go by."""
        return {
            "long_name": self.text, "units": self.units, "symbol": self.symbol or self.name.replace("_", " "),
            "compare": self.compare, "stationary": int(self.stationary), **self.facts,
        }  # fmt: skip


class Observer:
    """Measures ``observables`` of a model's states, for a recorder.

    ``observer(fields, momenta, replicas)`` takes arrays of shape (replica, *field shape), ``momenta`` None where there are none,
    and returns a Dataset over (replica,), (replica, k) and (replica, r). The attributes of k and r hold what analysis must know of
    the lattice: its dimension, the radii of the Brillouin zone and of the torus.
    """

    def __init__(self, model: Hamiltonian, observables: Sequence[Observable], mass: float = 1.0) -> None:
        names = [observable.name for observable in observables]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two observables are called {twice[0]}: rename one of them")
        self.model, self.observables, self.mass = model, tuple(observables), mass
        lattice = model.lattice
        self.k_bins, self.r_bins = RadialBins.of_wave_vectors(lattice), RadialBins.of_distances(lattice)
        k = {"long_name": f"wave number from {model.order.wave_vector_label}", "units": "1/lattice constant"}
        r = {"long_name": "distance", "units": "lattice constant", "inradius": lattice.inradius, "dimension": lattice.dimension}
        self.coordinates = {
            "k": ("k", self.k_bins.centre, {**k, "zone": lattice.zone_radius, "zone_corner": lattice.zone_corner}),
            "r": ("r", self.r_bins.centre, r),
            "k_modes": ("k", self.k_bins.count, {"long_name": "wave vectors in the bin", "units": "1"}),
        }

    def __call__(self, fields: np.ndarray, momenta: np.ndarray | None, replicas: np.ndarray) -> xr.Dataset:
        moment = Moment(self.model, fields, momenta, self.mass)
        dataset = xr.Dataset({o.name: self._variable(o, moment) for o in self.observables})
        return dataset.assign_coords({"replica": replicas, **self.coordinates})

    def _variable(self, observable: Observable, moment: Moment) -> tuple[tuple[str, ...], np.ndarray, dict]:
        values = np.asarray(observable.measure(moment))
        wanted = (len(moment.fields), *(self.model.lattice.shape if observable.over else ()))
        if values.shape != wanted:
            raise ValueError(f"observable {observable.name} has shape {values.shape}, not {wanted}: let its measure return that")
        if not observable.over:
            return ("replica",), values, observable.attributes
        bins = self.k_bins if observable.over == "k" else self.r_bins
        return ("replica", observable.over), bins.mean(values), observable.attributes
