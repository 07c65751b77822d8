"""What Python users hand over is checked before anything is computed: one line, no wrong numbers, no foreign memory."""

import copy
import importlib.util
import os
import pickle
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from ennforce.dynamics import DivergenceError, Langevin, Recorder, State, equally_spaced_steps, log_spaced_steps
from ennforce.dynamics.distributed import Slab, SlabForces
from ennforce.forces import ExactForces, KPMForces, NetworkForces
from ennforce.io import DataError, write_json
from ennforce.lattice import Lattice
from ennforce.models import Holstein, Kondo, Peierls
from ennforce.models.double_well import DoubleWell
from ennforce.networks import Architecture, build
from ennforce.noise import NOISE, normal

ROOT = Path(__file__).parents[2]
SHAPE = (8, 8)
MODEL = Holstein(Lattice.square(*SHAPE), temperature=0.1)
BATH = {"mass": 1.0, "friction": 0.2, "temperature": 0.1, "dt": 0.1}


class Given:
    """A force field that returns what a function makes of the fields."""

    def __init__(self, function=MODEL.classical_forces) -> None:
        self.forces = function


def start(count: int = 8, **changes) -> State:
    state = State.uncorrelated(SHAPE, np.arange(count), 5, sigma=0.3, mass=1.0, temperature=0.1)
    return replace(state, **changes)


def refusal(state: State, forces=MODEL.classical_forces, steps: int = 3) -> str:
    with pytest.raises(ValueError) as told:
        Langevin(Given(forces), **BATH).run(state, steps)
    assert "\n" not in str(told.value)
    return str(told.value)


def network_forces(**options) -> NetworkForces:
    torch.manual_seed(0)
    return NetworkForces(build(Architecture(width=1, depth=1, **options), 0.7, 0.9), MODEL)


ZEROS = np.zeros((8, *SHAPE))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"momenta": np.zeros((8, 4, 4))}, "momenta of shape (8, 4, 4): give one momentum for each field"),
        ({"momenta": np.zeros((1, *SHAPE))}, "momenta of shape (1, 8, 8)"),
        ({"replicas": np.arange(1)}, "8 replicas but 1 numbers of replicas"),
        ({"replicas": np.arange(9)}, "8 replicas but 9 numbers"),
        ({"replicas": np.arange(8.0)}, "replicas are float64 of shape (8,): give a list of whole numbers"),
        ({"replicas": np.arange(8)[:, None]}, "replicas are int64 of shape (8, 1)"),
        ({"replicas": np.arange(8) - 1}, "whole numbers from 0 to 2^32 - 1"),
        ({"fields": ZEROS.astype(int), "momenta": ZEROS.astype(int)}, "the state's fields are int64: convert them to float64"),
        ({"fields": ZEROS.astype(np.float32)}, "fields are float32"),
        ({"momenta": ZEROS.astype(complex)}, "momenta are complex128"),
        ({"fields": ZEROS + np.nan}, "512 of the state's fields are NaN or infinite: start from finite ones"),
        ({"momenta": ZEROS - np.inf}, "512 of the state's momenta are NaN or infinite"),
        ({"fields": ZEROS + 1e5}, "the state's fields reach 1e+05, as if a run had diverged: start below 10000"),
        ({"fields": ZEROS.tolist()}, "fields as list"),
        ({"momenta": torch.zeros(8, *SHAPE)}, "momenta as Tensor: give two arrays, or two tensors on one device"),
        ({"fields": ZEROS[:0], "momenta": ZEROS[:0], "replicas": np.arange(0)}, "fields of shape (0, 8, 8)"),
        ({"fields": np.zeros(8), "momenta": np.zeros(8)}, "fields of shape (8,): give (replica, Ly, Lx)"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "",
)
def test_a_state_that_does_not_fit_together_is_refused_before_a_step(changes, message):
    assert message in refusal(start(**changes))


def test_a_state_of_tensors_is_held_to_the_same():
    state = start().on("cpu")
    assert "momenta of shape (8, 4, 4)" in refusal(replace(state, momenta=state.momenta[:, :4, :4]))
    assert "fields are torch.float32" in refusal(replace(state, fields=state.fields.float()))
    assert "whole numbers" in refusal(replace(state, replicas=np.arange(8.0)))
    assert "NaN" in refusal(replace(state, fields=state.fields + torch.nan))
    assert "returned ndarray for a tensor on cpu" in refusal(state, lambda fields: fields.numpy())
    # A view of another order in memory is as good as its copy.
    turned = replace(state, fields=state.fields.mT, momenta=state.momenta.mT)
    straight = replace(state, fields=state.fields.mT.contiguous(), momenta=state.momenta.mT.contiguous())
    engine = Langevin(Given(), **BATH)
    assert torch.equal(engine.run(turned, 3).fields, engine.run(straight, 3).fields)


