"""What happens before the first job: dry runs, configuration errors, lint."""

import ast
import re
import subprocess
import sys
import textwrap

import pytest
import yaml

from ennforce.files import file_digest, read_json, write_json
from ennforce.lattice import BASES
from ennforce.models import MODELS
from ennforce.sources import imported_by
from tests.workflow.conftest import ROOT


@pytest.mark.parametrize("name", ["default", "smoke", "paper"])
def test_every_study_plans_its_jobs(project, name):
    done = project.snakemake("-n", "--quiet", "host", "--configfile", f"config/{name}.yaml")
    assert done.returncode == 0, done.stdout[-2000:]
    assert f"results/{name}/figures/growth.svg" in done.stdout
    assert "lib/ennforce" not in done.stdout and "scripts/" not in done.stdout  # source files would drown everything else


def test_the_study_of_published_labels_plans_its_jobs_where_they_are(project):
    plan = ("-n", "--quiet", "host", "--configfile", "config/sd.yaml")
    done = project.snakemake(*plan)
    assert done.returncode != 0 and "data/sd_square_train.npz is not there" in done.stdout.splitlines()[-1]
    (project.folder / "data").mkdir()
    (project.folder / "data" / "sd_square_train.npz").touch()
    done = project.snakemake(*plan)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "results/sd/models/enn/card.md" in done.stdout and "results/sd/trajectories" not in done.stdout


@pytest.mark.parametrize("name", ["default", "smoke", "frontier", "frontier_paper"])
def test_the_comparison_plans_its_jobs(project, name):
    done = project.snakemake("-n", "--quiet", "host", "--configfile", f"config/{name}.yaml", "--", "frontier")
    assert done.returncode == 0, done.stdout[-2000:]
    for file in ("figures/frontier.svg", "figures/learning_curve.svg", "frontier/comparison.csv", "frontier/models/enn/card.md"):
        assert f"results/{name}/{file}" in done.stdout


def test_the_trainings_to_convergence_are_planned(project):
    done = project.snakemake("-n", "--quiet", "host", "--configfile", "config/converged.yaml", "--", "converged")
    assert done.returncode == 0, done.stdout[-2000:]
    names = ("irrep_mlp", "descriptor_mlp", "gnn", "cnn", "cnn_seed_2", "cnn_seed_3", "enn", "enn_seed_2", "enn_seed_3", "enn_best")
    for file in ("convergence.csv", *(f"models/{name}/metrics.json" for name in names)):
        assert f"results/converged/frontier/{file}" in done.stdout


def test_rounds_of_learning_are_planned_where_they_are_asked_for(project):
    done = project.smoke("-n", "--quiet", "host")
    assert done.returncode == 0 and "results/smoke/data/dataset.nc" in done.stdout
    assert "round" not in done.stdout and "train_further" not in done.stdout
    (project.folder / "config" / "rounds.yaml").write_text("study: rounds\nrefine: {rounds: 2, labels: 8}\n")
    done = project.snakemake("-n", "--quiet", "host", "--configfile", "config/smoke.yaml", "config/rounds.yaml")
    assert done.returncode == 0, done.stdout[-2000:]
    planned = re.findall(r"^Job \d+: (train|explore|extend|train_further|sample_quench)\b", done.stdout, re.M)
    assert sorted(planned) == sorted(["train", *["explore", "extend", "train_further"] * 2, *["sample_quench"] * 4])
    for file in ("models/round-0", "models/round-1", "models/enn", "data/round-0.nc", "data/round-1.nc", "data/dataset.nc"):
        assert f"results/rounds/{file}" in done.stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("bath: {temperature: -1}", "bath.temperature = -1: input should be greater than 0"),
        ("modle: {g: 1}", "modle is not a setting: allowed here are study, sweep, sweep_network, seed, model"),
        ("model: {K: 0.1, kappa: 0.2}", "K = 0.1 with kappa = 0.2 is elastically unstable"),
        ("large: {shape: [32, 33]}", "large.shape.1 = 33: input should be a multiple of 2"),
        ("sweep: {model.gg: [1, 2]}", "sweep at gg=1: model.gg is not a setting: allowed here are name, class, lattice"),
        ("sweep: {model.g: [1, -2]}", "sweep at g=-2: model.g = -2: input should be greater than 0"),
    ],
)
def test_an_impossible_configuration_ends_in_one_line(project, content, message):
    (project.folder / "config" / "bad.yaml").write_text(content)
    done = project.snakemake("-n", "--configfile", "config/bad.yaml")
    assert done.returncode != 0
    remarks = ("Using workflow specific profile", "Config file config/default.yaml is extended")
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith(remarks)]
    assert len(lines) == 1 and lines[0].startswith("error in the configuration: ") and message in lines[0], lines


