"""A small study on a real SLURM of one node, through both executors: cancelled jobs are told, and a rerun does only the rest."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import xarray as xr

from ennforce.io import read_dataset
from ennforce.workflow import Node
from tests.workflow.conftest import Project, copy_of_project

pytestmark = pytest.mark.cluster
SCRIPT = Path(__file__).with_name("cluster.sh")
STUDY = ("--configfile", "config/smoke.yaml", "tests/cluster/study.yaml")
# As profiles/slurm, but no second attempts, few and fat jobs, and no patience.
PROFILE = ("--workflow-profile", "slurm", "--retries", "0", "--latency-wait", "5")
SLURM = (*PROFILE, "--slurm-init-seconds-before-status-checks", "2", "--group-components", "sampling=4")
GENERIC = (*PROFILE, "--executor", "cluster-generic", "--seconds-between-status-checks", "1")
PATIENCE = 1800  # seconds until a job that never starts is an error, also on a busy machine


@dataclass
class Study:
    """The study in a copy of the project."""

    project: Project

    def path(self, *parts: str) -> Path:
        return self.project.folder.joinpath("results", "cluster", *parts)

    def run(self, *options: str, targets: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        return self.project.snakemake(*STUDY, *options, "--", *(f"results/cluster/{target}" for target in targets))

    def run_and_cancel(self, replica: int, *options: str, targets: tuple[str, ...]) -> tuple[int, str]:
        """Run, and scancel the job of a large trajectory once it has a checkpoint; exit status and what was said."""
        command = self.project.command(*STUDY, *options, "--", *(f"results/cluster/{target}" for target in targets))
        said = self.project.folder / "driver.log"
        with said.open("w") as file:
            driver = subprocess.Popen(
                command, cwd=self.project.folder, env=self.project.environment, stdout=file, stderr=subprocess.STDOUT
            )
            try:
                wait_until(lambda: driver.poll() is not None or self.has_checkpoint(replica))
                assert driver.poll() is None, said.read_text()[-4000:]
                subprocess.run(["scancel", self.slurm_log(replica).stem], check=True)
                driver.wait(PATIENCE)
            finally:
                driver.kill()
                driver.wait()
        return driver.returncode, said.read_text()

    def has_checkpoint(self, replica: int) -> bool:
        record = self.path("logs", f"trajectory-large-network-{replica}.json")
        if not record.exists():
            return False
        with contextlib.chdir(self.project.folder):
            return Node(**json.loads(record.read_text())).checkpoint.exists()

    def slurm_log(self, replica: int) -> Path:
        """Log of the newest SLURM job that names the trajectory; its stem is the job's number."""
        logs = self.project.folder.joinpath(".snakemake", "slurm_logs").rglob("*.log")
        job = re.compile(rf"trajectory:run=large,engine=network,chunk={replica}\b")
        return max((log for log in logs if job.search(log.read_text())), key=lambda log: int(log.stem))


def wait_until(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"nothing happened within {PATIENCE} s"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster():
    """A running SLURM, or a skip that says why there is none."""
    for plugin in ("slurm", "cluster_generic"):
        if importlib.util.find_spec(f"snakemake_executor_plugin_{plugin}") is None:
            pytest.skip(f'snakemake-executor-plugin-{plugin} is not installed: pip install -e ".[slurm]"')
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        started = subprocess.run([SCRIPT, "start", folder], stdout=subprocess.PIPE, text=True)
        if started.returncode == 77:
            pytest.skip(started.stdout.strip())
        assert started.returncode == 0, started.stdout
        yield
        subprocess.run([SCRIPT, "stop", folder], check=True)
        assert not list(Path(folder).glob("*.pid")), "a daemon runs on"


@pytest.fixture(scope="module")
def study(cluster, tmp_path_factory) -> Study:
    return Study(copy_of_project(tmp_path_factory.mktemp("cluster") / "project", compiled=True))


@pytest.fixture(scope="module")
def finished(study) -> Study:
    """Every stage through the slurm profile, with one trajectory cancelled half-way and the workflow started again."""
    targets = ("summary.json", "figures/growth.svg")
    status, said = study.run_and_cancel(0, *SLURM, targets=targets)
    assert status == 1, said[-4000:]
    # Of a group, Snakemake names the rules and the log; the log holds SLURM's word.
    assert "Error in group quench" in said and "large_network_0.nc" in said, said[-4000:]
    assert "CANCELLED" in study.slurm_log(0).read_text()
    assert not study.path("trajectories", "large_network_0.nc").exists() and not study.path("summary.json").exists()
    done = {path: path.stat().st_mtime_ns for path in study.path().rglob("*.nc")} | {
        path: path.stat().st_mtime_ns for path in study.path("models").rglob("*.*")
    }
    assert study.path("models", "enn", "weights.pt") in done
    again = study.run(*SLURM, targets=targets)
    assert again.returncode == 0, again.stdout[-4000:]
    assert "goes on from step" in study.path("logs", "trajectory-large-network-0.log").read_text()
    assert {path: path.stat().st_mtime_ns for path in done} == done
    return study


def test_a_study_ends_with_its_numbers_and_figure(finished):
    summary = json.loads(finished.path("summary.json").read_text())
    assert summary["equivariance_error"] < 1e-5 and set(summary["growth"]) == {"half", "structure", "wall"}
    assert finished.path("figures", "growth.svg").stat().st_size > 5000
    assert not list(finished.path("resume").glob("*"))


def test_training_was_on_the_gpu_partition(finished):
    """The node has one GPU by name; jobs that ask for none share it with nobody."""
    jobs = subprocess.run(["scontrol", "--oneliner", "show", "job"], capture_output=True, text=True, check=True).stdout.splitlines()
    partitions = {re.search(r"Comment=(\S+)", job)[1]: re.search(r"Partition=(\S+)", job)[1] for job in jobs if "Comment=" in job}
    assert partitions.pop("rule_train") == "gpu" and set(partitions.values()) == {"cpu"}
    assert all(("gres:gpu" in job) == ("Partition=gpu" in job) for job in jobs)


def test_a_cancelled_trajectory_ends_as_on_this_machine_without_slurm(finished):
    path = finished.path("trajectories", "large_network_0.nc")
    cancelled = read_dataset(path)
    path.unlink()
    done = finished.run("--allowed-rules", "trajectory", targets=("trajectories/large_network_0.nc",))
    assert done.returncode == 0, done.stdout[-4000:]
    xr.testing.assert_identical(read_dataset(path), cancelled)


def test_cluster_generic_tells_a_cancelled_job_and_ends_the_same(finished):
    path = finished.path("trajectories", "large_network_1.nc")
    undisturbed = read_dataset(path)
    path.unlink()
    call = (*GENERIC, "--allowed-rules", "trajectory")
    status, said = finished.run_and_cancel(1, *call, targets=("trajectories/large_network_1.nc",))
    assert status == 1 and re.search(r"Error in (rule trajectory|group quench)", said), said[-4000:]
    assert not path.exists()
    again = finished.run(*call, targets=("trajectories/large_network_1.nc",))
    assert again.returncode == 0, again.stdout[-4000:]
    assert "goes on from step" in finished.path("logs", "trajectory-large-network-1.log").read_text()
    xr.testing.assert_identical(read_dataset(path), undisturbed)
