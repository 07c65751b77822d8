# The study, its paths, and the code that a job depends on.
import atexit
import re
import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "lib"))

# Snakemake writes the interpreter's path into shell commands as it is: a blank or a quote in it would end the name there.
if Path(sys.executable).exists():
    sys.executable = re.sub(r"([^\w./-])", r"\\\1", sys.executable)

from ennforce import figures
from ennforce.config import ConfigError, load_study
from ennforce.files import DataError, file_digest, read_json
from ennforce.limits import largest_step
from ennforce.models import from_parameters
from ennforce.plugins import file_of
from ennforce.reading import nearest, repeated_key
from ennforce.rivals import OWN
from ennforce.sources import digest
from ennforce.stages import left_out
from ennforce.sweep import inputs_of, sweep_points


def warn(text):
    """Once, not by every job, which all read this file again."""
    if workflow.is_main_process:
        print(f"warning: {text}", file=sys.stderr)


try:
    for told in filter(None, map(repeated_key, workflow.configfiles)):
        raise ConfigError(told)
    STUDY, POINTS = load_study(config), sweep_points(config)
    EVERY_FIGURE = figures.table(STUDY.figures)
    STUDY.data.require_files()
except ValueError as error:
    sys.exit(f"error in the configuration: {error}")

# Networks that cannot learn the study's force, and stages that its model does not have.
UNUSABLE = sorted(set(STUDY.frontier.models) - set(STUDY.usable(STUDY.frontier.models)))
LEFT_OUT = left_out(STUDY)

# What every job gets to see beyond its params: settings that change no result.
config["study"] = STUDY.study
config["model_class"] = STUDY.model.file
config["network_kinds"] = STUDY.own_kinds
config["checkpoint_seconds"] = STUDY.checkpoint_seconds
config["audit_limit"] = STUDY.audit.limit
config["training_processes"] = STUDY.training.processes


def result(*parts):
    """A path in the study's results folder."""
    return str(Path("results", STUDY.study, *parts))


def file_of_jobs(folder, ending, rule):
    """Pattern of a file of each job of a rule: the rule's name, without that of a sweep's point, and the job's wildcards."""
    wildcards = re.findall(r"\{\w+", str(rule.output[0]))
    return result(
        folder,
        "-".join([re.sub(r"^point\d+_", "", rule.name), *(f"{w}}}" for w in wildcards)]) + ending,
    )


def code_of(script, *unused):
    """A parameter of a job that changes with the source code its result depends on, and with nothing else."""
    path = (ROOT / "scripts" / Path(script).name).resolve()
    own = digests_of([STUDY.model.file] if STUDY.model.file else [])
    return lambda wildcards: "-".join([digest(path, *unused), *own])


def digests_of(names):
    """Digests of the files among names as path/file.py:NAME: what a job's result depends on beyond the package."""
    return [file_digest(file_of(name)) for name in names if file_of(name)]


def last_words(logs):
    """What each failed job said last, in one line; ``logs`` are Snakemake's own, which name the logs of those that failed."""
    text = "\n".join(Path(log).read_text() for log in logs)
    failed = dict.fromkeys(re.findall(r"^ +log: (.*) \(check log", text, re.M))
    said = {Path(name): Path(name).read_text() for name in failed if Path(name).exists()}
    for path, text in said.items():
        errors = re.findall(r"^\S+ \S+ ERROR (.*)", text, re.M)
        if errors:
            yield errors[-1]
        elif not re.search(r"finished in \S+$", text.strip()):  # else a retry went well
            yield f"{path.stem} ended without a message, as when it is killed for want of memory: its log is {path}"


