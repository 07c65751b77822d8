"""The sections of a study that set what its network is measured against: other networks, solvers, and data unlike its own.

Imported while the Snakefile is parsed, so nothing heavy is imported here.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from ennforce.sections import Count, EvenLength, Name, Network, Positive, Rate, Section, Shape
from ennforce.supervision import Accuracy

OWN = "own"  # the study's network, in the comparison's tables


class Alternative(Network):
    """A network of the comparison, with what differs from ``training`` and from the comparison's time."""

    learning_rate: Rate | None = None
    batch: Count | None = None
    seconds: Annotated[Positive, Field(description="CPU time of training, where it is not the comparison's")] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32, description="of weights and order, where it is not the study's")] | None = None


class Extrapolation(Section):
    """Short quenches unlike those of the training data, at the same electron temperature."""

    bath_temperatures: Annotated[list[Positive], Field(description="in units of bath.temperature")] = [0.5, 2.0]
    shapes: list[Shape] = [[64, 64], [96, 96]]
    steps: Annotated[int, Field(ge=2, description="steps of each quench")] = 150
    snapshots: Annotated[int, Field(ge=1, description="kept of each quench, log-spaced from step 5 on")] = 6


# Learning rates: the best of 4e-3, 1.5e-2 and 4e-2 in short trials; the names of ours say what differs from ``enn``.
ALTERNATIVES = {
    "enn": Alternative(),
    "enn_narrow": Alternative(width=4),
    "enn_thin": Alternative(width=2),
    "enn_fast": Alternative(width=4, seconds=500.0),
    "enn_deep": Alternative(depth=8),
    "enn_dense": Alternative(width=4, separable=False),
    "enn_odd": Alternative(mixed=False),
    "enn_best": Alternative(width=4, depth=8, separable=False, learning_rate=1e-2, seconds=900.0),
    "enn_energy": Alternative(kind="enn_energy", wide=0, width=4, separable=False, learning_rate=1.5e-2),
    # At its published size a step takes 0.4 s on one core, 12 times that of enn: 100 s are 250 steps.
    "irrep_mlp": Alternative(kind="irrep_mlp", width=32, depth=4, learning_rate=1.5e-2),
    "descriptor_mlp": Alternative(kind="descriptor_mlp", width=64, depth=3, learning_rate=1.5e-2),
    "gnn": Alternative(kind="gnn", width=48, depth=8, learning_rate=4e-3),
    "cnn": Alternative(kind="cnn", width=4, learning_rate=1.5e-2),
    "cnn_augmented": Alternative(kind="cnn_augmented", width=4, learning_rate=1.5e-2),
    "euclidean": Alternative(kind="euclidean", depth=3, learning_rate=4e-2),
    "typed": Alternative(kind="typed", width=2, learning_rate=1.5e-2),
}


class Frontier(Section):
    """Networks trained on the same data for the same time, beside kernel polynomials and exact diagonalisation."""

    models: Annotated[dict[Name, Alternative], Field(min_length=1)] = ALTERNATIVES
    seconds: Annotated[Positive, Field(description="CPU time of each network's training")] = 100.0
    fractions: Annotated[
        list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=1, description="of the training data, for the learning curve")
    ] = [0.05, 0.1, 0.25, 0.5, 1.0]
    efficiency_models: Annotated[list[str], Field(min_length=1, description="networks of the learning curve")] = [
        "enn",
        "cnn",
        "cnn_augmented",
    ]
    tolerances: Annotated[
        list[Annotated[float, Field(ge=1e-8, le=0.1)]], Field(min_length=1, description="of the solver within a tolerance")
    ] = [0.1, 0.03, 0.01, 0.003]
    accuracies: Annotated[list[Accuracy], Field(min_length=1, description="of the solver that corrects a network")] = [
        3e-2,
        1e-2,
        3e-3,
        1e-3,
    ]
    orders: Annotated[
        list[Annotated[int, Field(ge=2)]], Field(min_length=1, description="Chebyshev orders of solvers of fixed effort")
    ] = [12, 16, 24, 32, 48, 64, 96]
    radii: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, description="of their windows")] = [2, 3, 4, 5, 6, 8]
    lanczos: Annotated[list[tuple[Count, Count, Count]], Field(description="Lanczos steps, poles and radius of further ones")] = [
        (3, 4, 1),
        (4, 4, 1),
        (6, 5, 1),
        (8, 5, 1),
        (8, 5, 2),
        (10, 6, 2),
    ]
    references: Annotated[int, Field(ge=1, description="held-out snapshots for kernel polynomials and diagonalisation")] = 4
    size: Annotated[EvenLength, Field(description="side of the lattice on which all but diagonalisation is timed")] = 256
    exact_sizes: Annotated[list[EvenLength], Field(min_length=1, description="sides for exact diagonalisation")] = [32, 40, 48]
    repeats: Annotated[int, Field(ge=1, description="timed calls, of which the median counts")] = 5
    extrapolation: Extrapolation = Extrapolation()

    @model_validator(mode="after")
    def named(self) -> Frontier:
        if OWN in self.models:
            raise ValueError(f"models names {OWN}, as the tables call the study's own network: give it another name")
        unknown = [name for name in self.efficiency_models if name not in self.models]
        if unknown:
            raise ValueError(f"efficiency_models names {', '.join(unknown)}, but models are {', '.join(self.models)}")
        return self
