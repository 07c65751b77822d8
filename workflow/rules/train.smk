# From the data set to a portable network, its errors and its card.


if SHELVED is None:

    rule train:
        """Train the study's network."""
        input:
            dataset=result("data", f"{DATASETS[0]}.nc"),
            start=network_files(STUDY.refine.start) if STUDY.refine.start else [],
        output:
            model=result("models", NETWORKS[0], "model.json"),
            weights=result("models", NETWORKS[0], "weights.pt"),
            history=result("models", NETWORKS[0], "history.csv"),
        threads: STUDY.training.cores
        params:
            network=STUDY.network.architecture,
            own=digests_of([STUDY.network.kind]),
            training=STUDY.training.model_dump(),
            fraction=1.0,
            seed=STUDY.seed,
        script:
            "../../scripts/train.py"

else:

    rule take:
        """Take the study's network from the shelf of trained ones, once it gives the forces here that it gave there."""
        input:
            entry=SHELVED.files,
        output:
            model=result("models", NETWORKS[0], "model.json"),
            weights=result("models", NETWORKS[0], "weights.pt"),
            history=result("models", NETWORKS[0], "history.csv"),
        params:
            entry=str(SHELVED.folder),
            digest=SHELVED.digest,
        script:
            "../../scripts/take.py"


rule evaluate:
    """Errors on held-out trajectories, and the exactness of the symmetry of the trained weights."""
    input:
        dataset=HELD_OUT,
        model=result("models", "enn", "model.json"),
        weights=result("models", "enn", "weights.pt"),
    output:
        predictions=result("models", "enn", "predictions.nc"),
        metrics=result("models", "enn", "metrics.json"),
    # Rounding goes with the number of threads, and the errors of symmetry and expansion are nothing but rounding.
    threads: 1
    script:
        "../../scripts/evaluate.py"


if "response" not in LEFT_OUT:

    rule response:
        """Response of the network to small fields, against that of the electrons."""
        input:
            model=result("models", "enn", "model.json"),
            weights=result("models", "enn", "weights.pt"),
        output:
            response=result("models", "enn", "response.json"),
        params:
            **SOLVER,
            model=STUDY.model_parameters(STUDY.data.shape),
            sigmas=[0.02, 0.1],
            seed=STUDY.seed,
        script:
            "../../scripts/response.py"


rule card:
    """Model card: what the network is, what it was trained on, and how far to trust it."""
    input:
        model=result("models", "enn", "model.json"),
        metrics=result("models", "enn", "metrics.json"),
        check=result("data", "label_check.json"),
    output:
        card=report(
            result("models", "enn", "card.md"),
            caption="../report/card.rst",
            category="Network",
        ),
    script:
        "../../scripts/card.py"
