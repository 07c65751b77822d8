"""What hybrid Monte Carlo refuses, each in one line, and what it takes for a refusal of the proposal."""

from dataclasses import replace

import numpy as np
import pytest

from ennforce.dynamics import DivergenceError, HybridMonteCarlo, State
from ennforce.forces import ExactForces, LocalForces
from ennforce.lattice import Lattice
from ennforce.models import Holstein, Kondo

MODEL = Holstein(Lattice.square(4, 4), temperature=0.1)
OPTIONS = {"mass": 1.0, "temperature": 0.1, "dt": 0.2, "leaps": 3}


class Given:
    """Forces and energies that functions make of the fields."""

    def __init__(self, forces=MODEL.classical_forces, energy=MODEL.classical_energy) -> None:
        self.forces, self.grand_potential = forces, energy


class OnlyForces:
    def forces(self, fields):
        return -fields


def start(**changes) -> State:
    return replace(State.uncorrelated((4, 4), np.arange(3), 5, sigma=0.3, mass=1.0, temperature=0.1), **changes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature = 0.0 must be positive and finite"),
        ({"temperature": -1.0}, "temperature = -1.0 must be positive and finite"),
        ({"mass": np.inf}, "mass = inf must be positive and finite"),
        ({"dt": 0.0}, "dt = 0.0 must be positive and finite"),
        ({"leaps": 0}, "leaps = 0 is no number of leapfrog steps: give a whole number from 1"),
        ({"leaps": 2.5}, "leaps = 2.5 is no number of leapfrog steps: give a whole number from 1"),
        ({"leaps": np.nan}, "leaps = nan is no number of leapfrog steps: give a whole number from 1"),
        ({"leaps": np.inf}, "leaps = inf is no number of leapfrog steps: give a whole number from 1"),
    ],
)
def test_constants_out_of_range_are_refused_in_one_line(options, message):
    with pytest.raises(ValueError) as told:
        HybridMonteCarlo(Given(), Given(), **{**OPTIONS, **options})
    assert str(told.value) == message


def test_a_judge_without_energies_and_fields_without_momenta_are_refused():
    with pytest.raises(ValueError, match=r"^OnlyForces has no grand_potential\(fields\) .*: give ExactForces or KPMForces$"):
        HybridMonteCarlo(Given(), OnlyForces(), **OPTIONS)
    spins = ExactForces(Kondo(Lattice.square(4, 4), temperature=0.1))
    for proposal, judge in ((spins, Given()), (Given(), spins)):
        with pytest.raises(ValueError, match="^Sphere fields of the Kondo model have no momenta.*SpinDynamics$"):
            HybridMonteCarlo(proposal, judge, **OPTIONS)
    HybridMonteCarlo(OnlyForces(), LocalForces(MODEL, radius=2, order=20), **OPTIONS).run(start(), 1)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (start().on("cpu"), "give arrays, not tensors"),
        (start(fields=np.full((3, 4, 4), np.nan)), "48 of the state's fields are NaN or infinite"),
        (start(fields=np.full((3, 4, 4), 1e5)), "start below 10000"),
        (start(replicas=np.arange(2)), "number each of them"),
        (start(seed=2**64), "does not fit into 64 bits"),
    ],
)
def test_states_that_cannot_be_sampled_from_are_refused_in_one_line(state, message):
    with pytest.raises(ValueError, match=message) as told:
        HybridMonteCarlo(Given(), Given(), **OPTIONS).run(state, 1)
    assert "\n" not in str(told.value)


def test_a_run_backwards_is_refused_and_one_of_no_steps_changes_nothing():
    engine = HybridMonteCarlo(Given(), Given(), **OPTIONS)
    with pytest.raises(ValueError, match="-1 steps"):
        engine.run(start(), -1)
    np.testing.assert_array_equal(engine.run(start(), 0).fields, start().fields)
    assert np.isnan(engine.acceptance) and np.isnan(engine.mean_weight)


def test_the_state_given_is_left_alone():
    begin = start()
    HybridMonteCarlo(Given(), Given(), **OPTIONS).run(begin, 3)
    np.testing.assert_array_equal(begin.fields, start().fields)
    np.testing.assert_array_equal(begin.momenta, start().momenta)


@pytest.mark.parametrize("answer", [lambda fields: fields, lambda fields: np.nan, lambda fields: np.inf])
def test_an_omega_that_is_no_finite_number_is_refused(answer):
    with pytest.raises(ValueError, match=r"^the judge's grand_potential (?s:.)*return a finite number$") as told:
        HybridMonteCarlo(Given(), Given(energy=answer), **OPTIONS).run(start(), 1)
    assert "\n" not in str(told.value)


def test_forces_that_are_not_finite_or_misshapen_are_refused():
    holed = Given(lambda fields: np.where(np.arange(48).reshape(3, 4, 4), -fields, np.nan))
    with pytest.raises(DivergenceError, match="^the proposal returned 1 forces that are NaN or infinite, for finite fields: mend"):
        HybridMonteCarlo(holed, Given(), **OPTIONS).run(start(), 1)
    with pytest.raises(ValueError, match="one force for each field"):
        HybridMonteCarlo(Given(lambda fields: fields[0]), Given(), **OPTIONS).run(start(), 1)


def test_trajectories_that_run_away_are_refused_and_others_beside_them_are_not():
    """At dt = 5 a harmonic trajectory grows tenfold in each step: nothing is accepted, and nothing is an error."""
    engine = HybridMonteCarlo(Given(), Given(), **{**OPTIONS, "dt": 5.0, "leaps": 40})
    end = engine.run(start(), 3)
    np.testing.assert_array_equal(end.fields, start().fields)
    assert (engine.acceptance, engine.mean_weight, end.step) == (0.0, 0.0, 3)
    assert np.isinf(engine.latest).all()

    def explosive(fields):
        assert (abs(fields) < 1e4).all()  # what has run away is not shown to it
        return MODEL.classical_forces(fields) * np.array([1.0, 1e9, 1.0])[:, None, None]

    engine = HybridMonteCarlo(Given(explosive), Given(), **OPTIONS)
    end = engine.run(start(), 3)
    assert list(np.isinf(engine.latest)) == [False, True, False]
    usual = HybridMonteCarlo(Given(), Given(), **OPTIONS).run(start(), 3)
    np.testing.assert_array_equal(end.fields[[0, 2]], usual.fields[[0, 2]])
    np.testing.assert_array_equal(end.fields[1], start().fields[1])
