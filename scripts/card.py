"""The model card: what the network is, what it was trained on, its errors, and where it may be used."""

from ennforce.io import read_json, write_atomically
from ennforce.networks import Architecture, build
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    facts, metrics, check = (read_json(node.input[name]) for name in ("model", "metrics", "check"))
    architecture = Architecture(**facts["architecture"])
    reach = build(architecture).receptive_radius
    model = {key: value for key, value in facts["model"].items() if key not in ("name", "lattice")}
    low, high = facts["field_range"]
    errors = "".join(
        f"| {kind} | {e['configurations']} | {e['rmse']:.3g} | {e['mae']:.3g} | {e['max']:.3g} | {100 * e['relative']:.2f} % |\n"
        for kind, e in metrics["errors"].items()
    )
    text = f"""# Model card

**What it is.** A lattice-equivariant network of {facts["parameters"]} parameters for the {facts["model"]["name"]} model on the
{architecture.lattice} lattice; field type `{architecture.field_type}`; width {architecture.width}, depth {architecture.depth},
reach {reach} sites. Target: the {facts["target"]} force.

**Valid for** {", ".join(f"{key} = {value}" for key, value in model.items())};
fields between {low:.3g} and {high:.3g}; tori of even lengths from {2 * reach} sites on.

**Trained on** data set `{facts["dataset"]}` ({facts["training"]["steps"]} steps; best weights of step {facts["best_step"]}).
Labels against exact diagonalisation: largest density error {check["quench"]["max_density_error"]:.1e} (quench),
{check["random"]["max_density_error"]:.1e} (random).

**Errors on held-out configurations** (units of t; relative to the standard deviation of the electronic force):

| kind | configurations | RMSE | MAE | largest | relative |
|---|---|---|---|---|---|
{errors}
**Symmetry**: largest violation over {metrics["group_elements"]} elements, each translated, in float32:
{metrics["equivariance_error"]:.1e} relative. Expanded filters against the training graph: {metrics["expansion_error"]:.1e} t.

Made by ennforce {facts["provenance"]["ennforce_version"]}, commit {facts["provenance"]["git_commit"]}.
"""
    write_atomically(node.output["card"], lambda path: path.write_text(text, encoding="utf-8"))


run_node(main, globals())
