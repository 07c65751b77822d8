"""Faults on purpose, and what comes of them: python -m tests.faults.harness [--write] [--short] [--study FOLDER CONFIG] [fault ...]

Every fault must end in one line that says what to do, or be harmless; nothing may be lost or silently wrong, and the rerun must end
with the results of an undisturbed run. Prints a table; with --write it goes into docs/robustness.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ennforce.io import FINITE, file_digest, read_dataset, read_json, write_dataset, write_json
from ennforce.networks.tensors import read_tensors, write_tensors
from tests.faults.warm import DRIVER, JOB, Workflow, replay
from tests.workflow.conftest import ROOT, copy_of_project
from tests.workflow.reproduce import COMPARISONS, _unequal_bytes, differences

TRAIN = "models/enn/weights.pt"
# Written by every kind of writer: NetCDF, JSON, weights with CSV and checkpoints, a figure, Markdown.
WRITTEN = ("trajectories/comparison_kpm_0.nc", "data/label_check.json", TRAIN, "figures/training.svg", "models/enn/card.md")


@dataclass
class Row:
    """One line of the table; ``wrong`` holds what should not have been."""

    fault: str
    where: str
    trials: int
    said: str
    wrong: list[str]

    def __str__(self) -> str:
        result = "; ".join(self.wrong) or "as they should be"
        return f"| {self.fault} | {self.where} | {self.trials} | {self.said} | {result} |"


def copied(source: Workflow, folder: Path, results: bool = True) -> Workflow:
    """The same project, with or without what was run in it."""
    left_out = () if results else (".snakemake", "results")
    shutil.copytree(source.folder, folder, ignore=shutil.ignore_patterns("jobs.jsonl", *left_out))
    return Workflow(folder, source.study, source.arguments)


def unequal(source: Workflow, found: Workflow) -> list[str]:
    """Differences of two finished studies, and what a run should have tidied up."""
    left = [str(path.relative_to(found.folder)) for path in found.results.rglob("*.part")]
    return differences(source.results, found.results)[0] + [f"{path} is left over" for path in left]


def reasons(said: str) -> list[str]:
    """Lines by which nodes told their errors."""
    rules = "|".join(set(re.findall(r"^Job \d+: (\w+)", said, re.M)))
    return re.findall(rf"^((?:{rules or 'nothing'}): .+)$", said, re.M)


def brief(said: list[str]) -> str:
    """Of many messages one, without what differs from run to run."""
    shown = re.sub(r"\s+", " ", said[0]).replace("|", "/") if said else "nothing"
    return shown if len(shown) < 220 else shown[:217] + "..."


# ---- kills


def kills(source: Workflow, folder: Path, rng: np.random.Generator) -> Iterator[Row]:
    """SIGKILL of every job once, at a random moment; of every eighth with Snakemake and all its children."""
    study = copied(source, folder, results=False)
    seconds = {job["name"]: job["seconds"] for job in source.jobs()}
    due = {name: DRIVER if n % 8 == 5 else JOB for n, name in enumerate(seconds)}
    said, locked, wrong, status = "", "", [], 1
    for attempt in range(4 + 2 * len(due)):
        study.kills = {name: (float(rng.uniform(0, 0.9 * seconds[name])), victim) for name, victim in due.items()}
        # The first time Snakemake gives up; later it tries a killed job once more by itself.
        status, output = study.run("--retries", str(min(attempt, 1)))
        said = said or next(iter(re.findall(r"died with <Signals\.SIGKILL: 9>", output)), "")
        due = {name: victim for name, victim in due.items() if name not in {job["name"] for job in study.jobs()}}
        if status == 0:
            break
        if status == -signal.SIGKILL:
            if not locked:
                locked = next(iter(re.findall(r".*cannot be locked.*", study.run()[1])), "")
                wrong += [] if locked else ["no word about the lock"]
            study.run("--unlock")
    wrong += [] if status == 0 else [f"it never ended: {output[-500:]}"]
    killed = [job for job in study.jobs() if job["status"] == -signal.SIGKILL]
    together = {job["name"] for job in killed if "driver" in job}
    alone = [job["name"] for job in killed if job["name"] not in together]
    wrong += [f"only {len(killed)} kills"] if len(killed) < 30 else []
    resume = study.results / "resume"
    wrong += [f"{path.name} is left over" for path in resume.glob("*")]
    wrong += unequal(source, study)
    yield Row("job killed", counted(alone), len(alone), f"Snakemake: {said}", wrong)
    yield Row("Snakemake killed with its jobs", counted(together), len(together), f"Snakemake: {locked}", wrong)


def counted(names) -> str:
    rules = Counter(name.split("-")[0] for name in names)
    return ", ".join(f"{rule} {number}" for rule, number in sorted(rules.items()))


# ---- full disks and forbidden folders


def full_disk(source: Workflow, folder: Path, rng: np.random.Generator) -> Iterator[Row]:
    """Results on a small file system, with nothing, little and a little more left."""
    study = copied(source, folder)
    held, mounted = folder / "held", folder / "results"
    mounted.rename(held)
    mounted.mkdir()
    size = sum(path.stat().st_size + 4096 for path in held.rglob("*")) + 2**22
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", mounted], capture_output=True).returncode:
        yield Row("full disk", "results", 0, "skipped: no file system may be mounted here", [])
        return
    try:
        shutil.copytree(held, mounted, dirs_exist_ok=True)
        targets = study.targets(WRITTEN)
        said, wrong = [], []
        for left in (0, 2**13, 2**15):
            for target in targets:
                Path(folder, target).unlink(missing_ok=True)
            fill(mounted / "ballast", left)
            status, output = study.run("--rerun-triggers", "mtime", "--", *targets)
            found = [line for line in reasons(output) if "could not be written" in line]
            said += found
            wrong += [] if status and found else [f"{left} bytes left: exit {status}, said {output[-300:]!r}"]
            (mounted / "ballast").unlink()
        status, output = study.run("--rerun-triggers", "mtime", "--", *targets)
        wrong += [] if status == 0 else [f"the rerun failed: {output[-500:]}"]
        yield Row("full disk", ", ".join(WRITTEN), 3 * len(WRITTEN), brief(said), wrong + unequal(source, study))
    finally:
        subprocess.run(["umount", mounted], check=True)


def fill(path: Path, left: int) -> None:
    """Write until the file system has ``left`` bytes."""
    with path.open("wb") as stream:
        free = shutil.disk_usage(path.parent).free - left
        while free > 0:
            stream.write(bytes(min(free, 2**20)))
            free -= 2**20


def permissions(source: Workflow, folder: Path, rng: np.random.Generator) -> Iterator[Row]:
    """Without root's privileges: an input that may not be read, a folder that may not be written."""
    study = copied(source, folder)
    study.powerless = os.geteuid() == 0
    unreadable, unwritable = study.results / "data" / "dataset.nc", study.results / "figures"
    made = [study.results / "data" / "label_check.json", *unwritable.glob("training.*")]
    only = ("--rerun-triggers", "mtime", "--", *(str(path.relative_to(folder)) for path in made))
    for path in made:
        path.unlink()
    unreadable.chmod(0), unwritable.chmod(0o555)
    status, output = study.run(*only)
    said = reasons(output)
    wrong = [] if status and said else [f"exit {status}, said {output[-300:]!r}"]
    wrong += [f"a traceback: {output[-300:]!r}"] if "Traceback" in output else []
    unreadable.chmod(0o644), unwritable.chmod(0o755)
    status, output = study.run(*only)
    wrong += [] if status == 0 else [f"the rerun failed: {output[-500:]}"]
    where = "data/dataset.nc unreadable, figures/ not writable"
    yield Row("no permission", where, 2, brief(said), wrong + unequal(source, study))


