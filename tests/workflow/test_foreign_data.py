"""From labels of others to a data set, by the real rules, and to the plan of a network and its errors."""

import json
import re

import numpy as np

from ennforce.forces import ExactForces
from ennforce.io import read_dataset
from ennforce.lattice import Lattice
from ennforce.models import Kondo

STUDY = """
study: foreign
model: {name: kondo, J: 3.5, filling: 0.9, electron_temperature: 1.0e-4}
data: {shape: [4, 4], files: [{path: data/other.npz, fields: S, forces: B, sign: SIGN}], verified: 2}
network: {kind: typed, width: 1, depth: 1, first_radius: 1, wide: 0}
training: {steps: 60, validate_every: 30}
"""


def test_a_file_of_others_becomes_the_data_set_of_a_study(project):
    def snakemake(*arguments, sign=-1):
        (project.folder / "foreign.yaml").write_text(STUDY.replace("SIGN", str(sign)))
        return project.snakemake("--configfile", "foreign.yaml", *arguments)

    done = snakemake("-n")
    assert done.returncode != 0 and done.stdout.splitlines()[-1].startswith(
        "error in the configuration: data.files: data/other.npz is not there: "
    )

    spins = np.random.default_rng(0).normal(size=(6, 3, 4, 4))
    spins /= np.linalg.norm(spins, axis=1, keepdims=True)
    model = Kondo(Lattice.square(4, 4), temperature=1e-4, filling=0.9, J=3.5)
    forces = ExactForces(model).electronic_forces(spins)
    (project.folder / "data").mkdir()
    np.savez(project.folder / "data" / "other.npz", S=spins.astype(np.float32), B=-forces.astype(np.float32))

    done = snakemake("-n", "--quiet", "host")
    planned = re.findall(r"^Job \d+: (\w+)", done.stdout, re.M)
    rules = ["all", "card", "check_model", "evaluate", "figure", "figure", "read_files", "train"]
    assert sorted(planned) == rules, done.stdout[-2000:]

    folder = project.folder / "results" / "foreign"
    done = snakemake("--", "results/foreign/data/dataset.nc", sign=1)
    assert done.returncode != 0 and not (folder / "data" / "dataset.nc").exists()
    assert done.stdout.splitlines()[-1].endswith("they agree with the opposite sign: give sign: -1"), done.stdout[-2000:]

    done = snakemake("--", "results/foreign/data/dataset.nc")
    assert done.returncode == 0, done.stdout[-2000:]
    dataset = read_dataset(folder / "data" / "dataset.nc", ["fields", "forces_electronic", "kind", "trajectory", "split"])
    np.testing.assert_allclose(dataset["forces_electronic"], forces, rtol=1e-5, atol=1e-6)
    assert list(dataset["split"].values) == ["train"] * 4 + ["validation", "test"]
    (file,) = json.loads(dataset.attrs["files"])
    assert file["path"] == "data/other.npz" and file["digest"] == json.loads(dataset.attrs["parents"])["data/other.npz"]
    check = json.loads((folder / "data" / "label_check.json").read_text())
    assert check["random"]["samples"] == 2 and check["random"]["relative_torque_error"] < 1e-4

    done = snakemake()  # on to the network, its errors and its card
    assert done.returncode == 0, done.stdout[-2000:]
    metrics = json.loads((folder / "models" / "enn" / "metrics.json").read_text())
    assert list(metrics["errors"]) == ["random"] and metrics["equivariance_error"] < 1e-5
    card = (folder / "models" / "enn" / "card.md").read_text()
    assert "on configurations that others labelled" in card and "`other.npz`" in card
    assert (folder / "figures" / "parity.svg").stat().st_size > 5000
