"""The README's promises that can be checked without a finished study."""

import re
from pathlib import Path

import numpy as np
import yaml

from ennforce.config import load_study
from ennforce.forces import ExactForces, KPMForces

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_notebook_example_runs_as_written():
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1)
    solvers, network = code.split("network = ")
    scope: dict = {}
    exec(solvers, scope)
    assert scope["kpm"].forces(scope["Q"]).shape == (32, 32)
    assert np.abs(scope["kpm"].density(scope["Q"]) - scope["ExactForces"](scope["model"]).density(scope["Q"])).max() < 1e-4
    assert network.startswith('NetworkForces.load("results/default/models/enn"')


def test_the_examples_of_the_solver_page_run_as_written():
    page = (ROOT / "docs" / "electrons.md").read_text(encoding="utf-8")
    scope: dict = {"__name__": "page"}
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(code, scope)
    assert scope["field"].shape == (3, 24, 24) and scope["spectrum"].shape == (81, 2)
    own, fields = scope["own"], scope["displacements"]
    error = np.abs(KPMForces(own, 1e-3).forces(fields) - ExactForces(own).forces(fields)).max()
    assert error <= own.force_bound * 1e-3


def test_the_example_of_the_network_page_runs_as_written():
    page = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    scope: dict = {"__name__": "page"}
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(code, scope)
    assert scope["force"].shape == (1, 1, 24, 24)


def test_the_study_of_ones_own_is_valid():
    block = re.search(r"    study: my_study\n(?:    .*\n)+", README).group(0)
    study = load_study(yaml.safe_load(re.sub(r"^    ", "", block, flags=re.MULTILINE)))
    assert (study.study, study.model.g, study.large.shape) == ("my_study", 1.2, [256, 256])


def test_every_link_leads_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page, target)
