# One network for all points of a sweep: trained on the data of all of them, and folded for each.


rule merge:
    """The data sets of all points of a sweep as one, in the units of one of them."""
    input:
        datasets=of_points("data", "dataset.nc"),
    output:
        dataset=result("data", "dataset.nc"),
    params:
        model=SHARED.model_parameters(SHARED.data.shape),
    script:
        "../../scripts/merge.py"


rule train_shared:
    """Train one network for all points of a sweep, told what of their electrons differs."""
    input:
        dataset=rules.merge.output.dataset,
        start=[],
    output:
        model=result("models", "enn", "model.json"),
        weights=result("models", "enn", "weights.pt"),
        history=result("models", "enn", "history.csv"),
    threads: SHARED.training.cores
    params:
        network={**SHARED.network.architecture, "inputs": INPUTS},
        own=digests_of([SHARED.network.kind]),
        training=SHARED.training.model_dump(),
        fraction=1.0,
        seed=STUDY.seed,
    script:
        "../../scripts/train.py"


rule fold:
    """The shared network as a plain one of a point of the sweep, under its conditions."""
    input:
        **rules.train_shared.output,
    output:
        model=of_point("models", "enn", "model.json"),
        weights=of_point("models", "enn", "weights.pt"),
        history=of_point("models", "enn", "history.csv"),
    wildcard_constraints:
        point="|".join(map(re.escape, POINTS)),
    params:
        model=lambda wildcards: AT_POINTS[wildcards.point].model_parameters(SHARED.data.shape),
        bath=lambda wildcards: AT_POINTS[wildcards.point].bath.model_dump(),
    script:
        "../../scripts/fold.py"
