"""The training set: labelled configurations, split by trajectory (never inside one)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ennforce.io import attribute
from ennforce.lattice import Lattice
from ennforce.limits import split_counts
from ennforce.models import from_parameters

SPLITS = ("train", "validation", "test")
KINDS = ("random", "quench")


def configurations(fields: np.ndarray, lattice: Lattice, *, kind: str, time: np.ndarray, trajectory: np.ndarray) -> xr.Dataset:
    """Unlabelled samples (sample, component, *lattice axes), stored in float32: labels are computed from the stored numbers."""
    dims = ("sample", "component", *lattice.axes)
    return xr.Dataset(
        {"fields": (dims, fields.astype(np.float32), {"long_name": "lattice field", "units": "1"})},
        coords={
            "kind": ("sample", np.full(len(fields), kind)),
            "time": ("sample", time, {"long_name": "time since the quench", "units": "1/t"}),
            "trajectory": ("sample", trajectory, {"long_name": "trajectory number"}),
        },
    )


def spreads(least: float, largest: float, count: int) -> np.ndarray:
    """``count`` numbers from ``least`` to ``largest``, evenly spread in their logarithm, shape (count,).

    Any run of consecutive ones covers the range evenly, as multiples of the golden ratio modulo 1 do: splits are such runs.
    """
    golden = 0.5 * (np.sqrt(5.0) - 1.0)
    return least * (largest / least) ** (golden * np.arange(1, count + 1) % 1.0)


def soft(noise: np.ndarray, modulation: np.ndarray, length: float, lattice: Lattice) -> np.ndarray:
    """White ``noise`` (*lattice shape) filtered to waves near that of ``modulation``: spectrum 1 / (1 + (k length)^2)^2; rms 1."""
    passed = 1.0 / (1.0 + length**2 * (lattice.wave_vectors() ** 2).sum(axis=-1))
    field = modulation * np.fft.ifftn(passed * np.fft.fftn(noise)).real
    return field / np.sqrt(np.mean(field**2))


def with_total_force(dataset: xr.Dataset) -> xr.Dataset:
    """Adds ``forces_total``, electronic plus classical, the target of the published code."""
    model = from_parameters(attribute(dataset, "model"))
    total = dataset["forces_electronic"] + model.classical_forces(dataset["fields"].values)
    return dataset.assign(forces_total=total.astype(np.float32))


def split_trajectories(trajectories: np.ndarray, fractions: tuple[float, float, float]) -> dict[int, str]:
    """A split for each trajectory number, in order, by the nearest whole counts; every split gets at least one."""
    numbers = sorted({int(t) for t in trajectories})
    if len(numbers) < len(SPLITS):
        raise ValueError(f"{len(numbers)} trajectories cannot be split into {', '.join(SPLITS)}: give at least {len(SPLITS)}")
    labels = np.repeat(SPLITS, split_counts(len(numbers), fractions))
    return dict(zip(numbers, labels.tolist(), strict=True))


def assemble(random: xr.Dataset, quenches: list[xr.Dataset], fractions: tuple[float, float, float]) -> xr.Dataset:
    """One data set from labelled random configurations and labelled quenches, if any, with a ``split`` for every sample.

    Each random configuration is a trajectory of its own. Raises ValueError where the labels belong to different models.
    """
    parts = [random, *quenches]
    _require_one_model(parts)
    splits = [split_trajectories(random["trajectory"].values, fractions)]
    if quenches:
        splits.append(split_trajectories(np.concatenate([q["trajectory"].values for q in quenches]), fractions))
    merged = xr.concat(parts, "sample", combine_attrs="override")
    labels = [splits[kind == "quench"][int(t)] for kind, t in zip(merged["kind"].values, merged["trajectory"].values, strict=True)]
    return merged.assign_coords(split=("sample", np.array(labels)))


def extended(before: xr.Dataset, labelled: xr.Dataset) -> xr.Dataset:
    """A data set with samples added that have their ``split``; what only one of them tells of its samples is left out.

    Raises ValueError where the labels belong to different models.
    """
    _require_one_model([before, labelled])
    shared = [name for name in before.variables if name in labelled.variables]
    return xr.concat([before[shared], labelled[shared]], "sample", combine_attrs="override")


def _require_one_model(parts: list[xr.Dataset]) -> None:
    models = {part.attrs["model"] for part in parts}
    if len(models) > 1:
        raise ValueError(f"labels of {len(models)} different models cannot share a data set: label them again with one")


def nested_subset(dataset: xr.Dataset, fraction: float, seed: int) -> xr.Dataset:
    """The data set with ``fraction`` of its training samples of each kind, at least one; validation and test stay whole.

    The samples of a smaller fraction are among those of a larger one.
    """
    training = dataset["split"].values == "train"
    keep = ~training
    for number, kind in enumerate(KINDS):
        members = np.flatnonzero(training & (dataset["kind"].values == kind))
        order = np.random.default_rng(np.random.SeedSequence([seed, 4, number])).permutation(members)
        keep[order[: max(1, round(fraction * len(members)))]] = True
    return dataset.isel(sample=np.flatnonzero(keep))


def kinds_of(dataset: xr.Dataset, split: str | None = None) -> list[str]:
    """Those of ``KINDS`` that the data set, or one split of it, has."""
    held = dataset["kind"].values if split is None else dataset["kind"].values[dataset["split"].values == split]
    return [kind for kind in KINDS if kind in held]


def conditions_of(dataset: xr.Dataset, inputs: Sequence[str]) -> np.ndarray:
    """Conditions of the electrons of every sample, (sample, inputs), in the units of ``Hamiltonian.conditions``.

    Of the model that the data set names, where samples have no coordinate of their own (``temperature`` is that of the electrons).
    Raises ValueError for an input that the model does not have.
    """
    model = from_parameters(attribute(dataset, "model"))
    known, unit = model.conditions, model.scaling.energy if model.scaling else 1.0
    columns = []
    for name in inputs:
        if known.get(name) is None:
            has = ", ".join(key for key, value in known.items() if value is not None)
            raise ValueError(f"the network's input {name} is no condition of the model's electrons: choose among {has}")
        coordinate = "temperature" if name == "electron_temperature" else name
        own = dataset[coordinate].values / (1.0 if name == "filling" else unit) if coordinate in dataset.coords else None
        columns.append(np.full(dataset.sizes["sample"], known[name]) if own is None else own)
    return np.stack(columns, axis=1).astype(np.float32)


FLOOR = 0.02  # of the rms force of all samples, below which a configuration's forces count less


@dataclass(frozen=True)
class Samples:
    """Fields and target forces of one split, float32 arrays (sample, component, *lattice shape).

    Selected from a data set, forces are the part that moves the fields: of spins that across them.
    ``conditions``: those of the electrons that a network takes as its inputs, (sample, inputs); None where it takes none.
    """

    fields: np.ndarray
    forces: np.ndarray
    conditions: np.ndarray | None = None

    @classmethod
    def select(
        cls, dataset: xr.Dataset, split: str, kind: str | None = None, target: str = "forces_electronic", inputs: Sequence[str] = ()
    ) -> Samples:  # fmt: skip
        chosen = dataset["split"].values == split
        if kind is not None:
            chosen &= dataset["kind"].values == kind
        part = dataset.isel(sample=np.flatnonzero(chosen))
        conditions = conditions_of(part, inputs) if inputs else None
        fields, forces = part["fields"].values, part[target].values
        if "model" in part.attrs:
            forces = from_parameters(attribute(part, "model")).space.acting(forces, fields, axis=1)
        return cls(fields.astype(np.float32), forces.astype(np.float32), conditions)

    def __len__(self) -> int:
        return len(self.fields)

    def weights(self) -> np.ndarray:
        """Weights of the samples' squared errors, (sample,): 1 / (mean square force + floor): every size of field counts alike.

        The floor is (``FLOOR`` times the rms force of all samples)^2: forces weaker than that are as small as the errors of strong
        ones. The unweighted error would give a field of 0.05 times the typical force 1/400 of the weight.
        """
        squares = (self.forces.astype(float) ** 2).mean(axis=tuple(range(1, self.forces.ndim)))
        return 1.0 / (squares + FLOOR**2 * squares.mean())
