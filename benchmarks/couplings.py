"""One network for many electron temperatures against one trained at each: the error inside its span, at the border and beyond.

    python benchmarks/couplings.py results/couplings data train wider table couplings phase --output docs/benchmarks/couplings.md

``data``: configurations of 32 x 32 sites, each diagonalised once, which gives its exact forces at every temperature. ``train``: a
network with electron_temperature among its inputs, on labels at five temperatures, and networks without, each on those of one; for
as many steps each, and as many steps in all. ``wider``: quenches at stronger couplings, as fields in the units of the first, and a
network trained on these too. ``table``: errors on held-out configurations. ``couplings``: errors of both networks along their
own quenches at couplings that gave no data. ``phase``: stationary order against coupling and temperature, all from the second. One
thread; ten minutes of CPU time.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure

from ennforce.dynamics import Recorder, State, integrator, log_spaced_steps, quench
from ennforce.electrons.exact import ExactElectrons, fermi
from ennforce.figures import style
from ennforce.forces import ExactForces, KPMForces, NetworkForces
from ennforce.io import read_dataset, write_dataset
from ennforce.lattice import Lattice
from ennforce.models import Holstein
from ennforce.networks import Architecture
from ennforce.networks.ranges import FieldRange
from ennforce.sections import Bath
from ennforce.tables import as_markdown
from ennforce.training.dataset import Samples, soft, spreads
from ennforce.training.frontier import machine
from ennforce.training.loop import Recipe, fit
from ennforce.workflow import set_threads

SIDE = 32
PLAN = np.geomspace(0.03, 0.2, 5)  # electron temperatures that are trained on
BETWEEN = np.sqrt(PLAN[:-1] * PLAN[1:])
BEYOND = np.array([0.015, 0.02, 0.025, 0.25, 0.3, 0.4])
EVERY = np.sort(np.concatenate([PLAN, BETWEEN, BEYOND]))
SPLITS = {"train": (36, 9), "validation": (12, 3), "test": (12, 3)}  # random configurations, quenches
SNAPSHOTS, STEPS = 8, 300
REPLICAS = 4
COUPLINGS = (0.5, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.5)  # data are of 1.5
STRONGER = (2.0, 2.5, 3.0)
GRID, TEMPERATURES = (0.9, 1.1, 1.3, 1.5, 1.7, 1.9), (0.03, 0.06, 0.09, 0.12, 0.15, 0.18)
NETWORK = {"width": 4, "depth": 4, "separable": True, "wide": 2, "wide_radius": 10}


def model(temperature: float, **changes: float) -> Holstein:
    return Holstein(Lattice.square(SIDE, SIDE), temperature=float(temperature), **changes)


def random_fields(count: int, seed: int) -> np.ndarray:
    """Uncorrelated fields and soft staggered waves in turn, as a study samples them."""
    rng, lattice = np.random.default_rng(seed), model(0.1).lattice
    normals = rng.normal(size=(count, SIDE, SIDE))
    for field, length in zip(normals[1::2], spreads(1.0, 8.0, count // 2), strict=True):
        field[:] = soft(field, model(0.1).order.modulation, length, lattice)
    return spreads(0.02, 1.0, count)[:, None, None] * normals


def quenched(number: int, **changes: float) -> np.ndarray:
    """Snapshots of a quench whose electrons have the temperature of its bath, one of the plan."""
    one = model(PLAN[number % len(PLAN)], **changes)
    bath = Bath(temperature=one.temperature).model_dump()
    kept = np.array([0, *log_spaced_steps(1, STEPS, SNAPSHOTS - 1)])
    recorder = Recorder(
        lambda state: xr.Dataset({"step": ("replica", np.full(1, state.step))}),
        kept[1:],
        kept[1:],
        bath["dt"],
        None,
        1e9,
        ("y", "x"),
    )
    quench(KPMForces(one, 2e-2, sampled=True), one, np.array([number]), 5, bath, STEPS, recorder)
    start = State.before_quench(one, np.array([number]), 5, bath).fields
    return np.concatenate([start, recorder.dataset()["fields"].transpose("replica", ...).values[0]])


def densities(fields: np.ndarray) -> np.ndarray:
    """Exact densities at ``EVERY`` temperature, (temperature, y, x), of one diagonalisation."""
    electrons = ExactElectrons(model(0.1), fields)
    weights = np.abs(electrons.vectors) ** 2
    return np.stack([(weights @ fermi(electrons.energies, 0.0, t)).reshape(fields.shape) for t in EVERY])


def make_data(path: Path) -> None:
    fields, kinds, splits, number = [], [], [], 0
    for n, (split, (random, quenches)) in enumerate(SPLITS.items()):
        fields.append(random_fields(random, n))
        kinds += ["random"] * random
        for _ in range(quenches):
            fields.append(quenched(number))
            kinds += ["quench"] * len(fields[-1])
            number += 1
            print(f"quench {number}", flush=True)
        splits += [split] * (len(kinds) - len(splits))
    every = np.concatenate(fields).astype(np.float32)
    forces = np.stack([model(0.1).g * (densities(one.astype(float)) - 0.5) for one in every])
    write_dataset(
        xr.Dataset(
            {"fields": (("sample", "y", "x"), every), "forces": (("sample", "temperature", "y", "x"), forces.astype(np.float32))},
            coords={"temperature": EVERY, "kind": ("sample", np.array(kinds)), "split": ("sample", np.array(splits))},
        ),
        path,
    )


def make_wider(path: Path, data: xr.Dataset) -> None:
    """The data with quenches at stronger couplings, whose fields times g / 1.5 have the same electrons."""
    fields, splits = [], []
    for number, (g, split) in enumerate(itertools.product(STRONGER, ("train", "train", "train", "validation"))):
        fields.append(quenched(100 + number, g=g, K=1.0) * (g / model(0.1).g))
        splits += [split] * len(fields[-1])
    every = np.concatenate(fields).astype(np.float32)
    forces = np.stack([model(0.1).g * (densities(one.astype(float)) - 0.5) for one in every]).astype(np.float32)
    new = {"fields": (("sample", "y", "x"), every), "forces": (("sample", "temperature", "y", "x"), forces)}
    coords = {"temperature": data["temperature"].values, "split": ("sample", splits), "kind": ("sample", ["quench"] * len(every))}
    write_dataset(xr.concat([data, xr.Dataset(new, coords=coords)], "sample"), path)


def samples(data: xr.Dataset, split: str, temperatures: np.ndarray, told: bool = True) -> Samples:
    """Every configuration of a split at each of these temperatures, which the network is told or not."""
    part = data.sel(temperature=temperatures).isel(sample=np.flatnonzero(data["split"].values == split))
    forces = part["forces"].transpose("temperature", ...).values.reshape(-1, 1, SIDE, SIDE)
    fields = np.tile(part["fields"].values[:, None], (len(temperatures), 1, 1, 1))
    conditions = np.repeat(temperatures, part.sizes["sample"])[:, None].astype(np.float32)
    return Samples(fields, forces, conditions if told else None)


def train(folder: Path, data: xr.Dataset, temperatures: np.ndarray, steps: int, name: str) -> None:
    started, told = time.process_time(), len(temperatures) > 1
    architecture = Architecture(**NETWORK, inputs=("electron_temperature",) if told else ())
    parts = [samples(data, split, temperatures, told) for split in ("train", "validation")]
    trained = fit(architecture, *parts, Recipe(steps, 1, 2e-2, max(steps // 8, 1), 1))
    one, seen = model(temperatures[0]), FieldRange.of(parts[0].fields)
    NetworkForces(trained.network, one, seen=seen).save(folder / name)
    print(f"{name}: {trained.history[-1][2]:.2%} after {steps} steps, {time.process_time() - started:.0f} s", flush=True)


def errors(forces: NetworkForces, data: xr.Dataset, temperature: float) -> dict[str, float]:
    """rms error by rms force of the held-out configurations of each kind at a temperature."""
    part = data.sel(temperature=temperature).isel(sample=np.flatnonzero(data["split"].values == "test"))
    exact, found = part["forces"].values, forces.electronic_forces(part["fields"].values)
    kinds = {kind: part["kind"].values == kind for kind in ("quench", "random")}
    return {k: float(np.sqrt(((found - exact)[m] ** 2).mean() / (exact[m] ** 2).mean())) for k, m in kinds.items()}


def place(temperature: float) -> str:
    if temperature in BEYOND:
        return "beyond"
    return "trained on" if temperature in PLAN else "between"


def table(folder: Path, data: xr.Dataset) -> list[dict]:
    rows = []
    for temperature in EVERY:
        row = {"T_e": f"{temperature:.3g}", "": place(temperature)}
        nearest = PLAN[np.argmin(abs(np.log(PLAN / temperature)))]
        for name in ("one, equal steps", "one, equal total", "nearest point"):
            path = folder / (name.replace(", ", "_").replace(" ", "_") if name[:3] == "one" else f"point_{nearest:.3g}")
            forces = NetworkForces.load(path, model(temperature), extrapolate=True)
            row |= {f"{name}: {kind}": f"{100 * error:.2f} %" for kind, error in errors(forces, data, temperature).items()}
        rows.append(row)
    return rows


def run(forces: NetworkForces, temperature: float, steps: int, seed: int, order: float = 0.0) -> np.ndarray:
    """Fields after every tenth step, (time, replica, y, x), of ``REPLICAS`` runs in a bath, from disorder or an ordered start."""
    start = {"initial_order": order, "initial_sigma": 0.1, "initial_temperature": temperature}
    bath = Bath(temperature=temperature, **start).model_dump()
    state = State.before_quench(forces.model, np.arange(REPLICAS), seed, bath)
    kept: list[np.ndarray] = []

    def keep(state: State) -> None:
        if state.step % 10 == 0:
            kept.append(state.fields.copy())

    integrator(forces.model, forces, bath).run(state, steps, keep)
    return np.array(kept)


def at_couplings(folder: Path) -> list[dict]:
    """Errors along quenches at couplings that gave no data, at t = 12 and 120, against exact diagonalisation."""
    rows = []
    for name in ("one_equal_total", "one_wider"):
        for g in COUPLINGS if (folder / name).exists() else ():
            one = model(0.05, g=g, K=0.67 if g < 2.0 else 1.0)
            forces = NetworkForces.load(folder / name, one)
            assert forces.seen is not None
            row = {"network": name, "g": g, "K": one.K}
            for t, fields in zip((12, 120), run(forces, one.temperature, 300, 7)[[2, -1], 0], strict=True):
                exact = ExactForces(one).electronic_forces(fields)
                error = np.sqrt(((forces.electronic_forces(fields) - exact) ** 2).mean() / (exact**2).mean())
                told = " (told)" if forces.seen.complaint(torch.from_numpy(fields)[None, None]) else ""
                row |= {f"t = {t}: rms gQ/t": f"{g * fields.std():.2f}", f"t = {t}: error": f"{100 * error:.2f} %{told}"}
            rows.append(row)
    return rows


def phases(folder: Path) -> tuple[list[dict], np.ndarray]:
    """<|m|> in units of the ordered field of strong coupling, g / 2K, and its table; * marks fields outside of the range."""
    found, rows = np.zeros((len(TEMPERATURES), len(GRID))), []
    for i, temperature in enumerate(TEMPERATURES):
        row = {"T": f"{temperature:g}"}
        for j, g in enumerate(GRID):
            one = model(temperature, g=g)
            full = one.g / (2.0 * one.K)
            forces = NetworkForces.load(folder / "one_wider", one)
            assert forces.seen is not None
            fields = run(forces, temperature, 1200, 11, 0.7 * full)
            found[i, j] = np.abs(one.order.project(fields[len(fields) // 3 :]).mean(axis=(-2, -1))).mean() / full
            row[f"g = {g:g}"] = f"{found[i, j]:.2f}" + ("*" if forces.seen.complaint(torch.from_numpy(fields[-1])[:, None]) else "")
        rows.append(row)
    return rows, found


def drawn(found: np.ndarray) -> Figure:
    drawing, axes = style.figure()
    image = axes.pcolormesh(GRID, TEMPERATURES, found, cmap=style.TIME_MAP, shading="nearest", vmin=0, vmax=1)
    axes.set(xlabel="$g$", ylabel="$T = T_e$ ($t$)")
    drawing.colorbar(image, ax=axes, label=r"$\langle|m|\rangle / (g / 2K)$")
    return drawing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("stages", nargs="+", choices=("data", "train", "wider", "table", "couplings", "phase"))
    parser.add_argument("--steps", type=int, default=1500, help="of each network that knows one temperature")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    set_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    if "data" in options.stages:
        make_data(options.folder / "data.nc")
    data = read_dataset(options.folder / "data.nc", ["fields", "forces"])
    if "train" in options.stages:
        train(options.folder, data, PLAN, options.steps, "one_equal_steps")
        for one in PLAN:
            train(options.folder, data, np.array([one]), options.steps, f"point_{one:.3g}")
        train(options.folder, data, PLAN, len(PLAN) * options.steps, "one_equal_total")
    if "wider" in options.stages:
        make_wider(options.folder / "wider.nc", data)
        train(options.folder, read_dataset(options.folder / "wider.nc"), PLAN, 3 * options.steps, "one_wider")
    texts = [f"Made by benchmarks/couplings.py on {machine()}, one thread.\n"]
    if "table" in options.stages:
        texts.append(as_markdown(table(options.folder, data)))
    if "couplings" in options.stages:
        texts.append(as_markdown(at_couplings(options.folder)))
    if "phase" in options.stages:
        rows, found = phases(options.folder)
        texts.append(as_markdown(rows))
        style.save(drawn(found), options.folder / "phase_diagram.svg", options.folder / "phase_diagram.png")
    print("\n".join(texts))
    if options.output:
        options.output.write_text("\n".join(texts))


if __name__ == "__main__":
    main()
