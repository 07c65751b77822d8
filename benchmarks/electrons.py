"""Electronic solvers side by side: error against time, cost a site, kernel throughput, and where each expansion wins.

    python benchmarks/electrons.py --output docs/benchmarks [--kwant-python PATH] [--sizes 32 48 64]

Writes electrons.md (tables, with the machine they were made on), electrons.csv, and electrons.svg/.png: error against time. All
numbers are from one run; times are medians after a first call that compiles. kwant needs an environment of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
import peers
from machine import description, multiply_add_peak

from ennforce.dynamics.langevin import Langevin, State
from ennforce.electrons import solve
from ennforce.electrons.bounds import lanczos_window
from ennforce.electrons.engines import ChebyshevEngine
from ennforce.electrons.stencil import Stencil, window_around
from ennforce.forces import KPMForces
from ennforce.lattice import Lattice
from ennforce.models import Holstein
from ennforce.tables import as_csv, as_markdown
from ennforce.training.frontier import median_seconds

DEFAULT = {"t": 1.0, "g": 1.5, "K": 0.67, "temperature": 0.05}
PAPER = {"t": 1.0, "g": 3.5, "K": 1.0, "kappa": 0.18, "temperature": 0.1}
TOLERANCES = (1e-1, 5e-2, 3e-2, 2e-2, 1e-2, 3e-3, 1e-3, 1e-4)
# Multiply-adds of one site update: four hops, the on-site energy, the recursion, and the two sums that double the moments.
MULTIPLY_ADDS = 8


def snapshot(size: int, steps: int = 200) -> tuple[Holstein, np.ndarray]:
    """The default regime at time 40 of a quench from nearly zero fields: domains, walls and thermal noise."""
    model = Holstein(Lattice.square(size, size), **DEFAULT)
    engine = Langevin(KPMForces(model, 3e-2, sampled=True), mass=1.0, friction=0.2, temperature=0.05, dt=0.2)
    start = State.uncorrelated(model.lattice.shape, np.arange(1), size, sigma=0.1, mass=1.0, temperature=0.05)
    return model, engine.run(start, steps).fields[0]


def error_against_time(size: int, kwant_python: str | None) -> list[dict]:
    """Rows of solver, setting, seconds, rms and largest density error, for one configuration."""
    model, fields = snapshot(size)
    exact = peers.exact_torch(model, fields)
    rows: list[dict] = []

    def row(solver: str, setting: str, density: np.ndarray, seconds: float) -> None:
        error = density - exact
        rows.append(
            {"size": size, "solver": solver, "setting": setting, "seconds": seconds,
             "rms": float(np.sqrt((error**2).mean())), "max": float(np.abs(error).max())}
        )  # fmt: skip
        print(f"{size:4d}  {solver:28s} {setting:26s} {seconds * 1e3:9.2f} ms  rms {rows[-1]['rms']:.1e}", flush=True)

    repeats = 5 if size < 64 else 3
    for name, method in (("ED, torch.linalg.eigh", peers.exact_torch), ("ED, numpy.linalg.eigh", peers.exact_numpy)):
        row(name, "float64", method(model, fields), median_seconds(lambda method=method: method(model, fields), repeats))
    for sampled in (True, False):
        for tolerance in TOLERANCES:

            def ours(tolerance=tolerance, sampled=sampled):
                return solve(model, fields, tolerance, sampled=sampled, energy=False)

            found = ours()
            name = "ennforce, sampled windows" if sampled else "ennforce, verified windows"
            row(name, f"tolerance {tolerance:g}", found.density.occupation, median_seconds(ours, 9))
    bounds = lanczos_window(Stencil.of(model.blocks(fields)))
    for order in (64, 128, 256):
        for distance in (4, 8, 16):
            probes = peers.colouring_probes(fields.shape, distance)
            call = lambda probes=probes, order=order: peers.probed(model, fields, bounds, order, probes)  # noqa: E731
            row("scipy.sparse, colouring", f"M {order}, distance {distance}", call(), median_seconds(call, 3))
    for count in (16, 64, 256):
        probes = peers.random_probes(fields.size, count)
        call = lambda probes=probes: peers.probed(model, fields, bounds, 128, probes)  # noqa: E731
        row("scipy.sparse, random", f"M 128, {count} vectors", call(), median_seconds(call, 3))
    if kwant_python:
        settings = [{"vectors": vectors, "moments": 128} for vectors in (4, 16, 64)]
        for setting, (density, seconds) in zip(settings, peers.kwant_densities(kwant_python, model, fields, settings), strict=True):
            row("kwant.kpm, random", f"M 128, {setting['vectors']} vectors", density, seconds)
    return rows


def scaling_point(size: int) -> None:
    """Print seconds and peak memory (MiB) of one solution at ``size``; run in a process of its own."""
    model, fields = snapshot(64)
    model, fields = model.resized(size, size), np.tile(fields, (size // 64, size // 64))
    call = partial(solve, model, fields, 2e-2, sampled=True, energy=False)
    print(median_seconds(call, 5 if size > 256 else 25), _peak_memory(), call().radius)


def _peak_memory() -> float:
    """Of this process, in MiB; the figure that the system's resource usage gives would count its parent's."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def scaling(sizes: list[int]) -> list[dict]:
    rows = []
    for size in sizes:
        done = subprocess.run([sys.executable, __file__, "--scaling-point", str(size)], check=True, capture_output=True, text=True)
        seconds, memory, radius = done.stdout.split()
        cost = float(seconds) / size**2 * 1e6
        rows.append(
            {
                "size": size,
                "radius": radius,
                "seconds": float(seconds),
                "microseconds_a_site": cost,
                "peak_MiB": round(float(memory)),
            }
        )
        print(rows[-1], flush=True)
    return rows


