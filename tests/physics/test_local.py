"""P4: local expansions of a fixed effort: errors against exact diagonalisation, what they refuse, how the effort is found."""

import numpy as np
import pytest

from ennforce.electrons.local import Effort
from ennforce.forces import ExactForces, LocalForces
from tests.conftest import configuration, holstein
from tests.physics.test_electrons import MODELS, random_fields

SHAPE = (24, 24)


def regime_model(regime, **options):
    return holstein(regime, SHAPE, 0.05 if regime == "default" else 0.1, **options)


def relative_error(forces, model, fields):
    exact = ExactForces(model).electronic_forces(fields)
    return np.sqrt(((forces.electronic_forces(fields) - exact) ** 2).mean()) / exact.std()


@pytest.mark.parametrize("regime", ["default", "paper"])
@pytest.mark.parametrize("rms", [0.1, 1e-2, 1e-3])
def test_the_tuned_effort_meets_its_error_on_like_fields(regime, rms):
    model = regime_model(regime)
    sample, others = configuration(regime, "walls", SHAPE), configuration(regime, "walls", SHAPE)[::-1, ::-1]
    forces = LocalForces.tuned(model, sample, rms)
    assert relative_error(forces, model, sample) <= 1.01 * rms
    assert relative_error(forces, model, others) <= 2.0 * rms


def test_lanczos_steps_win_in_gapped_order_and_lose_at_small_fields():
    assert LocalForces.tuned(regime_model("paper"), configuration("paper", "walls", SHAPE), 1e-2).effort.steps
    assert LocalForces.tuned(regime_model("default"), 0.1 * configuration("default", "hot", SHAPE), 1e-2).effort.order


@pytest.mark.parametrize("name", MODELS)
def test_a_high_effort_is_exact_in_every_model(name):
    model = MODELS[name]
    fields, exact = random_fields(model), ExactForces(model)
    for options in ({"order": 400, "radius": 40}, {"steps": 60, "poles": 12, "radius": 40}):
        forces = LocalForces(model, **options)
        np.testing.assert_allclose(forces.electronic_forces(fields), exact.electronic_forces(fields), atol=3e-4)
    assert LocalForces(model, order=400, radius=40).grand_potential(fields) == pytest.approx(
        exact.grand_potential(fields), rel=1e-4
    )


def test_the_filling_is_kept_to_rounding_at_any_effort():
    model = regime_model("default", filling=0.4)
    density = LocalForces(model, order=16, radius=2).density(configuration("default", "walls", SHAPE))
    assert density.mean() == pytest.approx(0.4, abs=1e-5)


def test_batches_and_earlier_calls_change_nothing():
    forces = LocalForces(regime_model("default"), order=32, radius=4)
    fields = np.stack([configuration("default", kind, SHAPE) for kind in ("walls", "hot", "random")])
    together = forces.forces(fields)
    np.testing.assert_array_equal(together[1], LocalForces(forces.model, order=32, radius=4).forces(fields[1]))
    np.testing.assert_array_equal(together, forces.forces(fields))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": 4}, "give one of them"),
        ({"radius": 4, "order": 8, "steps": 3}, "give one of them"),
        ({"radius": 0, "order": 8}, "radius = 0"),
        ({"radius": 4, "order": 2.5}, "order = 2.5"),
    ],
)
def test_efforts_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Effort(**options)


def test_what_lanczos_steps_cannot_give_is_refused():
    with pytest.raises(ValueError, match="give an order"):
        LocalForces(regime_model("default", filling=0.4), steps=8, radius=1)
    with pytest.raises(ValueError, match="no grand potential"):
        LocalForces(regime_model("default"), steps=8, radius=1).energy(configuration("default", "walls", SHAPE))


def test_samples_that_tell_nothing_are_refused():
    with pytest.raises(ValueError, match="equal on all sites"):
        LocalForces.tuned(regime_model("default"), np.zeros(SHAPE))
    with pytest.raises(ValueError, match="between 1e-4 and 1"):
        LocalForces.tuned(regime_model("default"), np.zeros(SHAPE), rms=1e-6)
