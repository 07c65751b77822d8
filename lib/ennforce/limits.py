"""What a study may ask for: reach, length, jobs, memory and time, told before anything runs.

Everything here is a pure function of the settings, but for the machine's memory. Imported while the Snakefile is parsed, so nothing
heavy is imported here.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from typing import Any

from ennforce.models.settings import COLDEST
from ennforce.stages import left_out

LARGEST_PLAN = 20_000  # jobs: so many are planned in a minute or two
LEAST_STEPS = {"conservation": 5, "divergence": 5}  # else as many as sections.Run asks for
FEWEST_STATIONARY = 4  # observations of a stationary state
# A study is refused where one job needs so many times the memory of this machine, which need not be where it runs.
MEMORY_FACTOR = 4
LONGEST_JOB = 100 * 86400.0  # seconds, at rates no machine of today exceeds:
NETWORK_SECONDS, SOLVER_SECONDS = 1e-8, 1e-6  # a site and step
DIAGONALISATION_SECONDS = 1e-11  # a cube of the number of sites
LARGEST_DIAGONALISED = 4000  # states, for a check of labels: a minute or so for each configuration

Study = Any  # ``config.Study``, which asks this module what is possible
Settings = Any  # of a network: a section of the configuration, or an Architecture, which has the same names

REACHES = {
    "irrep_mlp": lambda network: 3,
    "descriptor_mlp": lambda network: 3,
    "gnn": lambda network: network.depth,
    "euclidean": lambda network: 2 * network.depth,
    "enn": lambda network: _widened(network),
    "enn_energy": lambda network: 2 * _widened(network),
    "typed": lambda network: _widened(network),
    "typed_energy": lambda network: 2 * _widened(network),
}


def _undilated(network: Settings) -> int:
    return network.first_radius + network.depth * network.radius


def _stencils(network: Settings) -> int:
    dilations = itertools.islice(itertools.cycle(network.dilations or (1,)), network.depth)
    return network.first_radius + network.radius * sum(dilations)


def _widened(network: Settings) -> int:
    """With the far stencils beside the first layer's."""
    further = network.wide_radius - network.first_radius if network.wide else 0
    return _stencils(network) + max(further, 0)


def reach(network: Settings) -> int:
    """Sites further than this along an axis do not influence the network's force: its ``receptive_radius``, without building it."""
    return REACHES.get(network.kind, _undilated)(network)


def problems(study: Study) -> list[str]:
    """Why a study of valid settings cannot run to its end: of every kind of reason the first, in one line."""
    if study.data.files:  # no runs are made
        found = [list(kind(study)) for kind in (too_cold, unlabelled, beyond_reach, too_costly)]
        return [kind[0] for kind in found if kind]
    kinds = [too_short, too_cold, unstable, unordered, unteachable]
    found = [list(kind(study)) for kind in kinds]
    if not found[0]:  # or the runs cannot be made
        found += [list(kind(study)) for kind in (beyond_reach, unmeasurable, too_many_jobs, too_costly)]
    return [kind[0] + (f" (and {len(kind) - 1} like it)" if len(kind) > 1 else "") for kind in found if kind]


def lattices(study: Study) -> dict[str, list[int]]:
    """Every lattice on which the study's own network computes, by the setting that gives it."""
    found = {"data.shape": study.data.shape}
    if study.data.files:
        return found
    for name in ("large", "comparison", "timestep", "equilibrium", "conservation", "divergence"):
        found[f"{name}.shape"] = getattr(study, name).shape
    found |= {f"variants.{name}.shape": variant.shape for name, variant in study.variants.items() if variant.shape}
    if study.frontier.model_fields_set:
        found |= {f"frontier.extrapolation.shapes.{n}": shape for n, shape in enumerate(study.frontier.extrapolation.shapes)}
    return found


def beyond_reach(study: Study) -> Iterator[str]:
    """A torus must be at least twice as long as the reach of a network that computes on it.

    The networks of the comparison count where the configuration speaks of it: else they are trained only when asked for, and
    training then refuses data that are too small.
    """
    every, f = lattices(study), study.frontier
    driving = [] if "conservation" in left_out(study) else study.usable(n for n in study.conservation.networks if n in f.models)
    used = [("network", study.network, every)]
    used += [
        (f"frontier.models.{name}", f.models[name], {key: every[key] for key in ("data.shape", "conservation.shape")})
        for name in driving
    ]
    if f.model_fields_set:
        timed = {key: shape for key, shape in every.items() if key.startswith(("data", "frontier"))}
        timed["frontier.size"] = [f.size, f.size]
        used += [(f"frontier.models.{name}", model, timed) for name, model in f.models.items()]
    told = set()
    for name, network, shapes in used:
        for key, shape in shapes.items():
            if min(shape) < 2 * reach(network) and (name, key) not in told:
                told.add((name, key))
                yield (
                    f"{name} reaches {reach(network)} sites, but {key} = {shape if key != 'frontier.size' else f.size} is shorter "
                    f"than twice that: use at least {2 * reach(network)} sites each way, or a network of less depth or radius"
                )


