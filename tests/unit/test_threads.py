"""One number of threads for the whole package, the caller's, which no call changes."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from ennforce import threads

# Solvers, dynamics and a network, each on lattices large enough for threads; prints torch's number and the process's after each.
PROGRAM = """
import os, sys
import numpy as np, torch
if sys.argv[1:]:
    torch.set_num_threads(int(sys.argv[1]))
from ennforce.dynamics.langevin import Langevin, State
from ennforce.forces import KPMForces, LocalForces, NetworkForces
from ennforce.models import Holstein
from ennforce.models.double_well import DoubleWell
from ennforce.lattice import Lattice
from ennforce.networks import Architecture, build

def show():
    print(torch.get_num_threads(), len(os.listdir("/proc/self/task")))

lattice = Lattice.square(160, 160)
model = Holstein(lattice, temperature=0.5)
fields = np.zeros(lattice.shape)
bath = {"mass": 1.0, "friction": 0.2, "temperature": 0.05, "dt": 0.2}
start = State.uncorrelated(lattice.shape, np.arange(2), 1, sigma=0.1, mass=1.0, temperature=0.05)
show()
KPMForces(model, 3e-2, sampled=True).forces(fields), show()
LocalForces(model, order=8, radius=2).forces(fields), show()
Langevin(DoubleWell(lattice), **bath).run(start, 2), show()
NetworkForces(build(Architecture(width=1, depth=1)), model).forces(fields), show()
from numba.np.ufunc import parallel
print(parallel._is_initialized)
"""


def counts(arguments, **environment):
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], env={**kept, "OPENBLAS_NUM_THREADS": "1", **environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    *rows, numba_started = done.stdout.splitlines()
    assert numba_started == "False"
    return [tuple(map(int, row.split())) for row in rows]


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads in /proc")
def test_one_thread_stays_one():
    assert counts([], OMP_NUM_THREADS="1") == [(1, 1)] * 5
    found = counts(["1"], OMP_NUM_THREADS="2")  # the caller's later word counts, whatever the environment said
    assert [torch_count for torch_count, _ in found] == [1] * 5 and len({tasks for _, tasks in found}) == 1


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads in /proc")
def test_three_threads_stay_three():
    found = counts(["3"], OMP_NUM_THREADS="1")
    assert [torch_count for torch_count, _ in found] == [3] * 5
    assert found[-1][1] > 1


def test_parts_cover_the_range_and_items_keep_their_order():
    count = torch.get_num_threads()
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            for size, least in ((0, 4), (10, 4), (10, 100), (1000, 1)):
                parts = threads.parts(size, least)
                assert np.concatenate([np.arange(*part) for part in parts]).tolist() == list(range(size))
                assert 1 <= len(parts) <= number
            assert threads.mapped(lambda item: item * item, list(range(50))) == [n * n for n in range(50)]
    finally:
        torch.set_num_threads(count)
