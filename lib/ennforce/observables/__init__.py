"""What is measured of trajectories: observables as values, structure factors, domains and their walls."""

from ennforce.observables.base import Moment, Observable, Observer
from ennforce.observables.standard import observables_of

__all__ = ["Moment", "Observable", "Observer", "observables_of"]
