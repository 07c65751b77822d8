# One rule a figure: it depends on its data, its script, its drawing module and the common style.

LARGE = {
    "ensemble": result("analysis", "ensemble_large_network.nc"),
    "growth": result("analysis", "growth_large_network.nc"),
}


rule plot_symmetry:
    input:
        sources=[*drawing("symmetry"), *sources("model")],
    output:
        **figure_files("symmetry"),
    log:
        log_of("plot_symmetry"),
    params:
        lattice=STUDY.model.lattice,
    script:
        "../../scripts/plot_symmetry.py"


rule plot_training:
    input:
        history=result("models", "enn", "history.csv"),
        model=result("models", "enn", "model.json"),
        sources=drawing("training"),
    output:
        **figure_files("training"),
    log:
        log_of("plot_training"),
    script:
        "../../scripts/plot_training.py"


rule plot_parity:
    input:
        predictions=result("models", "enn", "predictions.nc"),
        metrics=result("models", "enn", "metrics.json"),
        sources=drawing("parity"),
    output:
        **figure_files("parity"),
    log:
        log_of("plot_parity"),
    script:
        "../../scripts/plot_parity.py"


rule plot_snapshots:
    input:
        ensemble=LARGE["ensemble"],
        sources=drawing("snapshots"),
    output:
        **figure_files("snapshots"),
    log:
        log_of("plot_snapshots"),
    script:
        "../../scripts/plot_snapshots.py"


rule plot_structure_factor:
    input:
        ensemble=LARGE["ensemble"],
        sources=drawing("structure_factor"),
    output:
        **figure_files("structure_factor"),
    log:
        log_of("plot_structure_factor"),
    script:
        "../../scripts/plot_structure_factor.py"


rule plot_growth:
    input:
        **LARGE,
        sources=drawing("growth"),
    output:
        **figure_files("growth"),
    log:
        log_of("plot_growth"),
    script:
        "../../scripts/plot_growth.py"


rule plot_collapse:
    input:
        **LARGE,
        sources=drawing("collapse"),
    output:
        **figure_files("collapse"),
    log:
        log_of("plot_collapse"),
    script:
        "../../scripts/plot_collapse.py"


rule figures:
    # Every figure of the study: snakemake --cores N figures
    input:
        figures(FIGURES),
