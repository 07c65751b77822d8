"""Broken inputs and kills: one clear line, nothing half-written taken for whole, and a rerun that ends as if undisturbed."""

import os
import signal
import subprocess
import sys

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
    """A force of the wrong sign; every setting that would do as much is refused while it is read."""
    module = study.folder / "lib" / "ennforce" / "workflow.py"
    module.write_text(
        module.read_text() + "\n\nfrom ennforce.forces import NetworkForces\n\n_right = NetworkForces.forces\n"
        "NetworkForces.forces = lambda self, fields: -10.0 * _right(self, fields)\n"
    )
    path = study.path("trajectories", "large_network_0.nc")
    path.unlink()
    arguments = ["--config", "checkpoint_seconds=0", "--allowed-rules", "trajectory"]
    done = study.smoke(*arguments, targets=(str(path.relative_to(study.folder)),))
    assert done.returncode != 0
    assert "trajectory: the trajectory diverged at step" in done.stdout and "Traceback" not in done.stdout
    assert not path.exists()
    assert list(study.path("resume").glob("trajectory-*"))


def kill_at(project, step: int, *arguments: str) -> None:
    """Start a workflow whose job kills it, and all of its processes, by SIGKILL when it has done ``step`` steps.

    The job is told by a line at the end of ``workflow.py``, which hands files over and counts for no result.
    """
    path = project.folder / "lib" / "ennforce" / "workflow.py"
    code = path.read_text()
    path.write_text(
        code + "\n\nimport signal\n\n\ndef _kill(node, step, total, text=''):\n"
        f"    if step == {step}:\n        os.killpg(0, signal.SIGKILL)\n\n\nNode.progress = _kill\n"
    )
    command = project.command("--configfile", "config/smoke.yaml", "--config", "checkpoint_seconds=0", *arguments)
    done = subprocess.run(command, cwd=project.folder, env=project.environment, capture_output=True, start_new_session=True)
    path.write_text(code)
    assert done.returncode == -signal.SIGKILL, done.stdout[-2000:]
    assert list(project.path("resume").glob("[!.]*")), "no checkpoint was left"


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
    kill_at(study, 40, "--allowed-rules", rule, "--", str(path.relative_to(study.folder)))
    assert not path.exists()
    assert study.snakemake("--unlock").returncode == 0
    done = study.smoke("--allowed-rules", rule, targets=(str(path.relative_to(study.folder)),))
    assert done.returncode == 0, done.stdout[-2000:]
    assert "goes on from step 40" in study.path("logs", f"{log}.log").read_text()
    xr.testing.assert_identical(read_dataset(path), undisturbed)


def test_a_killed_training_goes_on_and_ends_the_same(study):
    history = study.path("models", "enn", "history.csv")
    undisturbed = history.read_text()
    kill_at(study, 120, "--allowed-rules", "train", "--forcerun", "train", "--", str(history.relative_to(study.folder)))
    assert study.snakemake("--unlock").returncode == 0
    done = study.smoke("--allowed-rules", "train", targets=(str(history.relative_to(study.folder)),))
    assert done.returncode == 0, done.stdout[-2000:]
    assert "goes on from step 119" in study.path("logs", "train.log").read_text()
    assert history.read_text() == undisturbed


def test_the_error_of_a_failed_job_is_the_last_line(study):
    """Two jobs that fail: their lines once more after all that Snakemake has to say, and no list of source files."""
    for name in ("random", "quench_1"):
        study.path("data", "samples", f"{name}.nc").write_bytes(b"text")
    targets = [f"results/smoke/data/labelled/{name}.nc" for name in ("random", "quench_1")]
    done = study.smoke("--keep-going", "--forcerun", "label", "--allowed-rules", "label", targets=targets)
    assert done.returncode != 0
    last = done.stdout.splitlines()[-2:]
    assert sorted(line[: line.index(" is not")] for line in last) == [
        f"label: results/smoke/data/samples/{name}.nc" for name in ("quench_1", "random")
    ]
    assert "lib/ennforce" not in done.stdout


def test_a_job_that_was_killed_is_named_in_the_last_line(study):
    path = study.folder / "scripts" / "label.py"
    start = "def main(node: Node) -> None:\n"
    path.write_text(path.read_text().replace(start, f"{start}    import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)\n"))
    done = study.smoke("--allowed-rules", "label", targets=("results/smoke/data/labelled/random.nc",))
    assert done.returncode != 0
    said = "label-random ended without a message, as when it is killed for want of memory: its log is "
    assert done.stdout.splitlines()[-1] == said + "results/smoke/logs/label-random.log"


def test_damaged_files_and_nan_are_named_or_harmless(finished):
    """A short form of `make faults`, in a process without threads, which can be forked."""
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.faults.harness", "--short", "--study", str(finished.folder), "config/smoke.yaml"]
    done = subprocess.run([*command, "damage", "nan"], cwd=ROOT, env={**os.environ, **one_thread}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
