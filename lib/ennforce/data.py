"""The section ``data`` of a study: what its network learns from, sampled by the study itself or labelled by others.

Imported while the Snakefile is parsed, so nothing heavy is imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ennforce.sections import Section, Shape

# Settings of configurations that the study samples itself.
OF_SAMPLING = ("random_configurations", "random_sigmas", "trajectories", "steps", "snapshots", "first_snapshot", "driver")


class LabelledFile(Section):
    """Configurations labelled by others: NetCDF or npz, arrays (sample, component, *lattice axes); one component needs no axis.

    The labels are electronic forces, -<dH_e/d field>, in the units of the study's model.
    """

    path: Annotated[str, Field(min_length=1, description="a .nc or .npz file, from where snakemake runs")]
    fields: Annotated[str, Field(description="name of the array of configurations")] = "fields"
    forces: Annotated[str, Field(description="name of the array of labels")] = "forces_electronic"
    trajectory: Annotated[
        int | str | None,
        Field(
            description="name of an array of trajectory numbers; a number: the whole file is of this one, as other files may be; "
            "each: all are independent; without one: the array trajectory, else each where neighbours are not alike"
        ),
    ] = None
    sign: Annotated[Literal[1, -1], Field(description="times which the labels are forces; -1 for gradients of the energy")] = 1
    unit: Annotated[float, Field(gt=0, le=1e9, description="times which the labels are in the units of the model")] = 1.0

    @model_validator(mode="after")
    def readable(self) -> LabelledFile:
        if Path(self.path).suffix not in (".nc", ".npz"):
            raise ValueError(f"{self.path} does not end in .nc or .npz: labelled configurations are read from NetCDF and npz files")
        if self.fields == self.forces:
            raise ValueError(f"fields and forces of {self.path} are both the array {self.fields}: name one each")
        return self


class Split(Section):
    """Fractions of trajectories (and of random configurations); they add up to 1."""

    train: Annotated[float, Field(gt=0, lt=1, description="for training")] = 0.6
    validation: Annotated[float, Field(gt=0, lt=1, description="for choosing the best weights")] = 0.2
    test: Annotated[float, Field(gt=0, lt=1, description="for the errors that are told")] = 0.2

    @model_validator(mode="after")
    def complete(self) -> Split:
        total = self.train + self.validation + self.test
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"train + validation + test = {total:.6g}, but the fractions must add up to 1")
        return self


class Data(Section):
    """Training data: random configurations of every size, and quenches from their very start."""

    shape: Shape = [48, 48]
    random_configurations: Annotated[int, Field(ge=3, description="every other one of soft waves near the order's")] = 80
    random_sigmas: Annotated[
        list[Annotated[float, Field(gt=0, le=1e3)]],
        Field(min_length=2, max_length=2, description="least and largest spread of Q, log-spaced between"),
    ] = [0.02, 1.0]
    trajectories: Annotated[int, Field(ge=3, description="quenches, one job each")] = 10
    steps: Annotated[int, Field(ge=2, description="steps of each quench")] = 300
    snapshots: Annotated[int, Field(ge=1, description="kept of each quench, log-spaced")] = 40
    first_snapshot: Annotated[int, Field(ge=0, description="step of the first; 0 is the start itself, then from step 1 on")] = 0
    split: Split = Split()
    driver: Annotated[
        Literal["solver", "network"],
        Field(description="network: no quench by the solver; the first network learns from random configurations, then refine"),
    ] = "solver"
    verified: Annotated[int, Field(ge=1, description="labels of each kind checked by exact diagonalisation")] = 3
    files: Annotated[
        list[LabelledFile],
        Field(description="configurations labelled by others, in place of those that the study samples: paths, or sections"),
    ] = []
    label_bound: Annotated[
        float, Field(gt=0, lt=1, description="largest rms difference of labels in files from the solver's, over their rms")
    ] = 0.01

    @model_validator(mode="before")
    @classmethod
    def current(cls, given: Any) -> Any:
        if isinstance(given, dict) and "random_sigma" in given:
            sigma = given["random_sigma"]
            raise ValueError(
                f"random_sigma = {sigma} is now a range: write random_sigmas: [0.02, {sigma}], or [{sigma}, {sigma}] for one spread"
            )
        return given

    @field_validator("files", mode="before")
    @classmethod
    def named(cls, given: Any) -> Any:
        return [{"path": one} if isinstance(one, str) else one for one in given] if isinstance(given, list) else given

    def require_files(self) -> None:
        """Raises ValueError, in one line, unless every one of ``files`` is there."""
        for file in self.files:
            if not Path(file.path).is_file():
                raise ValueError(
                    f"data.files: {file.path} is not there: labelled configurations of others are not part of the code, so put the "
                    f"file in this place, or give its path"
                )

    @model_validator(mode="after")
    def consistent(self) -> Data:
        if self.files:
            if sampled := [key for key in OF_SAMPLING if key in self.model_fields_set]:
                raise ValueError(f"files take the place of what is sampled: leave {', '.join(sampled)} out, or files")
            paths = [Path(file.path) for file in self.files]
            if twice := [str(path) for path in paths if paths.count(path) > 1]:
                raise ValueError(f"files names {twice[0]} twice: its configurations would be in two trajectories; name it once")
        if self.random_sigmas[0] > self.random_sigmas[1]:
            raise ValueError(f"random_sigmas = {self.random_sigmas} must grow: give the least spread first")
        if self.first_snapshot > self.steps:
            raise ValueError(f"first_snapshot = {self.first_snapshot} comes after the last of {self.steps} steps")
        parts = (self.split.train, self.split.validation, self.split.test)
        if min(parts) * self.trajectories < 0.5:
            raise ValueError(f"{self.trajectories} trajectories are too few for a split that leaves one in each of {parts}")
        return self