def throughput() -> list[dict]:
    """Site updates a second of the kernel, and the fraction of the multiply-add peak it reaches."""
    model, fields = snapshot(64)
    peak = multiply_add_peak()
    rows, every = [], torch.get_num_threads()
    for dtype in (np.float32, np.float64):
        for radius in (3, 4, 6, 8, 12):
            for threads in sorted({1, every}):
                torch.set_num_threads(threads)
                engine = ChebyshevEngine(Stencil.of(model.blocks(fields)).scaled(5.5, 0.0, dtype), (), np.ones((1, 128)))
                window = window_around("square", radius, engine.stencil.shifts)
                sites = np.arange(fields.size)
                rate = window.updates(engine.steps) * len(sites) / median_seconds(partial(engine.values, sites, window), 5)
                bits = 1 if dtype is np.float32 else 2
                share = rate * MULTIPLY_ADDS / (threads * peak / bits)
                rows.append({"dtype": dtype.__name__, "radius": radius, "threads": threads, "updates": rate, "fraction": share})
                print(rows[-1], flush=True)
        torch.set_num_threads(every)
    rows.append({"dtype": "peak of one core, float32 multiply-adds", "radius": "", "threads": 1, "updates": peak, "fraction": 1.0})
    return rows


def engines() -> list[dict]:
    """Chebyshev against Lanczos with poles, and what ``auto`` takes, at 48 x 48 and equal tolerance."""
    rows = []
    for regime, parameters, spread, order in (("default", DEFAULT, 0.7, 0.7), ("paper", PAPER, 5.3, 2.5)):
        model = Holstein(Lattice.square(48, 48), **parameters)
        rng = np.random.default_rng(0)
        stripes = np.where(np.arange(48) < 24, 1.0, -1.0)[:, None] * model.lattice.stagger()
        kinds = {
            "random": rng.normal(scale=spread, size=(48, 48)),
            "walls": order * stripes + rng.normal(scale=0.15 * order, size=(48, 48)),
        }
        for kind, fields in kinds.items():
            for tolerance in (1e-2, 1e-4):
                calls = {
                    m: partial(solve, model, fields, tolerance, method=m, energy=False) for m in ("chebyshev", "recursion", "auto")
                }
                found = {m: call() for m, call in calls.items()}
                times = {m: median_seconds(call, 7) for m, call in calls.items()}
                rows.append(
                    {"regime": regime, "kind": kind, "tolerance": tolerance, "chebyshev_steps": found["chebyshev"].steps,
                     "recursion_steps": found["recursion"].steps, **{f"{m}_ms": 1e3 * t for m, t in times.items()},
                     "auto_takes": found["auto"].method}
                )  # fmt: skip
                print(rows[-1], flush=True)
    return rows