def too_short(study: Study) -> Iterator[str]:
    """Runs given by their time must have steps."""
    timed = [("timestep.time", study.timestep.time, dt) for dt in study.timestep.dts]
    timed += [
        (f"variants.{name}.time", variant.time, variant.dt or study.bath.dt)
        for name, variant in study.variants.items()
        if variant.time
    ]
    for key in ("conservation.time", "conservation.equilibration", "divergence.time"):
        section, name = key.split(".")
        timed.append((key, getattr(getattr(study, section), name), study.bath.dt))
    # A variant with a time step of its own, and no time, lasts as long as the large run.
    total = study.large.steps * study.bath.dt
    timed += [
        (f"the time of large, {total:g}, for variants.{n},", total, v.dt) for n, v in study.variants.items() if v.dt and not v.time
    ]
    for key, time, dt in timed:
        least = LEAST_STEPS.get(key.split(".")[0], 10)
        if time < (least - 0.5) * dt:
            text = f"{key} = {time:g}" if key[-1] != "," else key
            yield f"{text} is less than {least} steps of dt = {dt:g}: run longer, or with a smaller dt"


def too_cold(study: Study) -> Iterator[str]:
    """Local solvers need windows as long as t/T; labels of others are checked by diagonalisation on small lattices."""
    model = study.model
    if model.cold and not (study.data.files and diagonalisable(study.lattice_model)):
        ratio = getattr(model, "t", 1.0) / model.electron_temperature
        yield (
            f"model.electron_temperature = {model.electron_temperature} is below {COLDEST} t: local solvers then need windows of "
            f"t/T = {ratio:.2g} sites; use a higher one, or ExactForces from Python on small lattices"
        )


def diagonalisable(model: Any) -> bool:
    """Whether a few configurations are diagonalised within minutes."""
    return model.orbitals * model.lattice.num_sites <= LARGEST_DIAGONALISED


def unlabelled(study: Study) -> Iterator[str]:
    """What cannot be asked of a study whose labels are others'."""
    if study.sweep:
        yield "sweep: a study of data.files is not swept, for its points have no quenches to compare; give each a study of its own"
    if study.refine.rounds:
        yield f"refine.rounds = {study.refine.rounds} learns from quenches, and a study of data.files has none: set it to 0"
    if study.network.shelf is not None:
        yield f"network.from = {study.network.shelf} is not trained, so data.files would serve nothing: leave one of them out"


def unstable(study: Study) -> Iterator[str]:
    """The lattice alone, which electrons only soften, must be stable."""
    model, bath = study.lattice_model, study.bath
    try:
        dynamics = model.space.chosen(bath.dynamics)
    except ValueError as error:
        yield str(error)
        return
    if dynamics == "overdamped" and not bath.friction > 0:
        yield f"bath.friction = {bath.friction:g}: overdamped dynamics needs friction, so give a positive one"
        return
    bound = largest_step(model, bath)
    if bound is None:
        return
    steps = {"bath.dt": study.bath.dt, **{f"variants.{n}.dt": v.dt for n, v in study.variants.items() if v.dt}}
    steps |= {f"timestep.dts.{n}": dt for n, dt in enumerate(study.timestep.dts)}
    for key, dt in steps.items():
        if dt >= bound:
            least = "2/omega" if dynamics == "langevin" else "2 m gamma/k"
            yield f"{key} = {dt:g} is not below {least} = {bound:.3g} of the stiffest lattice wave: every run diverges; use less"


def unordered(study: Study) -> Iterator[str]:
    """A start with order must be one that can be written as fields."""
    starts = {"bath.initial_order": study.bath.initial_order}
    starts |= {f"variants.{name}.initial_order": variant.initial_order for name, variant in study.variants.items()}
    try:
        study.lattice_model.order.pattern()
    except ValueError as error:
        yield from (f"{key} = {order:g}: {error}" for key, order in starts.items() if order)


