"""Loaders against broken and hostile files: python -m tests.faults.fuzz [inputs for each loader]

Each loader runs in a child process that may take little memory more than it has at its start, so that a crash of a C library or a
run-away allocation ends the child and is told with the input that did it. Only the errors named in LOADERS may leave a loader.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import netCDF4
import numpy as np
import torch
import xarray as xr
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ennforce.config import ConfigError, Study, load_study
from ennforce.dynamics import Recorder, State
from ennforce.io import TRAILER_LENGTH, DataError, file_digest, read_dataset, read_json, write_dataset, write_json
from ennforce.lattice import Lattice
from ennforce.models import Holstein
from ennforce.networks import KINDS, Architecture, build
from ennforce.networks.export import load_model, save_model
from ennforce.training import loop
from ennforce.training.dataset import Samples, configurations, with_total_force

ROOM = 2**30  # bytes that a child may take beyond what it has at its start
DEEP = "<deep>"  # stands for a value of 100 000 nested lists, which no encoder writes

TEXTS = (
    DEEP,
    "",
    "x",
    "square",
    "triangular",
    "chain",
    "1xA1e",
    "9999999xA1o",
    "8xRo",
    "A1l2o",
    "0.1",
    "1e9",
    "x" * 10_000,
    *KINDS,
)
NUMBERS = (-1, 0, 1, 2, 3, 64, 4096, 10**6, 10**9, 10**15, 2**63, 10**300, -(10**15), 0.5, 1e-300, 1e308, np.nan, np.inf, -np.inf)
OTHERS = (None, True, [], {}, [[]], {"a": {}}, [0] * 1000)
values = st.one_of(
    st.sampled_from([*TEXTS, *NUMBERS, *OTHERS]),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
        max_leaves=8,
    ),
)


def paths(content: object, at: tuple = ()) -> list[tuple]:
    """Where something can be changed in a tree of dictionaries and lists."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, (list, tuple)) else ()
    return [path for key, value in items for path in [(*at, key), *paths(value, (*at, key))]]


