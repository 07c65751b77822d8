"""The sections of a study's configuration: settings, bounds and defaults.

The defaults are the ``default`` study; a file in ``config/`` holds only what differs. Imported while the Snakefile is parsed,
so nothing heavy is imported here.
"""

from __future__ import annotations

import ast
import functools
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from ennforce.files import DataError
from ennforce.plugins import file_of
from ennforce.reading import require_plain
from ennforce.shelf import read_entry

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
# In t: beyond these bounds nothing is left of the model but one of its terms.
Energy = Annotated[float, Field(gt=0, le=1e4)]
EitherEnergy = Annotated[float, Field(ge=-1e4, le=1e4)]
Temperature = Annotated[float, Field(gt=0, le=1e4)]
# Fields of 1e4 count as run away.
Spread = Annotated[float, Field(ge=0, le=1e3)]
Order = Annotated[float, Field(ge=-1e3, le=1e3)]
Step = Annotated[float, Field(ge=1e-6, le=1e3, description="time step, in 1/t")]
Rate = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
EvenLength = Annotated[int, Field(ge=4, multiple_of=2)]
Shape = Annotated[list[EvenLength], Field(min_length=1, max_length=3, description="sites along each axis of the lattice")]
Replicas = Annotated[int, Field(ge=2, description="two are the least that give an error bar")]
Chunk = Annotated[int, Field(ge=1, description="replicas per job")]

# A name is a part of a path.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def plain(cls, value: Any, info: ValidationInfo) -> Any:
        require_plain(value, cls.model_fields[info.field_name or ""].annotation)
        return value


class Solver(Section):
    """The local electronic solver (P4)."""

    method: Annotated[
        Literal["auto", "local", "chebyshev", "recursion", "exact"],
        Field(
            description="kernel polynomials, Lanczos with poles, diagonalisation; local: the cheaper of the first two; auto: of all"
        ),
    ] = "auto"
    spectral_margin: Annotated[float, Field(gt=0, le=1, description="widening of the Lanczos bounds")] = 0.03
    label_tolerance: Annotated[float, Field(ge=1e-8, le=0.1, description="largest error of <n> in labels")] = 3e-3
    dynamics_tolerance: Annotated[float, Field(ge=1e-8, le=0.1, description="largest error of <n> while data are sampled")] = 2e-2


class Bath(Section):
    """Equations of motion (P5, P13), times in 1/t."""

    dynamics: Annotated[
        Literal["langevin", "overdamped", "spins"] | None, Field(description="without one, the usual of the model's field")
    ] = None
    mass: Annotated[float, Field(ge=1e-6, le=1e6, description="of every component of the field")] = 1.0
    friction: Annotated[float, Field(ge=0, le=1e4, description="rate gamma at which momenta decay")] = 0.2
    damping: Annotated[float, Field(ge=0, le=1e2, description="alpha of spins, which have no friction")] = 0.1
    temperature: Annotated[Temperature, Field(description="of the bath after the quench")] = 0.05
    dt: Step = 0.4
    initial_sigma: Annotated[Spread, Field(description="spread of Q before the quench")] = 0.1
    initial_temperature: Annotated[float, Field(ge=0, le=1e4, description="of the momenta before the quench")] = 0.05
    initial_order: Annotated[Order, Field(description="of the model's order before the quench; 0 is disorder")] = 0.0


@functools.cache
def network_kinds() -> tuple[str, ...]:
    """Keys of ``ennforce.networks.KINDS``, read without importing it, which would take seconds."""
    tree = ast.parse((Path(__file__).parent / "networks" / "__init__.py").read_text(encoding="utf-8"))
    (table,) = [s.value for s in tree.body if isinstance(s, ast.AnnAssign) and ast.unparse(s.target) == "KINDS"]
    return tuple(ast.literal_eval(key) for key in cast(ast.Dict, table).keys if key)


def _known(kind: str) -> str:
    """What is named may be of a user's own: whether it can be used is seen by ``config``."""
    if kind not in network_kinds() and file_of(kind) is None and not entry_points(group="ennforce.networks", name=kind):
        known = f"one of {', '.join(network_kinds())}, or path/file.py:Class of your own"
        raise PydanticCustomError("kind", f"Input should be {known}")  # type: ignore[arg-type]
    return kind


