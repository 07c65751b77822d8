"""The sections of a study that set how its network is audited, corrected and taught by the solver (PHYSICS P12).

Imported while the Snakefile is parsed, so nothing heavy is imported here.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from ennforce.sections import Positive, Rate, Section, Temperature

Share = Annotated[float, Field(gt=0, le=1)]
Accuracy = Annotated[float, Field(ge=1e-5, lt=1, description="rms force error of the solver, over the force's deviation")]


class Audit(Section):
    """The force error of every trajectory that a network drives, measured by the solver on drawn sites while it runs (P12)."""

    share: Annotated[Share, Field(description="of the sites of all steps that are drawn; 128 sites at least each time")] = 1 / 1024
    times: Annotated[int, Field(ge=2, description="about how many, of those at which observables are kept")] = 12
    accuracy: Accuracy = 5e-3
    limit: Annotated[Positive, Field(description="rms error over the rms force, which ends a run; changes no result")] | None = None

    @model_validator(mode="after")
    def tellable(self) -> Audit:
        if self.limit is not None and self.limit <= self.accuracy:
            raise ValueError(
                f"limit = {self.limit:g} is not above accuracy = {self.accuracy:g}, the error of the solver that measures: "
                f"raise it, or ask for more accuracy"
            )
        return self


class Corrected(Section):
    """Network forces that the solver corrects on drawn sites at every step, right on average (P12)."""

    share: Annotated[Share, Field(description="of the sites that are solved at a step, on average")] = 1 / 16
    accuracy: Accuracy = 1e-3


class Refine(Section):
    """Rounds of learning from audits: the network runs, the solver labels where it errs, and training goes on."""

    rounds: Annotated[int, Field(ge=0, le=100, description="after the first training; 0 for none")] = 0
    runs: Annotated[
        int, Field(ge=3, description="quenches of data.steps and data.snapshots by the network at each temperature")
    ] = 8
    temperatures: Annotated[list[Temperature], Field(min_length=1, description="of their baths, in units of bath.temperature")] = [
        1.0
    ]
    labels: Annotated[int, Field(ge=3, description="of a round; those for training drawn by audited error, others plainly")] = 40
    steps: Annotated[int, Field(ge=1, description="of the optimiser in a round")] = 2000
    learning_rate: Annotated[Rate, Field(description="the largest of a round")] = 1e-2
    start: Annotated[
        str | None, Field(description="folder of a trained network whose weights are the first's, as results/default/models/enn")
    ] = None
