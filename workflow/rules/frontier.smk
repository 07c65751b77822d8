# All kinds of networks on the same data for the same time, beside kernel polynomials and exact diagonalisation.


rule evaluate_alternative:
    """Errors of a network of the comparison, by the measures of the study's own."""
    input:
        dataset=result("data", "dataset.nc"),
        model=frontier("{group}", "{member}", "model.json"),
        weights=frontier("{group}", "{member}", "weights.pt"),
    output:
        metrics=frontier("{group}", "{member}", "metrics.json"),
    script:
        "../../scripts/evaluate.py"


rule card_alternative:
    """The model card of a network of the comparison."""
    input:
        model=frontier("{group}", "{member}", "model.json"),
        metrics=frontier("{group}", "{member}", "metrics.json"),
        check=result("data", "label_check.json"),
    output:
        card=frontier("{group}", "{member}", "card.md"),
    script:
        "../../scripts/card.py"


rule time_forces:
    """Time every network and solver, on all cores: nothing else runs beside what is timed."""
    input:
        dataset=result("data", "dataset.nc"),
        models=[result("models", "enn", "model.json"), *files_of(ALTERNATIVES, "model.json")],
        weights=[result("models", "enn", "weights.pt"), *files_of(ALTERNATIVES, "weights.pt")],
    output:
        timing=frontier("timing.json"),
    # workflow.cores raises where none are given, as for --report and --unlock.
    threads: workflow.resource_settings.cores or 1
    params:
        **STUDY.frontier.model_dump(
            include={
                "orders",
                "radii",
                "lanczos",
                "tolerances",
                "references",
                "size",
                "exact_sizes",
                "repeats",
            }
        ),
        names=RANKED,
        shares=[STUDY.corrected.share],
        accuracies=[] if "audit" in LEFT_OUT else STUDY.frontier.accuracies,
        margin=STUDY.solver.spectral_margin,
        method=STUDY.solver.method,
    script:
        "../../scripts/time_forces.py"


rule frontier_table:
    """Error, size, cost and symmetry of every network and solver."""
    input:
        timing=frontier("timing.json"),
        models=[result("models", "enn", "model.json"), *files_of(ALTERNATIVES, "model.json")],
        metrics=[result("models", "enn", "metrics.json"), *files_of(ALTERNATIVES, "metrics.json")],
    output:
        csv=frontier("comparison.csv"),
        comparison=frontier("comparison.json"),
        markdown=report(
            frontier("comparison.md"),
            caption="../report/comparison.rst",
            category=FIGURES["frontier"].category,
        ),
    params:
        names=RANKED,
    script:
        "../../scripts/frontier_table.py"


rule learning_curve:
    """How fast the error falls with the amount of data."""
    input:
        models=files_of(EFFICIENCY, "model.json"),
        metrics=files_of(EFFICIENCY, "metrics.json"),
    output:
        csv=frontier("learning_curve.csv"),
        curve=frontier("learning_curve.json"),
        markdown=frontier("learning_curve.md"),
    params:
        members=list(EFFICIENCY.values()),
    script:
        "../../scripts/learning_curve.py"


use rule sample_quench as sample_elsewhere with:
    """Snapshots of a quench unlike those of the training data."""
    output:
        configurations=frontier("extrapolation", "samples", "{number}.nc"),
    params:
        model=elsewhere_model,
        bath=lambda wildcards: {
            **STUDY.bath.model_dump(),
            "temperature": CASES[wildcards.number][1],
        },
        steps=STUDY.frontier.extrapolation.steps,
        snapshots=STUDY.frontier.extrapolation.snapshots,
        first_snapshot=min(5, STUDY.frontier.extrapolation.steps),
        tolerance=STUDY.solver.dynamics_tolerance,
        margin=STUDY.solver.spectral_margin,
        method=STUDY.solver.method,
        seed=STUDY.seed,


use rule label as label_elsewhere with:
    """Electronic forces of these snapshots, by KPM."""
    input:
        configurations=frontier("extrapolation", "samples", "{number}.nc"),
    output:
        labelled=frontier("extrapolation", "labelled", "{number}.nc"),
    params:
        model=elsewhere_model,
        tolerance=STUDY.solver.label_tolerance,
        margin=STUDY.solver.spectral_margin,
        method=STUDY.solver.method,


rule extrapolate:
    """Errors at bath temperatures and on lattices that were not trained on."""
    input:
        labelled=[frontier("extrapolation", "labelled", f"{number}.nc") for number in CASES],
        models=[result("models", "enn", "model.json"), *files_of(ALTERNATIVES, "model.json")],
        weights=[result("models", "enn", "weights.pt"), *files_of(ALTERNATIVES, "weights.pt")],
    output:
        csv=frontier("extrapolation.csv"),
        markdown=report(
            frontier("extrapolation.md"),
            caption="../report/extrapolation.rst",
            category=FIGURES["frontier"].category,
        ),
    params:
        names=RANKED,
    script:
        "../../scripts/extrapolate.py"


rule frontier:
    """All of the comparison: snakemake --cores N frontier"""
    input:
        figure_files("frontier"),
        frontier("comparison.csv"),
        frontier("learning_curve.csv"),
        frontier("extrapolation.csv"),
        files_of(COMPARED, "card.md"),


rule convergence:
    """What each network of the comparison reached, in how many steps and how much time, and whether it had stopped improving."""
    input:
        models=files_of(ALTERNATIVES, "model.json"),
        metrics=files_of(ALTERNATIVES, "metrics.json"),
        histories=files_of(ALTERNATIVES, "history.csv"),
    output:
        csv=frontier("convergence.csv"),
        markdown=frontier("convergence.md"),
    params:
        names=[name for name, _ in ALTERNATIVES.values()],
    script:
        "../../scripts/convergence.py"


rule converged:
    """Networks trained until they stop improving: snakemake --cores N converged --configfile config/converged.yaml"""
    input:
        rules.convergence.output,
