# Rounds of learning from audits: the network runs, the solver labels where it errs, and training goes on. None by default.


wildcard_constraints:
    round="|".join(str(n) for n in range(1, len(NETWORKS))) or "none",


rule explore:
    """Snapshots of quenches by the network of the round before, those to be labelled drawn by its audited error."""
    input:
        model=lambda wildcards: network_files(result("models", NETWORKS[int(wildcards.round) - 1])),
    output:
        configurations=result("data", "samples", "round_{round}.nc"),
        errors=result("data", "samples", "round_{round}.json"),
    params:
        **STUDY.data.model_dump(include={"steps", "snapshots", "first_snapshot", "split"}),
        **STUDY.refine.model_dump(include={"runs", "temperatures", "labels"}),
        # Trajectories are numbered after those of the data before.
        model=STUDY.model_parameters(STUDY.data.shape),
        bath=STUDY.bath.model_dump(),
        first=STUDY.data.trajectories,
        seed=STUDY.seed,
    script:
        "../../scripts/explore.py"


rule extend:
    """The data set with the labels of a round."""
    input:
        before=lambda wildcards: result("data", f"{before(wildcards.dataset, DATASETS)}.nc"),
        labelled=labelled_of_round,
    output:
        dataset=result("data", "{dataset}.nc"),
    wildcard_constraints:
        dataset="|".join(DATASETS[1:]) or "none",
    script:
        "../../scripts/extend.py"


rule train_further:
    """Train the network of the round before on the data of this one."""
    input:
        dataset=lambda wildcards: result(
            "data", f"{DATASETS[NETWORKS.index(wildcards.network)]}.nc"
        ),
        start=lambda wildcards: network_files(result("models", before(wildcards.network, NETWORKS))),
    output:
        model=result("models", "{network}", "model.json"),
        weights=result("models", "{network}", "weights.pt"),
        history=result("models", "{network}", "history.csv"),
    wildcard_constraints:
        network="|".join(NETWORKS[1:]) or "none",
    threads: STUDY.training.cores
    params:
        network=STUDY.network.architecture,
        own=digests_of([STUDY.network.kind]),
        training={
            **STUDY.training.model_dump(),
            **STUDY.refine.model_dump(include={"steps", "learning_rate"}),
            "seconds": None,
            "patience": None,
        },
        fraction=1.0,
        seed=STUDY.seed,
    script:
        "../../scripts/train.py"
