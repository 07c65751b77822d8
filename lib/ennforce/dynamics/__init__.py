"""Dynamics of lattice fields in a heat bath, driven by any force field."""

from ennforce.compiling import announce
from ennforce.dynamics.hybrid import HybridMonteCarlo
from ennforce.dynamics.integrators import integrator
from ennforce.dynamics.langevin import DivergenceError, Langevin, State
from ennforce.dynamics.overdamped import Overdamped
from ennforce.dynamics.quench import quench
from ennforce.dynamics.recorder import Recorder, equally_spaced_steps, log_spaced_steps
from ennforce.dynamics.spins import SpinDynamics

announce()

__all__ = [
    "DivergenceError", "HybridMonteCarlo", "Langevin", "Overdamped", "Recorder", "SpinDynamics", "State", "equally_spaced_steps",
    "integrator", "log_spaced_steps", "quench",
]  # fmt: skip
