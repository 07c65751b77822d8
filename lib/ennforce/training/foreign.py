"""Configurations labelled by others: read, checked against the study's own electrons, and brought into a data set of ours.

Nothing is mended in silence: what is not as it should be is told in one line, with what would make it so where that can be found.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from ennforce.data import LabelledFile
from ennforce.io import CLAIM, EXPANSION, DataError, file_digest, one_line, read_dataset
from ennforce.models import Hamiltonian
from ennforce.training.dataset import SPLITS, configurations, split_trajectories

UNIT_LENGTH = 1e-5  # largest error of a spin's length: single precision, and a few digits lost
# Neighbours of one trajectory are more alike than any two configurations: by so much, and so many times what chance does.
ALIKE, CHANCE = 0.25, 5.0
PAIRS = 400  # of any two configurations, to see how much alike those are that are no neighbours


@dataclass(frozen=True)
class Labelled:
    """Configurations of one file and their electronic forces, (sample, component, *lattice shape) in float64.

    ``trajectory``: (sample,) numbers, those of one trajectory equal; ``given`` tells whether the file or the study says so.
    """

    file: LabelledFile
    fields: np.ndarray
    forces: np.ndarray
    trajectory: np.ndarray
    given: bool


def read_labelled(file: LabelledFile, model: Hamiltonian) -> Labelled:
    """The configurations of a file, labels with sign and unit of ``file``, for a model on the lattice that they must be on.

    Raises DataError for a file that is missing or unreadable, an array that is missing, of another shape, not real or not finite,
    spins that are not of unit length, labels that are all zero, and trajectory numbers that are not one whole number each.
    """
    arrays = _arrays(Path(file.path))
    fields, forces = (_arranged(_numbers(arrays, file, name), file, name, model) for name in (file.fields, file.forces))
    if len(fields) != len(forces):
        raise DataError(
            f"{file.path} holds {len(fields)} configurations ({file.fields}) and labels of {len(forces)} ({file.forces}): "
            f"give each its label"
        )
    if model.space.fixed_length:
        fields = _of_unit_length(fields, file)
    if not forces.any():
        raise DataError(f"all {file.forces} of {file.path} are zero: name the array of its labels (forces)")
    name = file.trajectory if isinstance(file.trajectory, str) else "trajectory"
    each = np.arange(len(fields))
    if isinstance(file.trajectory, int):
        trajectory = np.full(len(fields), file.trajectory)
    elif name == "each" or (file.trajectory is None and name not in arrays):
        trajectory = each
    else:
        trajectory = _numbers(arrays, file, name)
        if trajectory.shape != each.shape or (trajectory != np.round(trajectory)).any():
            raise DataError(
                f"{name} of {file.path} is of shape {trajectory.shape}, or no whole numbers: the number of its trajectory is "
                f"wanted for each of {len(fields)} configurations"
            )
    given = file.trajectory is not None or name in arrays
    return Labelled(file, fields, file.sign * file.unit * forces, trajectory.astype(np.int64), given)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file by name; objects of Python are never loaded."""
    if not path.is_file():
        raise DataError(
            f"{path} is not there: put the file of labelled configurations in this place, or give its path (data.files)"
        )
    if path.suffix == ".nc":
        try:
            dataset = read_dataset(path)
        except DataError as error:
            raise DataError(f"{str(error).rpartition(':')[0]}: get the file anew from where it is from, or mend it") from error
        return {str(name): variable.values for name, variable in dataset.variables.items()}
    try:
        with zipfile.ZipFile(path) as archive:
            claimed = sum(entry.file_size for entry in archive.infolist())
        if claimed > max(CLAIM, EXPANSION * path.stat().st_size):
            raise ValueError(f"it claims {claimed} bytes of values, more than a file of its size holds")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # whatever the libraries make of a broken file
        raise DataError(f"{path} is not a readable npz file ({one_line(error)}): get it anew from where it is from") from error


