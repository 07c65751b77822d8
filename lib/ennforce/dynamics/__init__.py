"""Langevin dynamics of lattice fields, driven by any force field."""

from ennforce.compiling import announce
from ennforce.dynamics.langevin import DivergenceError, Langevin, State
from ennforce.dynamics.quench import quench
from ennforce.dynamics.recorder import Recorder, equally_spaced_steps, log_spaced_steps

announce()

__all__ = ["DivergenceError", "Langevin", "Recorder", "State", "equally_spaced_steps", "log_spaced_steps", "quench"]
