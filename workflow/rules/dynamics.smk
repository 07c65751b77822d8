# Ensembles of thermal quenches, driven by one of three engines: one job for each chunk of replicas.


rule trajectory:
    """Quench a chunk of replicas, driven by the network, audited, by the network as the solver corrects it, or by KPM."""
    input:
        model=force_inputs,
    output:
        observables=result("trajectories", "{run}_{engine}_{chunk}.nc"),
    threads: 1
    params:
        model=lambda wildcards: STUDY.model_parameters(RUNS[wildcards.run].shape),
        run=lambda wildcards: RUNS[wildcards.run].model_dump(include=OF_TRAJECTORIES),
        bath=lambda wildcards: BATHS[wildcards.run].model_dump(),
        # What the network is held against must be better than it.
        tolerance=lambda wildcards: (
            STUDY.comparison.tolerance
            if wildcards.run == "comparison"
            else STUDY.solver.label_tolerance
        ),
        margin=STUDY.solver.spectral_margin,
        method=STUDY.solver.method,
        settings=engine_settings,
        observables=STUDY.observables,
        own=digests_of(STUDY.observables),
        seed=STUDY.seed,
        code=engine_code,
    script:
        "../../scripts/trajectory.py"