def changed(draw, content, replacements: st.SearchStrategy) -> object:
    """A copy with one to three values replaced, removed or added."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        *parents, key = draw(st.sampled_from(paths(content)))
        place = content
        for parent in parents:
            place = place[parent]
        if isinstance(place, tuple):
            continue
        action = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
        if action == "remove":
            del place[key]
        elif action == "add" and isinstance(place, dict):
            place[draw(st.text(max_size=10))] = copy.deepcopy(draw(replacements))
        else:
            place[key] = copy.deepcopy(draw(replacements))
        if not paths(content):
            break
    return content


def damaged(draw, content: bytes) -> bytes:
    """The bytes of a file after truncation, flips, overwriting, repetition, or random bytes in its place."""
    action = draw(st.sampled_from(["flip", "flip", "overwrite", "truncate", "repeat", "random"]))
    if action == "random":
        return draw(st.binary(max_size=300))
    if action == "truncate":
        return content[: draw(st.integers(0, len(content)))]
    result = bytearray(content)
    for _ in range(draw(st.integers(1, 6))):
        position = draw(st.integers(0, len(content) - 1))
        if action == "flip":
            result[position] ^= 1 << draw(st.integers(0, 7))
        else:
            piece = (
                draw(st.binary(min_size=1, max_size=8)) if action == "overwrite" else content[position // 2 : position // 2 + 64]
            )
            result[position : position + len(piece)] = piece
    return bytes(result)


def as_json(content: object) -> bytes:
    return json.dumps(content).replace(json.dumps(DEEP), "[" * 100_000 + "]" * 100_000).encode(errors="surrogatepass")


# ---- models


def small_model(folder: Path) -> None:
    torch.manual_seed(0)
    model = Holstein(Lattice.square(8, 8), temperature=0.1)
    network = build(Architecture(width=1, depth=1, first_radius=1, separable=True), 0.7, 0.4)
    save_model(folder, network, {"model": model.parameters(), "target": "electronic"})


def model_json(folder: Path) -> Callable:
    small_model(folder)
    whole = (folder / "model.json").read_bytes()
    facts = read_json(folder / "model.json")  # without its digest: changes must get past it

    def attempt(draw) -> None:
        content = damaged(draw, whole) if draw(st.integers(0, 3)) == 0 else as_json(changed(draw, facts, values))
        (folder / "model.json").write_bytes(content)
        load_model(folder)

    return attempt


class Foreign:
    """What no file of ours holds: unpickling it would run a command."""

    def __reduce__(self):
        return (sys.exit, (77,))

    def __deepcopy__(self, memo):
        return self


tensors = st.one_of(
    st.builds(lambda shape, dtype: torch.zeros(shape, dtype=dtype), st.lists(st.integers(0, 9), max_size=4),
              st.sampled_from([torch.float32, torch.float64, torch.int64, torch.complex64, torch.bool])),
    st.just(torch.zeros(1).expand(10**6, 10**6)),
    st.sampled_from([float("nan"), float("inf"), 1e30]).map(lambda x: torch.full((3, 3), x)),
    st.just(Foreign()), st.sampled_from([None, 1, -1, 10**18, "x", [], {}, 0.5, float("nan"), True, (), (0.1, 0.2)]),
)  # fmt: skip


def rezipped(draw, content: bytes) -> bytes:
    """An archive of the same entries, one of them damaged, checksums right again; sometimes compressed."""
    result = io.BytesIO()
    packing = draw(st.sampled_from([zipfile.ZIP_STORED] * 4 + [zipfile.ZIP_DEFLATED]))
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(result, "w", packing) as new:
        chosen = draw(st.sampled_from([*[n for n in old.namelist() if n.endswith("data.pkl")] * 8, *old.namelist()]))
        for name in old.namelist():
            new.writestr(name, damaged(draw, old.read(name)) if name == chosen else old.read(name))
    return result.getvalue()


def broken_tensors(draw, whole: bytes, state: dict, path: Path) -> None:
    """Write a damaged file of tensors, or one of other content."""
    action = draw(st.integers(0, 3))
    if action == 0:
        path.write_bytes(damaged(draw, whole))
    elif action == 1:
        path.write_bytes(rezipped(draw, whole))
    else:
        torch.save(changed(draw, state, tensors), path, _use_new_zipfile_serialization=draw(st.integers(0, 9)) > 0)


def weights(folder: Path) -> Callable:
    small_model(folder)
    facts, path = json.loads((folder / "model.json").read_text()), folder / "weights.pt"
    whole, state = path.read_bytes(), dict(torch.load(path, weights_only=True))

    def attempt(draw) -> None:
        broken_tensors(draw, whole, state, path)
        write_json(folder / "model.json", {**facts, "weights": file_digest(path)})  # past the check of the digest
        load_model(folder)

    return attempt


def training_state(folder: Path) -> Callable:
    fields = np.random.default_rng(0).normal(size=(4, 1, 8, 8)).astype(np.float32)
    samples = Samples(fields, np.tanh(fields))
    recipe = loop.Recipe(steps=30, batch=1, learning_rate=1e-2, validate_every=5, seed=0)

    def fresh() -> loop._Training:
        return loop._Training(Architecture(width=1, depth=1, first_radius=1), samples, samples, recipe, "cpu")

    run, path = fresh(), folder / "state"
    for _ in range(7):
        run.advance()
        if run.due:
            run.validate()
    torch.save(run.state(), path)
    whole, state = path.read_bytes(), run.state()

    def attempt(draw) -> str:
        broken_tensors(draw, whole, state, path)
        found = loop._resumed(fresh, path)
        if not found.finished:
            found.advance()
        return "afresh" if found.step == 1 else "resumed"

    return attempt


# ---- NetCDF


def labelled() -> xr.Dataset:
    model = Holstein(Lattice.square(8, 8), temperature=0.1)
    fields = np.random.default_rng(0).normal(size=(5, 1, 8, 8))
    data = configurations(fields, model.lattice, kind="quench", time=np.arange(5.0), trajectory=np.arange(5))
    data["forces_electronic"] = np.tanh(data["fields"])
    data = data.assign_coords(split=("sample", np.array(["train", "train", "train", "validation", "test"])))
    data.attrs = {"model": json.dumps(model.parameters()), "seed": "1"}
    return data


attributes = st.one_of(
    st.sampled_from(["", "x", "days since 1900-01-01", "1", "utf-8", "zlib_codec", "fields time", "{}", "x" * 70_000, "[" * 10**5]),
    st.integers(-(2**63), 2**63 - 1), st.floats(), st.lists(st.floats(width=32), min_size=1, max_size=4),
)  # fmt: skip
LENGTHS = st.sampled_from([0, 1, 5, 8, 10**6, 2**31, 10**15])


ATTRIBUTES = ("units", "scale_factor", "add_offset", "coordinates", "_Encoding", "calendar", "dtype", "missing_value", "model",
              "seed", "step", "valid_range", "cell_methods")  # fmt: skip
# Drawn before the library is called: what it then does, or refuses, must not decide what is drawn next.
changes = st.fixed_dictionaries({
    "action": st.sampled_from(["attribute", "attribute", "remove", "variable", "bomb", "group", "text", "rename", "value"]),
    "place": st.integers(0, 1000), "name": st.sampled_from(ATTRIBUTES), "attribute": attributes,
    "text": st.sampled_from([1, 10**6]), "value": st.sampled_from([0, -1, 10**9, 3]),
    "lengths": st.lists(LENGTHS, min_size=1, max_size=3), "kind": st.sampled_from(["f4", "f8", "i8", "i1", "S1", "u2"]),
})  # fmt: skip


def rewritten(plan: list[dict], path: Path) -> None:
    """Change the structure of a NetCDF file: attributes, or variables of other types, dimensions and claims."""
    with netCDF4.Dataset(path, "a") as file:
        for n, change in enumerate(plan):
            action, variables = change["action"], list(file.variables.values())
            owner = [file, *variables][change["place"] % (1 + len(variables))]
            variable = variables[change["place"] % len(variables)] if variables else None
            if action == "attribute":
                owner.setncattr(change["name"], change["attribute"])
            elif action == "remove" and owner.ncattrs():
                owner.delncattr(owner.ncattrs()[change["place"] % len(owner.ncattrs())])
            elif action == "group":
                file.createGroup(f"group{n}")
            elif action == "text":
                file.createVariable(f"text{n}", str, ())[...] = "x" * change["text"]
            elif action == "rename" and variable is not None:
                file.renameVariable(variable.name, f"other{n}")
            elif action == "value" and variable is not None:
                if variable.dtype.kind in "fi" and variable.size:
                    variable[(0,) * variable.ndim] = min(change["value"], 10**9 if variable.dtype.kind == "f" else 7)
            elif action in ("variable", "bomb"):
                dims = [file.createDimension(f"d{n}_{m}", length).name for m, length in enumerate(change["lengths"])]
                packing = {"zlib": True, "complevel": 9} if action == "bomb" else {}
                with contextlib.suppress(RuntimeError, ValueError, OverflowError):  # more than the library will write
                    file.createVariable(f"variable{n}", change["kind"], dims, fill_value=None if packing else False, **packing)


def broken_netcdf(draw, whole: bytes, path: Path) -> None:
    action = draw(st.integers(0, 4))
    if action == 0:
        path.write_bytes(damaged(draw, whole))
    elif action <= 2:  # without its digest: the C library must cope
        path.write_bytes(damaged(draw, whole[:-TRAILER_LENGTH]))
    else:
        plan = draw(st.lists(changes, min_size=1, max_size=3))
        path.write_bytes(whole[:-TRAILER_LENGTH])
        # What the library will not write is half written: an input all the same.
        with contextlib.suppress(RuntimeError, ValueError, TypeError, AttributeError, OverflowError, OSError, LookupError):
            rewritten(plan, path)


def data_set(folder: Path) -> Callable:
    path = folder / "data.nc"
    write_dataset(labelled(), path)
    whole = path.read_bytes()

    def attempt(draw) -> None:
        broken_netcdf(draw, whole, path)
        data = read_dataset(path, ["fields", "forces_electronic", "split"])
        Samples.select(with_total_force(data), "train")

    return attempt


def trajectory_state(folder: Path) -> Callable:
    path = folder / "checkpoint"

    def recorder() -> Recorder:
        def observe(state: State) -> xr.Dataset:
            return xr.Dataset({"energy": ("replica", (state.fields**2).sum(axis=(1, 2)))}, coords={"replica": state.replicas})

        return Recorder(observe, np.array([1, 2, 4, 8]), np.array([2, 8]), 0.1, path, 1e9)

    start = State.uncorrelated((6, 6), np.arange(2), 3, sigma=1.0, mass=1.0, temperature=0.1)
    first = recorder()
    for step in range(1, 6):
        first(State(start.fields + step, start.momenta, step, 3, start.replicas))
    first.save(State(start.fields + 5, start.momenta, 5, 3, start.replicas))
    whole = path.read_bytes()

    def attempt(draw) -> str:
        broken_netcdf(draw, whole, path)
        second = recorder()
        state = second.resume(start)
        for step in range(state.step + 1, 9):
            second(State(state.fields, state.momenta, step, 3, start.replicas))
        assert second.dataset().sizes["time"] == 4 and second.dataset().sizes["snapshot_time"] == 2
        return "resumed" if state.step else "afresh"

    return attempt


# ---- configurations


def configuration(folder: Path) -> Callable:
    content = Study().model_dump(mode="json")
    whole = yaml.safe_dump(content).encode()

    def attempt(draw) -> None:
        if draw(st.integers(0, 3)) == 0:
            text = damaged(draw, whole)
            found = yaml.safe_load(text)  # Snakemake's own loader is a safe one, and it tells YAML errors itself
            load_study(found if isinstance(found, dict) else {"study": found})
        else:
            load_study(changed(draw, content, values))

    return attempt


LOADERS: dict[str, tuple[Callable[[Path], Callable], tuple[type[Exception], ...]]] = {
    "model.json": (model_json, (DataError,)),
    "weights.pt": (weights, (DataError,)),
    "NetCDF data set": (data_set, (DataError, ValueError)),  # ValueError, in one line: no parameters of a lattice model
    "trajectory checkpoint": (trajectory_state, ()),
    "training checkpoint": (training_state, (FloatingPointError,)),  # told at the step where the loss is no longer a number
    "configuration": (configuration, (ConfigError, yaml.YAMLError)),
}


def child(name: str, count: int, folder: Path) -> None:
    """Try ``count`` inputs; print what came of them as JSON. The input at work lies in ``folder`` if this process dies."""
    make, allowed = LOADERS[name]
    warnings.simplefilter("ignore")
    logging.disable()
    torch.set_num_threads(1)
    attempt = make(folder)
    outcomes: Counter[str] = Counter()
    surprises: list[str] = []
    slowest = 0.0
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, taken + ROOM))

    @settings(max_examples=count, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def examples(data) -> None:
        nonlocal slowest
        started = time.monotonic()
        try:
            outcome = attempt(data.draw) or "loaded"
        except allowed as error:
            outcome = type(error).__name__
            if len(str(error).splitlines()) != 1 and not isinstance(error, yaml.YAMLError):
                surprises.append(f"not one line: {error!r:.500}")
        except (Exception, SystemExit) as error:
            if type(error).__module__.startswith("hypothesis"):
                raise
            outcome = "surprise"
            where = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-6:]]
            surprises.append(f"{type(error).__name__}: {error!s:.300} in {' '.join(where)}")
        slowest = max(slowest, time.monotonic() - started)
        outcomes[outcome] += 1

    examples()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"outcomes": outcomes, "surprises": surprises[:20], "slowest": slowest, "peak": peak}))


def run(name: str, count: int, folder: Path) -> dict:
    """The outcomes of ``count`` inputs to one loader; a dead child is a surprise."""
    command = [sys.executable, "-m", "tests.faults.fuzz", name, str(count), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    if done.returncode:
        kept = f"the input is in {folder}"
        return {"outcomes": {"death": 1}, "surprises": [f"ended with {done.returncode}, {kept}: {done.stderr[-1500:]}"]}
    return json.loads(done.stdout)


def main(count: int) -> int:
    """Print a table of all loaders; the number of surprises."""
    print("| loader | inputs | outcomes | slowest (s) |\n|---|---|---|---|", flush=True)
    surprises = total = 0
    for name in LOADERS:
        result = run(name, count, Path(tempfile.mkdtemp(prefix="fuzz-")))
        inputs = sum(result["outcomes"].values())
        total += inputs
        outcomes = ", ".join(f"{number} {outcome}" for outcome, number in sorted(result["outcomes"].items()))
        print(f"| {name} | {inputs} | {outcomes} | {result.get('slowest', 0):.1f} |", *result["surprises"], sep="\n", flush=True)
        surprises += len(result["surprises"])
    print(f"{total} inputs, {surprises} surprises")
    return surprises


if __name__ == "__main__":
    if len(sys.argv) == 4:
        child(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
    else:
        sys.exit(bool(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)))
