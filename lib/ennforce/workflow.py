"""Between Snakemake and the package: logging, threads, resume paths, one-line errors, and replay of one node.

A script is a typed ``main`` and ``run_node(main, globals())``. Every node leaves a record beside its log, from which
``python scripts/NAME.py results/STUDY/logs/NODE.json`` runs it again, in a debugger if wanted.
"""

from __future__ import annotations

import glob
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ennforce.io import DataError, file_digest, remove_parts, text_digest, write_atomically
from ennforce.models import register

log = logging.getLogger("ennforce")

# Errors whose message is written for the user: shown in one line, without a traceback.
FORESEEN = (DataError, ValueError, FloatingPointError, RuntimeError, MemoryError, OSError)


@dataclass(frozen=True)
class Node:
    """One job of the workflow: what Snakemake hands to a script."""

    rule: str
    input: dict[str, str | list[str]]
    output: dict[str, str]
    params: dict
    wildcards: dict[str, str]
    threads: int
    log: str
    study: str
    checkpoint_seconds: float
    audit_limit: float | None = None
    training_processes: int = 1
    model_class: str | None = None
    network_kinds: tuple[str, ...] = ()

    @property
    def parents(self) -> list[str]:
        """Every input file."""
        return [f for entry in self.input.values() for f in (entry if isinstance(entry, list) else [entry])]

    @property
    def checkpoint(self) -> Path:
        """Where this node keeps its state between kills: named by all that decides its result, so never taken for another's."""
        content = [self.rule, self.wildcards, self.params, [file_digest(f) for f in self.parents]]
        return self._states / f"{self.name}-{text_digest(content)}"

    @property
    def _states(self) -> Path:
        return Path("results") / self.study / "resume"

    def clean(self) -> None:
        """Remove what earlier runs of this node, killed while they wrote, left of its outputs, record and checkpoints."""
        for path in (*map(Path, self.output.values()), self.record):
            remove_parts(path.parent, glob.escape(path.name))
        remove_parts(self._states, f"{glob.escape(self.name)}-{16 * '?'}")

    def seed(self, *key: int) -> int:
        """32 bits fixed by the study's seed and a key: every use of random numbers has a key of its own."""
        return int(np.random.SeedSequence([self.params["seed"], *key]).generate_state(1)[0])

    def resumed(self, step: int) -> None:
        """Say that the node does not start from the beginning."""
        if step > 0:
            log.info("%s goes on from step %d", self.name, step)

    @property
    def record(self) -> Path:
        """From which the node can be run again."""
        return Path(self.log).with_suffix(".json")

    def in_processes(self, script: str, count: int) -> None:
        """Run ``script`` from this node's record in ``count`` processes of this machine; raises RuntimeError if they fail."""
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        done = subprocess.run([*launcher, script, str(self.record)])
        if done.returncode:
            raise RuntimeError(f"one of {count} processes failed (its own message is above): mend that, or use fewer processes")

    @property
    def name(self) -> str:
        return "-".join([self.rule, *self.wildcards.values()])

    def progress(self, step: int, total: int, text: str = "") -> None:
        """A line in the log and on the terminal, every ten seconds and at the end: how far, how fast, how long still."""
        now = time.monotonic()
        clock = _CLOCKS.setdefault(self.name, _Clock(started=now, spoken=now, first=step - 1))
        if now - clock.spoken < 10.0 and step < total:
            return
        clock.spoken = now
        meter = tqdm.format_meter(
            step, total, now - clock.started, initial=clock.first, unit=" steps",
            bar_format="{n_fmt}/{total_fmt} steps, {rate_fmt}, {remaining} left",
        )  # fmt: skip
        log.info("%s: %s%s", self.name, meter, f", {text}" if text else "")


@dataclass
class _Clock:
    """When a node's first step was done, when it last spoke, and at which step it began."""

    started: float
    spoken: float
    first: int


