"""The typed configuration of a study, with one-line errors. Imported while the Snakefile is parsed: nothing heavy is imported."""

from __future__ import annotations

import functools
import math
import re
import reprlib
from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, Field, ValidationError, create_model, model_validator

from ennforce import limits
from ennforce.data import Data
from ennforce.lattice import BASES
from ennforce.models import DEFAULT, Hamiltonian, from_parameters
from ennforce.models.scaling import difference
from ennforce.models.settings import SMALL, Model, section_of, settings_of
from ennforce.reading import nearest
from ennforce.rivals import Frontier
from ennforce.sections import (
    ODD_SCALAR,
    VARIANTS,
    WITHOUT_SPIN,
    Analysis,
    Bath,
    Comparison,
    Conservation,
    Divergence,
    Equilibrium,
    Large,
    Name,
    NonNegative,
    OwnNetwork,
    Run,
    Section,
    Solver,
    TimeStep,
    Training,
    Variant,
    network_kinds,
)
from ennforce.shelf import Entry, read_entry
from ennforce.supervision import Audit, Corrected, Refine


class ConfigError(ValueError):
    """The configuration is impossible; the message is one line: of every problem the key, what was given and what is allowed."""

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in message))


LONGEST_NAME = 200

# Names of studies have no =, so that a sweep's points, results/<study>/<key>=<value>,..., take no other study's folder.
StudyName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9_.]+=[A-Za-z0-9_.=,+-]+)?$"),
    AfterValidator(lambda name: _short(name)),
]
Swept = Annotated[list[Any], Field(min_length=1)]


def _short(name: str) -> str:
    """File systems end names of folders at 255 bytes."""
    if max(map(len, name.split("/"))) > LONGEST_NAME:
        raise ValueError(f"a name of a folder with more than {LONGEST_NAME} characters: use a shorter one")
    return name