def _numbers(arrays: dict[str, np.ndarray], file: LabelledFile, name: str) -> np.ndarray:
    if name not in arrays:
        key = {file.fields: "fields", file.forces: "forces"}.get(name, "trajectory")
        raise DataError(f"{file.path} has no array {name}, but {', '.join(sorted(arrays))}: name one of these ({key})")
    values = arrays[name]
    if values.dtype.kind not in "fiu":
        raise DataError(f"{name} of {file.path} is of type {values.dtype}: real numbers are wanted")
    values = values.astype(float)
    if wrong := np.count_nonzero(~np.isfinite(values)):
        raise DataError(f"{name} of {file.path} holds {wrong} values that are NaN or infinite: leave those configurations out")
    return values


def _arranged(values: np.ndarray, file: LabelledFile, name: str, model: Hamiltonian) -> np.ndarray:
    """The array as (sample, component, *lattice shape); raises DataError, with what it seems to be, where it is another."""
    components, shape = model.components, model.lattice.shape
    if components == 1 and values.shape[1:] == shape:
        values = values[:, None]
    if values.shape[1:] == (components, *shape) and len(values):
        return values
    axes = model.lattice.axes
    wanted = f"(sample, component, {', '.join(axes)}) with {components} of component and {_sites(shape)} sites"
    start = f"{name} of {file.path} is of shape {values.shape}"
    sizes = values.shape[2:]
    if values.shape[1:] == (*shape, components):
        raise DataError(f"{start}, with the components last, where {wanted} is wanted: numpy.moveaxis({name}, -1, 1) makes it so")
    if values.ndim > 2 and values.shape[0] == components and sizes == shape:
        raise DataError(f"{start}, with the components first, where {wanted} is wanted: numpy.moveaxis({name}, 0, 1) makes it so")
    if values.shape[1:] == (components, *shape[::-1]):
        raise DataError(f"{start}, with the axes of the lattice in the order {', '.join(axes[::-1])}, where {wanted} is wanted")
    if sizes == shape:
        raise DataError(f"{start}, which is {values.shape[1]} components, and fields of this model have {components}")
    if values.ndim == 2 + len(shape) and values.shape[1] == components:
        raise DataError(
            f"{start}, which is {_sites(sizes)} sites, and data.shape is {list(shape)}: set data.shape to {list(sizes)}"
        )
    raise DataError(f"{start}, where {wanted} is wanted (data.shape, model)")