Kind = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"examples": list(network_kinds())})]

# Kinds defined for an odd scalar on the square lattice alone; a test holds this against their classes.
ODD_SCALAR = ("irrep_mlp", "descriptor_mlp", "gnn", "cnn", "cnn_augmented", "euclidean")
WITHOUT_SPIN = ("enn", "enn_energy")  # for fields of degree 0 alone


class Network(Section):
    """A force network; for ``enn``, ``width`` counts copies of the regular representation, for others see their classes."""

    kind: Annotated[Kind, Field(description="a kind of the package, an installed one's entry point, or path/file.py:Class")] = "enn"
    width: Annotated[int, Field(ge=1, le=4096, description="of the hidden features")] = 8
    depth: Annotated[int, Field(ge=1, le=64, description="layers after the first")] = 4
    first_radius: Annotated[int, Field(ge=1, le=8, description="of the first layer's stencil, in sites")] = 2
    radius: Annotated[int, Field(ge=1, le=4, description="of the other layers' stencils")] = 1
    mixed: Annotated[bool, Field(description="odd and even features, joined by the activation; else odd alone")] = True
    separable: Annotated[bool, Field(description="enn, enn_energy: convolutions as stencils, then channels")] = True
    wide: Annotated[
        int, Field(ge=0, le=16, description="enn, typed, their energies: stencils of wide_radius beside the first layer's")
    ] = 2
    wide_radius: Annotated[int, Field(ge=1, le=24, description="of the far stencils, in sites")] = 10
    lines: Annotated[bool, Field(description="far stencils as products of lines, for radii above 10; else free")] = False
    dilations: Annotated[
        list[Annotated[int, Field(ge=1, le=32)]],
        Field(max_length=64, description="enn, typed, their energies: spreads the later layers' stencils, in turn; none: 1"),
    ] = []

    @model_validator(mode="after")
    def buildable(self) -> Network:
        if self.kind == "irrep_mlp" and not 2 <= self.depth <= 4:
            raise ValueError(f"depth = {self.depth}: an irrep_mlp has 2 to 4 layers")
        return self


class OwnNetwork(Network):
    """A force network; for ``enn``, ``width`` counts copies of the regular representation, for others see their classes.

    ``from`` takes one from the shelf, with all that describes it, and nothing is trained.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    shelf: Annotated[
        str | None, Field(alias="from", description="folder of a trained network, as trained/default, which is then used as it is")
    ] = None
    held_out: Annotated[
        Literal["stored", "fresh"],
        Field(description="what a network from the shelf is judged on: configurations stored with it, or a data set of this study"),
    ] = "stored"

    @model_validator(mode="before")
    @classmethod
    def taken(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not isinstance(given.get("from"), str):
            return given
        if others := sorted(set(given) - {"from", "held_out"}):
            raise ValueError(f"a network from {given['from']} has its own {', '.join(others)}: leave that out")
        try:
            described = read_entry(given["from"]).model["architecture"]
        except DataError as error:
            raise ValueError(f"from = {error}") from None
        return {**given, **{key: value for key, value in described.items() if key in Network.model_fields}}

    @property
    def architecture(self) -> dict[str, Any]:
        """What is built and trained, without where it is from."""
        return self.model_dump(include=set(Network.model_fields))


class Training(Section):
    """SOAP on the mean square error of the force, in units of each configuration's mean square force."""

    steps: Annotated[int, Field(ge=1, description="of the optimiser")] = 10000
    batch: Annotated[int, Field(ge=1, description="configurations per step")] = 1
    learning_rate: Annotated[Rate, Field(description="the largest; it rises at first, and falls")] = 3e-2
    seconds: Annotated[Positive, Field(description="CPU time for the steps, which are then only a bound")] | None = None
    validate_every: Annotated[int, Field(ge=1, description="steps")] = 500
    patience: (
        Annotated[
            int,
            Field(
                ge=1, description="validations that bring nothing until the rate falls, then until the end; steps and seconds bound"
            ),
        ]
        | None
    ) = None
    crop: (
        Annotated[
            int,
            Field(
                ge=1, description="a step learns from four parts of this length in place of a configuration at least twice as long"
            ),
        ]
        | None
    ) = 20
    target: Annotated[Literal["electronic", "total"], Field(description="total: as the published code learns it")] = "electronic"
    # Not part of the result: left out of what decides whether to train again.
    processes: Annotated[int, Field(ge=1, exclude=True, description="that share each batch, one for each core or GPU")] = 1
    threads: Annotated[
        int, Field(ge=1, exclude=True, description="in all, shared out over the processes; compiled gradients use them")
    ] = 2

    @property
    def cores(self) -> int:
        """What the job takes: a core for each thread, and each process has at least one."""
        return max(self.processes, self.threads)

    @model_validator(mode="after")
    def shared(self) -> Training:
        if self.processes > self.batch:
            raise ValueError(f"processes = {self.processes} cannot share a batch of {self.batch}: no more than batch")
        return self


