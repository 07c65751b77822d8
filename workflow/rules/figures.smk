# Figures: one rule for all, which depends on what the figure's own file in lib/ennforce/figures asks for, on that file and on the style.


rule figure:
    """A figure, as its own file says: SVG for the report and for papers, PNG for slides."""
    input:
        unpack(figure_inputs),
    output:
        svg=shown("svg"),
        png=result("figures", "{name}.png"),
    wildcard_constraints:
        name=drawn("svg", "png"),
    params:
        settings=figure_settings,
        file=figure_file,
        code=figure_code,
    script:
        "../../scripts/figure.py"


use rule figure as movie with:
    """A figure that moves."""
    output:
        gif=shown("gif"),
    wildcard_constraints:
        name=drawn("gif"),


rule figures:
    """Every figure of the study: snakemake --cores N figures"""
    input:
        figure_files("figures"),
        result("analysis", "growth.csv") if "quenches" not in LEFT_OUT else [],
