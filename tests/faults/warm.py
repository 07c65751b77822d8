"""Workflows without the time of their imports: Snakemake and its jobs are forks of this process, which has made all imports.

A job is a process of its own, as always, and can be killed as one.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import runpy
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import matplotlib.figure  # noqa: F401
import snakemake.cli
import snakemake.script
from snakemake.benchmark import benchmarked

import ennforce.figures.style
import ennforce.forces
import ennforce.networks.export
import ennforce.training.loop  # noqa: F401

CAPABILITIES = struct.pack("<Ii", 0x20080522, 0)  # version 3 of capset(2), of this process
JOB, DRIVER = "job", "driver"  # what a kill ends: the process of the job, or Snakemake with all its children


@dataclass
class Workflow:
    """A folder with a copy of the project, and what happened in it."""

    folder: Path
    study: str
    arguments: tuple[str, ...] = ()
    kills: dict[str, tuple[float, str]] = field(default_factory=dict)  # job -> seconds after its start, JOB or DRIVER
    powerless: bool = False  # without root's leave to read and write everything

    @property
    def results(self) -> Path:
        return self.folder / "results" / self.study

    def targets(self, names: Iterable[str]) -> list[str]:
        """Results as Snakemake is asked for them."""
        return [str((self.results / name).relative_to(self.folder)) for name in names]

    def run(self, *arguments: str) -> tuple[int, str]:
        """Exit status (negative: the signal that ended it) and all that was said."""
        return self.wait(self.start(*arguments))

    def start(self, *arguments: str) -> int:
        command = ["--cores", "1", "--keep-going", *self.arguments, *arguments]
        return _forked(lambda: self._drive(command), self.folder, self.output)

    def wait(self, process: int) -> tuple[int, str]:
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        return status, self.output.read_text(errors="replace")

    @property
    def output(self) -> Path:
        return self.folder / "output.txt"

    def _drive(self, command: list[str]) -> None:
        snakemake.script.PythonScript.execute_script = lambda script, path, edit=False: self._execute(script, path)
        if self.powerless and ctypes.CDLL(None).capset(CAPABILITIES, bytes(24)):
            raise PermissionError("the capabilities of root could not be given up")
        snakemake.cli.main(command)

    def _execute(self, script, path: str) -> None:
        """In the place of Snakemake's own: run a job's script, and kill it if that is due."""
        name = "-".join([script.rulename, *map(str, script.wildcards)])
        started = time.monotonic()
        process = _forked(lambda: runpy.run_path(path, run_name="__main__"))
        if name in self.kills:
            seconds, victim = self.kills.pop(name)
            threading.Timer(seconds, self._kill, (process, name, victim)).start()
        with benchmarked(process, script.bench_record) if script.bench_record else contextlib.nullcontext():
            status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        self._note(name=name, status=status, seconds=time.monotonic() - started)
        if status:
            raise subprocess.CalledProcessError(status, f"{sys.executable} {path}")

    def _kill(self, process: int, name: str, victim: str) -> None:
        if not Path(f"/proc/{process}").exists():
            return  # it was faster
        if victim == DRIVER:
            self._note(name=name, status=-signal.SIGKILL, driver=True)
            os.killpg(0, signal.SIGKILL)
        os.kill(process, signal.SIGKILL)

    def _note(self, **facts) -> None:
        with (self.folder / "jobs.jsonl").open("a") as stream:
            stream.write(json.dumps(facts) + "\n")

    def jobs(self) -> list[dict]:
        """What became of every job so far."""
        path = self.folder / "jobs.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def replay(folder: Path, record: Path, output: Path) -> tuple[int, str]:
    """Run one node as Snakemake does, from its record: exit status and what it said."""
    node = json.loads(record.read_text())
    script = folder / "scripts" / f"{node['rule']}.py"
    config = {"study": node["study"], "checkpoint_seconds": node["checkpoint_seconds"]}
    stand_in = SimpleNamespace(**{**node, "log": [node["log"]], "config": config})
    process = _forked(lambda: runpy.run_path(str(script), {"snakemake": stand_in}), folder, output)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return status, output.read_text(errors="replace")


def _forked(action: Callable[[], object], folder: Path | None = None, output: Path | None = None) -> int:
    """The process that does ``action``; with ``output`` in a group of its own, in ``folder``, its words in that file."""
    sys.stdout.flush(), sys.stderr.flush()
    if process := os.fork():
        return process
    status = 1
    try:
        if folder and output:
            os.setpgid(0, 0)
            os.chdir(folder)
            stream = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            os.dup2(stream, 1), os.dup2(stream, 2)
        action()
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)
