# Is the learned dynamics right? Network against KPM: ensembles, stationary states, conservation, divergence; and the time step.


rule energies:
    """Grand potentials of the comparison's snapshots, both engines' by the same solver."""
    input:
        ensemble=result("analysis", "ensemble_comparison_{engine}.nc"),
    output:
        energies=result("analysis", "energies_comparison_{engine}.nc"),
    params:
        **SOLVER,
        model=STUDY.model_parameters(STUDY.comparison.shape),
        tolerance=STUDY.solver.label_tolerance,
    script:
        "../../scripts/energies.py"


rule compare:
    """Are network and solver dynamics equivalent within margins stated beforehand?"""
    input:
        driven=result("analysis", "ensemble_comparison_network.nc"),
        kpm=result("analysis", "ensemble_comparison_kpm.nc"),
        energies_driven=result("analysis", "energies_comparison_network.nc"),
        energies_kpm=result("analysis", "energies_comparison_kpm.nc"),
    output:
        comparison=result("analysis", "comparison.json"),
        csv=result("analysis", "comparison.csv"),
        markdown=report(
            result("analysis", "comparison.md"),
            caption="../report/agreement.rst",
            category=FIGURES["dynamics"].category,
        ),
    params:
        **COMPARED,
        engine="network",
    script:
        "../../scripts/compare.py"


if "audit" not in LEFT_OUT:

    use rule compare as compare_corrected with:
        """Are corrected and solver dynamics equivalent within the same margins?"""
        input:
            driven=result("analysis", "ensemble_comparison_corrected.nc"),
            kpm=result("analysis", "ensemble_comparison_kpm.nc"),
            energies_driven=result("analysis", "energies_comparison_corrected.nc"),
            energies_kpm=result("analysis", "energies_comparison_kpm.nc"),
        output:
            comparison=result("analysis", "comparison_corrected.json"),
            csv=result("analysis", "comparison_corrected.csv"),
            markdown=report(
                result("analysis", "comparison_corrected.md"),
                caption="../report/agreement.rst",
                category=FIGURES["dynamics"].category,
            ),
        params:
            **COMPARED,
            engine="corrected",

    rule audit:
        """Error of the network's force on the large quench that it drives, by class of site."""
        input:
            trajectories=[
                result("trajectories", f"large_network_{n}.nc") for n in chunks(RUNS["large"])
            ],
            metrics=result("models", "enn", "metrics.json"),
        output:
            audit=result("analysis", "audit.json"),
            along=result("analysis", "audit.nc"),
            csv=result("analysis", "audit.csv"),
            markdown=report(
                result("analysis", "audit.md"),
                caption="../report/audit_table.rst",
                category=FIGURES["audit"].category,
            ),
        script:
            "../../scripts/audit.py"


if "equilibrium" not in LEFT_OUT:

    rule equilibrium:
        """Stationary states of both engines."""
        input:
            **{
                engine: [
                    result("analysis", f"ensemble_equilibrium-{n}_{engine}.nc")
                    for n in range(len(TEMPERATURES))
                ]
                for engine in ("network", "kpm")
            },
        output:
            equilibrium=result("analysis", "equilibrium.json"),
            csv=result("analysis", "equilibrium.csv"),
            distributions=result("analysis", "equilibrium.nc"),
        params:
            temperatures=TEMPERATURES,
            discard=STUDY.equilibrium.discard,
            bootstrap=STUDY.analysis.bootstrap,
            seed=STUDY.seed,
        script:
            "../../scripts/equilibrium.py"


if "conservation" not in LEFT_OUT:

    rule equilibrate:
        """One stationary state, from which every driver starts."""
        output:
            state=result("analysis", "conservation", "start.nc"),
        params:
            **SOLVER,
            model=STUDY.model_parameters(STUDY.conservation.shape),
            bath=STUDY.bath.model_dump(),
            order=STUDY.equilibrium.initial_order,
            sigma=STUDY.equilibrium.initial_sigma,
            replicas=STUDY.conservation.replicas,
            time=STUDY.conservation.equilibration,
            tolerance=STUDY.solver.dynamics_tolerance,
            seed=STUDY.seed,
        script:
            "../../scripts/equilibrate.py"

    rule conserve:
        """True energy along the trajectories of one driver."""
        input:
            state=result("analysis", "conservation", "start.nc"),
            model=driver_files,
        output:
            energies=result("analysis", "conservation", "{driver}.nc"),
        params:
            **SOLVER,
            model=STUDY.model_parameters(STUDY.conservation.shape),
            bath=STUDY.bath.model_dump(),
            time=STUDY.conservation.time,
            observations=STUDY.conservation.observations,
            tolerance=lambda wildcards: DRIVERS[wildcards.driver][1],
            seed=STUDY.seed,
        script:
            "../../scripts/conserve.py"

    rule conservation:
        """Drift and kinetic temperature of every driver."""
        input:
            energies=[result("analysis", "conservation", f"{name}.nc") for name in DRIVERS],
        output:
            conservation=result("analysis", "conservation.json"),
            csv=result("analysis", "conservation.csv"),
            markdown=report(
                result("analysis", "conservation.md"),
                caption="../report/conservation_table.rst",
                category=FIGURES["conservation"].category,
            ),
        params:
            names=list(DRIVERS),
            temperature=STUDY.bath.temperature,
        script:
            "../../scripts/conservation.py"


rule divergence:
    """Trajectories from the same states with the same noise."""
    input:
        model=network_files(result("models", "enn")),
    output:
        distances=result("analysis", "divergence.nc"),
        rates=result("analysis", "divergence.json"),
    params:
        **STUDY.divergence.model_dump(exclude={"shape"}),
        **SOLVER,
        model=STUDY.model_parameters(STUDY.divergence.shape),
        bath=STUDY.bath.model_dump(),
        dynamics_tolerance=STUDY.solver.dynamics_tolerance,
        seed=STUDY.seed,
    script:
        "../../scripts/divergence.py"


rule timestep:
    """Bias of late-time averages against the time step."""
    input:
        ensembles=[
            result("analysis", f"ensemble_timestep-{n}_network.nc")
            for n in range(len(STUDY.timestep.dts))
        ],
        large=result("analysis", "ensemble_large_network.nc"),
    output:
        timestep=result("analysis", "timestep.json"),
        csv=result("analysis", "timestep.csv"),
        markdown=report(
            result("analysis", "timestep.md"),
            caption="../report/timestep_table.rst",
            category=FIGURES["timestep"].category,
        ),
    params:
        **STUDY.timestep.model_dump(include={"dts", "time"}),
        unstable_from=largest_step(MODEL, STUDY.bath),
        temperature=STUDY.bath.temperature,
        bootstrap=STUDY.analysis.bootstrap,
        seed=STUDY.seed,
    script:
        "../../scripts/timestep.py"
