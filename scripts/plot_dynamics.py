"""Figure (d): network against KPM dynamics."""

from ennforce.analysis.comparison import total_energy
from ennforce.io import read_dataset, read_json
from ennforce.plotting import dynamics, style
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    ensembles = {
        engine: read_dataset(node.input[engine]).assign(
            total_energy=total_energy(
                read_dataset(node.input[engine]), read_dataset(node.input[f"energies_{engine}"])["grand_potential"]
            )
        )
        for engine in ("network", "kpm")
    }
    drawing = dynamics.draw(ensembles, read_json(node.input["comparison"]))
    style.save(drawing, node.output["svg"], node.output["png"])


run_node(main, globals())
