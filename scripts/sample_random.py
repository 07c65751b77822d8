"""Random configurations, each with a spread of its own; every other one holds soft waves near the wave vector of the order."""

import numpy as np

from ennforce.io import provenance, write_dataset
from ennforce.models import from_parameters
from ennforce.training.dataset import configurations, soft, spreads
from ennforce.workflow import Node, run_node

SOFT = (1.0, 8.0)  # correlation lengths in sites


def main(node: Node) -> None:
    p = node.params
    model = from_parameters(p["model"])
    rng = np.random.default_rng(np.random.SeedSequence([p["seed"], 1]))
    sigmas = spreads(*p["sigmas"], p["configurations"])
    normals = rng.normal(size=(p["configurations"], model.components, *model.lattice.shape))
    # Uncorrelated fields hold next to nothing near the order's wave vector, where order sets in and the response is strongest.
    lengths = spreads(*SOFT, len(normals[1::2]))
    if all(length % 2 == 0 for length in model.lattice.shape):
        for field, length in zip(normals[1::2], lengths, strict=True):
            field[:] = [soft(component, model.order.modulation, length, model.lattice) for component in field]
    fields = [model.space.near(0.0, sigma, one, model.lattice) for sigma, one in zip(sigmas, normals, strict=True)]
    dataset = configurations(
        np.array(fields),
        model.lattice,
        kind="random",
        time=np.zeros(p["configurations"]),
        trajectory=np.arange(p["configurations"]),
    )
    dataset.attrs = provenance(model=model.parameters(), seed=p["seed"], sigmas=p["sigmas"], solver="none", tolerance="none")
    write_dataset(dataset, node.output["configurations"])


run_node(main, globals())