class Study(Section):
    """Everything that fixes the results of a study."""

    study: Annotated[StudyName, Field(description="name of the folder in results/")] = "default"
    sweep: Annotated[
        dict[str, Swept], Field(description="values by dotted key, as model.g: [1.4, 1.5]; one study for each combination")
    ] = Field(default_factory=dict)
    sweep_network: Annotated[
        Literal["own", "shared"],
        Field(description="own: every point of the sweep trains its network; shared: one is trained on the data of all of them"),
    ] = "own"
    seed: Annotated[int, Field(ge=0, lt=2**32, description="of everything random")] = 1
    model: settings_of(DEFAULT) = settings_of(DEFAULT)()  # type: ignore[valid-type]
    solver: Solver = Solver()
    bath: Bath = Bath()
    data: Data = Data()
    network: OwnNetwork = OwnNetwork()
    training: Training = Training()
    refine: Refine = Refine()
    audit: Audit = Audit()
    corrected: Corrected = Corrected()
    large: Large = Large()
    variants: Annotated[dict[Name, Variant], Field(description="quenches that differ from the large one")] = VARIANTS
    comparison: Comparison = Comparison()
    timestep: TimeStep = TimeStep()
    equilibrium: Equilibrium = Equilibrium()
    conservation: Conservation = Conservation()
    divergence: Divergence = Divergence()
    analysis: Analysis = Analysis()
    frontier: Frontier = Frontier()
    observables: Annotated[
        list[str], Field(description="beside those of every study: path/file.py:NAME of your own, or an installed entry point")
    ] = Field(default_factory=list)
    figures: Annotated[list[str], Field(description="files of figures of your own, beside those of every study")] = Field(
        default_factory=list
    )
    checkpoint_seconds: Annotated[NonNegative, Field(description="between checkpoints; changes no result")] = 30.0

    def runs(self) -> dict[str, tuple[Run, Bath]]:
        """Every ensemble of trajectories by name, with its bath: large, comparison, the variants, timestep-n, equilibrium-n."""
        found: dict[str, tuple[Run, Bath]] = {"large": (self.large, self.bath), "comparison": (self.comparison, self.bath)}
        for name, variant in self.variants.items():
            given = variant.model_dump(exclude_none=True)
            bath = self.bath.model_copy(update={key: given.pop(key) for key in Bath.model_fields if key in given})
            time = given.pop("time", self.large.steps * self.bath.dt)
            found[name] = self.large.model_copy(update={**given, "steps": round(time / bath.dt)}), bath
        t = self.timestep
        for n, dt in enumerate(t.dts):
            run = Run(shape=t.shape, replicas=t.replicas, chunk=t.chunk, steps=round(t.time / dt), snapshots=1)
            found[f"timestep-{n}"] = run, self.bath.model_copy(update={"dt": dt})
        e = self.equilibrium
        for n, factor in enumerate(e.temperatures):
            run = Run(
                shape=e.shape, replicas=e.replicas, chunk=e.chunk, steps=e.steps,
                observations=e.observations, snapshots=20, spacing="linear",
            )  # fmt: skip
            temperature = factor * self.bath.temperature
            start = {"initial_order": e.initial_order, "initial_sigma": e.initial_sigma, "initial_temperature": temperature}
            found[f"equilibrium-{n}"] = run, self.bath.model_copy(update={"temperature": temperature, **start})
        return found

    @model_validator(mode="after")
    def distinct(self) -> Study:
        taken = [name for name in self.variants if re.fullmatch(r"large|comparison|timestep-\d+|equilibrium-\d+", name)]
        if taken:
            raise ValueError(f"variants may not be called {', '.join(taken)}: these are runs of every study")
        # Drivers of the conservation check are files of one folder, beside its start: no two may share a name.
        kept = [name for name in self.frontier.models if re.match(r"kpm-|start$", name)]
        if kept:
            raise ValueError(f"frontier.models may not be called {', '.join(kept)}: start, and names with kpm-, are others' files")
        if "enn" in self.conservation.networks:
            raise ValueError(
                "conservation.networks names enn, as the study's own network, which is followed anyway, is called there"
            )
        lists: dict[str, list] = {
            "conservation.networks": self.conservation.networks, "conservation.tolerances": self.conservation.tolerances,
            "frontier.efficiency_models": self.frontier.efficiency_models, "frontier.fractions": self.frontier.fractions,
            "timestep.dts": self.timestep.dts, "equilibrium.temperatures": self.equilibrium.temperatures,
            "refine.temperatures": self.refine.temperatures,
        }  # fmt: skip
        for key, values in lists.items():
            if len(set(values)) < len(values):
                raise ValueError(f"{key} = {values} has a value twice: list each once")
        end = self.comparison.steps * self.bath.dt
        if self.comparison.windows[0] >= end:
            raise ValueError(
                f"comparison.windows begin at {self.comparison.windows[0]:g}, after the run ends at {end:g} "
                f"(comparison.steps x bath.dt): give an earlier window or more steps"
            )
        unknown = [name for name in self.conservation.networks if name not in self.frontier.models]
        if unknown:
            raise ValueError(
                f"conservation.networks names {', '.join(unknown)}, but frontier.models are {', '.join(self.frontier.models)}"
            )
        return self

    @model_validator(mode="after")
    def measurable(self) -> Study:
        if self.observables:
            from ennforce.observables import try_observables  # heavier than the rest: only for observables of one's own

            try_observables(self.observables, self.model.build([SMALL] * self.model.dimension), self.bath.dynamics)
        return self

    @model_validator(mode="after")
    def fitting(self) -> Study:
        wrong = [f"{key} = {shape}" for key, shape in limits.lattices(self).items() if len(shape) != self.model.dimension]
        if wrong:
            axes = f"a {self.model.lattice} lattice has {self.model.dimension} axes"
            raise ValueError(f"{', '.join(wrong)}: {axes}, so give as many lengths")
        return self

    @model_validator(mode="after")
    def possible(self) -> Study:
        if found := limits.problems(self):
            raise ValueError("; ".join(found))
        return self

    def refusal(self, kind: str) -> str | None:
        """Why networks of this kind cannot learn the study's force, with the kinds that can; None where they can."""
        scalar = self.lattice_model.components == 1 and self.lattice_model.lattice.is_square
        if kind in ODD_SCALAR and not (self.odd and scalar):
            made = "an odd scalar on the square lattice"
            if scalar:
                made = "the odd force of half filling (model.chemical_potential = 0, no model.filling)"
            return f"it is made for {made}: choose enn, enn_energy, typed or typed_energy"
        if kind in WITHOUT_SPIN and any(term.degree for term in self.lattice_model.field_type.terms):
            return f"it has no features that rotate as {self.lattice_model.field_type} does: choose typed or typed_energy"
        return None

    def usable(self, names: Iterable[str]) -> list[str]:
        """Those of the networks ``frontier.models`` that can learn the study's force."""
        return [name for name in names if self.refusal(self.frontier.models[name].kind) is None]

    @model_validator(mode="after")
    def learnable(self) -> Study:
        if self.own_kinds:
            from ennforce.networks import register  # which takes seconds: only for kinds of one's own

            for kind in self.own_kinds:
                register(kind)
        if why := self.refusal(self.network.kind):
            raise ValueError(f"network.kind = {self.network.kind} cannot learn this model's force: {why}")
        lists = {"frontier.models": self.frontier.models, "frontier.efficiency_models": self.frontier.efficiency_models}
        for key, names in lists.items():
            if self.frontier.model_fields_set and not self.usable(names):
                first = next(iter(names))
                why = self.refusal(self.frontier.models[first].kind)
                raise ValueError(f"none of {key} ({', '.join(names)}) can learn this model's force; as to {first}, {why}")
        every = {"network": self.network, **{f"frontier.models.{name}": model for name, model in self.frontier.models.items()}}
        odd = [name for name, one in every.items() if one.kind == "enn_energy" and not one.mixed]
        if odd and self.odd:
            raise ValueError(f"{odd[0]}.mixed = false: an enn_energy reads its energy from even features, so set it to true")
        return self

    @model_validator(mode="after")
    def shelved(self) -> Study:
        """A network from the shelf must be one for this study."""
        if (entry := self.shelf_entry) is None:
            return self
        if self.refine.rounds or self.refine.start:
            setting = "refine.rounds" if self.refine.rounds else "refine.start"
            raise ValueError(
                f"network.from = {entry.folder} is used as it is, but {setting} asks to train: to train it further, set "
                f"refine.start to {entry.folder} and leave network.from out"
            )
        model = self.lattice_model
        why = _misfit(entry, model, self.training.target)
        if why:
            raise ValueError(f"network.from = {entry.folder} cannot serve this study: {why}; take another one, or train one here")
        return self

    @property
    def shelf_entry(self) -> Entry | None:
        """The entry of the shelf that the study's network is taken from, if it is."""
        return None if self.network.shelf is None else read_entry(self.network.shelf)

    @functools.cached_property
    def lattice_model(self) -> Hamiltonian:
        """The model on the torus of the training data."""
        return self.model.build(self.data.shape)

    @property
    def own_kinds(self) -> list[str]:
        """Network kinds of the study that are not of the package."""
        every = {self.network.kind, *(model.kind for model in self.frontier.models.values())}
        return sorted(every - set(network_kinds()))

    @property
    def odd(self) -> bool:
        """Whether the force is odd (P3): at half filling by chemical potential, on the even tori of a study."""
        return self.lattice_model.odd

    def model_parameters(self, shape: list[int]) -> dict:
        """Parameters of the lattice model on a torus of ``shape``, as ``models.from_parameters`` takes them."""
        return self.model.parameters(shape)


