"""Broken inputs and kills: one clear line, nothing half-written taken for whole, and a rerun that ends as if undisturbed."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr

from ennforce.io import read_dataset
from tests.workflow.conftest import ROOT


@pytest.mark.parametrize("damage", ["truncated", "text"])
def test_a_corrupt_data_set_is_named(study, damage):
    path = study.path("data", "dataset.nc")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"text")
    done = study.smoke("--forcerun", "train", "--allowed-rules", "train", targets=("results/smoke/models/enn/model.json",))
    assert done.returncode != 0
    assert "train: results/smoke/data/dataset.nc is not a readable NetCDF file" in done.stdout
    assert "Traceback" not in done.stdout


def test_fields_that_are_not_numbers_are_named(study):
    path = study.path("data", "samples", "random.nc")
    data = read_dataset(path)
    data["fields"][0, 0, 0, 0] = np.nan
    data.to_netcdf(path)
    done = study.smoke("--forcerun", "label", targets=("results/smoke/data/labelled/random.nc",))
    assert done.returncode != 0
    assert (
        "label: results/smoke/data/samples/random.nc holds 1 values of fields that are NaN" in done.stdout
        and "Traceback" not in done.stdout
    )


def test_a_diverging_trajectory_stops_with_its_step_and_keeps_its_checkpoint(study):
    path = study.path("trajectories", "large_network_0.nc")
    unstable = ["--config", "bath={dt: 4.0}", "checkpoint_seconds=0", "--allowed-rules", "trajectory"]
    done = study.smoke(*unstable, targets=(str(path.relative_to(study.folder)),))
    assert done.returncode != 0
    assert "trajectory: the trajectory diverged at step" in done.stdout and "Traceback" not in done.stdout
    assert not path.exists()
    assert list(study.path("resume").glob("trajectory-*"))


def kill_during(project, after: float, *arguments: str) -> None:
    """Start a workflow and kill it, with all its jobs, by SIGKILL once a checkpoint has been there for ``after`` seconds."""
    worker = subprocess.Popen(
        project.command("--configfile", "config/smoke.yaml", "--config", "checkpoint_seconds=0", *arguments),
        cwd=project.folder, env=project.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while worker.poll() is None and time.monotonic() < deadline:
        if project.path("resume").exists() and list(project.path("resume").glob("[!.]*")):
            break
        time.sleep(0.01)
    time.sleep(after)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    assert list(project.path("resume").glob("[!.]*")), "the job ended before the kill"


@pytest.mark.parametrize(
    ("rule", "target", "log"),
    [
        ("trajectory", "trajectories/large_network_0.nc", "trajectory-large-network-0"),
        ("sample_quench", "data/samples/quench_1.nc", "sample_quench-1"),
    ],
)
def test_a_killed_trajectory_goes_on_and_ends_the_same(study, rule, target, log):
    path = study.path(*target.split("/"))
    undisturbed = read_dataset(path)
    path.unlink()
    kill_during(study, 0.3, "--allowed-rules", rule, "--", str(path.relative_to(study.folder)))
    assert not path.exists()
    assert study.snakemake("--unlock").returncode == 0
    done = study.smoke("--allowed-rules", rule, targets=(str(path.relative_to(study.folder)),))
    assert done.returncode == 0, done.stdout[-2000:]
    assert "goes on from step" in study.path("logs", f"{log}.log").read_text()
    xr.testing.assert_identical(read_dataset(path), undisturbed)


def test_a_killed_training_goes_on_and_ends_the_same(study):
    history = study.path("models", "enn", "history.csv")
    undisturbed = history.read_text()
    kill_during(study, 1.0, "--allowed-rules", "train", "--forcerun", "train", "--", str(history.relative_to(study.folder)))
    assert study.snakemake("--unlock").returncode == 0
    done = study.smoke("--allowed-rules", "train", targets=(str(history.relative_to(study.folder)),))
    assert done.returncode == 0, done.stdout[-2000:]
    assert "goes on from step" in study.path("logs", "train.log").read_text()
    assert history.read_text() == undisturbed


def test_damaged_files_and_nan_are_named_or_harmless(finished):
    """A short form of `make faults`, in a process without threads, which can be forked."""
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.faults.harness", "--short", "--study", str(finished.folder), "config/smoke.yaml"]
    done = subprocess.run([*command, "damage", "nan"], cwd=ROOT, env={**os.environ, **one_thread}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
