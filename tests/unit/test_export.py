"""Trained networks for other programs give the forces of ``NetworkForces``: in C, as .pt2 in torch, both by one command."""

import copy
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from ennforce.cli import main
from ennforce.exporting import write_c, write_pt2
from ennforce.forces import NetworkForces
from ennforce.lattice import Lattice
from ennforce.models import Holstein, Kondo, Peierls
from ennforce.networks import Architecture, build
from ennforce.networks.portable import c_files

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
with_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler on this machine")
STRICT = ("-O2", "-Wall", "-Wextra", "-Werror", "-std=c99", "-pedantic")

CHAIN, SQUARE, TRIANGULAR, CUBIC = Lattice.chain(600), Lattice.square(24, 58), Lattice.triangular(20, 52), Lattice.cubic(10, 8, 14)
# Several lattices, fields of one and of more components, odd, even and of both parities; the last tile along an axis is cut.
CASES = {
    "separable, far stencils": (Holstein(SQUARE, g=1.5, temperature=0.1), {"separable": True, "wide": 2, "wide_radius": 6}),
    "far stencils of lines": (Holstein(SQUARE, g=1.5, temperature=0.1), {"wide": 2, "wide_radius": 5, "lines": True}),
    "full": (Holstein(SQUARE, g=1.5, temperature=0.1), {"radius": 2}),
    "odd features alone": (Holstein(SQUARE, g=1.5, temperature=0.1), {"mixed": False}),
    "an even field": (Holstein(TRIANGULAR, g=1.5, temperature=0.1, chemical_potential=0.3), {"separable": True}),
    "two components": (Peierls(SQUARE, alpha=1.0, temperature=0.1), {"separable": True}),
    "two components, full, triangular": (Peierls(TRIANGULAR, alpha=1.0, temperature=0.1), {"wide": 1, "wide_radius": 5}),
    "a chain": (Holstein(CHAIN, g=1.5, temperature=0.1), {"separable": False}),
    "cubic": (Holstein(CUBIC, g=1.5, temperature=0.1), {"separable": True, "width": 1, "depth": 1}),
}


def trained(model, **settings) -> NetworkForces:
    """A network of random weights, biases too, for a model; its forces are of the order of those the model can have."""
    torch.manual_seed(1)
    settings = {"kind": "enn", "width": 2, "depth": 2, **settings}
    network = build(Architecture(lattice=model.lattice.name, field_type=str(model.field_type), **settings), 0.4, 0.03)
    for weights in network.parameters():
        if weights.dim() == 1:
            torch.nn.init.normal_(weights, std=0.3)
    return NetworkForces(network, model)


def fields_of(model, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=0.4, size=model.field_shape)


def run_example(folder, *arguments: object, fields=()) -> subprocess.CompletedProcess:
    """The example, compiled with the exported files as a user would, on fields as text."""
    if not (folder / "example").exists():
        sources = [str(folder / "example.c"), str(folder / "network.c")]
        subprocess.run([COMPILER, *STRICT, "-o", str(folder / "example"), *sources, "-lm"], check=True)
    text = "\n".join(repr(float(value)) for value in np.ravel(fields))
    return subprocess.run([folder / "example", *map(str, arguments)], input=text, capture_output=True, text=True)


def off(found, expected) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def exact(forces, fields) -> np.ndarray:
    """The network's forces by arithmetic in double precision, not bounded: filters folded into single precision round too."""
    shape = (1, forces.model.components, *fields.shape[fields.ndim - forces.model.lattice.dimension :])
    with torch.no_grad():
        return copy.deepcopy(forces.trained).double().on_torus(torch.tensor(fields).reshape(shape)).numpy().reshape(fields.shape)


def assert_right(found, forces, fields) -> None:
    """To 1e-6 of the exact ones, and of those of ``NetworkForces`` as far as these are exact themselves."""
    expected, true = forces.electronic_forces(fields), exact(forces, fields)
    assert off(found, true) < 1e-6
    assert off(found, expected) < 1e-6 + off(expected, true)


@with_compiler
@pytest.mark.parametrize("case", CASES)
def test_the_c_example_gives_the_forces(tmp_path, case):
    model, settings = CASES[case]
    forces, fields = trained(model, **settings), fields_of(model)
    write_c(forces, tmp_path)
    done = run_example(tmp_path, *model.lattice.shape, fields=fields)
    assert done.returncode == 0, done.stderr
    assert_right(np.array(done.stdout.split(), float).reshape(fields.shape), forces, fields)
    # So does the same program on the smallest torus.
    small = [2 * forces.network.radius] * model.lattice.dimension
    other = np.random.default_rng(1).normal(scale=0.4, size=(*model.field_shape[: -len(small)], *small))
    assert_right(np.array(run_example(tmp_path, *small, fields=other).stdout.split(), float).reshape(other.shape), forces, other)


@with_compiler
@pytest.mark.parametrize("case", ["full", "two components"])
def test_forces_in_c_are_bounded_by_length(tmp_path, case):
    model, settings = CASES[case]
    forces, fields = trained(model, **settings), fields_of(model)
    free = exact(forces, fields).reshape(model.components, *model.lattice.shape)
    lengths = np.linalg.norm(free, axis=0)
    largest = float(np.median(lengths))
    for file, text in c_files(forces.trained, "network", told="", largest_force=largest).items():
        (tmp_path / file).write_text(text)
    done = run_example(tmp_path, *model.lattice.shape, fields=fields)
    found = np.array(done.stdout.split(), float).reshape(free.shape)
    expected = free * np.minimum(1.0, largest / lengths)
    assert np.abs(found - expected).max() < 1e-6 * lengths.max()