def study_of(model: type[Model]) -> type[Study]:
    """The class of studies whose section ``model`` is this one."""
    return Study if model is settings_of(DEFAULT) else create_model("Study", __base__=Study, model=(model, model()))


def load_study(content: dict) -> Study:
    """The validated study; raises ConfigError with one line for each problem."""
    try:
        section = content.get("model", {})
        model = section_of(section) if isinstance(section, dict) else settings_of(DEFAULT)
        study = study_of(model)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    try:
        return study.model_validate(_untrained(_shaped(content, study)))
    except ValidationError as error:
        raise ConfigError("; ".join(_one_line(problem, study) for problem in error.errors())) from None


def _shaped(content: dict, study: type[Study]) -> dict:
    """The content with lattices of the model's dimension where it gives none: with about as many sites as the plane's defaults."""
    model = content.get("model")
    lattice = model.get("lattice") if isinstance(model, dict) else None
    dimension = len(BASES.get(lattice, ((), ()))) if isinstance(lattice, str) else 2
    if dimension == 2:
        return content

    def resized(shape: list[int]) -> list[int]:
        return [max(4, 2 * round(0.5 * math.prod(shape) ** (1.0 / dimension)))] * dimension

    shaped = dict(content)
    for key, field in study.model_fields.items():
        section = content.get(key, {})
        default = getattr(field.default, "shape", None)
        if default is not None and isinstance(section, dict) and "shape" not in section:
            shaped[key] = {**section, "shape": resized(default)}
    if "variants" not in content:
        given = {name: variant.model_dump(exclude_none=True) for name, variant in VARIANTS.items()}
        shaped["variants"] = {
            name: {**one, **({"shape": resized(one["shape"])} if "shape" in one else {})} for name, one in given.items()
        }
    return shaped


