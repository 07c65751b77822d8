"""How wide the windows must be: radii are tried on a sample of sites, and every site may be checked against a narrower one.

The window error of a site is read from the change between two radii, the wider about one and a half times the narrower; the value
kept is that of the wider one. One comparison can agree by accident: the error oscillates with radius and chemical potential as
Friedel's densities do, and in a uniform system all sites sit on the same node. Two things see through it:

- The *envelope*: with each function comes its partner in quadrature, as a sine to a cosine (the Fermi function's is a digamma
  function). The modulus of both changes together has no nodes, and it sees a band's edge before any density does.
- The *band*: several radii, from below the narrower one to the wider one, must agree as well.

Where a symmetry holds the density, as half filling does, the envelope far exceeds the error; so it may reach ENVELOPE tolerances.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import merge
from itertools import islice
from typing import NamedTuple

import numpy as np

from ennforce.electrons.engines import Engine
from ennforce.electrons.kernels import LANES
from ennforce.electrons.stencil import Window, window_of

STARTS = (2, 3)  # of the two ladders of radii, 2, 4, 6, 9, 14, ... and 3, 5, 8, 12, 18, ...
MOST_SITES = 20_000  # of a window: beyond, exact diagonalisation is near
SAMPLE = 1 / 64  # of all sites, on which a radius is chosen
MOST_SAMPLE = 4096
ENVELOPE = 5.0  # tolerances that the envelope of a change may reach: measured, see docs/electrons.md
BAND = 5  # radii of the band, at most
SAFETY = 3.0  # the worst of all sites against the worst of the sample, where no others are checked
START_SAFETY = 2.0  # the worst of all sites against the worst of the sample, where every site is checked afterwards

Radius = int | None  # None: the whole torus


class WindowError(ValueError):
    """No window is wide enough for the tolerance."""


class TooDear(Exception):
    """Windows so wide that another method is cheaper."""


class Choice(NamedTuple):
    """A radius, the largest change seen there (the estimated error), the largest envelope, and how much all densities changed."""

    radius: Radius
    error: float
    envelope: float
    drift: float


class Windows:
    """The windows that fit on the torus of an engine's stencil."""

    def __init__(
        self, engine: Engine, tolerance: float, sites: np.ndarray | None = None, checked: int | None = 1, partner: int | None = None
    ) -> None:
        """``sites`` are those wanted, by default all; the first ``checked`` functions are held to the tolerance, None for all.

        ``partner``: which of the functions is in quadrature with the first, where one is.
        """
        self.engine, self.stencil, self.tolerance = engine, engine.stencil, tolerance
        self.checked, self.partner = checked, partner
        self.sites = np.arange(self.stencil.lattice.num_sites) if sites is None else sites
        count = len(self.sites)
        wanted = min(count, MOST_SAMPLE, max(1, int(SAMPLE * count) // LANES) * LANES)
        # Golden-ratio steps spread the sample over the lattice without falling in step with its period.
        self.sample = self.sites[np.unique((np.arange(wanted) * 0.6180339887498949 % 1.0 * count).astype(np.int64))]

    def window(self, radius: Radius) -> Window:
        return window_of(self.stencil, radius)

    def fits(self, radius: int) -> bool:
        """Whether the window leaves room on the torus."""
        return not self.window(radius).torus

    def ladder(self, radius: int) -> Iterator[Radius]:
        """``radius`` and ever wider ones, in steps of one and a half; at last the whole torus, where that is not too large."""
        while self.fits(radius):
            yield radius
            radius = max(radius + 2, -(-3 * radius // 2))
            if (2 * radius + 1) ** self.stencil.lattice.dimension > MOST_SITES < self.stencil.lattice.num_sites:
                raise WindowError(
                    f"no window of up to {MOST_SITES} sites meets a density tolerance of {self.tolerance:.1g}: ask for a larger "
                    "tolerance, a higher temperature, or exact diagonalisation"
                )
        yield None

    def choose(self, safety: float = SAFETY, affordable: Callable[[Radius], bool] | None = None) -> Choice:
        """The narrowest radius at which the sample's elements agree with those of the next one and of the band around both.

        Raises TooDear where a radius is reached that is not ``affordable``.
        """
        known: dict[Radius, np.ndarray] = {}

        def sampled(radius: Radius) -> np.ndarray:
            if radius not in known:
                known[radius] = self.engine.values(self.sample, self.window(radius))
            return known[radius]

        for radius in merge(*map(self.ladder, STARTS), key=lambda radius: np.inf if radius is None else radius):
            if affordable is not None and not affordable(radius):
                raise TooDear
            if radius is None:
                break
            following = next(islice(self.ladder(radius), 1, None))
            change, envelope = self._changes(sampled(following), sampled(radius))
            # The whole torus has no window error: a change against it is no estimate.
            largest, highest = float(change.max()), float(envelope.max()) if following is not None else 0.0
            for narrower in self._band(radius, following):
                if safety * max(largest, highest / ENVELOPE) > self.tolerance:
                    break
                change, envelope = self._changes(sampled(following), sampled(narrower))
                highest = max(highest, float(envelope.max()))
                largest = max(largest, float(change.max()) if narrower > radius else 0.0)
            if safety * max(largest, highest / ENVELOPE) <= self.tolerance:
                drift = self._electrons(sampled(following) - sampled(radius)) * len(self.sites) / len(self.sample)
                return Choice(radius, safety * largest, highest, drift)
        return Choice(None, 0.0, 0.0, 0.0)

    def everywhere(self, radius: Radius) -> np.ndarray:
        """Values of all sites at one radius, (functions, orbitals, elements, sites)."""
        return self.engine.values(self.sites, self.window(radius))

    def verified(self, affordable: Callable[[Radius], bool] | None = None) -> tuple[np.ndarray, Choice]:
        """Values of all sites, each at the first radius that agrees with a narrower one; widest radius, largest change.

        It begins where the whole sample agrees: narrower windows would do for most sites, but agree by chance for some. A site
        whose envelope exceeds both the tolerance and the sample's is unlike the sample: its own band is compared.
        """
        start = self.choose(START_SAFETY, affordable)
        radii = iter([None]) if start.radius is None else self.ladder(start.radius)
        radius = next(radii)
        if radius is not None and next(islice(self.ladder(radius), 1, None)) is None:
            radius = next(radii)
        values = self.everywhere(radius)
        error, drift, doubtful = start.error / START_SAFETY, 0.0, np.arange(len(self.sites))
        familiar = max(self.tolerance, start.envelope)
        while radius is not None and doubtful.size:
            before, radius = radius, next(radii)
            known, sites = values[..., doubtful], self.sites[doubtful]
            found = self.engine.values(sites, self.window(radius))
            values[..., doubtful] = found
            if radius is None:
                break
            change, envelope = self._changes(found, known)
            agree = change <= self.tolerance
            unlike = np.flatnonzero(agree & (envelope > familiar))
            if unlike.size:
                change[unlike], agree[unlike] = self._compared(found[..., unlike], sites[unlike], before, radius)
            error = max(error, change[agree].max(initial=0.0))
            drift += self._electrons((found - known)[..., agree])
            doubtful = doubtful[~agree]
        return values, Choice(radius, float(error), start.envelope, float(drift))

    def _compared(self, found: np.ndarray, sites: np.ndarray, narrow: int, wide: int) -> tuple[np.ndarray, np.ndarray]:
        """Largest changes against all radii of the band, and whether they and the envelopes are small enough."""
        largest, agree = np.zeros(len(sites)), np.ones(len(sites), dtype=bool)
        for radius in (narrow, *self._band(narrow, wide)):
            left = np.flatnonzero(agree)
            if not left.size:
                break
            change, envelope = self._changes(found[..., left], self.engine.values(sites[left], self.window(radius)))
            if radius >= narrow:
                largest[left] = np.maximum(largest[left], change)
            agree[left] = (largest[left] <= self.tolerance) & (envelope <= ENVELOPE * self.tolerance)
        return largest, agree

    def _band(self, narrow: int, wide: Radius) -> list[int]:
        """Radii that must agree with ``wide`` besides ``narrow``: from narrow / 1.5 on, narrowest first."""
        if wide is None:
            return []
        first = max(1, *self.stencil.reach, 2 * narrow // 3)
        return [int(radius) for radius in np.unique(np.linspace(first, wide - 1, BAND).round()) if radius != narrow]

    def _changes(self, values: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The largest change of a checked element of every site, and the largest envelope of one."""
        changes = np.abs(values - before)
        change = changes[: self.checked].max(axis=(0, 1, 2))
        if self.partner is None:
            return change, change
        return change, np.hypot(changes[0], changes[self.partner]).max(axis=(0, 1))

    def _electrons(self, values: np.ndarray) -> float:
        """Electrons of all sites and orbitals in values of the first function."""
        return float(np.einsum("oos->", values[0, :, : self.stencil.orbitals]))