def test_a_figure_that_there_is_not_is_refused_with_the_nearest(project):
    done = project.smoke("-n", targets=("results/smoke/figures/grwth.svg",))
    assert done.returncode != 0
    assert done.stdout.splitlines()[-1].startswith("error: there is no figure grwth; did you mean growth? (this study's ")
    done = project.smoke("-n", "--quiet", "host", targets=("results/smoke/figures/symmetry.png", "results/smoke/figures/movie.gif"))
    assert done.returncode == 0 and "movie name=movie" in done.stdout, done.stdout[-2000:]


def test_a_key_that_stands_twice_is_refused_with_its_lines(project):
    (project.folder / "config" / "twice.yaml").write_text("study: a\nmodel: {g: 1.0}\nmodel: {g: 2.0}\n")
    done = project.snakemake("-n", "--configfile", "config/twice.yaml")
    assert done.returncode != 0
    said = "config/twice.yaml: model stands there twice, in lines 2 and 3: keep one"
    assert done.stdout.splitlines()[-1].startswith("error in the configuration: ") and said in done.stdout


@pytest.mark.parametrize("damage", ["truncated", "empty", "a folder", "flipped", "unsigned"])
def test_a_damaged_summary_is_as_good_as_none(project, damage):
    path = project.path("summary.json")
    write_json(path, {"force_error": {"quench": {"relative": 0.04}}, "comparison": {}, "growth": {}})
    text = path.read_text()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    else:
        path.write_text({"truncated": text[:30], "empty": "", "flipped": text.replace("0.04", "0.05"), "unsigned": "{}"}[damage])
    done = project.smoke("-n", "--quiet", "all")
    assert done.returncode == 0, done.stdout[-2000:]
    warnings = [line for line in done.stdout.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1 and "summary.json" in warnings[0] and warnings[0].endswith("the report opens without an answer")


def test_the_study_of_the_readme_plans_its_jobs(project):
    text = re.search(r"study: my_study\n(    .*\n)+", (ROOT / "README.md").read_text()).group()
    (project.folder / "config" / "my_study.yaml").write_text(textwrap.dedent("    " + text))
    done = project.snakemake("-n", "--configfile", "config/my_study.yaml", "--quiet", "host")
    assert done.returncode == 0 and "results/my_study/figures/growth.svg" in done.stdout, done.stdout[-2000:]


def test_a_sweep_plans_all_its_points_in_one_dag(project):
    sweep = "study: sw\nsweep: {model.g: [1.4, 1.5]}\n"
    (project.folder / "config" / "sweep.yaml").write_text(sweep)
    done = project.snakemake("-n", "--quiet", "host", "--configfile", "config/smoke.yaml", "config/sweep.yaml")
    assert done.returncode == 0, done.stdout[-2000:]
    for n, g in enumerate(("1.4", "1.5")):
        assert f"point{n}_train: " in done.stdout and f"results/sw/g={g}/models/enn/model.json" in done.stdout
    assert "results/sw/sweep.csv" in done.stdout and "results/sw/models" not in done.stdout


def test_points_may_share_one_network(project):
    sweep = "study: sw\nsweep: {model.g: [1.4, 1.5], model.electron_temperature: [0.1, 0.2]}\nsweep_network: shared\n"
    (project.folder / "config" / "sweep.yaml").write_text(sweep)
    done = project.snakemake("-n", "--quiet", "host", "--configfile", "config/smoke.yaml", "config/sweep.yaml")
    assert done.returncode == 0, done.stdout[-2000:]
    planned = re.findall(r"^Job \d+: (?:point\d_)?(train|train_shared|merge|fold|assemble)\b", done.stdout, re.M)
    assert sorted(planned) == ["assemble"] * 4 + ["fold"] * 4 + ["merge", "train_shared"]


@pytest.mark.parametrize("study", ["", "sweep: {model.g: [1.4, 1.5]}", "sweep: {model.g: [1.4, 1.5]}\nsweep_network: shared"])
def test_the_groups_of_the_profiles_are_possible(project, study):
    """A group must not wait for what waits for it; of a sweep too."""
    (project.folder / "config" / "grouped.yaml").write_text("study: grouped\n" + study)
    groups = yaml.safe_load((ROOT / "profiles" / "slurm" / "config.yaml").read_text())["groups"]

    def planned(groups):
        given = (f"{rule}={group}" for rule, group in groups.items())
        return project.snakemake("-n", "--groups", *given, "--configfile", "config/smoke.yaml", "config/grouped.yaml")

    done = planned(groups)
    assert done.returncode == 0, done.stdout[-2000:]
    del groups["timestep"]  # reads the ensembles, and is read for the summary
    done = planned(groups)
    assert done.returncode != 0 and "Error in group analysis" in done.stdout, done.stdout[-2000:]


def test_every_rule_is_explained_in_the_documentation(project):
    """docs/workflow.md has the lines of `snakemake --list-rules`."""
    (project.folder / "config" / "sweep.yaml").write_text("sweep: {model.g: [1.4]}\nsweep_network: shared")
    listed: dict[str, str] = {}
    (project.folder / "config" / "taken.yaml").write_text("network: {from: trained/default}")
    (project.folder / "other.npz").touch()
    (project.folder / "config" / "files.yaml").write_text("data: {files: [other.npz]}")
    for file in ("files", "sweep", "smoke", "taken"):
        done = project.snakemake("--list-rules", "--configfile", f"config/{file}.yaml")
        lines = re.findall(r"^(\w+)(?: \((.*)\))?$", done.stdout, re.MULTILINE)
        listed |= {rule: text for rule, text in lines if not rule.startswith("point")}
    table = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", (ROOT / "docs" / "workflow.md").read_text(), re.MULTILINE))
    assert all(listed.values()), [rule for rule, text in listed.items() if not text]
    assert table == listed


TAKEN = "study: taken\ndata: {verified: 1}\nnetwork: {from: trained/default, held_out: HELD_OUT}\n"


@pytest.mark.parametrize(("held_out", "data"), [("stored", False), ("fresh", True)])
def test_a_network_from_the_shelf_is_not_trained(project, held_out, data):
    """Without data either, unless the study asks to judge it on its own; with the entry changed, it is taken again."""
    (project.folder / "config" / "taken.yaml").write_text(TAKEN.replace("HELD_OUT", held_out))
    done = project.snakemake("-n", "--quiet", "host", "--configfile", "config/taken.yaml")
    assert done.returncode == 0, done.stdout[-2000:]
    rules = set(re.findall(r"^Job \d+: (\w+)", done.stdout, re.MULTILINE))
    assert {"take", "evaluate", "card", "response", "trajectory", "audit", "summary"} <= rules
    assert not {"train", "train_alternative", "explore"} & rules
    assert {"sample_random", "sample_quench", "label", "assemble"} & rules == (
        {"sample_random", "sample_quench", "label", "assemble"} if data else set()
    )


@pytest.mark.slow
def test_a_network_from_the_shelf_is_taken_checked_and_named(project):
    (project.folder / "config" / "taken.yaml").write_text(TAKEN.replace("HELD_OUT", "stored"))
    command = ("--configfile", "config/taken.yaml", "--", "results/taken/models/enn/card.md")
    done = project.snakemake(*command)
    assert done.returncode == 0, done.stdout[-2000:]
    enn, entry = project.folder / "results" / "taken" / "models" / "enn", project.folder / "trained" / "default"
    digest = file_digest(entry / "entry.json")
    assert f"entry `trained/default`, digest `{digest}`" in (enn / "card.md").read_text()
    assert read_json(enn / "model.json")["shelf"]["digest"] == digest
    stored, found = read_json(entry / "entry.json")["errors"], read_json(enn / "metrics.json")["errors"]
    assert found["quench"]["rmse"] == pytest.approx(stored["quench"]["rmse"], rel=1e-3)
    assert "Nothing to be done" in project.snakemake(*command).stdout
    # The same network, shelved again in other words.
    write_json(entry / "entry.json", {**read_json(entry / "entry.json"), "note": "looked at twice"})
    done = project.snakemake(*command)
    assert done.returncode == 0 and file_digest(entry / "entry.json") in (enn / "card.md").read_text(), done.stdout[-2000:]
    (entry / "weights.pt").write_bytes(b"")
    done = project.snakemake(*command)
    last = done.stdout.strip().splitlines()[-1]
    assert done.returncode != 0 and last.startswith("error in the configuration: network: from = ") and "weights.pt" in last


def test_no_number_of_cores_is_needed_where_nothing_runs(project):
    """`snakemake --report` and `--unlock`, as README and Makefile call them, have no --cores."""
    command = [argument for argument in project.command("--unlock") if argument not in ("--cores", "2")]
    done = subprocess.run(command, cwd=project.folder, env=project.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_parsing_stays_light():
    """The Snakefile is parsed again for every job."""
    heavy = "[m for m in ('torch', 'xarray', 'numba', 'matplotlib', 'scipy') if m in sys.modules]"
    program = f"import sys, ennforce.config, ennforce.figures, ennforce.sources, ennforce.sweep; print({heavy})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_models_are_named_by_the_models_alone():
    """A model is one file of ``models/``: nothing else in library, scripts or workflow speaks of it by name."""
    names = {path.stem for path in (ROOT / "lib/ennforce/models").glob("*.py")} & set(MODELS)
    assert names == set(MODELS) - {"quartic"}
    pattern = re.compile("|".join(names), re.IGNORECASE)
    folders = (ROOT / "lib" / "ennforce", ROOT / "scripts", ROOT / "workflow" / "rules")
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".smk")]
    own = ROOT / "lib/ennforce/models"
    assert [path for path in files if own not in path.parents and pattern.search(path.read_text())] == []
    # A lattice is a row of ``lattice.BASES``; kinds of networks that are made for one lattice say so in their own files.
    pattern = re.compile("|".join(f"['\"]{name}['\"]" for name in BASES))
    made_for_one = {"networks", "models", "lattice.py", "augmentation.py", "optimiser.py"}
    assert [path for path in files if not made_for_one & set(path.parts) and pattern.search(path.read_text())] == []


def test_rooms_import_downwards_only():
    """docs/design.md: a room imports only from its own floor and those below."""
    order = (
        "lattice symmetry sections data supervision io noise tables processes sources compiling files plugins reading rivals shelf "
        "threads __version__",
        "models",
        "electrons networks observables stages",
        "forces limits",
        "corrected",
        "auditing",
        "checking accuracy dynamics training analysis config exporting",
        "shelving",
        "figures sweep workflow reference refining cli",
    )
    floors = {room: floor for floor, rooms in enumerate(order) for room in rooms.split()}
    package = ROOT / "lib" / "ennforce"
    for path in package.rglob("*.py"):
        inside = path.relative_to(package).with_suffix("")
        room = inside.parts[0]
        if room == "__init__":
            continue
        name = ".".join(("ennforce", *inside.parts)).removesuffix(".__init__")
        parent = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for statement in ast.walk(ast.parse(path.read_text())):
            for _, (module, what) in imported_by(statement, parent):
                other = f"{module}.{what}".split(".")[1]
                assert other == room or floors[other] < floors[room] or floors[other] == floors[room] == 0, (path, other)