# ---- damaged files


def inputs(study: Workflow, short: bool) -> Iterator[tuple[Path, dict, Path]]:
    """(record, node, input) for every rule and every kind of file that it reads from other stages."""
    seen = set()
    for record in sorted((study.results / "logs").glob("*.json")):
        node = json.loads(record.read_text())
        job = "-".join(filter(None, (node["rule"], node["wildcards"].get("name"))))
        for name, files in node["input"].items():
            first = files if isinstance(files, str) else next((f for f in files if f.startswith("results")), "")
            kinds = [first, *([f for f in files if f.endswith(".pt")] if isinstance(files, list) else [])]
            for file in kinds:
                key = (job, node["wildcards"].get("engine"), name, Path(file).suffix)
                if file.startswith("results") and key not in seen and (not short or job in SHORT):
                    seen.add(key)
                    yield record, node, study.folder / file


SHORT = ("assemble", "evaluate", "card", "growth", "figure-training", "summary")


def damages(content: bytes, rng: np.random.Generator, flips: int) -> Iterator[tuple[str, bytes]]:
    for cut in (0, len(content) // 2, len(content) - 1):
        yield "cut short", content[:cut]
    for position in rng.integers(0, len(content), flips):
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(rng.integers(8))
        yield "bit flipped", bytes(flipped)


def judged(study: Workflow, source: Workflow, record: Path, node: dict, file: Path) -> tuple[str, str]:
    """Run a node whose input is damaged: 'named', 'harmless' or what is wrong, and what it said."""
    status, said = replay(study.folder, record, study.output)
    lines = said.strip().splitlines()
    if status == 0:
        changed = [path for path in node["output"].values() if not same(source.folder / path, study.folder / path)]
        return (f"{file.name}: silently other {', '.join(changed)}" if changed else "harmless"), ""
    relative = file.relative_to(study.folder)
    # Weights that are whole and wrong are told by what their folder computes.
    named = str(relative) in said or (file.suffix == ".pt" and f"{relative.parent} computes" in said)
    if status == 1 and len(lines) == 1 and named:
        return "named", lines[0]
    return f"{node['rule']} with {relative}: exit {status}, said {said[-200:]!r}", ""


def same(one: Path, other: Path) -> bool:
    return other.exists() and not COMPARISONS.get(one.suffix.removeprefix("."), _unequal_bytes)(one, other)


def damaged(source: Workflow, folder: Path, rng: np.random.Generator, short: bool = False) -> Iterator[Row]:
    """Every kind of input of every rule cut short and with flipped bits; then all at once, in a workflow."""
    study = copied(source, folder)
    counts: dict[tuple[str, str], Counter] = {}
    said: dict[tuple[str, str], str] = {}
    wrong: dict[tuple[str, str], list[str]] = {}
    for record, node, file in inputs(study, short):
        whole = file.read_bytes()
        for kind, content in damages(whole, rng, 2 if short else 5):
            key = (kind, file.suffix.removeprefix(".") if file.name not in ("model.json", "weights.pt") else file.name)
            file.write_bytes(content)
            outcome, words = judged(study, source, record, node, file)
            fine = outcome in ("named", "harmless")
            counts.setdefault(key, Counter())[outcome if fine else "wrong"] += 1
            wrong.setdefault(key, []).extend([] if fine else [outcome])
            said[key] = said.get(key) or words
        file.write_bytes(whole)
    for key in sorted(counts):
        numbers = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts[key].items()))
        yield Row(key[0], f"{key[1]} ({numbers})", counts[key].total(), brief([said[key]] if said[key] else []), wrong[key])