def ratios(rows: list[dict]) -> list[dict]:
    """For every size: the fastest setting of ours with an rms error of at most 1e-3, against torch's diagonalisation."""
    result = []
    for size in sorted({row["size"] for row in rows}):
        own = [row for row in rows if row["size"] == size]
        torch_time, numpy_time = (next(r["seconds"] for r in own if name in r["solver"]) for name in ("torch", "numpy"))
        for name in ("ennforce, sampled windows", "ennforce, verified windows"):
            best = min((r for r in own if r["solver"] == name and r["rms"] <= 1e-3), key=lambda row: row["seconds"])
            result.append(
                {"size": size, "solver": name, "setting": best["setting"], "rms": best["rms"], "ms": 1e3 * best["seconds"],
                 "torch_eigh_s": torch_time, "times_faster": torch_time / best["seconds"],
                 "numpy_eigh_s": numpy_time, "than_numpy": numpy_time / best["seconds"]}
            )  # fmt: skip
    return result


def draw(rows: list[dict], output: Path) -> None:
    from ennforce.figures.style import figure, panel, save

    looks = {
        "ennforce, sampled windows": ("#0072B2", "o", "-"), "ennforce, verified windows": ("#56B4E9", "s", "-"),
        "scipy.sparse, colouring": ("#009E73", "^", ""), "scipy.sparse, random": ("#D55E00", "v", ""),
        "kwant.kpm, random": ("#E69F00", "D", ""),
    }  # fmt: skip
    sizes = sorted({row["size"] for row in rows})
    drawing, panels = figure(columns=len(sizes), height=75.0, sharey=True)
    for letter, size, axes in zip("abcdef", sizes, np.atleast_1d(panels), strict=False):
        own = [row for row in rows if row["size"] == size]
        for solver, (colour, marker, line) in looks.items():
            points = [row for row in own if row["solver"] == solver]
            if points:
                seconds, errors = [row["seconds"] for row in points], [row["rms"] for row in points]
                axes.plot(seconds, errors, color=colour, marker=marker, markersize=4, linestyle=line or "none", label=solver)
        for solver, dashes in (("ED, torch.linalg.eigh", "--"), ("ED, numpy.linalg.eigh", ":")):
            axes.axvline(
                next(row["seconds"] for row in own if row["solver"] == solver), color="#555555", linestyle=dashes, label=solver
            )
        axes.set(xscale="log", yscale="log", xlabel="wall time (s)")
        panel(axes, letter)
        axes.set_title(f"${size}\\times{size}$")
    np.atleast_1d(panels)[0].set_ylabel(r"rms error of $\langle n_i\rangle$")
    drawing.legend(*np.atleast_1d(panels)[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    save(drawing, output / "electrons.svg", output / "electrons.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 48, 64])
    parser.add_argument("--scaling", type=int, nargs="*", default=[64, 128, 256, 512, 1024])
    parser.add_argument("--kwant-python", help="interpreter of an environment with kwant")
    parser.add_argument("--scaling-point", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.scaling_point:
        return scaling_point(arguments.scaling_point)
    arguments.output.mkdir(parents=True, exist_ok=True)
    rows = [row for size in arguments.sizes for row in error_against_time(size, arguments.kwant_python)]
    parts = [
        "# Electronic solvers",
        description(),
        "Written by `benchmarks/electrons.py`; what it means is told in [electrons.md](../electrons.md).",
        "![error against time](electrons.png)",
        "## Speed at an rms density error of at most 1e-3, default regime, quench snapshot", as_markdown(ratios(rows)),
        "## Cost a site and peak memory of the process, tolerance 2e-2, sampled windows", as_markdown(scaling(arguments.scaling)),
        "## Kernel throughput: site updates a second, and the share of the measured multiply-add peak", as_markdown(throughput()),
        "## Chebyshev against Lanczos with poles, 48 x 48, verified windows", as_markdown(engines()),
        "## Error against time", as_markdown(rows),
    ]  # fmt: skip
    (arguments.output / "electrons.md").write_text("\n\n".join(parts) + "\n")
    (arguments.output / "electrons.csv").write_text(as_csv(rows))
    draw(rows, arguments.output)


if __name__ == "__main__":
    main()
