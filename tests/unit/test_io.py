"""Files: atomic writes, refusal of broken input, provenance."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from ennforce.io import (
    DataError,
    provenance,
    read_dataset,
    read_json,
    remove_parts,
    text_digest,
    write_atomically,
    write_dataset,
    write_json,
)
from ennforce.workflow import Node


def some_data() -> xr.Dataset:
    return xr.Dataset({"fields": (("sample", "component", "y", "x"), np.arange(12.0).reshape(1, 1, 3, 4))}, attrs={"note": "kept"})


def test_datasets_round_trip(tmp_path):
    write_dataset(some_data(), tmp_path / "deep" / "file.nc")
    xr.testing.assert_identical(read_dataset(tmp_path / "deep" / "file.nc", ["fields"]), some_data())


@pytest.mark.parametrize("damage", ["truncated", "text", "empty"])
def test_broken_files_are_named(tmp_path, damage):
    path = tmp_path / "file.nc"
    write_dataset(some_data(), path)
    content = path.read_bytes()
    path.write_bytes({"truncated": content[: len(content) // 2], "text": b"not a NetCDF file", "empty": b""}[damage])
    with pytest.raises(DataError, match=r"file\.nc is not a readable NetCDF file.*delete it and run again"):
        read_dataset(path)


def test_missing_files_and_variables_are_named(tmp_path):
    with pytest.raises(DataError, match="does not exist: run the rule"):
        read_dataset(tmp_path / "absent.nc")
    write_dataset(some_data(), tmp_path / "file.nc")
    with pytest.raises(DataError, match="lacks forces"):
        read_dataset(tmp_path / "file.nc", ["forces"])
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(DataError, match="is not JSON"):
        read_json(tmp_path / "bad.json")


def test_a_flipped_bit_of_a_json_file_is_noticed_or_harmless(tmp_path):
    path, content = tmp_path / "file.json", {"a": 1.25, "b": [1, {"c": "text"}], "d": None, "e": True}
    write_json(path, content)
    assert read_json(path) == content
    whole, noticed = path.read_bytes(), 0
    for position in range(len(whole)):
        for bit in (1, 4):
            path.write_bytes(whole[:position] + bytes([whole[position] ^ bit]) + whole[position + 1 :])
            try:
                found = read_json(path)
            except DataError as error:
                assert str(path) in str(error) and "\n" not in str(error)
                noticed += 1
            else:
                assert {key: found[key] for key in content} == content
    assert noticed > len(whole)
    path.write_text(json.dumps({"a": 2}))  # as other programs write it
    assert read_json(path) == {"a": 2}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_fields_that_are_not_finite_are_refused_whatever_the_digest(tmp_path, value):
    data = some_data()
    data["fields"][0, 0, 1, 2] = value
    write_dataset(data, tmp_path / "file.nc")
    with pytest.raises(DataError, match=r"file\.nc holds 1 values of fields that are NaN or infinite: delete it"):
        read_dataset(tmp_path / "file.nc")


def test_what_a_killed_write_left_is_removed_by_the_next_run_of_its_node(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    node = Node("train", {}, {"model": "results/s/models/model.json"}, {}, {"n": "1"}, 1, "results/s/logs/train-1.log", "s", 0.0)
    digest = 16 * "0"
    own = ["models/.model.json.abcdefgh.part", "logs/.train-1.json.abcdefgh.part", f"resume/.train-1-{digest}.abcdefgh.part"]
    others = [
        "models/model.json",
        "models/.weights.pt.abcdefgh.part",
        f"resume/train-1-{digest}",
        f"resume/.train-10-{digest}.abcdefgh.part",
        f"resume/.train-1-2-{digest}.abcdefgh.part",
    ]
    for name in (*own, *others):
        path = tmp_path / "results" / "s" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    node.clean()
    left = sorted(str(path.relative_to(tmp_path / "results" / "s")) for path in tmp_path.rglob("*") if path.is_file())
    assert left == sorted(others)


def test_a_folder_that_may_not_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="could not be written"):
        write_json(tmp_path / "file" / "data.json", {})


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("half of the n")
        raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match="file.txt could not be written .*No space left on device"):
        write_atomically(path, fail)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["file.txt"]


def test_a_full_disk_is_one_line(tmp_path):
    """A file-size limit stands in for the full disk: the same failing write inside the NetCDF library."""
    program = (
        "import numpy as np, xarray as xr, resource, signal\n"
        "from ennforce.io import DataError, write_dataset\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "data = xr.Dataset({'a': ('x', np.random.default_rng(0).normal(size=50000))})\n"
        "try:\n    write_dataset(data, 'file.nc')\nexcept DataError as error:\n    print('DataError', error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert "DataError file.nc could not be written" in done.stdout, done.stdout + done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("moment", ["half written", "before it is moved"])
def test_a_kill_in_the_middle_of_a_write_never_leaves_a_half_file(tmp_path, moment):
    """The process kills itself while it overwrites a file: the old content stays, and the next write leaves nothing else."""
    path = tmp_path / "file.nc"
    write_dataset(xr.Dataset({"a": ("x", np.full(300000, 1.0))}), path)
    program = f"""
import os, signal
from pathlib import Path
from ennforce import files

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def write(part):
    content = Path("file.nc").read_bytes()
    part.write_bytes(content[:len(content) // 2])
    kill()

if "{moment}" == "half written":
    files.write_atomically("file.nc", write)
else:
    os.replace = kill
    files.write_atomically("file.nc", lambda part: part.write_bytes(b"whole"))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (read_dataset(path)["a"].values == 1.0).all() and len(list(tmp_path.iterdir())) == 2
    remove_parts(tmp_path, "file.nc")
    assert [found.name for found in tmp_path.iterdir()] == ["file.nc"]


def test_provenance_has_no_clock_and_knows_its_parents(tmp_path):
    (tmp_path / "parent").write_text("data")
    first, second = (provenance([tmp_path / "parent"], model={"g": 1.5}, seed=3) for _ in range(2))
    assert first == second and json.loads(first["model"]) == {"g": 1.5} and "git_commit" in first
    (tmp_path / "parent").write_text("other data")
    assert provenance([tmp_path / "parent"])["parents"] != first["parents"]


def test_digests_depend_on_content_not_order():
    assert text_digest({"a": 1, "b": 2}) == text_digest({"b": 2, "a": 1}) != text_digest({"a": 1, "b": 3})
