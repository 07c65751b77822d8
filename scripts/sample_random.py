"""Random configurations, each with a spread of its own: uncorrelated sites, and in every other one soft waves near (pi, pi)."""

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
    fields = rng.normal(size=(p["configurations"], 1, *model.lattice.shape))
    # Uncorrelated fields hold next to nothing near (pi, pi), where order sets in and the response is strongest.
    lengths = spreads(*SOFT, len(fields[1::2]))
    if all(length % 2 == 0 for length in model.lattice.shape):
        for field, length in zip(fields[1::2], lengths, strict=True):
            field[0] = soft(field[0], model.lattice.stagger(), length)
    fields *= sigmas[:, None, None, None]
    dataset = configurations(fields, kind="random", time=np.zeros(p["configurations"]), trajectory=np.arange(p["configurations"]))
    dataset.attrs = provenance(model=model.parameters(), seed=p["seed"], sigmas=p["sigmas"], solver="none", tolerance="none")
    write_dataset(dataset, node.output["configurations"])


run_node(main, globals())
