"""Three domain sizes of every replica and time, from its recorded observables."""

from ennforce.analysis.lengths import lengths
from ennforce.io import inherited, provenance, read_dataset, write_dataset
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    observables = read_dataset(node.input["observables"], ["correlation", "structure_factor", "wall_density"])
    result = lengths(observables)
    result.attrs = provenance(node.parents, **inherited(observables))
    write_dataset(result, node.output["lengths"])


run_node(main, globals())
