# Other networks than the study's own: for the frontier, and to drive the dynamics whose energy is followed.


rule train_alternative:
    """Train another network on the same data, on one thread: equal time is then equal computing."""
    input:
        dataset=result("data", "dataset.nc"),
    output:
        model=frontier("{group}", "{member}", "model.json"),
        weights=frontier("{group}", "{member}", "weights.pt"),
        history=frontier("{group}", "{member}", "history.csv"),
    threads: 1
    params:
        network=lambda wildcards: alternative(wildcards).model_dump(exclude={*OF_TRAINING, "seed"}),
        own=lambda wildcards: digests_of([alternative(wildcards).kind]),
        training=alternative_training,
        fraction=lambda wildcards: TRAINED[wildcards.group, wildcards.member][1],
        seed=alternative_seed,
    script:
        "../../scripts/train.py"
