"""Whether the lattice model is what it says, tried on a small torus before anything is sampled."""

from ennforce.checking import check_model
from ennforce.io import provenance, write_json
from ennforce.models import from_parameters
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    model = from_parameters(node.params["model"])
    check_model(model, node.params["seed"])
    facts = {"model": model.parameters(), "field_type": str(model.field_type), "elements": len(model.lattice.point_group)}
    write_json(node.output["check"], {**facts, "provenance": provenance()})


run_node(main, globals())
