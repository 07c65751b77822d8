# One rule a figure: it depends on its data, its script, its drawing module and the common style.

LARGE = {
    "ensemble": result("analysis", "ensemble_large_network.nc"),
    "growth": result("analysis", "growth_large_network.nc"),
}


rule plot_symmetry:
    """Figure: shells of neighbours and the irreps in them."""
    output:
        **figure_files("symmetry"),
    log:
        log_of("plot_symmetry"),
    params:
        lattice=STUDY.model.lattice,
    script:
        "../../scripts/plot_symmetry.py"


rule plot_training:
    """Figure: errors during training."""
    input:
        history=result("models", "enn", "history.csv"),
        model=result("models", "enn", "model.json"),
    output:
        **figure_files("training"),
    log:
        log_of("plot_training"),
    script:
        "../../scripts/plot_training.py"


rule plot_parity:
    """Figure: predicted against exact forces."""
    input:
        predictions=result("models", "enn", "predictions.nc"),
        metrics=result("models", "enn", "metrics.json"),
    output:
        **figure_files("parity"),
    log:
        log_of("plot_parity"),
    script:
        "../../scripts/plot_parity.py"


rule plot_response:
    """Figure: response to small fields, network against electrons."""
    input:
        response=result("models", "enn", "response.json"),
    output:
        **figure_files("response"),
    log:
        log_of("plot_response"),
    script:
        "../../scripts/plot_response.py"


rule plot_snapshots:
    """Figure: domains of one replica after the quench."""
    input:
        ensemble=LARGE["ensemble"],
    output:
        **figure_files("snapshots"),
    log:
        log_of("plot_snapshots"),
    script:
        "../../scripts/plot_snapshots.py"


rule plot_structure_factor:
    """Figure: structure factor against wave number and time."""
    input:
        ensemble=LARGE["ensemble"],
    output:
        **figure_files("structure_factor"),
    log:
        log_of("plot_structure_factor"),
    script:
        "../../scripts/plot_structure_factor.py"


rule plot_growth:
    """Figure: domain sizes and effective exponents."""
    input:
        **LARGE,
    output:
        **figure_files("growth"),
    log:
        log_of("plot_growth"),
    script:
        "../../scripts/plot_growth.py"


rule plot_collapse:
    """Figure: dynamical scaling."""
    input:
        **LARGE,
    output:
        **figure_files("collapse"),
    log:
        log_of("plot_collapse"),
    script:
        "../../scripts/plot_collapse.py"


rule plot_variants:
    """Figure: growth in runs that differ from the large one."""
    input:
        growths=[
            result("analysis", f"growth_{run}_network.nc") for run in ("large", *STUDY.variants)
        ],
    output:
        **figure_files("variants"),
    log:
        log_of("plot_variants"),
    params:
        runs=QUENCHES,
        labels={
            "large": f"{STUDY.large.shape[1]} x {STUDY.large.shape[0]} sites, T = {STUDY.bath.temperature}",
            **{name: variant_label(name) for name in STUDY.variants},
        },
    script:
        "../../scripts/plot_variants.py"


rule plot_walls:
    """Figure: domain walls and which way they face."""
    input:
        **LARGE,
        walls=result("analysis", "walls.nc"),
    output:
        **figure_files("walls"),
    log:
        log_of("plot_walls"),
    script:
        "../../scripts/plot_walls.py"


rule plot_barrier:
    """Figure: the energy that a wall must climb to move."""
    input:
        barrier=result("analysis", "barrier.json"),
    output:
        **figure_files("barrier"),
    log:
        log_of("plot_barrier"),
    script:
        "../../scripts/plot_barrier.py"


rule plot_movie:
    """Movie of the domains."""
    input:
        ensemble=LARGE["ensemble"],
    output:
        gif=report(
            result("figures", "movie.gif"),
            caption="../report/movie.rst",
            category="Coarsening",
        ),
    log:
        log_of("plot_movie"),
    script:
        "../../scripts/plot_movie.py"


rule figures:
    """Every figure of the study: snakemake --cores N figures"""
    input:
        figures(FIGURES),
        result("figures", "movie.gif"),
        result("analysis", "growth.csv"),