class Run(Section):
    """An ensemble of quenches."""

    shape: Shape
    replicas: Replicas
    chunk: Chunk
    steps: Annotated[int, Field(ge=10, description="of the dynamics")]
    observations: Annotated[int, Field(ge=5, description="times at which observables are kept")] = 60
    snapshots: Annotated[int, Field(ge=1, description="full fields kept")] = 6
    spacing: Annotated[Literal["log", "linear"], Field(description="of the times at which something is kept")] = "log"


class Large(Run):
    """The large quench, with network forces."""

    shape: Shape = [128, 128]
    replicas: Replicas = 8
    chunk: Chunk = 4
    steps: Annotated[int, Field(ge=10, description="of the dynamics")] = 1000
    snapshots: Annotated[int, Field(ge=1, description="full fields kept")] = 24


class Variant(Section):
    """A quench that differs from the large one in what is given here: to see what its result depends on."""

    shape: Shape | None = None
    replicas: Replicas | None = None
    chunk: Chunk | None = None
    time: Annotated[Positive, Field(description="how long, in 1/t")] | None = None
    temperature: Annotated[Temperature, Field(description="of the bath")] | None = None
    dt: Step | None = None
    initial_sigma: Spread | None = None
    initial_order: Order | None = None


class Margins(Section):
    """How far two dynamics may differ and still count as equal, stated before the runs (P9)."""

    length: Annotated[Positive, Field(description="of ln L, each of three domain sizes")] = 0.01
    structure_factor: Annotated[Positive, Field(description="of ln S at the lowest wave numbers, k <= 2 pi / L")] = 0.02
    field_square: Annotated[Positive, Field(description="of ln <Q^2>")] = 0.002
    correlation: Annotated[Positive, Field(description="of ln C at r = 5")] = 0.02
    order: Annotated[Positive, Field(description="of ln <|m|>")] = 0.02
    energy: Annotated[Positive, Field(description="of the energy per site, in units of bath.temperature")] = 0.01
    other: Annotated[Positive, Field(description="of observables that the model, its order or the study adds")] = 0.02


Tolerance = Annotated[float, Field(ge=1e-8, le=0.1, description="largest error of <n>")]


class Comparison(Run):
    """Pairs of quenches from one start, driven by the network and by the solver: are the two dynamics equivalent (P9)?"""

    shape: Shape = [64, 64]
    replicas: Annotated[int, Field(ge=2, description="pairs")] = 16
    chunk: Chunk = 4
    steps: Annotated[int, Field(ge=10, description="of the dynamics")] = 250
    noise: Annotated[
        Literal["common", "independent"],
        Field(description="common: both engines' trajectories stay together until chaos parts them"),
    ] = "common"
    tolerance: Annotated[Tolerance, Field(description="of the solver that the network is held against")] = 3e-3
    windows: Annotated[
        list[Positive], Field(min_length=1, description="in 1/t, where windows of time begin; the last ends with the run")
    ] = [1.0, 12.0]
    margins: Margins = Margins()
    model: Annotated[
        str | None, Field(description="folder of another trained network to hold against the solver, as results/default/models/enn")
    ] = None

    @model_validator(mode="after")
    def ordered(self) -> Comparison:
        if sorted(set(self.windows)) != self.windows:
            raise ValueError(f"windows = {self.windows} must grow, without repetition")
        return self


