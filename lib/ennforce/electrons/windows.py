"""How wide the windows must be: radii are tried on a sample of sites, and every site may be checked against a narrower one.

The window error of a site is read from the change between two radii, the wider about one and a half times the narrower: with
smaller steps a resonance just outside both escapes the comparison. The change is the error of the narrower window; the value
kept is that of the wider one. (Keeping the narrower one's, strongly coupled random configurations miss the tolerance in 1 of 20.)
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import islice

import numpy as np

from ennforce.electrons.engines import Engine
from ennforce.electrons.kernels import LANES
from ennforce.electrons.stencil import Window, whole_torus, window_around

STARTS = (2, 3)  # of the two ladders of radii, 2, 4, 6, 9, 14, ... and 3, 5, 8, 12, 18, ...
MOST_SITES = 20_000  # of a window: beyond, exact diagonalisation is near
SAMPLE = 1 / 64  # of all sites, on which a radius is chosen
MOST_SAMPLE = 4096
SAFETY = 3.0  # the worst of all sites against the worst of the sample, where no others are checked
START_SAFETY = 2.0  # the same, where every site is checked afterwards

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
        wanted = min(count, MOST_SAMPLE, max(1, int(SAMPLE * count) // LANES) * LANES)
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

    def choose(self, engine: Engine, safety: float = SAFETY) -> tuple[Radius, float]:
        """The narrowest radius at which the sample's elements agree with those of the next one; its estimated error."""
        known: dict[Radius, np.ndarray] = {}

        def sampled(radius: Radius) -> np.ndarray:
            if radius not in known:
                known[radius] = engine.values(self.sample, self.window(radius))
            return known[radius]

        for radius in merge(*map(self.ladder, STARTS), key=lambda radius: np.inf if radius is None else radius):
            if radius is None:
                break
            following = next(islice(self.ladder(radius), 1, None))
            error = safety * float(self._change(sampled(following), sampled(radius)).max())
            if error <= self.tolerance:
                return radius, error
        return None, 0.0

    def everywhere(self, engine: Engine, radius: Radius) -> np.ndarray:
        """Values of all sites at one radius, (functions, orbitals, elements, sites)."""
        return engine.values(self.sites, self.window(radius))

    def verified(self, engine: Engine) -> tuple[np.ndarray, Radius, float]:
        """Values of all sites, each at the first radius that agrees with a narrower one; widest radius, largest change.

        It begins where the whole sample agrees: narrower windows would do for most sites, but agree by chance for some.
        """
        radius, _ = self.choose(engine, START_SAFETY)
        radii = iter([None]) if radius is None else self.ladder(radius)
        radius = next(radii)
        values = self.everywhere(engine, radius)
        error, doubtful = 0.0, np.arange(len(self.sites))
        while radius is not None and doubtful.size:
            radius = next(radii)
            known = values[..., doubtful]
            values[..., doubtful] = engine.values(self.sites[doubtful], self.window(radius))
            change = self._change(values[..., doubtful], known)
            if radius is not None:
                error = max(error, change[change <= self.tolerance].max(initial=0.0))
            doubtful = doubtful[change > self.tolerance]
        return values, radius, error

    def _change(self, values: np.ndarray, before: np.ndarray) -> np.ndarray:
        """The largest change of a checked element of every site."""
        return np.abs(values[: self.checked] - before[: self.checked]).max(axis=(0, 1, 2))