@pytest.mark.parametrize(
    ("forces", "message"),
    [
        (lambda fields: -fields[:1], "forces of shape (1, 8, 8) for fields of shape (8, 8, 8): return one force for each field"),
        (lambda fields: -fields[:, :4], "forces of shape (8, 4, 8)"),
        (lambda fields: 0.0, "forces of shape ()"),
        (lambda fields: -fields * 1j, "forces of type complex128: return real numbers"),
        (lambda fields: fields.astype(str), "return real numbers"),
    ],
)
def test_forces_that_do_not_fit_the_fields_are_refused(forces, message):
    assert message in refusal(start(), forces)


def test_forces_in_any_order_precision_or_memory_are_the_same_forces():
    state, engine = start(), Langevin(Given(), **BATH)
    expected = engine.run(state, 3).fields
    for forces in (
        lambda fields: np.asfortranarray(MODEL.classical_forces(fields)),
        lambda fields: np.broadcast_to(MODEL.classical_forces(fields), fields.shape),
        lambda fields: MODEL.classical_forces(fields)[::-1][::-1],
    ):
        np.testing.assert_array_equal(Langevin(Given(forces), **BATH).run(state, 3).fields, expected)
    turned = replace(state, fields=np.asfortranarray(state.fields), momenta=np.asfortranarray(state.momenta))
    np.testing.assert_array_equal(engine.run(turned, 3).fields, expected)
    whole = Langevin(Given(lambda fields: np.ones(fields.shape, dtype=int)), **BATH).run(state, 3).fields
    np.testing.assert_array_equal(whole, Langevin(Given(np.ones_like), **BATH).run(state, 3).fields)


def test_a_diverging_run_names_the_right_cause():
    def broken(fields):
        return np.where(np.arange(8) == 3, np.nan, -fields)

    with pytest.raises(DivergenceError, match="returned 64 forces that are NaN or infinite at step 1, for finite fields") as told:
        Langevin(Given(broken), **BATH).run(start(), 3)
    assert "smaller time step" not in str(told.value)
    with pytest.raises(DivergenceError, match=r"largest force .*: use a smaller time step than 5.0"):
        Langevin(Given(), **(BATH | {"dt": 5.0})).run(start(), 1000)


def test_a_run_backwards_is_refused():
    assert "-1 steps cannot be made" in refusal(start(), steps=-1)
    with pytest.raises(ValueError, match="whole numbers from 0"):
        normal(1, NOISE, np.array([-1]), 0, SHAPE)


def test_a_record_keeps_what_was_observed_though_it_was_a_view():
    def observe(state):
        return xr.Dataset({"here": (("replica", "y", "x"), state.fields)}, coords={"replica": state.replicas})

    for begin in (start(2), start(2).on("cpu")):
        recorder, seen = Recorder(observe, np.array([1, 2, 3]), np.array([]), 0.1), []

        def watch(state, recorder=recorder, seen=seen):
            seen.append(np.array(state.as_arrays().fields))
            recorder(state)

        Langevin(Given(), **BATH).run(begin, 3, watch)
        np.testing.assert_array_equal(recorder.dataset()["here"].values, seen)


def test_what_a_recorder_cannot_keep_is_told(tmp_path):
    with pytest.raises(DataError, match="is a folder: name a file, or move the folder away"):
        Recorder(lambda state: xr.Dataset(), np.array([1]), np.array([]), 0.1, tmp_path)
    with pytest.raises(DataError, match="is a folder, where a file is to be written"):
        write_json(tmp_path, {})
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="a part of that path is a file, where folders are needed"):
        write_json(tmp_path / "file" / "a.json", {})
    recorder = Recorder(lambda state: xr.Dataset(), np.array([]), np.array([0]), 0.1)
    with pytest.raises(ValueError, match=r"fields of shape \(1, 3, 4, 4\) are not \(replica, y, x\)"):
        recorder(State(np.zeros((1, 3, 4, 4)), np.zeros((1, 3, 4, 4)), 0, 1, np.arange(1)))


@pytest.mark.parametrize("arguments", [(0, 0, 5), (5, 4, 3), (1, 10, 0)])
def test_steps_that_cannot_be_spaced_are_refused(arguments):
    with pytest.raises(ValueError, match="cannot be spaced in their logarithm"):
        log_spaced_steps(*arguments)
    with pytest.raises(ValueError, match="there are no"):
        equally_spaced_steps(0, 5)


