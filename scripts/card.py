"""The model card: what the network is, what it was trained on, its errors, and where it may be used."""

from pathlib import Path

from ennforce.files import write_text
from ennforce.io import read_json
from ennforce.models import from_parameters
from ennforce.networks import Architecture
from ennforce.training.dataset import KINDS
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    facts, metrics, check = (read_json(node.input[name]) for name in ("model", "metrics", "check"))
    architecture = Architecture(**facts["architecture"])
    reach = metrics["receptive_radius"]
    hamiltonian = from_parameters(facts["model"])
    model = {key: value for key, value in facts["model"].items() if key not in ("name", "lattice")}
    group = f"the {len(hamiltonian.lattice.point_group)} elements of its point group"
    terms = hamiltonian.field_type.terms
    if any(term.degree for term in terms):
        group += ", rotations of the spins and time reversal"
    elif any(term.parity < 0 for term in terms):
        group += " and the internal Z2"
    samples, training, size = facts["samples"], facts["training"], " x ".join(map(str, facts["size"]))
    duration = f"{training['seconds']:g} s, " if training["seconds"] is not None else ""
    features = f", {'odd and even' if architecture.mixed else 'odd'} features" if architecture.kind == "enn" else ""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    low, high = facts["field_range"]
    others = "Other settings that are the same to the electrons are served too, in their units.\n" if hamiltonian.scaling else ""
    errors = "".join(
        f"| {kind} | {e['configurations']} | {e['rmse']:.3g} | {e['mae']:.3g} | {e['max']:.3g} | {100 * e['relative']:.2f} % |\n"
        for kind, e in metrics["errors"].items()
    )
    labels = ",\n".join(f"{check[kind]['max_density_error']:.1e} ({kind})" for kind in reversed(KINDS) if kind in check)
    origin = "on configurations that others labelled"
    if facts["bath"]:
        origin = f"on uncorrelated fields and on quenches to a bath at temperature\n{facts['bath']['temperature']:g}"
    if "files" in check:
        named = ", ".join(f"`{Path(path).name}`" for path in check["files"])
        torque = "".join(
            f"; torques {e['relative_torque_error']:.1e}" for e in check["files"].values() if "relative_torque_error" in e
        )
        force = max(e["relative_force_error"] for e in check["files"].values())
        labels += f", from {named};\nrelative to the forces {force:.1e} rms{torque}"
    shelved = ""
    if "shelf" in facts:
        entry, digest = (facts["shelf"][key] for key in ("entry", "digest"))
        shelved = f"**From the shelf**: entry `{entry}`, digest `{digest}`; it was not trained for this study.\n\n"
    text = f"""# Model card

**What it is.** A network of kind `{architecture.kind}` with {facts["parameters"]} parameters: width {architecture.width}, depth
{architecture.depth}{features}, reach {reach} sites, {metrics["multiply_adds"]} multiply-adds per site. It is made for the
{hamiltonian.parameters()["name"]} model on the {architecture.lattice} lattice; its field is of type
`{architecture.field_type}` under {group}. Target: the {facts["target"]} force.

**Valid for** {", ".join(f"{key} = {value}" for key, value in model.items())},
where `temperature` is that of the electrons; fields between {low:.3g} and {high:.3g}; tori of even lengths from {2 * reach} on.
{others}It was trained on {size} sites, {origin}.

**Trained on** {samples["quench"]} snapshots and {samples["random"]} uncorrelated configurations of data set `{facts["dataset"]}`:
{duration}{facts["steps"]} steps of {training["batch"]}, learning rate {training["learning_rate"]:g}; best weights of step
{facts["best_step"]}.
Labels against exact diagonalisation: largest density error {labels}.

**Errors on held-out configurations** (units of t; relative to the standard deviation of the electronic force):

| kind | configurations | RMSE | MAE | largest | relative |
|---|---|---|---|---|---|
{errors}
**Symmetry**: largest violation over {metrics["group_elements"]} elements, each translated, in float32:
{metrics["equivariance_error"]:.1e} relative. Antisymmetric share of dF/dQ (0 for a force with a potential):
{metrics["jacobian_antisymmetry"]:.1e}. Expanded filters against the training graph: {metrics["expansion_error"]:.1e} t.

{shelved}Made by ennforce {facts["provenance"]["ennforce_version"]}, commit {facts["provenance"]["git_commit"]}, with {versions}.
"""
    write_text(node.output["card"], text)


run_node(main, globals())