def _untrained(content: dict) -> dict:
    """The content without networks that would be trained for a comparison alone, where the study's own comes from the shelf."""
    network, conservation = content.get("network"), content.get("conservation", {})
    if isinstance(network, dict) and network.get("from") and isinstance(conservation, dict):
        return {**content, "conservation": {"networks": [], **conservation}}
    return content


def _one_line(problem, study: type[Study]) -> str:
    keys = [str(part) for part in problem["loc"]]
    name = ".".join(keys) or "the configuration"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error" and not keys:
        return message  # of several sections, which it names
    if problem["type"] == "extra_forbidden":
        section: type[BaseModel] = study
        for key in keys[:-1]:
            if key not in section.model_fields:  # a name the user gave, in a section that holds sections of one type
                continue
            annotation = section.model_fields[key].annotation
            section = next(a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel))
        allowed = [field.alias or key for key, field in section.model_fields.items()]
        return f"{name} is not a setting: allowed here are {', '.join(allowed)}{nearest(keys[-1], allowed, _everywhere(study))}"
    if problem["type"] == "value_error":
        told = "" if isinstance(problem["input"], dict | BaseModel) else f" = {reprlib.repr(problem['input'])}"
        return f"{name}{told}: {message}"
    # Shortened: a few lines of YAML can refer to a list often enough to make megabytes of it.
    return f"{name} = {reprlib.repr(problem['input'])}: {message[0].lower()}{message[1:]}"


def _everywhere(section: type[BaseModel], prefix: str = "") -> list[str]:
    """Dotted keys of all settings in sections, for what was written into the wrong one."""
    found = []
    for key, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += _everywhere(field.annotation, f"{prefix}{key}.")
        else:
            found.append(prefix + key)
    return found


def json_schema() -> dict:
    """JSON schema of the configuration, for editors; ``workflow/schemas/study.schema.json`` is this, kept in step by a test."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Study.model_json_schema()}


def _misfit(entry: Entry, model: Hamiltonian, target: str) -> str | None:
    """Why the network of an entry does not serve a model, in words; None where it does."""
    trained = entry.model["architecture"]
    for what, known, wanted in (
        ("on the lattice", trained["lattice"], model.lattice.name),
        ("for a field of type", trained["field_type"], str(model.field_type)),
        ("to learn the force called", entry.model["target"], target),
    ):
        if known != wanted:
            return f"it was trained {what} {known}, and the study has {wanted}"
    differing = difference(from_parameters(entry.model["model"], model), model, target, trained.get("inputs", ()))
    return f"it was trained for {differing}" if differing else None