def loops(source: Workflow, folder: Path, rng: np.random.Generator) -> Iterator[Row]:
    """Damage, run, delete what is named, run again: one file of each kind, of the last stages first."""
    stages = (
        ("analysis/growth_large_network.nc", "models/enn/predictions.nc", "models/enn/history.csv", "analysis/comparison.json"),
        ("analysis/ensemble_large_network.nc", "models/enn/metrics.json", "data/label_check.json"),
        ("trajectories/large_network_0.nc",),
        ("models/enn/weights.pt",),
        ("models/enn/model.json",),
        ("data/dataset.nc",),
        ("data/labelled/quench_0.nc",),
        ("data/samples/random.nc",),
    )
    study = copied(source, folder)
    said: list[str] = []
    wrong: list[str] = []
    for names in stages:
        for name in names:
            path = study.results / name
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 4
            path.write_bytes(content)
        status, output = study.run()
        said += reasons(output)
        for name in names:
            told = name in output
            wrong += [] if status and told else [f"{name}: exit {status}, not named"]
            (study.results / name).unlink(missing_ok=True)
        # What no unfinished job needs is made again only where it is asked for.
        wanted = study.targets(names)
        status, output = study.run("--", "all", *wanted)
        wrong += [] if status == 0 else [f"after deleting {names}: {output[-400:]}"]
    files = [name for names in stages for name in names]
    yield Row(
        "bit flipped, file deleted, run again", f"{len(files)} files", len(files), brief(said), wrong + unequal(source, study)
    )


