"""Sweeps: one study for each combination of values listed under ``sweep`` in a configuration.

Imported while the Snakefile is parsed, so nothing heavy is imported here.
"""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections.abc import Mapping

from ennforce.config import ConfigError, Study, load_study
from ennforce.limits import LARGEST_PLAN, jobs

Point = dict[str, object]  # swept value by dotted key


def sweep_points(content: Mapping) -> dict[str, tuple[Point, dict]]:
    """Swept values and configuration of every point, by the point's short name; empty where nothing is swept.

    Raises ConfigError, one line that names the key, where a setting or a value of it is impossible, or two points are the same.
    """
    study = load_study(dict(content))
    sweep = study.sweep
    if not sweep:
        return {}
    count = math.prod(map(len, sweep.values()))
    if count * jobs(study) > LARGEST_PLAN:
        raise ConfigError(
            f"sweep: {count} points of about {jobs(study)} jobs each are more than the {LARGEST_PLAN} jobs that can be planned: "
            f"sweep fewer values at a time"
        )
    titles = _titles(list(sweep))
    points: dict[str, tuple[Point, dict]] = {}
    for values in itertools.product(*sweep.values()):
        point = dict(zip(sweep, values, strict=True))
        name = ",".join(f"{titles[key]}={_text(key, value)}" for key, value in point.items())
        if name in points:
            raise ConfigError(f"sweep: the point {name} is there twice; list each value once")
        points[name] = point, _configuration(content, study.study, name, point)
    if study.sweep_network == "shared":
        inputs_of([load_study(own) for _, own in points.values()])
    return points


def inputs_of(points: list[Study]) -> tuple[Study, list[str]]:
    """The point in whose units a network for all of them is trained, and the conditions of the electrons that it must be told.

    Raises ConfigError, in one line, where the points cannot share a network.
    """
    for section in ("network", "training", "refine"):
        if any(getattr(point, section) != getattr(points[0], section) for point in points):
            raise ConfigError(f"sweep.{section} with sweep_network = shared: one network has one {section}; use sweep_network: own")
    if points[0].training.target == "total":
        raise ConfigError("training.target = total with sweep_network = shared: couplings share electronic forces alone")
    if points[0].refine.rounds:
        raise ConfigError(f"refine.rounds = {points[0].refine.rounds} with sweep_network = shared: rounds train each point's own")
    models = [point.lattice_model for point in points]
    if any((type(model), model.lattice.name) != (type(models[0]), models[0].lattice.name) for model in models):
        raise ConfigError("sweep over models or lattices with sweep_network = shared: they have no network in common")
    if without := [point.study for point, model in zip(points, models, strict=True) if model.scaling is None]:
        raise ConfigError(f"sweep_network = shared needs models that state their scaling, which that of {without[0]} does not")
    conditions = [model.conditions for model in models]
    told = [key for key in conditions[0] if len({_rounded(one.get(key)) for one in conditions}) > 1]
    if absent := [key for key in told if any(one.get(key) is None for one in conditions)]:
        raise ConfigError(f"sweep over {absent[0]} with sweep_network = shared: every point must have one")
    if len({str(model.field_type) for model in models}) > 1:
        raise ConfigError(
            "sweep with sweep_network = shared over points of different symmetry, as half filling has: leave that out, or use "
            "sweep_network: own"
        )
    return points[0], told


def _rounded(value: float | None) -> float | None:
    """Equal for numbers that differ by rounding."""
    return value if value is None else float(f"{value:.9g}")


def _configuration(content: Mapping, parent: str, name: str, point: Point) -> dict:
    """A study like that of ``content`` with a point's values."""
    own = copy.deepcopy({key: value for key, value in content.items() if key not in ("sweep", "sweep_network")})
    own["study"] = f"{parent}/{name}"
    for key, value in point.items():
        section, (*path, last) = own, key.split(".")
        for part in path:
            section = section.setdefault(part, {})
            if not isinstance(section, dict):
                raise ConfigError(f"sweep.{key}: {part} is a setting, not a section")
        section[last] = value
    try:
        load_study(own)
    except ConfigError as error:
        raise ConfigError(f"sweep at {name}: {error}") from None
    return own


def _titles(keys: list[str]) -> dict[str, str]:
    """The shortest endings of dotted keys that tell them apart."""
    forbidden = [key for key in keys if key.split(".")[0] in ("study", "sweep", "sweep_network", "checkpoint_seconds")]
    if forbidden:
        raise ConfigError(f"sweep.{forbidden[0]} changes no result: sweep settings that do")
    endings = {key: [key.split(".", cut)[-1] for cut in range(key.count("."), -1, -1)] for key in keys}
    return {
        key: next(e for e in ends if e == key or all(e not in others for k, others in endings.items() if k != key))
        for key, ends in endings.items()
    }


def _text(key: str, value: object) -> str:
    """A value as part of a name of a folder."""
    parts = value if isinstance(value, list) and value else [value]
    text = "x".join(str(part) for part in parts)
    if not all(isinstance(part, int | float | str) for part in parts) or not re.fullmatch(r"[A-Za-z0-9_.+-]+", text):
        raise ConfigError(f"sweep.{key} has the value {value!r}: only numbers, words and lists of them can be swept")
    return text
