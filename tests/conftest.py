"""Models and configurations that many tests share, and the one table of tolerances."""

from __future__ import annotations

import numpy as np
import pytest

from ennforce.lattice import Lattice
from ennforce.models import Holstein

# Regimes of docs/physics.md: parameters, spread of random fields, amplitude of the ordered state.
REGIMES = {
    "default": ({"t": 1.0, "g": 1.5, "K": 0.67, "kappa": 0.0}, 0.7, 0.7),
    "paper": ({"t": 1.0, "g": 3.5, "K": 1.0, "kappa": 0.18}, 5.3, 2.5),
}
EQUIVARIANCE = {"float32": 1e-5, "float64": 1e-12}


def holstein(regime: str, shape: tuple[int, int], temperature: float, **options) -> Holstein:
    return Holstein(Lattice.square(*shape), temperature=temperature, **REGIMES[regime][0], **options)


def configuration(regime: str, kind: str, shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Fields (Ly, Lx): uncorrelated ('random'), nearly zero ('hot'), or two staggered domains with thermal noise ('walls')."""
    rng = np.random.default_rng(seed)
    _, sigma, amplitude = REGIMES[regime]
    if kind == "random":
        return rng.normal(scale=sigma, size=shape)
    if kind == "hot":
        return rng.normal(scale=0.1, size=shape)
    sign = np.where(np.arange(shape[0]) < shape[0] // 2, 1.0, -1.0)[:, None]
    return amplitude * sign * Lattice.square(*shape).stagger() + rng.normal(scale=0.15 * amplitude, size=shape)


# Files whose tests take minutes, the longest first; those of one name share a finished study, and so a process.
LONG = {"test_generality.py": "general", "test_smoke.py": "smoke", "test_faults.py": "smoke"}


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: list(LONG).index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Tests of a file run in one process, and those of files that share a study."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return LONG.get(path.rpartition("/")[2], path)

    return ByFile(config, log)


@pytest.fixture
def square_group():
    return Lattice.square(4, 4).point_group
