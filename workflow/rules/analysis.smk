# From observables to domain sizes, ensembles, growth exponents and the test of the learned dynamics.


rule structure:
    """Three domain sizes of every replica."""
    input:
        observables=result("trajectories", "{run}_{engine}_{chunk}.nc"),
        sources=sources("analysis"),
    output:
        lengths=result("analysis", "structure", "{run}_{engine}_{chunk}.nc"),
    log:
        log_of("structure-{run}-{engine}-{chunk}"),
    benchmark:
        benchmark_of("structure-{run}-{engine}-{chunk}")
    script:
        "../../scripts/structure.py"


rule ensemble:
    """Means over replicas with bootstrap bands."""
    input:
        observables=chunk_files(["trajectories"]),
        lengths=chunk_files(["analysis", "structure"]),
        sources=sources("analysis"),
    output:
        ensemble=result("analysis", "ensemble_{run}_{engine}.nc"),
    log:
        log_of("ensemble-{run}-{engine}"),
    benchmark:
        benchmark_of("ensemble-{run}-{engine}")
    params:
        bootstrap=STUDY.analysis.bootstrap,
        seed=STUDY.seed,
    script:
        "../../scripts/ensemble.py"


rule growth:
    """Effective exponents of the domain sizes and the scaling collapse."""
    input:
        ensemble=result("analysis", "ensemble_{run}_{engine}.nc"),
        sources=sources("analysis"),
    output:
        growth=result("analysis", "growth_{run}_{engine}.nc"),
    log:
        log_of("growth-{run}-{engine}"),
    benchmark:
        benchmark_of("growth-{run}-{engine}")
    params:
        analysis=STUDY.analysis.model_dump(),
        box=lambda wildcards: min(RUNS[wildcards.run].shape),
        seed=STUDY.seed,
    script:
        "../../scripts/growth.py"


rule compare:
    """Test whether network and KPM dynamics agree within their statistical errors."""
    input:
        network=result("analysis", "ensemble_comparison_network.nc"),
        kpm=result("analysis", "ensemble_comparison_kpm.nc"),
        sources=sources("analysis"),
    output:
        comparison=result("analysis", "comparison.json"),
    log:
        log_of("compare"),
    benchmark:
        benchmark_of("compare")
    params:
        seed=STUDY.seed,
    script:
        "../../scripts/compare.py"


rule summary:
    """The numbers of the study in one table."""
    input:
        metrics=result("models", "enn", "metrics.json"),
        check=result("data", "label_check.json"),
        comparison=result("analysis", "comparison.json"),
        growth=result("analysis", "growth_large_network.nc"),
    output:
        summary=result("summary.json"),
        table=report(result("summary.md"), caption="../report/summary.rst", category="Summary"),
    log:
        log_of("summary"),
    benchmark:
        benchmark_of("summary")
    script:
        "../../scripts/summary.py"