def not_numbers(source: Workflow, folder: Path, rng: np.random.Generator, short: bool = False) -> Iterator[Row]:
    """A NaN in every kind of file, with the right digest."""
    study = copied(source, folder)
    wrong, said, kinds = [], [], Counter()
    for record, node, file in inputs(study, short):
        whole = file.read_bytes()
        description = file.with_name("model.json")
        described = description.read_bytes() if file.suffix == ".pt" else b""
        if file.suffix == ".nc":
            data = read_dataset(file)
            name = next((name for name in FINITE if name in data), None)
            if name is None:
                continue
            data[name].values.flat[int(rng.integers(data[name].size))] = np.nan
            write_dataset(data, file)
        elif file.suffix == ".pt":
            tensors = {name: value.clone() for name, value in read_tensors(file).items()}
            next(value for value in tensors.values() if value.is_floating_point()).view(-1)[0] = torch.nan
            write_tensors(tensors, file)
            write_json(description, {**read_json(description), "weights": file_digest(file)})
        else:
            continue
        outcome, words = judged(study, source, record, node, file)
        wrong += [] if outcome == "named" else [f"{node['rule']}: {outcome}"]
        said += [words] if words else []
        kinds["weights" if described else name] += 1
        file.write_bytes(whole)
        if described:
            description.write_bytes(described)
    where = ", ".join(f"{name} {number}" for name, number in sorted(kinds.items()))
    yield Row("NaN, digest right", where, kinds.total(), brief(said), wrong)


