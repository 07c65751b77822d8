# Which networks there are beside the study's own, how they are trained, and which quenches the frontier extrapolates to.
import re


def efficiency_members():
    """Networks of the learning curve; all of the data is what the comparison trains on already."""
    members = {}
    for name in STUDY.usable(STUDY.frontier.efficiency_models):
        for number, fraction in enumerate(STUDY.frontier.fractions):
            key = ("models", name) if fraction == 1.0 else ("efficiency", f"{name}-{number}")
            members[key] = (name, fraction)
    return members


# (group, member), which is also the folder -> (name of the alternative, fraction of the training data).
ALTERNATIVES = {("models", name): (name, 1.0) for name in STUDY.usable(STUDY.frontier.models)}
# The study's own network is compared as it is, before the others.
RANKED = [OWN, *(name for name, _ in ALTERNATIVES.values())]
EFFICIENCY = efficiency_members()
COMPARED = {**ALTERNATIVES, **EFFICIENCY}
# Those whose dynamics is looked at: trained by steps, as the study's own network is, since training by time does not repeat.
DRIVING = {("drivers", name): (name, 1.0) for name in STUDY.usable(STUDY.conservation.networks)}
TRAINED = {**COMPARED, **DRIVING}

# Quenches unlike those of the training data, numbered after them: (shape, temperature of the bath).
ELSEWHERE = [
    *(
        (STUDY.data.shape, factor * STUDY.bath.temperature)
        for factor in STUDY.frontier.extrapolation.bath_temperatures
    ),
    *((shape, STUDY.bath.temperature) for shape in STUDY.frontier.extrapolation.shapes),
]
CASES = {str(STUDY.data.trajectories + n): case for n, case in enumerate(ELSEWHERE)}


def frontier(*parts):
    return result("frontier", *parts)


def files_of(members, name):
    """One file of every network among ``members``."""
    return [frontier(*member, name) for member in members]


# What an alternative sets for its training; the rest describes the network.
OF_TRAINING = {"learning_rate", "batch", "seconds"}


def alternative(wildcards):
    return STUDY.frontier.models[TRAINED[wildcards.group, wildcards.member][0]]


def alternative_training(wildcards):
    """The study's training, by time or by steps, with what the alternative sets for itself."""
    own = alternative(wildcards).model_dump(exclude_none=True, include=OF_TRAINING)
    if wildcards.group == "drivers":
        by_steps = {"seconds": None, "steps": STUDY.conservation.steps}
        return {**STUDY.training.model_dump(), **own, **by_steps}
    # So many steps that the time decides.
    timed = {"seconds": STUDY.frontier.seconds, "steps": 10**8}
    return {**STUDY.training.model_dump(), **timed, **own}


def alternative_seed(wildcards):
    own = alternative(wildcards).seed
    return STUDY.seed if own is None else own


def elsewhere_model(wildcards):
    return STUDY.model_parameters(CASES[wildcards.number][0])


wildcard_constraints:
    group="models|efficiency|drivers",
    member="|".join(re.escape(member) for _, member in TRAINED),