def unteachable(study: Study) -> Iterator[str]:
    """Rounds of learning need enough runs and snapshots to draw from, and data without the solver's quenches need a round."""
    r, d = study.refine, study.data
    if d.driver == "network" and not r.rounds:
        yield "data.driver = network with refine.rounds = 0 gives no quenches to learn from: ask for one round at least"
    if not r.rounds:
        return
    if why := left_out(study).get("audit"):
        yield f"refine.rounds = {r.rounds} needs audits, which this model does not have ({why}): set it to 0"
        return
    fractions = (d.split.train, d.split.validation, d.split.test)
    for key, number in (("refine.runs", r.runs), ("refine.labels", r.labels)):
        if min(fractions) * number < 0.5 or split_counts(number, fractions)[0] < 1:
            yield f"{key} = {number} are too few for a split that leaves one in each of {fractions}: ask for more"
            return
    of_runs, of_labels = (split_counts(number, fractions) for number in (r.runs, r.labels))
    for name, runs, labels in zip(("training", "validation", "test"), of_runs, of_labels, strict=True):
        candidates = runs * len(r.temperatures) * snapshots(d)
        if labels > candidates:
            yield (
                f"refine.labels = {r.labels} are {labels} for {name}, but its {runs} of refine.runs = {r.runs} have {candidates} "
                f"snapshots: ask for fewer labels, or for more runs or data.snapshots"
            )


def split_counts(number: int, fractions: tuple[float, float, float]) -> list[int]:
    """How many of ``number`` go to training, validation and test: the nearest whole counts, at least one to the last two."""
    held_out = [max(1, round(fraction * number)) for fraction in fractions[1:]]
    return [number - sum(held_out), *held_out]


def snapshots(data: Settings) -> int:
    """How many snapshots are kept of a quench: steps spaced in their logarithm, as far as they differ, and the start."""
    first, last = max(data.first_snapshot, 1), data.steps
    spaced = {round(first * (last / first) ** (n / max(data.snapshots - 1, 1))) for n in range(data.snapshots)}
    return len(spaced) + (data.first_snapshot == 0)


def largest_step(model: Any, bath: Any) -> float | None:
    """From which time step on the dynamics of ``bath`` is unstable: 2/omega, or 2 m gamma/k without inertia; None for spins."""
    dynamics = model.space.chosen(bath.dynamics)
    if dynamics == "spins":
        return None  # rotations
    return (
        2.0 * math.sqrt(bath.mass / model.stiffest) if dynamics == "langevin" else 2.0 * bath.mass * bath.friction / model.stiffest
    )


def unmeasurable(study: Study) -> Iterator[str]:
    """What the analysis asks for must be in the runs."""
    runs, a, e = study.runs(), study.analysis, study.equilibrium
    for name in ("large", *study.variants):
        run, bath = runs[name]
        if run.steps * bath.dt <= a.first_time:
            end = run.steps * bath.dt
            yield f"analysis.first_time = {a.first_time:g} is not before the end of {name}, {end:g}: no growth could be measured"
    spacing = math.log(study.large.steps) / study.large.observations
    if study.large.spacing == "log" and a.smoothing < 0.5 * spacing:
        yield (
            f"analysis.smoothing = {a.smoothing:g} holds too few of large.observations = {study.large.observations}, which are "
            f"{spacing:.2g} apart in ln t: use at least {0.5 * spacing:.2g}"
        )
    kept = (1.0 - e.discard) * min(e.steps, e.observations)
    if kept < FEWEST_STATIONARY:
        yield (
            f"equilibrium.discard = {e.discard:g} leaves {kept:.1f} of {min(e.steps, e.observations)} observations, and "
            f"{FEWEST_STATIONARY} are the least for an average with an error: discard less, or observe more often"
        )