def _sites(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _of_unit_length(fields: np.ndarray, file: LabelledFile) -> np.ndarray:
    lengths = np.sqrt((fields**2).sum(axis=1, keepdims=True))
    wrong = abs(lengths - 1.0) > UNIT_LENGTH
    if wrong.any():
        least, most = lengths.min(), lengths.max()
        raise DataError(
            f"{np.count_nonzero(wrong)} of {lengths.size} spins ({file.fields}) of {file.path} are not of unit length but of "
            f"{least:.6g} to {most:.6g}: give unit vectors, with forces that are derivatives by these"
        )
    return fields / lengths


def joined(parts: Sequence[Labelled], model: Hamiltonian, fractions: tuple[float, float, float]) -> xr.Dataset:
    """One data set of all files, with ``split``, ``kind`` and ``source``, the number of the file, for every sample.

    Files whose trajectory is one number share it with files of the same number; other numbers are a file's own. Configurations
    that are a trajectory each are of kind random, others of kind quench. Raises DataError where configurations of different
    trajectories are the same, where neighbours are evidently of one, or where too few trajectories are there to split.
    """
    keys = [
        ("shared" if isinstance(part.file.trajectory, int) else n, int(number))
        for n, part in enumerate(parts)
        for number in part.trajectory
    ]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    trajectory = np.array([numbers[key] for key in keys])
    source = np.repeat(np.arange(len(parts)), [len(part.fields) for part in parts])
    fields, forces = (np.concatenate([getattr(part, name) for part in parts]) for name in ("fields", "forces"))
    _require_apart(parts, fields, trajectory, source)
    quench = np.bincount(trajectory)[trajectory] > 1
    split = np.empty(len(fields), dtype=f"U{max(map(len, SPLITS))}")
    for chosen in (~quench, quench):
        if not chosen.any():
            continue
        try:
            of = split_trajectories(trajectory[chosen], fractions)
        except ValueError as error:
            files = ", ".join(parts[n].file.path for n in sorted(set(source[chosen])))
            raise DataError(f"{files}: {error}") from None
        split[chosen] = [of[int(number)] for number in trajectory[chosen]]
    if missing := [name for name in SPLITS if name not in split]:
        raise DataError(f"data.split leaves no configuration for {', '.join(missing)} of {len(numbers)} trajectories: change it")
    dataset = configurations(
        fields, model.lattice, kind="random", time=np.full(len(fields), np.nan), trajectory=trajectory
    ).assign_coords(
        kind=("sample", np.where(quench, "quench", "random")),
        split=("sample", split),
        source=("sample", source, {"long_name": "number of the file among those of the attribute files"}),
        temperature=("sample", np.full(len(fields), model.temperature), {"long_name": "electron temperature", "units": "t"}),
    )
    told = {"long_name": "electronic force -<dH_e/d field>", "units": "t"}
    dataset["forces_electronic"] = (dataset["fields"].dims, forces.astype(np.float32), told)
    return dataset


def described(parts: Sequence[Labelled]) -> list[dict]:
    """What the data set tells of each file: its settings, digest, and number of configurations."""
    return [{**part.file.model_dump(), "digest": file_digest(part.file.path), "samples": len(part.fields)} for part in parts]


def _require_apart(parts: Sequence[Labelled], fields: np.ndarray, trajectory: np.ndarray, source: np.ndarray) -> None:
    """Raise DataError where configurations of different trajectories are the same, or neighbours plainly of one."""
    first: dict[bytes, int] = {}
    place = np.concatenate([np.arange(len(part.fields)) for part in parts])
    for number, sample in enumerate(fields.astype(np.float32)):
        other = first.setdefault(sample.tobytes(), number)
        if trajectory[other] != trajectory[number]:
            one, two = (f"{parts[source[n]].file.path}[{place[n]}]" for n in (other, number))
            raise DataError(
                f"configurations {one} and {two} are the same, in different trajectories, and could end up in training and in "
                f"test: leave one out, or give their trajectory"
            )
    told = [n for n in range(len(parts)) if parts[n].file.trajectory != "each"]
    at = np.flatnonzero((np.diff(trajectory) != 0) & np.isin(source[:-1], told) & np.isin(source[1:], told))
    inside, across = at[source[at] == source[at + 1]], at[source[at] != source[at + 1]]
    for n in sorted(set(source[inside])):
        pairs = inside[source[inside] == n]
        if likeness := _likeness(fields, pairs):
            raise DataError(
                f"neighbouring configurations of {parts[n].file.path} are alike (correlation {likeness[0]:.2f}, of any two "
                f"{likeness[1]:.2f}), as those of one trajectory are, and would be split between training and test: give "
                f"trajectory, the name of an array of numbers or one number for the whole file, or each if they are independent "
                f"all the same"
            )
    for pair in across:
        if likeness := _likeness(fields, np.array([pair])):
            one, two = (parts[source[n]].file.path for n in (pair, pair + 1))
            raise DataError(
                f"the last configuration of {one} and the first of {two} are alike (correlation {likeness[0]:.2f}, of any two "
                f"{likeness[1]:.2f}), as if one trajectory went on: give both the same number as trajectory, or each"
            )


def _likeness(fields: np.ndarray, pairs: np.ndarray) -> tuple[float, float] | None:
    """Mean correlation of configurations n and n + 1, n in ``pairs``, and the usual one of any two, where the first is far larger.

    Fields less their mean over all samples count: an order that all share says nothing. The spread by chance is read from the
    median deviation, which few pairs of one trajectory among those drawn do not move.
    """
    flat = fields.reshape(len(fields), -1)
    flat = flat - flat.mean(axis=0)
    flat = flat / np.maximum(np.sqrt((flat**2).sum(axis=1, keepdims=True)), 1e-30)
    one, two = np.random.default_rng(0).integers(len(flat), size=(2, PAIRS))
    apart = abs(one - two) > 1
    if not apart.any():
        return None
    others = (flat[one[apart]] * flat[two[apart]]).sum(axis=1)
    near, usual = float((flat[pairs] * flat[pairs + 1]).sum(axis=1).mean()), float(np.median(others))
    chance = 1.5 * float(np.median(abs(others - usual))) / np.sqrt(len(pairs))
    return (near, usual) if near - usual > max(ALIKE, CHANCE * chance) else None