class TimeStep(Section):
    """Quenches with different time steps, on one lattice for the same time, to be held against the first, the finest."""

    dts: Annotated[list[Step], Field(min_length=2, description="time steps, the finest first")] = [0.1, 0.2, 0.4, 0.8]
    shape: Shape = [64, 64]
    replicas: Replicas = 16
    chunk: Chunk = 8
    time: Annotated[Positive, Field(description="how long, in 1/t")] = 100.0

    @model_validator(mode="after")
    def ordered(self) -> TimeStep:
        if sorted(set(self.dts)) != self.dts:
            raise ValueError(f"dts = {self.dts} must grow, without repetition")
        return self


class Equilibrium(Section):
    """Stationary states at several bath temperatures, network against KPM, from an ordered start."""

    temperatures: Annotated[list[Temperature], Field(min_length=1, description="in units of bath.temperature")] = [0.6, 1.0, 2.4]
    initial_order: Annotated[Order, Field(description="of the ordered start")] = 0.8
    initial_sigma: Annotated[Spread, Field(description="of the fields about the ordered start")] = 0.1
    shape: Shape = [28, 28]
    replicas: Replicas = 12
    chunk: Chunk = 6
    steps: Annotated[int, Field(ge=10, description="of the dynamics")] = 800
    observations: Annotated[int, Field(ge=5, description="equally spaced")] = 200
    discard: Annotated[float, Field(ge=0, le=0.9, description="share of the run before it counts as stationary")] = 0.25


class Conservation(Section):
    """Does a force without a potential heat? The same stationary state with friction 0, and with the study's friction."""

    networks: Annotated[list[Name], Field(description="of frontier.models, beside the study's own network")] = ["enn_energy"]
    steps: Annotated[int, Field(ge=1, description="of their training, which is by steps, so that it repeats")] = 1500
    tolerances: Annotated[list[Tolerance], Field(min_length=1, description="of the solver")] = [2e-2, 1e-3]
    shape: Shape = [28, 28]
    replicas: Replicas = 4
    equilibration: Annotated[Positive, Field(description="by the solver from the ordered state, in 1/t")] = 40.0
    time: Annotated[Positive, Field(description="how long each, in 1/t")] = 100.0
    observations: Annotated[int, Field(ge=5, description="equally spaced, each diagonalised exactly")] = 40


class Divergence(Section):
    """Pairs of quenches from the same states with the same noise."""

    shape: Shape = [28, 28]
    replicas: Replicas = 4
    time: Annotated[Positive, Field(description="how long, in 1/t")] = 60.0
    observations: Annotated[int, Field(ge=5, description="equally spaced")] = 100
    perturbation: Annotated[float, Field(gt=0, le=1, description="rms of the change in the fields of the network's own pair")] = (
        1e-6
    )
    tolerance: Annotated[Tolerance, Field(description="of the reference, beside solver.dynamics_tolerance")] = 1e-3


class Analysis(Section):
    bootstrap: Annotated[int, Field(ge=20, description="resamplings of the replicas for error bars")] = 400
    smoothing: Annotated[float, Field(gt=0, le=5, description="width in ln t over which the exponent is fitted")] = 0.8
    first_time: Annotated[NonNegative, Field(description="growth is read from here on, in 1/t")] = 5.0


# What a growth exponent could depend on besides physics (box, start), and the temperature, on which it may.
VARIANTS = {
    "small": Variant(shape=[64, 64], replicas=16, chunk=8),
    "rough_start": Variant(initial_sigma=0.5, replicas=4, chunk=2),
    "cold": Variant(temperature=0.03, replicas=4, chunk=2),
    "warm": Variant(temperature=0.07, replicas=4, chunk=2),
}
