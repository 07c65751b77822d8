# From the lattice Hamiltonian to the figures: see README.md. Rules live in workflow/rules, one file a stage.
from snakemake.utils import min_version

min_version("9.18")


configfile: "config/default.yaml"


# Used only with --software-deployment-method apptainer; envs/apptainer.def builds it.
container: "envs/ennforce.sif"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/dynamics.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/checks.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/alternatives.smk"
include: "workflow/rules/frontier.smk"


report: "workflow/report/study.rst"


rule all:
    default_target: True
    input:
        rules.figures.input,
        result("summary.json"),
        result("models/enn/card.md"),