def jobs(study: Study) -> int:
    """About how many jobs all targets of the study have."""
    driven = {"comparison": 2, **{f"equilibrium-{n}": 2 for n in range(len(study.equilibrium.temperatures))}}
    count = sum(2 * driven.get(name, 1) * -(-run.replicas // run.chunk) for name, (run, _) in study.runs().items())
    f = study.frontier
    trained = len(f.models) + len(f.efficiency_models) * len(f.fractions) + len(study.conservation.networks)
    elsewhere = len(f.extrapolation.bath_temperatures) + len(f.extrapolation.shapes)
    solver_driven = study.data.trajectories if study.data.driver == "solver" else 0
    return (
        count + 2 * solver_driven + 4 * study.refine.rounds + 3 * trained + 2 * elsewhere + len(study.conservation.tolerances) + 60
    )


def too_many_jobs(study: Study) -> Iterator[str]:
    count = jobs(study)
    if count > LARGEST_PLAN:
        yield (
            f"the study has about {count} jobs, and {LARGEST_PLAN} are the most that can be planned: put more replicas into a job "
            f"(chunk), or ask for fewer"
        )


def physical_memory() -> int | None:
    """Bytes of this machine; None where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def too_costly(study: Study) -> Iterator[str]:
    """Jobs whose memory or time is beyond any doubt too much."""
    memory = physical_memory()
    for what, size, advice in memories(study):
        if memory and size > MEMORY_FACTOR * memory:
            yield f"{what} needs about {_bytes(size)} of memory in one job, and this machine has {_bytes(memory)}: {advice}"
    for what, seconds, advice in times(study):
        if seconds > LONGEST_JOB:
            yield f"{what} takes more than {seconds / 86400:.0f} days in one job even on the fastest machine: {advice}"


def memories(study: Study) -> Iterator[tuple[str, float, str]]:
    """What, bytes that its job needs at least, and what to change."""
    d, t = study.data, study.training
    for name, (run, _) in study.runs().items():
        sites = math.prod(run.shape)
        whole = f"{name} of {_shape(run.shape)} sites with"
        fields = f"{whole} {min(run.chunk, run.replicas)} replicas a job"
        yield fields, 8.0 * 6 * min(run.chunk, run.replicas) * sites, "use a smaller lattice, or a smaller chunk"
        kept = f"{whole} {run.snapshots} snapshots of {run.replicas} replicas"
        kept_count = run.replicas * min(run.snapshots, run.steps)
        yield kept, 4.0 * 2 * kept_count * sites, "keep fewer snapshots, or use fewer replicas or a smaller lattice"
    sites = math.prod(d.shape)
    driven = d.trajectories if d.driver == "solver" else 0
    count = d.random_configurations + driven * min(d.snapshots, d.steps + 1) + study.refine.rounds * study.refine.labels
    smaller = "use less or smaller configurations"
    yield f"data of {count} configurations of {_shape(d.shape)} sites", 8.0 * 2 * 2 * count * sites, smaller
    channels = (16 if study.network.mixed else 8) * study.network.width if study.network.kind.startswith("enn") else 1
    activations = 4.0 * t.batch * sites * channels * (study.network.depth + 1)
    yield f"training on batches of {t.batch} x {_shape(d.shape)} sites", activations, "use a smaller batch or data.shape"
    for key, shape in diagonalised(study).items():
        matrix = 8.0 * 3 * math.prod(shape) ** 2
        yield f"{key} = {shape}, which is diagonalised exactly,", matrix, "use a smaller lattice there"


def diagonalised(study: Study) -> dict[str, list[int]]:
    if study.data.files:
        return {"data.shape": study.data.shape} if diagonalisable(study.lattice_model) else {}
    found = {"data.shape": study.data.shape, "conservation.shape": study.conservation.shape}
    if study.frontier.model_fields_set:
        found |= {f"frontier.exact_sizes.{n}": [size, size] for n, size in enumerate(study.frontier.exact_sizes)}
    return found


def times(study: Study) -> Iterator[tuple[str, float, str]]:
    """What, seconds that its job takes at least, and what to change."""
    advice = "take fewer steps, a smaller lattice or fewer replicas a job"
    for name, (run, bath) in study.runs().items():
        work = float(run.steps) * math.prod(run.shape) * min(run.chunk, run.replicas)
        rate = SOLVER_SECONDS if name == "comparison" or name.startswith("equilibrium-") else NETWORK_SECONDS
        yield f"{name} of {run.steps:g} steps of {bath.dt:g}", work * rate, advice
    for name in ("conservation", "divergence"):
        section = getattr(study, name)
        steps = section.time / study.bath.dt
        work = steps * math.prod(section.shape) * section.replicas
        yield f"{name} of {steps:g} steps of {study.bath.dt:g}", work * SOLVER_SECONDS, advice
    d, t = study.data, study.training
    if t.seconds is None:
        work = float(t.steps) * t.batch * math.prod(d.shape)
        yield f"training of {t.steps:g} steps on batches of {t.batch}", work * NETWORK_SECONDS, "take fewer steps, or set seconds"
    if study.refine.rounds:
        work = float(study.refine.steps) * t.batch * math.prod(d.shape)
        yield f"refine of {study.refine.steps:g} steps on batches of {t.batch}", work * NETWORK_SECONDS, "take fewer steps"
    yield f"data of {d.steps:g} steps", float(d.steps) * math.prod(d.shape) * SOLVER_SECONDS, advice
    for key, shape in diagonalised(study).items():
        seconds = DIAGONALISATION_SECONDS * float(math.prod(shape)) ** 3
        yield f"{key} = {shape}, which is diagonalised exactly,", seconds, "use a smaller lattice there"


def _shape(shape: list[int]) -> str:
    return " x ".join(map(str, shape))


def _bytes(count: float) -> str:
    exponent = min(int(math.log(max(count, 1.0), 1000.0)), 6)
    return f"{count / 1000.0**exponent:.3g} {('B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB')[exponent]}"
