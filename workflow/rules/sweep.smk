# A study for each point of a sweep, all in one DAG, and a table of their numbers.


for number, (_, content) in enumerate(POINTS.values()):
    point, prefix = f"point{number}", f"point{number}_"

    module:
        name: point
        snakefile:
            "../../Snakefile"
        config:
            content

    if STUDY.sweep_network == "own":

        use rule * from point as prefix*

    else:

        use rule * from point exclude train as prefix*


# Profiles name rules as in one study. Their resources are known now, their groups only once the jobs are planned.
def group_of(name):
    return lambda wildcards: workflow.group_settings.overwrite_groups.get(name)


for job in workflow.rules:
    own = re.sub(r"^point\d+_", "", job.name)
    job.resources.update(workflow.resource_settings._parsed_overwrite_resources.get(own, {}))
    if not job.norun:
        job.group = group_of(own)


def of_points(*parts):
    """A file of every point."""
    return [str(Path("results", content["study"], *parts)) for _, content in POINTS.values()]


if STUDY.sweep_network == "shared":

    include: "shared.smk"


rule sweep:
    """The numbers of every point of the sweep in one table."""
    input:
        summaries=of_points("summary.json"),
    output:
        csv=result("sweep.csv"),
        markdown=report(result("sweep.md"), caption="../report/sweep.rst", category="Sweep"),
    params:
        points=[point for point, _ in POINTS.values()],
        names=list(POINTS),
    script:
        "../../scripts/sweep.py"