def test_slabs_take_only_their_own_rows():
    slab = Slab((16, 8), (16,))
    for fields in (np.zeros((2, 8, 8)), np.zeros((2, 16, 8), dtype=np.float32)):
        with pytest.raises(ValueError, match="this part of the torus of 16 x 8 sites has 16 x 8: give float64"):
            slab.gathered(fields)
    with pytest.raises(ValueError, match=r"give float64 of shape \(3, 16, 8\)"):
        slab.scattered(np.zeros((2, 16, 8)), (3,))
    with pytest.raises(ValueError, match="a reach of 0 rows"):
        SlabForces(Given(), slab, 0)


@pytest.mark.parametrize("separable", [True, False])
def test_a_network_that_overflows_raises(separable):
    forces = network_forces(separable=separable)
    assert np.isfinite(forces.forces(np.full(SHAPE, 1e3))).all()
    with pytest.raises(ValueError, match=r"overflows on fields up to 1e\+39, far beyond those it was trained on"):
        forces.forces(np.full(SHAPE, 1e39))


@pytest.mark.parametrize("separable", [True, False])
def test_network_forces_can_be_copied_and_pickled(separable):
    forces = network_forces(separable=separable)
    fields = np.random.default_rng(0).normal(size=SHAPE)
    for other in (copy.deepcopy(forces), copy.copy(forces), pickle.loads(pickle.dumps(forces))):
        np.testing.assert_array_equal(other.forces(fields), forces.forces(fields))
        assert other.model == forces.model and other.target == forces.target


@pytest.mark.parametrize("forces", [network_forces(), ExactForces(MODEL), KPMForces(MODEL, 1e-2)], ids=lambda f: type(f).__name__)
def test_force_fields_refuse_nothing_and_complex_numbers_and_take_read_only_ones(forces):
    with pytest.raises(ValueError, match=r"fields of shape \(0, 8, 8\) hold no configuration"):
        forces.forces(np.empty((0, *SHAPE)))
    with pytest.raises(ValueError, match="fields are complex numbers"):
        forces.forces(np.zeros(SHAPE, dtype=complex))
    fields = np.random.default_rng(0).normal(size=SHAPE)
    fields.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(forces.forces(fields), forces.forces(fields.copy()))


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (Holstein, {"chemical_potential": np.nan}),
        (Holstein, {"K": np.inf}),
        (Holstein, {"g": 1e308}),
        (Holstein, {"g": np.nan}),
        (Holstein, {"t": -np.inf}),
        (Kondo, {"J": np.nan}),
        (Peierls, {"alpha": np.float32(np.inf)}),
        (Holstein, {"temperature": 1e-300}),
        (Holstein, {"temperature": 1e300}),
        (Holstein, {"temperature": np.nan}),
    ],
    ids=str,
)
def test_absurd_models_are_refused_when_they_are_made(model, options):
    with pytest.raises(ValueError, match=next(iter(options))) as told:
        model(Lattice.square(*SHAPE), **({"temperature": 0.1} | options))
    assert "\n" not in str(told.value)


def test_the_double_well_looks_at_shapes_too():
    well = DoubleWell(Lattice.square(4, 4))
    with pytest.raises(ValueError, match=r"do not end in \(4, 4\)"):
        well.forces(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="finite"):
        DoubleWell(Lattice.square(4, 4), stiffness=np.inf)


def test_compiling_is_told_once_and_only_where_it_happens(tmp_path):
    program = """
import logging, numpy as np
logging.basicConfig(level=logging.INFO)
from ennforce.noise import normal
normal(1, 0, np.arange(2), 0, (4, 4)), normal(1, 0, np.arange(2, dtype=np.int32), 0, (4, 4))
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    said = [
        subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True).stderr
        for _ in range(2)
    ]
    assert said[0].count("INFO:ennforce:compiling kernels for this machine") == 1 and "compiling" not in said[1]


def test_an_error_of_two_replicas_is_marked():
    specification = importlib.util.spec_from_file_location("summary", ROOT / "scripts" / "summary.py")
    assert specification is not None and specification.loader is not None
    summary = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(summary)
    exponent = {"alpha": 0.87, "error": 0.11, "from_time": 5.0, "replicas": 2}
    assert summary.growth_row("half", exponent)[1] == "0.87 ± 0.11 (too few replicas: 2)"
    assert summary.growth_row("half", {**exponent, "replicas": 8})[1] == "0.87 ± 0.11"
