"""The fields that a network has seen in training, and whether those at hand are among them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

MARGIN = 1.1  # extremes differ from sample to sample: a tenth beyond the border still counts as inside
Size = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class FieldRange:
    """Least and largest rms of a configuration, over all numbers in it, and the largest length of the field of a site."""

    least: Size
    most: Size
    largest: Size

    @classmethod
    def of(cls, fields: np.ndarray) -> FieldRange:
        """That of fields (sample, component, *lattice)."""
        squares = fields.astype(float) ** 2
        sizes = squares.reshape(len(fields), -1).mean(axis=1)
        return cls(math.sqrt(sizes.min()), math.sqrt(sizes.max()), math.sqrt(squares.sum(axis=1).max()))

    def scaled(self, factor: float) -> FieldRange:
        """The range of these fields times ``factor``."""
        return FieldRange(*(abs(factor) * value for value in (self.least, self.most, self.largest)))

    def complaint(self, fields: torch.Tensor) -> str | None:
        """What of fields (batch, component, *lattice) lies beyond the range, in words; None where nothing does.

        Rotations, translations and the size of the torus do not matter.
        """
        squares = fields.square()
        sizes = squares.flatten(1).mean(1)
        least, most, largest = (math.sqrt(float(value)) for value in (sizes.min(), sizes.max(), squares.sum(1).max()))
        if self.least <= MARGIN * least and most <= MARGIN * self.most and largest <= MARGIN * self.largest:
            return None
        rms = f"{least:.3g}" if f"{least:.3g}" == f"{most:.3g}" else f"{least:.3g} to {most:.3g}"
        return (
            f"fields of rms {rms} and up to {largest:.3g} are outside of those that the network was trained on, of rms "
            f"{self.least:.3g} to {self.most:.3g} and up to {self.largest:.3g}"
        )