def checkpoints(source: Workflow, folder: Path, rng: np.random.Generator) -> Iterator[Row]:
    """Interrupted training and trajectory: the state damaged, or the settings changed before going on."""
    study = copied(source, folder)
    for job, target, setting in (
        ("train", TRAIN, "training={learning_rate: 0.02}"),
        ("trajectory-large-network-0", "trajectories/large_network_0.nc", "bath={friction: 0.3}"),
    ):
        rule, path = job.split("-")[0], study.results / target
        only = ("--rerun-triggers", "mtime", "--allowed-rules", rule, "--", str(path.relative_to(study.folder)))
        kept = None
        for share in (0.7, 0.5, 0.8, 0.6, 0.9):  # of its time; too early or too late, and no state is left
            path.unlink(missing_ok=True)
            study.kills = {job: (share * max(j["seconds"] for j in source.jobs() if j["name"] == job), JOB)}
            study.run(*only)
            kept = next((study.results / "resume").glob(f"{job}-*"), None)
            if kept:
                break
        study.kills = {}
        if not kept:
            yield Row("checkpoint", job, 0, "no state was left", ["no trial"])
            continue
        whole, log = kept.read_bytes(), study.results / "logs" / f"{job}.log"
        cases = {
            "other settings": (whole, ("--config", setting)),
            "checkpoint cut short": (whole[: len(whole) // 2], ()),
            "checkpoint, bit flipped": (flipped_inside(whole, rng), ()),
            "checkpoint whole": (whole, ()),
        }
        for fault, (content, settings) in cases.items():
            path.unlink(missing_ok=True)
            kept.write_bytes(content)
            status, output = study.run(*settings, *only)
            lines = [
                line.split(" INFO ")[-1] for line in log.read_text().splitlines() if "goes on from" in line or "afresh" in line
            ]
            wrong = [] if status == 0 else [output[-300:]]
            if fault == "other settings":
                fresh = copied(source, folder.with_name(f"{folder.name}-{rule}"))
                (fresh.results / target).unlink()
                fresh.run(*settings, *only)
                wrong += ["a state of other settings was taken"] if lines or not kept.exists() else []
                wrong += [] if same(fresh.results / target, path) else ["not as an undisturbed run with these settings"]
            else:
                wrong += [] if same(source.results / target, path) else ["other results"]
                expected = "goes on from" if fault == "checkpoint whole" else "afresh"
                wrong += [] if expected in " ".join(lines) else [f"said {lines}"]
            yield Row(fault, job, 1, brief(lines), wrong)


def flipped_inside(content: bytes, rng: np.random.Generator) -> bytes:
    """A bit of the middle half, where the values are."""
    flipped = bytearray(content)
    flipped[int(rng.integers(len(content) // 4, 3 * len(content) // 4))] ^= 1
    return bytes(flipped)


# ---- two at once


def together(source: Workflow, folder: Path, rng: np.random.Generator) -> Iterator[Row]:
    """Two workflows in one folder: of the same study, and of two studies."""
    study = copied(source, folder)
    samples = [f"data/samples/{path.name}" for path in (study.results / "data" / "samples").iterdir()]
    for name in samples:
        (study.results / name).unlink()
    wanted = study.targets(samples)
    first = study.start("--", *wanted)
    second = Workflow(folder, study.study, study.arguments)
    said, wrong = "", []
    for _ in range(200):  # until the first has its lock
        if list((folder / ".snakemake" / "locks").glob("*.output.lock")):
            break
        subprocess.run(["sleep", "0.05"])
    kept = study.output.rename(folder / "first.txt")
    status, output = second.run("--", *wanted)
    said = next(iter(re.findall(r".*cannot be locked.*", output)), "")
    wrong += [] if status and said else [f"the second ended with {status}: {output[-300:]}"]
    status = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    wrong += [] if status == 0 else [f"the first ended with {status}: {kept.read_text()[-300:]}"]
    yield Row("two runs of one study", "results", 1, f"Snakemake: {said}", wrong + unequal(source, study))
    names = ("one", "other")
    targets = {name: [f"results/{name}/{sample}" for sample in samples] for name in names}
    runs = {name: Workflow(folder, name, (*study.arguments, "--config", f"study={name}")) for name in names}
    processes = {name: run.start("--", *targets[name]) for name, run in runs.items()}
    ends = {name: os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for name, process in processes.items()}
    wrong = [f"{name} ended with {status}" for name, status in ends.items() if status]
    wrong += [f for n in names for f in samples if not same(source.results / f, folder / "results" / n / f)]
    yield Row("two studies at once", "one folder", 1, "nothing", wrong)


FAULTS = {
    "kills": kills,
    "disk": full_disk,
    "permissions": permissions,
    "damage": damaged,
    "loops": loops,
    "nan": not_numbers,
    "checkpoints": checkpoints,
    "together": together,
}
BEGIN, END = "<!-- faults -->\n", "<!-- end of faults -->\n"


def undisturbed(folder: Path) -> Workflow:
    """The finished smallest study."""
    project = copy_of_project(folder, compiled=True)
    shutil.copy(ROOT / "tests" / "faults" / "study.yaml", project.folder / "config" / "faults.yaml")
    study = Workflow(project.folder, "faults", ("--configfile", "config/faults.yaml"))
    status, output = study.run()
    if status:
        sys.exit(f"the undisturbed study failed:\n{output[-4000:]}")
    return study


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faults", nargs="*", choices=[*FAULTS, []], default=[], help=f"of {', '.join(FAULTS)}; all by default")
    parser.add_argument("--write", action="store_true", help="the table into docs/robustness.md")
    parser.add_argument("--short", action="store_true", help="some rules and few flips")
    parser.add_argument("--study", nargs=2, metavar=("FOLDER", "CONFIG"), help="a project with a finished study, left as it is")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.study:
            config = Path(options.study[1])
            source = Workflow(Path(options.study[0]), config.stem, ("--configfile", str(config)))
        else:
            source = undisturbed(folder / "undisturbed")
        for fault in options.faults or FAULTS:
            given = {"short": True} if options.short and fault in ("damage", "nan") else {}
            for row in FAULTS[fault](source, folder / fault, np.random.default_rng(1), **given):
                rows.append(row)
                print(row, flush=True)
    if options.write:
        write(rows)
    wrong = sum(bool(row.wrong) for row in rows)
    print(f"{sum(row.trials for row in rows)} trials, {wrong} of {len(rows)} rows not as they should be")
    return int(wrong > 0)


def write(rows: list[Row]) -> None:
    """Put the table between its marks."""
    page = ROOT / "docs" / "robustness.md"
    before, rest = page.read_text().split(BEGIN)
    after = rest.split(END)[1]
    on = f"Run on {platform.system()}, Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}."
    table = ["| fault | where | trials | what was said | results |", "|---|---|---|---|---|", *map(str, rows)]
    page.write_text(before + BEGIN + "\n" + "\n".join(table) + "\n\n" + on + "\n\n" + END + after)


if __name__ == "__main__":
    sys.exit(main())
