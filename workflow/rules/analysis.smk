# From observables to domain sizes, ensembles and growth exponents, and the study's numbers in one table.


rule ensemble:
    """Means over replicas with bootstrap bands."""
    input:
        observables=chunk_files,
    output:
        ensemble=result("analysis", "ensemble_{run}_{engine}.nc"),
    params:
        bootstrap=STUDY.analysis.bootstrap,
        seed=STUDY.seed,
    script:
        "../../scripts/ensemble.py"


rule growth:
    """Effective exponents of the domain sizes and the scaling collapse."""
    input:
        ensemble=result("analysis", "ensemble_{run}_{engine}.nc"),
    output:
        growth=result("analysis", "growth_{run}_{engine}.nc"),
    params:
        analysis=STUDY.analysis.model_dump(),
        law=MODEL.order.growth_law,
        seed=STUDY.seed,
    script:
        "../../scripts/growth.py"


rule growth_table:
    """Exponents of the large quench and of its variants, with what differs between them."""
    input:
        growths=[result("analysis", f"growth_{run}_network.nc") for run in QUENCHES],
    output:
        csv=result("analysis", "growth.csv"),
        markdown=report(
            result("analysis", "growth.md"),
            caption="../report/growth_table.rst",
            category="Coarsening",
        ),
    params:
        runs=[
            {
                "run": name,
                "sites": " x ".join(map(str, RUNS[name].shape)),
                "replicas": RUNS[name].replicas,
                "T": BATHS[name].temperature,
                "dt": BATHS[name].dt,
                "start": BATHS[name].initial_sigma,
            }
            for name in QUENCHES
        ],
    script:
        "../../scripts/growth_table.py"


if "walls" not in LEFT_OUT:

    rule walls:
        """Where the domain walls of the large quench are and which way they face."""
        input:
            ensemble=result("analysis", "ensemble_large_network.nc"),
        output:
            walls=result("analysis", "walls.nc"),
        params:
            model=STUDY.model_parameters(STUDY.large.shape),
        script:
            "../../scripts/walls.py"


if "barrier" not in LEFT_OUT:

    rule barrier:
        """What a domain wall must climb to move by one site: why growth is fast or freezes."""
        output:
            barrier=result("analysis", "barrier.json"),
        params:
            model=STUDY.model_parameters([12, 12]),
            temperature=STUDY.bath.temperature,
        script:
            "../../scripts/barrier.py"


rule summary:
    """The numbers of the study in one table."""
    input:
        **{
            name: result("analysis", f"{name}.json")
            for name in ("comparison", "equilibrium", "conservation", "divergence", "timestep")
            if name not in LEFT_OUT
        },
        **(
            {}
            if "audit" in LEFT_OUT
            else {
                name: result("analysis", f"{name}.json")
                for name in ("audit", "comparison_corrected")
            }
        ),
        metrics=result("models", "enn", "metrics.json"),
        check=result("data", "label_check.json"),
        growth=result("analysis", "growth_large_network.nc"),
    output:
        summary=result("summary.json"),
        markdown=report(result("summary.md"), caption="../report/summary.rst", category="Summary"),
    params:
        replicas={name: getattr(STUDY, name).replicas for name in ("large", "divergence")},
    script:
        "../../scripts/summary.py"