def chunks(run):
    """Numbers of the jobs that share an ensemble's replicas."""
    return range(-(-run.replicas // run.chunk))


ENSEMBLES = STUDY.runs()
RUNS = {name: run for name, (run, _) in ENSEMBLES.items()}
BATHS = {name: bath for name, (_, bath) in ENSEMBLES.items()}
QUENCHES = ["large", *STUDY.variants]
# Settings of a run that its trajectories depend on; others are of their analysis.
OF_TRAJECTORIES = {*type(STUDY.large).model_fields, "noise"}


# Where the points of a sweep share one network: the point in whose units it learns, and the conditions that it is told.
AT_POINTS = {name: load_study(content) for name, (_, content) in POINTS.items()}
SHARED, INPUTS = (
    inputs_of(list(AT_POINTS.values()))
    if STUDY.sweep_network == "shared" and POINTS
    else (None, [])
)


def of_point(*parts):
    """Pattern of a file of any point of the sweep."""
    return result("{point}", *parts)


def network_files(folder):
    return [str(Path(folder, name)) for name in ("model.json", "weights.pt")]


# Networks and data sets of the first training and of the rounds after it; the last are the study's.
NETWORKS = [*(f"round-{n}" for n in range(STUDY.refine.rounds)), "enn"]
DATASETS = [*(f"round-{n}" for n in range(STUDY.refine.rounds)), "dataset"]


def before(name, names):
    """What comes before a network or data set of a round."""
    return names[names.index(name) - 1]


# The entry of the shelf that the study's network is taken from, if it is, and the data set that holds out what it is judged on.
SHELVED = STUDY.shelf_entry
HELD_OUT = (
    result("data", "dataset.nc")
    if SHELVED is None or STUDY.network.held_out == "fresh"
    else str(SHELVED.folder / "sample.nc")
)


def labelled_of_round(wildcards):
    """Labels that a round adds to the data set."""
    return result("data", "labelled", f"round_{DATASETS.index(wildcards.dataset)}.nc")


def force_inputs(wildcards):
    """The network's files, for the engine that needs them."""
    if wildcards.engine == "kpm":
        return []
    other = STUDY.comparison.model if wildcards.run == "comparison" else None
    return network_files(other or result("models", "enn"))


# What of the trajectory's script each engine does not use.
UNUSED = {
    "kpm": ("NetworkForces", "CorrectedForces", "FollowingForces", "Audit", "audited_steps"),
    "network": ("ReferenceForces", "CorrectedForces"),
    "corrected": ("ReferenceForces",),
}


def engine_code(wildcards):
    """As every job's, less what only other engines need."""
    return code_of("trajectory.py", *UNUSED[wildcards.engine])(wildcards)


def engine_settings(wildcards):
    """Settings of what drives and audits a trajectory."""
    corrected, audit = STUDY.corrected.model_dump(), STUDY.audit.model_dump(exclude={"limit"})
    settings = {
        "kpm": {},
        "network": {"audit": audit},
        "corrected": {"audit": audit, "corrected": corrected},
    }
    return settings[wildcards.engine] if "audit" not in LEFT_OUT else {}


def chunk_files(wildcards):
    """Trajectories of every chunk of an ensemble."""
    names = [f"{wildcards.run}_{wildcards.engine}_{n}.nc" for n in chunks(RUNS[wildcards.run])]
    return [result("trajectories", name) for name in names]


# Bath temperatures of the stationary states, numbered as the runs are.
TEMPERATURES = [factor * STUDY.bath.temperature for factor in STUDY.equilibrium.temperatures]

# What drives the dynamics whose energy is followed: name -> (folder of a network, tolerance of the solver), one of them None.
DRIVERS = {
    "enn": (result("models", "enn"), None),
    **{
        name: (result("frontier", "drivers", name), None)
        for name in STUDY.usable(STUDY.conservation.networks)
        if name != "enn"
    },
    **{f"kpm-{tolerance}": (None, tolerance) for tolerance in STUDY.conservation.tolerances},
}


def driver_files(wildcards):
    folder, _ = DRIVERS[wildcards.driver]
    return network_files(folder) if folder else []


# How the dynamics of an engine is held against the solver's.
COMPARED = {
    "windows": STUDY.comparison.windows,
    "margins": STUDY.comparison.margins.model_dump(),
    "noise": STUDY.comparison.noise,
    "temperature": STUDY.bath.temperature,
}

SOLVER = {"margin": STUDY.solver.spectral_margin, "method": STUDY.solver.method}


# What captions call the order of the study's model.
MODEL = from_parameters(STUDY.model_parameters(STUDY.large.shape))
WORDS = {"order": MODEL.order.name, "wave_vector": MODEL.order.wave_vector_label}
config["words"] = {
    **WORDS,
    "law": MODEL.order.growth_law,
    "dynamics": MODEL.space.chosen(STUDY.bath.dynamics),
}
FIGURES = {
    name: entry
    for name, entry in EVERY_FIGURE.items()
    if entry.stage not in LEFT_OUT and ("quenches" not in LEFT_OUT or entry.of_network)
}
config["captions"] = {name: entry.caption.format(**WORDS) for name, entry in FIGURES.items()}


# What stands in braces in the name of an input: a file for each.
EACH = {"quench": QUENCHES, "driver": list(DRIVERS)}


def figure_inputs(wildcards):
    """Results that the figure is drawn from; a list where they are one for each quench or driver."""
    return {
        name: expand(result(file), **EACH) if "{" in file else result(file)
        for name, file in FIGURES[wildcards.name].inputs.items()
    }


def figure_settings(wildcards):
    """Settings of the study that the figure shows; ``model`` becomes the model on the torus of the run that is named."""
    found = {}
    for name, key in FIGURES[wildcards.name].settings.items():
        if name == "model":
            found[name] = STUDY.model_parameters(getattr(STUDY, key).shape)
            continue
        found[name] = STUDY.model_dump(exclude_none=True)
        for part in key.split("."):
            found[name] = found[name][part]
    return found


def figure_file(wildcards):
    """The file of a figure of the study's own; None for those of the package."""
    return next((file for file in STUDY.figures if Path(file).stem == wildcards.name), None)


def figure_code(wildcards):
    """Digests of the script, which draws all figures, and of the figure's own file."""
    if file := figure_file(wildcards):
        return [code_of("figure.py")(wildcards), file_digest(file)]
    own = digest(ROOT / "lib" / "ennforce" / "figures" / f"{wildcards.name}.py", *figures.TOLD)
    return [code_of("figure.py")(wildcards), own]


def drawn(*formats):
    """Pattern of the names of the figures that have these formats."""
    return "|".join(name for name, entry in FIGURES.items() if entry.formats == formats)


def shown(ending):
    """A file of the figure that is in the report."""
    return report(
        result("figures", f"{{name}}.{ending}"),
        caption="../report/figure.rst",
        category=lambda wildcards: FIGURES[wildcards.name].category,
    )


def figure_files(target, folder=result()):
    """Files of the figures that belong to a target: "figures", "frontier" or "sweep"."""
    return [
        str(Path(folder, "figures", f"{name}.{ending}"))
        for name, entry in FIGURES.items()
        if target in entry.targets
        for ending in entry.formats
    ]


# Snakemake would say of these only that no rule makes them.
for name in re.findall(r"figures/([^/\s]+)[.](?:svg|png|gif)\b", " ".join(sys.argv)):
    if name not in FIGURES:
        known = (
            f"this study's figures are {', '.join(FIGURES)}, of the files of lib/ennforce/figures"
        )
        sys.exit(f"error: there is no figure {name}{nearest(name, FIGURES)} ({known})")


wildcard_constraints:
    run="|".join(map(re.escape, RUNS)),
    engine="kpm|network|corrected",
    driver="|".join(map(re.escape, DRIVERS)),
    chunk=r"\d+",
    number=r"\d+",