_CLOCKS: dict[str, _Clock] = {}


def run_node(main: Callable[[Node], None], namespace: dict) -> None:
    """Run ``main`` for the job Snakemake started, or for the record named on the command line."""
    if "snakemake" in namespace:
        node, debug = _from_snakemake(namespace["snakemake"]), False
    elif namespace.get("__name__") == "__main__":
        if len(sys.argv) != 2:
            sys.exit(f"usage: python {sys.argv[0]} results/STUDY/logs/NODE.json   (the record that a run of the node left)")
        node, debug = Node(**json.loads(Path(sys.argv[1]).read_text())), _rank() is None
    else:
        return  # imported
    started = time.monotonic()
    log.handlers = [_terminal()]
    try:
        _logging(node)
        if _rank() is None:
            node.clean()
        if "snakemake" in namespace:
            write_atomically(node.record, lambda path: path.write_text(json.dumps(node.__dict__, indent=2) + "\n"))
        # What the study's own configuration names.
        if node.model_class:
            register(node.model_class)
        if node.network_kinds and "torch" in sys.modules:
            from ennforce import networks

            for kind in node.network_kinds:
                networks.register(kind)
        set_threads(max(1, node.threads // int(os.environ.get("LOCAL_WORLD_SIZE", 1))))
        main(node)
    except FORESEEN as error:
        if debug:
            raise
        log.debug("traceback", exc_info=True)
        log.error("%s: %s", node.rule, " ".join(str(error).split()) or type(error).__name__)
        sys.exit(1)
    except Exception as error:  # a slip in the code, a user's own file perhaps: with its traceback, and one line that is found
        if debug:
            raise
        log.debug("traceback", exc_info=True)
        text = " ".join(str(error).split())
        log.error("%s: %s: %s (traceback in %s)", node.rule, type(error).__name__, text, node.log)
        sys.exit(1)
    log.info("%s finished in %s", node.name, tqdm.format_interval(time.monotonic() - started))


def _from_snakemake(snakemake) -> Node:
    def named(files) -> dict:
        return {name: (list(map(str, f)) if not isinstance(f, str) else str(f)) for name, f in files.items()}

    return Node(
        rule=snakemake.rule,
        input=named(snakemake.input),
        output=named(snakemake.output),
        params=dict(snakemake.params.items()),
        wildcards=dict(snakemake.wildcards.items()),
        threads=snakemake.threads,
        log=str(snakemake.log[0]),
        study=snakemake.config["study"],
        checkpoint_seconds=snakemake.config["checkpoint_seconds"],
        audit_limit=snakemake.config.get("audit_limit"),
        training_processes=snakemake.config.get("training_processes", 1),
        model_class=snakemake.config.get("model_class"),
        network_kinds=tuple(snakemake.config.get("network_kinds", ())),
    )


def _rank() -> int | None:
    """Which of the processes that torchrun started this is; None where it was started by itself."""
    return int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ else None


def _terminal() -> logging.Handler:
    """Short lines; of many processes the first tells them."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.setLevel(logging.ERROR if _rank() else logging.INFO)
    return handler


def _logging(node: Node) -> None:
    """Everything, with tracebacks, to the node's log as well. Of many processes the first tells it all."""
    log.setLevel(logging.DEBUG)
    logging.raiseExceptions = False  # a full disk is told once, not for every line of the log
    Path(node.log).parent.mkdir(parents=True, exist_ok=True)
    rank = _rank()
    if rank is None:
        Path(node.log).unlink(missing_ok=True)
    to_file = logging.FileHandler(node.log, mode="a")  # processes started by the node add to its log
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    to_file.setLevel(logging.ERROR if rank else logging.DEBUG)
    log.handlers.append(to_file)


def set_threads(count: int) -> None:
    """Torch's threads, which solvers, dynamics and networks of the package all take; BLAS's are set by Snakemake."""
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(count)
