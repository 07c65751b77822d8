"""Compiled kernels against torch, forces and gradients: ``python benchmarks/kernels.py [--output docs/benchmarks]``.

Writes kernels.md: for one network of every shape, microseconds per site of a force and milliseconds per gradient of one
configuration, by torch (plain filters where a network has them) and by its compiled kernel, on one thread and on two. Both are
timed in turn; medians.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).parent))
from machine import description

from ennforce.networks import Architecture, ForceNetwork, build
from ennforce.networks.compiled.inference import native
from ennforce.networks.compiled.plan import plan
from ennforce.networks.compiled.training import compiled_gradients
from ennforce.networks.export import TiledNetwork
from ennforce.networks.layers import point_group
from ennforce.symmetry import FieldType
from ennforce.tables import as_markdown
from ennforce.training.gradients import TorchGradients

SPINS = "1xA1l1o"
CASES = {
    "`enn`, separable, width 8, depth 4, 2 far stencils": {"width": 8, "depth": 4, "separable": True, "wide": 2},
    "the same, width 2": {"width": 2, "depth": 4, "separable": True, "wide": 2},
    "`enn_best`: full, width 4, depth 8": {"width": 4, "depth": 8},
    "full, width 4, depth 4": {"width": 4, "depth": 4},
    "`enn_energy`: full, width 4, depth 4": {"kind": "enn_energy", "width": 4, "depth": 4},
    "`enn_energy`, separable, width 8, depth 4": {"kind": "enn_energy", "width": 8, "depth": 4, "separable": True},
    "vector on the triangular lattice, separable, width 4, depth 4": {
        "lattice": "triangular", "field_type": "1xE1o", "width": 4, "depth": 4, "separable": True,
    },
    "spins: `typed`, separable, width 2, depth 4": {
        "kind": "typed", "field_type": SPINS, "width": 2, "depth": 4, "separable": True,
    },
    "spins, full, width 1, depth 4": {"kind": "typed", "field_type": SPINS, "width": 1, "depth": 4},
    "spins on the triangular lattice, separable, width 2, depth 2": {
        "kind": "typed", "lattice": "triangular", "field_type": SPINS, "width": 2, "depth": 2, "separable": True,
    },
    "cubic, separable, width 2, depth 2": {
        "lattice": "cubic", "field_type": "1xA1go", "width": 2, "depth": 2, "separable": True,
    },
}  # fmt: skip
REST = 0.1  # s, in which the threads of the library timed before stop waiting for work
TORUS = {2: (256, 256), 3: (48, 48, 48)}  # of forces
SAMPLE = {2: (48, 48), 3: (16, 16, 16)}  # of gradients


def fields_of(network: ForceNetwork, shapes: dict[int, tuple[int, ...]]) -> torch.Tensor:
    group = point_group(network.architecture.lattice)
    components = FieldType.parse(network.architecture.field_type).dim(group)
    return torch.randn(1, components, *shapes[group.matrices.shape[1]])


def in_turn(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each call, in two rounds of all; the first call of a round is not counted."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(2):
        for name, call in calls.items():
            time.sleep(REST)
            call()
            for _ in range(repeats):
                started = time.perf_counter()
                call()
                spent[name].append(time.perf_counter() - started)
    return {name: median(values) for name, values in spent.items()}


def torch_only(network: ForceNetwork) -> TiledNetwork:
    """The network for inference without its kernel."""
    tiled = TiledNetwork(network)
    tiled.body = network.expanded()
    return tiled


def measured(title: str, settings: dict, threads: int, repeats: int) -> dict:
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    network = build(Architecture(**settings))
    made, kernel = plan(network), native(network)
    if made is None or kernel is None:
        raise SystemExit("no C compiler on this machine, so there are no kernels to time: install gcc or clang, or set CC")
    gradients, fields, sample = compiled_gradients(network), fields_of(network, TORUS), fields_of(network, SAMPLE)
    slow = torch_only(build(network.architecture))
    sites = fields[:, :1].numel()
    with torch.no_grad():
        forces = in_turn({"torch": lambda: slow.on_torus(fields), "kernel": lambda: kernel.on_torus(fields)}, repeats)
    row = {
        "network": title, "threads": threads,
        "torch, µs per site": 1e6 * forces['torch'] / sites, "kernel": 1e6 * forces['kernel'] / sites,
        "ratio": f"{forces['torch'] / forces['kernel']:.1f}", "torch, ms per gradient": None, "kernel ": None, "ratio ": None,
    }  # fmt: skip
    if gradients is not None:
        told = sample, torch.randn_like(sample), torch.ones(1)
        by_torch = TorchGradients(build(network.architecture))
        steps = in_turn({"torch": lambda: by_torch(*told), "kernel": lambda: gradients(*told)}, repeats)
        row |= {
            "torch, ms per gradient": 1e3 * steps['torch'], "kernel ": 1e3 * steps['kernel'],
            "ratio ": f"{steps['torch'] / steps['kernel']:.1f}",
        }  # fmt: skip
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="docs/benchmarks", help="folder of kernels.md")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    rows = []
    for title, settings in CASES.items():
        for threads in given.threads:
            rows.append(measured(title, settings, threads, given.repeats))
            print(rows[-1], flush=True)
    sizes = "Forces on 256² or 48³ sites, gradients of one configuration of 48² or 16³."
    head = f"# Compiled kernels against torch\n\n{description()}. {sizes}"
    Path(given.output, "kernels.md").write_text(f"{head}\n\n{as_markdown(rows)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
