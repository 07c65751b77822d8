"""Energy that a wall must climb to move by one site, flat and at a kink, by exact diagonalisation of a small torus."""

from ennforce.dynamics.barrier import flip_path, ordered_amplitude, walls
from ennforce.forces import ExactForces
from ennforce.io import provenance, write_json
from ennforce.models import from_parameters
from ennforce.workflow import Node, run_node

POINTS = 13


def main(node: Node) -> None:
    model = from_parameters(node.params["model"])
    temperature = node.params["temperature"]
    potential = ExactForces(model)
    amplitude = ordered_amplitude(potential, model.ordered_guess())
    result: dict = {"amplitude": amplitude, "temperature": temperature, "walls": {}}
    for name, (sign, site) in walls(model.lattice).items():
        path = flip_path(potential, model.order.pattern(), sign, site, amplitude, POINTS)
        result["walls"][name] = {
            "field": path.values.tolist(),
            "energy": path.energies.tolist(),
            "barrier_over_temperature": path.barrier / temperature,
            "gain_over_temperature": path.gain / temperature,
        }
    write_json(node.output["barrier"], {**result, "provenance": provenance()})


run_node(main, globals())
