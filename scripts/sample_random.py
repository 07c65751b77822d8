"""Uncorrelated configurations: every site of Q normal, with another spread in each."""

import numpy as np

from ennforce.hamiltonians import from_parameters
from ennforce.io import provenance, write_dataset
from ennforce.training.dataset import configurations, spreads
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    p = node.params
    model = from_parameters(p["model"])
    rng = np.random.default_rng(np.random.SeedSequence([p["seed"], 1]))
    sigmas = spreads(*p["sigmas"], p["configurations"])
    fields = sigmas[:, None, None, None] * rng.normal(size=(p["configurations"], 1, *model.lattice.shape))
    dataset = configurations(fields, kind="random", time=np.zeros(p["configurations"]), trajectory=np.arange(p["configurations"]))
    dataset.attrs = provenance(model=model.parameters(), seed=p["seed"], sigmas=p["sigmas"], solver="none", tolerance="none")
    write_dataset(dataset, node.output["configurations"])


run_node(main, globals())
