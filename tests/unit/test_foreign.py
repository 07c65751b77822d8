"""Labelled configurations of others: what is read, what is refused, and what is found to make them agree."""

import numpy as np
import pytest
import xarray as xr

from ennforce.config import ConfigError, load_study
from ennforce.data import LabelledFile
from ennforce.forces import ExactForces
from ennforce.io import DataError, file_digest, write_dataset
from ennforce.lattice import Lattice
from ennforce.models import Holstein, Kondo
from ennforce.training.agreement import check_labels, truth
from ennforce.training.foreign import described, joined, read_labelled

FRACTIONS = (0.6, 0.2, 0.2)
KONDO = Kondo(Lattice.square(4, 4), temperature=1e-4, filling=0.9, J=3.5)
HOLSTEIN = Holstein(Lattice.square(6, 6), temperature=0.1, g=1.5, K=0.67)
SCALAR = np.random.default_rng(5).normal(size=(6, 6, 6))
SCALAR_FORCES = ExactForces(HOLSTEIN).electronic_forces(SCALAR)


def spins(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, 3, 4, 4))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


SPINS = spins(6)
FIELDS = ExactForces(KONDO).electronic_forces(SPINS)


def written(folder, name="other.npz", **arrays):
    np.savez(folder / name, **{key: np.asarray(value) for key, value in arrays.items()})
    return folder / name


def read(path, model=KONDO, **settings):
    return read_labelled(LabelledFile(path=str(path), **{"fields": "S", "forces": "B", **settings}), model)


def checked(part, model=KONDO, bound=0.01):
    return check_labels(part, model, truth(model, 1e-4), 2, bound)


def test_labels_become_a_data_set_of_ours(tmp_path):
    path = written(tmp_path, S=SPINS.astype(np.float32), B=-2.0 * FIELDS.astype(np.float32))
    part = read(path, sign=-1, unit=0.5)
    check = checked(part)
    assert check["samples"] == 2 and check["relative_force_error"] < 1e-6 and check["relative_torque_error"] < 1e-4
    dataset = joined([part], KONDO, FRACTIONS)
    np.testing.assert_allclose(dataset["forces_electronic"], FIELDS, rtol=1e-5, atol=1e-6)
    assert dataset["fields"].dims == ("sample", "component", "y", "x") and dataset["fields"].dtype == np.float32
    assert set(dataset["kind"].values) == {"random"} and sorted(dataset["trajectory"].values) == list(range(6))
    assert list(dataset["split"].values) == ["train"] * 4 + ["validation", "test"]
    (told,) = described([part])
    assert told["path"] == str(path) and told["digest"] == file_digest(path) and (told["sign"], told["unit"]) == (-1, 0.5)


@pytest.mark.parametrize("axis", [True, False])
def test_a_netcdf_file_and_a_field_without_an_axis_of_components(tmp_path, axis):
    dims = ("sample", "component", "y", "x") if axis else ("sample", "y", "x")
    arrays = {"fields": SCALAR, "forces_electronic": SCALAR_FORCES}
    content = xr.Dataset({name: (dims, values[:, None] if axis else values) for name, values in arrays.items()})
    write_dataset(content.assign_coords(trajectory=("sample", [0, 0, 1, 1, 5, 5])), tmp_path / "ours.nc")
    part = read_labelled(LabelledFile(path=str(tmp_path / "ours.nc")), HOLSTEIN)
    check = checked(part, HOLSTEIN)
    assert check["relative_force_error"] < 1e-12 and "relative_torque_error" not in check
    dataset = joined([part], HOLSTEIN, FRACTIONS)
    assert set(dataset["kind"].values) == {"quench"}
    assert list(dataset["split"].values) == ["train"] * 2 + ["validation"] * 2 + ["test"] * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: -b, "opposite sign: give sign: -1"),
        (lambda b: b / 13.605, "a factor of 13.605: give unit: 13.605"),
        (lambda b: -b / 0.25, "opposite sign and a factor of 0.25: give sign: -1 and give unit: 0.25"),
        (lambda b: b.swapaxes(2, 3), "the lattice axes of their array in the order x, y: change B, or S, in the file"),
        (lambda b: -b.swapaxes(2, 3), "in the order x, y and the opposite sign: change B, or S, in the file and give sign: -1"),
        (lambda b: b[:, :, ::-1], "their sites counted from the other end of y"),
        (lambda b: b[:, [2, 0, 1]], "the components y, z, x of their array as x, y, z"),
        (lambda b: b * np.array([1, -1, 1])[:, None, None], "the components x, -y, z of their array as x, y, z"),
        (lambda b: np.einsum("ab,sbyx->sayx", turn(0.7), b), "their components turned by the matrix [0.7648 0.6442 0;"),
        (lambda b: b[::-1], "they agree with the labels of other configurations: S and B are not in one order"),
        (lambda b: b - SPINS * (SPINS * b).sum(1, keepdims=True), "have no part along them: give the whole exchange field"),
        (lambda b: b + 0.1 * np.random.default_rng(0).normal(size=b.shape), "no sign, unit, order of axes or of components makes"),
    ],
)  # fmt: skip
def test_labels_that_do_not_agree_are_refused_with_what_makes_them(tmp_path, change, message):
    part = read(written(tmp_path, S=SPINS, B=change(FIELDS)))
    with pytest.raises(DataError) as told:
        checked(part)
    text = str(told.value)
    assert message in text and len(text.splitlines()) == 1
    assert text.startswith(f"the forces of {part.file.path} differ from the model's by ") and "across the spins by" in text


