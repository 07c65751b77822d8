"""Movie: domains of the order growing after the quench."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from PIL import Image, ImageDraw

from ennforce.figures import style
from ennforce.io import write_atomically
from ennforce.models import Hamiltonian

CATEGORY = "Coarsening"
TARGETS = ("figures",)
FORMATS = ("gif",)
INPUTS = {"ensemble": "analysis/ensemble_large_network.nc"}
SETTINGS = {"model": "large"}
CAPTION = """\
The {order} of one replica of the large quench, at equal steps of the logarithm of time.
"""

PIXELS = 512  # least width of a frame
SECONDS = 0.2  # a frame


def draw(ensemble: xr.Dataset, model: Hamiltonian) -> list[Image.Image]:
    """One image for every snapshot of the first replica, with its time below; axes of the lattice are drawn at right angles."""
    fields = ensemble["fields"].isel(replica=0).transpose("snapshot_time", ...).values
    order = model.order.project(fields)[:, 0]
    if order.ndim == 2:
        order = np.repeat(order[:, None], -(-order.shape[-1] // 8), axis=1)  # a chain, as a stripe
    order = order[:, *(n // 2 for n in order.shape[1:-2])]
    limit = np.percentile(np.abs(order[-1]), 99)
    scale = -(-PIXELS // order.shape[-1])
    images = []
    for time, values in zip(ensemble["snapshot_time"].values, order[:, ::-1], strict=True):
        colours = style.FIELD_MAP(0.5 + 0.5 * values / limit, bytes=True)[..., :3]
        domains = Image.fromarray(np.ascontiguousarray(colours))
        domains = domains.resize((scale * domains.width, scale * domains.height), Image.Resampling.NEAREST)
        frame = Image.new("RGB", (domains.width, domains.height + 24), "white")
        frame.paste(domains)
        ImageDraw.Draw(frame).text((6, domains.height + 2), f"t = {time:.1f}", fill="black", font_size=16)
        images.append(frame)
    return images


def save(images: list[Image.Image], path: str | Path) -> None:
    """A GIF that repeats, written atomically; the last frame stays a while."""
    durations = [round(1000 * SECONDS)] * (len(images) - 1) + [2000]
    first, rest = images[0], images[1:]
    write_atomically(
        path, lambda p: first.save(p, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=True)
    )
