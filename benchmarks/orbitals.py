"""Cost of local expansions with the number of orbitals, real and complex, with full hopping matrices.

    OMP_NUM_THREADS=1 python benchmarks/orbitals.py [--output docs/benchmarks]

Writes orbitals.md: microseconds a site of all b columns at 48 Chebyshev coefficients and radius 5 (CPU time, the least of three),
and seconds of the first call, compilation included where the kernel was not in numba's cache.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import process_time

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from machine import description

from ennforce.electrons.bounds import lanczos_window
from ennforce.electrons.engines import ChebyshevEngine
from ennforce.electrons.stencil import Stencil, window_around
from ennforce.lattice import Lattice
from ennforce.models import Blocks
from ennforce.tables import as_markdown

ORDER, RADIUS, SIZE, COLUMNS = 48, 5, 16, 64


def blocks(orbitals: int, is_complex: bool) -> Blocks:
    """Random Hermitian blocks on all sites, and random hops without a zero."""
    rng = np.random.default_rng(orbitals)

    def matrix(*leading: int) -> np.ndarray:
        values = rng.normal(size=(*leading, orbitals, orbitals))
        return values + 1j * rng.normal(size=values.shape) if is_complex else values

    onsite = matrix(SIZE, SIZE)
    return Blocks(Lattice.square(SIZE, SIZE), onsite + np.swapaxes(onsite, -1, -2).conj(), {(0, 1): matrix(), (1, 0): matrix()})


def cpu_seconds(call: Callable[[], object]) -> float:
    """The least CPU time of three calls: other jobs on the machine do not count."""
    found = []
    for _ in range(3):
        before = process_time()
        call()
        found.append(process_time() - before)
    return min(found)


def row(orbitals: int, is_complex: bool) -> dict:
    stencil = Stencil.of(blocks(orbitals, is_complex))
    bounds = lanczos_window(stencil)
    engine = ChebyshevEngine(stencil.scaled(bounds.a, bounds.b, np.float32), (), np.full((1, ORDER), 0.01))
    call = partial(engine.values, np.arange(COLUMNS), window_around("square", RADIUS, stencil.shifts))
    before = process_time()
    call()
    first = process_time() - before
    found = {
        "orbitals": orbitals, "": "complex" if is_complex else "real",
        "terms a plane": len(stencil.uniform[0] + stencil.varying[0]),
        "µs per site": f"{1e6 * cpu_seconds(call) / COLUMNS:.3g}",
        "bounds, µs per site": f"{1e6 * cpu_seconds(partial(lanczos_window, stencil)) / SIZE**2:.2g}",
        "first call, s": f"{first:.1f}",
    }  # fmt: skip
    print(found, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row(orbitals, is_complex) for is_complex in (False, True) for orbitals in (1, 2, 3, 5, 10)]
    text = (
        "# Many orbitals\n\nMade by `python benchmarks/orbitals.py`: all columns of a site, "
        f"{ORDER} Chebyshev coefficients, radius {RADIUS}, full hopping matrices, one thread, CPU time. "
        f"One orbital needs half the steps of "
        f"the others (two moments a step). {description()}.\n\n{as_markdown(rows)}\n"
    )
    (arguments.output / "orbitals.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