@with_compiler
def test_what_c_cannot_take_is_told_in_one_line(tmp_path):
    forces = trained(Holstein(SQUARE, g=1.5, temperature=0.1))
    write_c(forces, tmp_path)
    reach, model = forces.network.radius, forces.model
    for lengths, fields, message in (
        ((2 * reach - 2, 24), (), "every length must be even, and at least twice the reach"),
        ((24, 25), (), "every length must be even"),
        ((24, 24), np.ones(5), "576 fields are wanted, and there are 5"),
        ((24, 24), np.full((24, 24), np.nan), "fields are not finite"),
        ((24, 24), np.full((24, 24), 1e300), "fields are not finite, or beyond single precision"),
        ((24, 24), np.full((24, 24), 1e38) * model.lattice.resized(24, 24).stagger(), "the network overflows"),
    ):
        done = run_example(tmp_path, *lengths, fields=fields)
        assert done.returncode == 1 and message in done.stderr and done.stderr.count("\n") == 1, (lengths, done.stderr)


def test_the_c_files_hold_no_more_than_is_said(tmp_path):
    """Two functions and a message can be linked to, names are the caller's choice, and weights are exact."""
    forces = trained(Holstein(SQUARE, g=1.5, temperature=0.1))
    assert [path.name for path in write_c(forces, tmp_path, "strong")] == ["strong.h", "strong.c", "example.c"]
    source = (tmp_path / "strong.c").read_text()
    assert "void *strong_prepare" in source and "int strong_forces" in source
    assert "$" not in source and "network_prepare" not in source
    bias = float(np.float32(forces.trained.blocks[0].filter()[1][-1].item()))
    assert f"{bias.hex()}f" in source
    with pytest.raises(ValueError, match="cannot begin the names of functions"):
        write_c(forces, tmp_path, "9 lives")


TYPED = {"kind": "typed", "width": 1, "depth": 1}
PROGRAMS = {
    **{case: CASES[case] for case in ("separable, far stencils", "two components, full, triangular", "a chain", "cubic")},
    "enn_energy": (Holstein(SQUARE, g=1.5, temperature=0.1), {"kind": "enn_energy"}),
    "typed, square": (Holstein(SQUARE, g=1.5, temperature=0.1), {"kind": "typed", "width": 1}),
    "typed, spins on triangles": (Kondo(Lattice.triangular(16, 12), J=1.0, temperature=0.1), TYPED),
    "gnn": (Holstein(SQUARE, g=1.5, temperature=0.1), {"kind": "gnn"}),
}


@pytest.mark.parametrize("case", PROGRAMS)
def test_a_program_of_torch_goes_round(tmp_path, case):
    model, settings = PROGRAMS[case]
    forces = trained(model, **settings)
    write_pt2(forces, tmp_path / "network.pt2")
    told = {"model.json": ""}
    program = torch.export.load(tmp_path / "network.pt2", extra_files=told).module()
    assert '"target": "electronic"' in told["model.json"]
    least = 2 * forces.network.radius
    for batch, size in ((1, 0), (3, 4)):  # any batch, any torus from the smallest on
        shape = [least + size + 2 * axis for axis in range(model.lattice.dimension)]
        fields = np.random.default_rng(0).normal(scale=0.4, size=(batch, *model.field_shape[: -len(shape)], *shape))
        channels = torch.tensor(fields, dtype=torch.float32).reshape(batch, model.components, *shape)
        found = program(channels).numpy().reshape(fields.shape)
        assert off(found, forces.electronic_forces(fields)) < 1e-6


def test_the_command_writes_both_or_says_what_it_cannot(tmp_path, capsys):
    trained(Holstein(SQUARE, g=1.5, temperature=0.1)).save(tmp_path / "enn")
    assert main(["export", str(tmp_path / "enn"), "--to", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"network.h", "network.c", "example.c", "network.pt2"}

    trained(Holstein(SQUARE, g=1.5, temperature=0.1), kind="cnn").save(tmp_path / "cnn")
    capsys.readouterr()
    assert main(["export", str(tmp_path / "cnn"), "--to", str(tmp_path / "other")]) == 0
    assert "left out: a network of kind 'cnn' has no form in C" in capsys.readouterr().out
    for arguments, message in (
        (["export", str(tmp_path / "cnn"), "--to", str(tmp_path / "x"), "--format", "c"], "has no form in C"),
        (["export", str(tmp_path / "none"), "--to", str(tmp_path / "x")], "model.json cannot be read"),
        (["export", str(tmp_path / "enn"), "--to", str(tmp_path / "x"), "--name", "a-b"], "cannot begin the names"),
        (["export", str(tmp_path / "enn"), "--to", str(tmp_path / "enn" / "model.json"), "--format", "c"], "name another"),
    ):
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert said.startswith("ennforce export: ") and message in said and said.count("\n") == 1
    assert not (tmp_path / "x").exists() or not list((tmp_path / "x").iterdir())


def test_what_torch_cannot_follow_is_told_in_one_line(tmp_path):
    forces = trained(Holstein(SQUARE, g=1.5, temperature=0.1), kind="typed_energy", width=1, depth=1)
    with pytest.raises(ValueError, match="torch.export cannot write a network of kind 'typed_energy'") as told:
        write_pt2(forces, tmp_path / "network.pt2")
    assert "\n" not in str(told.value)


def test_help_needs_no_torch():
    program = "import sys\nfrom ennforce.cli import main\ntry: main(['--help'])\nexcept SystemExit: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "export" in done.stdout and done.stdout.strip().endswith("False")
