"""The ``model`` section of a study: the settings of any class of models, with the bounds that its fields are annotated with."""

from __future__ import annotations

import functools
from dataclasses import MISSING, fields
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import ConfigDict, Field, create_model, model_validator

from ennforce.lattice import BASES
from ennforce.models.base import Hamiltonian
from ennforce.models.registry import from_parameters, register
from ennforce.sections import EitherEnergy, Section, Temperature

COMMON = ("lattice", "temperature", "chemical_potential", "filling")  # fields that every model has
COLDEST = 1e-3  # electron temperature, in units of the hopping: windows grow as t/T
SMALL = 8  # sites along each side of the torus on which settings are tried


class Model(Section):
    """The lattice model: energies in t, k_B = 1. What it is made of stands with its class."""

    model_config = ConfigDict(serialize_by_alias=True)

    name: Annotated[str, Field(description="a model of the package, or an installed one's entry point")] = "holstein"
    file: Annotated[str | None, Field(alias="class", description="path/file.py:Class of a model of your own")] = None
    lattice: Literal[tuple(BASES)] = "square"  # type: ignore[valid-type]
    electron_temperature: Annotated[Temperature, Field(description="T_e of every label and force in the study")] = 0.05
    chemical_potential: Annotated[EitherEnergy, Field(description="0 is half filling, where the force is odd")] = 0.0
    filling: Annotated[float, Field(gt=0, description="electrons per site, in place of the chemical potential")] | None = None

    @property
    def dimension(self) -> int:
        return len(BASES[self.lattice])

    def parameters(self, shape: list[int]) -> dict:
        """Parameters of the model on a torus of ``shape``, as ``models.from_parameters`` takes them."""
        values = self.model_dump(exclude={"lattice", "electron_temperature", "file"})
        lattice = {"name": self.lattice, "shape": list(shape)}
        return {**values, "temperature": self.electron_temperature, "lattice": lattice}

    @property
    def cold(self) -> bool:
        """Whether the electrons are too cold for local solvers."""
        return self.electron_temperature < COLDEST * getattr(self, "t", 1.0)

    def build(self, shape: list[int]) -> Hamiltonian:
        """The model on a torus of ``shape``; raises ValueError where its class refuses the settings."""
        return from_parameters(self.parameters(shape))

    @model_validator(mode="after")
    def possible(self) -> Model:
        if type(self) is Model:
            return self
        if self.filling is not None and self.chemical_potential != 0.0:
            raise ValueError(f"filling = {self.filling} and chemical_potential = {self.chemical_potential} exclude each other")
        self.build([SMALL] * self.dimension).validate()
        return self


@functools.cache
def settings_of(model: type[Hamiltonian]) -> type[Model]:
    """The section of a class of models: what all have, and the fields of its own with their bounds and defaults."""
    hints = get_type_hints(model, include_extras=True)
    own: dict[str, Any] = {
        field.name: (hints[field.name], ... if field.default is MISSING else field.default)
        for field in fields(model)
        if field.name not in COMMON
    }
    name = model.__name__.lower()
    section = create_model(f"{model.__name__}Settings", __base__=Model, **{"name": (Literal[name], name), **own})
    section.__doc__ = (model.__doc__ or name).split("\n")[0]
    return section


def section_of(content: dict) -> type[Model]:
    """The section of the model that the content of a ``model`` section names; raises ValueError where there is no such model."""
    given = {key: content.get(key) for key in ("name", "class")}
    for key, value in given.items():
        if value is not None and not isinstance(value, str):
            raise ValueError(f"model.{key} = {value!r} is no text: name a model, as holstein or path/file.py:Class")
    if all(value is not None for value in given.values()):
        raise ValueError(f"model.name = {given['name']} and model.class = {given['class']} exclude each other: give one")
    return settings_of(register(given["class"] or given["name"] or "holstein"))
