# From the lattice Hamiltonian to the figures: see README.md. Rules live in workflow/rules, one file a stage.
from snakemake.utils import min_version

min_version("9.18")


configfile: "config/default.yaml"


# Used only with --software-deployment-method apptainer; envs/apptainer.def builds it.
container: "envs/ennforce.sif"


include: "workflow/rules/common.smk"


# The report opens with the answer, once there is one; a damaged one is as good as none.
config["summary"] = None
if Path(result("summary.json")).exists():
    try:
        config["summary"] = read_json(
            result("summary.json"), ["force_error", "comparison", "growth"], signed=True
        )
    except DataError as error:
        warn(f"{error}; the report opens without an answer")


report: "workflow/report/study.rst"


if POINTS:

    include: "workflow/rules/sweep.smk"

    rule all:
        """Every point of the sweep, and the table."""
        default_target: True
        input:
            rules.sweep.output,
            [
                figure_files("sweep", Path("results", content["study"]))
                for _, content in POINTS.values()
            ],
            of_points("models", "enn", "card.md"),

elif "quenches" in LEFT_OUT:

    include: "workflow/rules/data.smk"
    include: "workflow/rules/train.smk"
    include: "workflow/rules/figures.smk"

    rule all:
        """Data set, network and errors of the study."""
        default_target: True
        input:
            rules.figures.input,
            HELD_OUT,
            network_files(result("models", "enn")),
            result("models/enn/card.md"),

else:

    include: "workflow/rules/data.smk"
    include: "workflow/rules/train.smk"
    include: "workflow/rules/refine.smk"
    include: "workflow/rules/dynamics.smk"
    include: "workflow/rules/analysis.smk"
    include: "workflow/rules/checks.smk"
    include: "workflow/rules/figures.smk"
    include: "workflow/rules/alternatives.smk"
    include: "workflow/rules/others.smk"

    if "frontier" not in LEFT_OUT:

        include: "workflow/rules/frontier.smk"

    rule all:
        """Figures, summary, data set and network of the study."""
        default_target: True
        input:
            rules.figures.input,
            result("summary.json"),
            HELD_OUT,
            network_files(result("models", "enn")),
            result("models/enn/card.md"),


onstart:
    if UNUSABLE and STUDY.frontier.model_fields_set:
        print(f"left out, for they cannot learn this force: {', '.join(UNUSABLE)}")
    for stage, why in LEFT_OUT.items():
        print(f"left out: {stage}, for {why}")


onerror:
    # Last of all, when Snakemake has said what it has to say.
    atexit.register(print, *last_words(log), sep="\n", file=sys.stderr)


for job in workflow.rules:
    # One line for a job on the terminal, not the list of its files.
    name = f"{job.name} {{wildcards}}" if job.has_wildcards() else job.name
    job.message = job.message or f"{name}: {job.docstring or ''}"
    # Log and benchmark bear the name of the job. Of a sweep, the rules of earlier points have theirs already.
    if job.script and not job.log:
        job.log_modifier = job.benchmark_modifier = job.output_modifier
        job.set_log(file_of_jobs("logs", ".log", job))
        job.benchmark = file_of_jobs("benchmarks", ".tsv", job)
    # It runs again when what its script is made of changes.
    if job.script and "code" not in job.params.keys():
        job.set_params(code=code_of(job.script))