def turn(angle: float) -> np.ndarray:
    """A rotation about z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def test_a_sign_that_was_wrong_to_give_and_forces_that_are_total(tmp_path):
    with pytest.raises(DataError, match="the opposite sign: leave sign out"):
        checked(read(written(tmp_path, S=SPINS, B=FIELDS), sign=-1))
    total = SCALAR_FORCES + HOLSTEIN.classical_forces(SCALAR)
    with pytest.raises(DataError, match="without the classical force, which is added anyway: take that off B"):
        checked(read(written(tmp_path, S=SCALAR, B=total), HOLSTEIN), HOLSTEIN)


def test_a_small_error_across_the_spins_counts_though_the_whole_field_hides_it(tmp_path):
    """P13: nearly all of an exchange field is along its spin, and only the rest turns it."""
    across = FIELDS - SPINS * (SPINS * FIELDS).sum(axis=1, keepdims=True)
    part = read(written(tmp_path, S=SPINS, B=FIELDS + 0.05 * across))
    with pytest.raises(DataError, match="across the spins by 5 %"):
        checked(part, bound=0.03)
    assert checked(part, bound=0.06)["relative_force_error"] < 0.03


NAN = np.where(np.arange(FIELDS.size).reshape(FIELDS.shape) == 7, np.nan, FIELDS)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"S": SPINS, "H": FIELDS}, "has no array B, but H, S: name one of these (forces)"),
        ({"S": np.moveaxis(SPINS, 1, -1), "B": FIELDS}, "with the components last, where"),
        ({"S": np.moveaxis(SPINS, 1, 0), "B": FIELDS}, "with the components first, where"),
        ({"S": SPINS[:, :2], "B": FIELDS}, "which is 2 components, and fields of this model have 3"),
        ({"S": np.tile(SPINS, (1, 1, 2, 1)), "B": FIELDS}, "8 x 4 sites, and data.shape is [4, 4]: set data.shape to [8, 4]"),
        ({"S": SPINS[0, 0], "B": FIELDS}, "S of FILE is of shape (4, 4), where (sample, component, y, x) with 3"),
        ({"S": SPINS, "B": NAN}, "B of FILE holds 1 values that are NaN or infinite"),
        ({"S": SPINS, "B": FIELDS + 0j}, "B of FILE is of type complex128: real numbers are wanted"),
        ({"S": SPINS, "B": np.array([None])}, "is not a readable npz file (Object arrays cannot be loaded"),
        ({"S": 0.5 * SPINS, "B": FIELDS}, "96 of 96 spins (S) of FILE are not of unit length but of 0.5 to 0.5"),
        ({"S": SPINS, "B": FIELDS[:4]}, "holds 6 configurations (S) and labels of 4 (B): give each its label"),
        ({"S": SPINS, "B": 0 * FIELDS}, "all B of FILE are zero: name the array of its labels"),
        ({"S": SPINS, "B": FIELDS, "trajectory": np.arange(4)}, "trajectory of FILE is of shape (4,), or no whole numbers"),
    ],
)  # fmt: skip
def test_files_that_are_not_as_they_should_be_are_refused_in_one_line(tmp_path, arrays, message):
    path = written(tmp_path, **arrays)
    with pytest.raises(DataError) as told:
        read(path)
    assert message.replace("FILE", str(path)) in str(told.value) and len(str(told.value).splitlines()) == 1


def test_axes_in_another_order_are_seen_by_their_lengths(tmp_path):
    model = KONDO.resized(4, 6)
    path = written(tmp_path, S=np.ones((3, 3, 6, 4)), B=np.ones((3, 3, 6, 4)))
    with pytest.raises(DataError, match="with the axes of the lattice in the order x, y, where"):
        read(path, model)


def test_files_that_are_missing_or_broken(tmp_path):
    with pytest.raises(DataError, match=r"absent\.npz is not there: put the file"):
        read(tmp_path / "absent.npz")
    for name, kind in (("broken.npz", "npz"), ("broken.nc", "NetCDF")):
        (tmp_path / name).write_bytes(b"PK\x03\x04 nothing")
        with pytest.raises(DataError, match=f"not a readable {kind} file .*get ") as told:
            read(tmp_path / name)
        assert "delete" not in str(told.value)


def walk(steps: int, seed: int) -> np.ndarray:
    """Spins that turn a little from one configuration to the next."""
    rng = np.random.default_rng(100 + seed)
    found = [spins(1, seed)[0]]
    for _ in range(steps - 1):
        moved = found[-1] + 0.2 * rng.normal(size=found[-1].shape)
        found.append(moved / np.linalg.norm(moved, axis=0))
    return np.array(found)


def test_configurations_of_one_trajectory_never_end_in_two_splits(tmp_path):
    """Those that follow each other are told from independent ones, within a file and from one file to the next."""
    walked = np.concatenate([walk(8, seed) for seed in range(5)])
    labels = np.ones_like(walked)  # not judged here
    path = written(tmp_path, S=walked, B=labels, run=np.repeat(np.arange(5), 8))
    with pytest.raises(
        DataError, match=f"neighbouring configurations of {path} are alike .* give trajectory, the name of an array"
    ):
        joined([read(path)], KONDO, FRACTIONS)
    assert set(joined([read(path, trajectory="each")], KONDO, FRACTIONS)["kind"].values) == {"random"}
    dataset = joined([read(path, trajectory="run")], KONDO, FRACTIONS)
    assert [len(set(dataset["split"].values[dataset["trajectory"].values == n])) for n in range(5)] == [1] * 5
    few = written(tmp_path, S=walked[:16], B=labels[:16], run=np.repeat([0, 1], 8))
    with pytest.raises(DataError, match=f"{few}: 2 trajectories cannot be split"):
        joined([read(few, trajectory="run")], KONDO, FRACTIONS)

    parts = [written(tmp_path, f"{n}.npz", S=walked[4 * n : 4 * n + 4], B=labels[:4]) for n in range(10)]
    with pytest.raises(
        DataError, match=r"the last configuration of .*0\.npz and the first of .*1\.npz are alike .* same number as"
    ):
        joined([read(path, trajectory=n) for n, path in enumerate(parts)], KONDO, FRACTIONS)
    dataset = joined([read(path, trajectory=n // 2) for n, path in enumerate(parts)], KONDO, FRACTIONS)
    assert len(set(dataset["trajectory"].values)) == 5
    assert list(dataset["split"].values[::4]) == ["train"] * 6 + ["validation"] * 2 + ["test"] * 2

    twice = np.concatenate([SPINS, SPINS[:1]])
    with pytest.raises(DataError, match=r"npz\[0\] and .*npz\[6\] are the same, in different trajectories"):
        joined([read(written(tmp_path, S=twice, B=np.ones_like(twice)))], KONDO, FRACTIONS)


def test_independent_configurations_of_one_order_are_not_taken_for_a_trajectory(tmp_path):
    tilted = SPINS + np.array([0.0, 0.0, 2.0])[:, None, None]
    tilted /= np.linalg.norm(tilted, axis=1, keepdims=True)
    assert len(joined([read(written(tmp_path, S=tilted, B=np.ones_like(tilted)))], KONDO, FRACTIONS)["split"]) == 6


COLD = {"name": "kondo", "J": 3.5, "filling": 0.9, "electron_temperature": 1e-4}
STUDY = {"model": COLD, "network": {"kind": "typed", "depth": 1, "wide": 0}, "data": {"shape": [8, 8], "files": ["a.npz"]}}


def test_a_study_of_files_is_a_network_and_its_errors():
    study = load_study(STUDY)
    assert study.data.files == [LabelledFile(path="a.npz")]
    with pytest.raises(ValueError, match=r"data\.files: a\.npz is not there"):
        study.data.require_files()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {"trajectories": 4, "steps": 10}}, "the place of what is sampled: leave trajectories, steps out, or files"),
        ({"data": {"files": []}}, "electron_temperature = 0.0001 is below 0.001 t"),
        ({"data": {"shape": [64, 64]}}, "electron_temperature = 0.0001 is below 0.001 t"),
        ({"data": {"files": ["a.txt"]}}, "a.txt does not end in .nc or .npz"),
        ({"data": {"files": ["a.npz", {"path": "./a.npz"}]}}, "files names a.npz twice"),
        ({"data": {"files": [{"path": "a.npz", "sign": 2}]}}, "data.files.0.sign = 2"),
        ({"data": {"files": [{"path": "a.npz", "unit": -1}]}}, "data.files.0.unit = -1"),
        ({"data": {"files": [{"path": "a.npz", "feilds": "S"}]}}, "data.files.0.feilds is not a setting: allowed here are path"),
        ({"data": {"files": [{"path": "a.npz", "fields": "B", "forces": "B"}]}}, "fields and forces of a.npz are both the array B"),
        ({"refine": {"rounds": 1}}, "refine.rounds = 1 learns from quenches, and a study of data.files has none: set it to 0"),
        ({"sweep": {"seed": [1, 2]}}, "a study of data.files is not swept"),
        ({"network": {"depth": 4}}, "network reaches 6 sites, but data.shape = [8, 8]"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_of_files_is_refused_in_one_line(change, message):
    content = {**STUDY, **{key: {**STUDY.get(key, {}), **section} for key, section in change.items()}}
    with pytest.raises(ConfigError) as told:
        load_study(content)
    assert message in str(told.value) and len(str(told.value).splitlines()) == 1
