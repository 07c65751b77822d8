"""How wide the windows must be: radii are tried on a sample of sites, and every site may be checked against a narrower one.

The window error of a site is read from the change between two radii, the wider about one and a half times the narrower: with
smaller steps a resonance just outside both escapes the comparison. The change is the error of the narrower window; the value
kept is that of the wider one. Nothing less was found to do (360 strongly coupled random configurations and tolerances, the worst
there is): keeping the narrower value misses the tolerance in 1 of 20, allowing for the decay seen on a sample as often.
"""

from __future__ import annotations

import numpy as np

from ennforce.electrons.engines import Engine
from ennforce.electrons.stencil import Window, whole_torus, window_around

MOST_SITES = 20_000  # of a window: beyond, exact diagonalisation is near
SAMPLE = 1 / 24  # of all sites, on which a radius is chosen
LEAST_SAMPLE, MOST_SAMPLE = 64, 4096
SAFETY = 2.0  # allowance for sites that are worse than those of the sample

Radius = int | None  # None: the whole torus


class WindowError(ValueError):
    """No window is wide enough for the tolerance."""


class Windows:
    """The windows that fit on the torus of an engine's stencil."""

    def __init__(self, engine: Engine, tolerance: float, sites: np.ndarray | None = None, checked: int | None = 1) -> None:
        """``sites`` are those wanted, by default all; the first ``checked`` functions are held to the tolerance, None for all."""
        self.stencil, self.tolerance, self.checked = engine.stencil, tolerance, checked
        self.sites = np.arange(self.stencil.lattice.num_sites) if sites is None else sites
        count = len(self.sites)
        wanted = min(count, MOST_SAMPLE, max(LEAST_SAMPLE, round(SAMPLE * count)))
        # Golden-ratio steps spread the sample over the lattice without falling in step with its period.
        self.sample = self.sites[np.unique((np.arange(wanted) * 0.6180339887498949 % 1.0 * count).astype(np.int64))]

    def window(self, radius: Radius) -> Window:
        if radius is None:
            return whole_torus(self.stencil.shape)
        return window_around(self.stencil.lattice.name, radius, self.stencil.shifts)

    def fits(self, radius: int) -> bool:
        """Whether the window leaves room on the torus: else paths that wind around it would be missed."""
        window = self.window(radius)
        height, width = self.stencil.shape
        return window.columns < width and (window.rows < height or window.rows == height == 1)

    def wider(self, radius: Radius) -> Radius:
        """The radius to compare with; None where only the whole torus is left."""
        if radius is None:
            return None
        following = max(radius + 2, -(-3 * radius // 2))
        if (2 * following + 1) ** self.stencil.lattice.dimension > MOST_SITES and self.stencil.lattice.num_sites > MOST_SITES:
            raise WindowError(
                f"no window up to radius {radius} meets a density tolerance of {self.tolerance:.1g}: ask for a larger tolerance, "
                "a higher temperature, or exact diagonalisation"
            )
        return following if self.fits(following) else None

    def choose(self, engine: Engine) -> tuple[Radius, float]:
        """The first radius of 2, 3, 4, 6, 8, 12, ... at which the sample's elements agree with those of a wider one; its error."""
        known: dict[Radius, np.ndarray] = {}

        def sampled(radius: Radius) -> np.ndarray:
            if radius not in known:
                known[radius] = engine.values(self.sample, self.window(radius))[: self.checked]
            return known[radius]

        radius = 2
        while self.fits(radius):
            error = SAFETY * float(np.abs(sampled(radius) - sampled(self.wider(radius))).max())
            if error <= self.tolerance:
                return radius, error
            radius = radius + 1 if radius < 4 else radius * 3 // 2 if radius & (radius - 1) == 0 else radius // 3 * 4
        return None, 0.0

    def everywhere(self, engine: Engine, radius: Radius) -> np.ndarray:
        """Values of all sites at one radius, (functions, orbitals, elements, sites)."""
        return engine.values(self.sites, self.window(radius))

    def verified(self, engine: Engine, radius: Radius) -> tuple[np.ndarray, Radius, float]:
        """Values of all sites, each at the first radius that agrees with a narrower one; widest radius, largest change."""
        before = self.everywhere(engine, radius)
        if radius is None:
            return before, None, 0.0
        radius = self.wider(radius)
        values = self.everywhere(engine, radius)
        error, doubtful = 0.0, np.arange(len(self.sites))
        change = self._change(values, before)
        while True:
            error = max(error, change[change <= self.tolerance].max(initial=0.0))
            doubtful = doubtful[change > self.tolerance]
            if not doubtful.size or radius is None:
                return values, radius, error
            radius = self.wider(radius)
            known = values[..., doubtful]
            values[..., doubtful] = engine.values(self.sites[doubtful], self.window(radius))
            change = self._change(values[..., doubtful], known)

    def _change(self, values: np.ndarray, before: np.ndarray) -> np.ndarray:
        """The largest change of a checked element of every site."""
        return np.abs(values[: self.checked] - before[: self.checked]).max(axis=(0, 1, 2))
