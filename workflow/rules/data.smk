# Training data: configurations, their labels, a check of the labels, and the data set; or all of it from files of others.

SAMPLES = ["random"]
if STUDY.data.driver == "solver":
    SAMPLES += [f"quench_{n}" for n in range(STUDY.data.trajectories)]


rule check_model:
    """Is the lattice model what it says: Hermitian, its force a gradient, symmetric as its field type claims?"""
    output:
        check=result("data", "model_check.json"),
    params:
        model=STUDY.model_parameters(STUDY.data.shape),
        seed=STUDY.seed,
    script:
        "../../scripts/check_model.py"


if STUDY.data.files:

    rule read_files:
        """The data set of configurations that others labelled, once some of their labels agree with the study's own electrons."""
        input:
            check=result("data", "model_check.json"),
            files=[file.path for file in STUDY.data.files],
        output:
            dataset=result("data", f"{DATASETS[0]}.nc"),
            check=result("data", "label_check.json"),
        threads: 2
        params:
            model=STUDY.model_parameters(STUDY.data.shape),
            files=[file.model_dump() for file in STUDY.data.files],
            split=STUDY.data.split.model_dump(),
            samples=STUDY.data.verified,
            bound=STUDY.data.label_bound,
            tolerance=STUDY.solver.label_tolerance,
            margin=STUDY.solver.spectral_margin,
            method=STUDY.solver.method,
        script:
            "../../scripts/read_files.py"

else:

    rule sample_random:
        """Random configurations: uncorrelated sites or soft staggered waves, with spreads log-spaced over a range."""
        input:
            check=result("data", "model_check.json"),
        output:
            configurations=result("data", "samples", "random.nc"),
        params:
            model=STUDY.model_parameters(STUDY.data.shape),
            configurations=STUDY.data.random_configurations,
            sigmas=STUDY.data.random_sigmas,
            seed=STUDY.seed,
        script:
            "../../scripts/sample_random.py"

    rule sample_quench:
        """Snapshots of one quench, run with KPM forces."""
        input:
            check=result("data", "model_check.json"),
        output:
            configurations=result("data", "samples", "quench_{number}.nc"),
        params:
            model=STUDY.model_parameters(STUDY.data.shape),
            bath=STUDY.bath.model_dump(),
            steps=STUDY.data.steps,
            snapshots=STUDY.data.snapshots,
            first_snapshot=STUDY.data.first_snapshot,
            tolerance=STUDY.solver.dynamics_tolerance,
            margin=STUDY.solver.spectral_margin,
            method=STUDY.solver.method,
            seed=STUDY.seed,
        script:
            "../../scripts/sample_quench.py"

    rule label:
        """Electronic forces of sampled configurations, by KPM."""
        input:
            configurations=result("data", "samples", "{sample}.nc"),
        output:
            labelled=result("data", "labelled", "{sample}.nc"),
        params:
            model=STUDY.model_parameters(STUDY.data.shape),
            tolerance=STUDY.solver.label_tolerance,
            margin=STUDY.solver.spectral_margin,
            method=STUDY.solver.method,
        script:
            "../../scripts/label.py"

    rule assemble:
        """One data set, split by trajectory."""
        input:
            random=result("data", "labelled", "random.nc"),
            quenches=[result("data", "labelled", f"{sample}.nc") for sample in SAMPLES[1:]],
        output:
            dataset=result("data", f"{DATASETS[0]}.nc"),
        params:
            split=STUDY.data.split.model_dump(),
        script:
            "../../scripts/assemble.py"

    rule verify_labels:
        """Check a few labels of each kind by exact diagonalisation."""
        input:
            dataset=HELD_OUT,
        output:
            check=result("data", "label_check.json"),
        threads: 2
        params:
            samples=STUDY.data.verified,
        script:
            "../../scripts/verify_labels.py"
