# Figures: one rule for all, which depends on what the figure's own file in lib/ennforce/figures asks for, on that file and on the style.

# What stands in braces in the name of an input: a file for each.
EACH = {"quench": QUENCHES, "driver": list(DRIVERS)}


def figure_inputs(wildcards):
    """Results that the figure is drawn from; a list where they are one for each quench or driver."""
    return {
        name: expand(result(file), **EACH) if "{" in file else result(file)
        for name, file in FIGURES[wildcards.name].inputs.items()
    }


def figure_settings(wildcards):
    """Settings of the study that the figure shows."""
    found = {}
    for name, key in FIGURES[wildcards.name].settings.items():
        found[name] = STUDY.model_dump(exclude_none=True)
        for part in key.split("."):
            found[name] = found[name][part]
    return found


def figure_code(wildcards):
    """Digests of the script, which draws all figures, and of the figure's own file."""
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


rule figure:
    """A figure, as its own file says: SVG for the report and for papers, PNG for slides."""
    input:
        unpack(figure_inputs),
    output:
        svg=shown("svg"),
        png=result("figures", "{name}.png"),
    log:
        log_of("figure-{name}"),
    wildcard_constraints:
        name=drawn("svg", "png"),
    params:
        settings=figure_settings,
        code=figure_code,
    script:
        "../../scripts/figure.py"


use rule figure as movie with:
    """A figure that moves."""
    output:
        gif=shown("gif"),
    log:
        log_of("movie-{name}"),
    wildcard_constraints:
        name=drawn("gif"),


rule figures:
    """Every figure of the study: snakemake --cores N figures"""
    input:
        figure_files("figures"),
        result("analysis", "growth.csv"),
