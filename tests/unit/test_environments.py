"""Conda, Apptainer and .venv install the same pinned versions, and what the package asks for is among them."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import yaml

import ennforce

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "envs" / "requirements.lock").read_text()
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)$", LOCK, re.MULTILINE))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_line_of_the_lock_is_one_exact_version():
    lines = [line for line in LOCK.splitlines() if line and not line.startswith("#")]
    assert len(lines) == len(PINS) > 50


def test_every_dependency_is_pinned_within_what_is_asked_for():
    pinned = {canonical(name): version for name, version in PINS.items()}
    extras = [one for extra, wanted in PROJECT["optional-dependencies"].items() if extra != "slurm" for one in wanted]
    for wanted in [*PROJECT["dependencies"], *extras]:
        name, *bounds = re.split(r"(?=[<>=])", wanted.replace(",", ""), maxsplit=1)
        version = [int(part) for part in re.findall(r"\d+", pinned[canonical(name)])]
        for sign, bound in re.findall(r"(>=|<)([\d.]+)", "".join(bounds)):
            limit = [int(part) for part in bound.split(".")]
            assert version >= limit if sign == ">=" else version < limit, wanted


def test_conda_and_apptainer_install_from_the_lock():
    conda = yaml.safe_load((ROOT / "envs" / "environment.yaml").read_text())
    packages = [one for one in conda["dependencies"] if isinstance(one, str)]
    (pip,) = (one["pip"] for one in conda["dependencies"] if isinstance(one, dict))
    assert pip == ["-r requirements.lock"] and {one.split("=")[0] for one in packages} == {"python", "pip"}
    image = (ROOT / "envs" / "apptainer.def").read_text()
    assert "envs/requirements.lock /opt/requirements.lock" in image and "--requirement /opt/requirements.lock" in image
    assert len(re.findall(r"pip install", image)) == 2 and "--no-deps /opt/ennforce" in image
    (python,) = {re.search(pattern, text)[1] for pattern, text in (
        (r"Made with Python ([\d.]+) by", LOCK), (r"From: python:([\d.]+)-slim", image), (r"python=([\d.]+)", " ".join(packages)),
    )}  # fmt: skip
    assert PROJECT["requires-python"] == f">={python}"
    copied = re.findall(r"^    (\S+) /opt", image, re.MULTILINE)
    assert all((ROOT / name).exists() for name in copied) and {"pyproject.toml", "lib", PROJECT["license"]["file"]} <= set(copied)


def test_citation_and_version_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == ennforce.__version__ and citation["license"] == "MIT"
    assert f"## {ennforce.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_hooks_and_lint_are_the_same_commands():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    lint = (ROOT / "Makefile").read_text().replace("$(BIN)", ".venv/bin")
    for hook in hooks:
        assert hook["entry"] in lint, hook["entry"]
        assert importlib.metadata.version(hook["entry"].split()[0].rpartition("/")[2])
