"""A copy of the project to run workflows in, and one smoke study that several tests look at."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".venv", ".git", ".snakemake", "results", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis")


@dataclass
class Project:
    """A checkout without results."""

    folder: Path
    python: str | Path = sys.executable

    def command(self, *arguments: str) -> list[str]:
        return [str(self.python), "-m", "snakemake", "--cores", "2", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.folder / "lib")}

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run to the end; standard output and error together in ``stdout``."""
        return subprocess.run(
            self.command(*arguments), cwd=self.folder, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def smoke(self, *options: str, targets: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        return self.snakemake("--configfile", "config/smoke.yaml", *options, "--", *targets)

    def path(self, *parts: str) -> Path:
        return self.folder.joinpath("results", "smoke", *parts)


def copy_of_project(target: Path, compiled: bool = False) -> Project:
    """``compiled``: with what numba compiled here, which saves the copy a minute."""
    shutil.copytree(ROOT, target, ignore=LEFT_OUT)
    if compiled:
        shutil.copytree(ROOT / "lib", target / "lib", dirs_exist_ok=True)
    (target / "results").mkdir(exist_ok=True)
    return Project(target)


def environment(folder: Path) -> Path:
    """The interpreter of a new environment there, which has the packages of this one."""
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "bin" / "python"


@pytest.fixture
def project(tmp_path) -> Project:
    return copy_of_project(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """A finished smoke study, for tests that leave it as it is."""
    made = copy_of_project(tmp_path_factory.mktemp("smoke") / "a b'c\"d")  # an awkward path, on purpose
    made.python = environment(made.folder / ".venv")
    done = made.smoke()
    assert done.returncode == 0, done.stdout[-4000:]
    return made


@pytest.fixture
def study(finished, tmp_path) -> Project:
    """A copy of the finished study, to be changed."""
    shutil.copytree(
        finished.folder, tmp_path / "study", ignore=shutil.ignore_patterns("__pycache__", ".venv"), copy_function=shutil.copy2
    )
    return Project(tmp_path / "study")
