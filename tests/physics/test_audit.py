"""P12: audits measure the error of a network's force on its own trajectory, by class of site, and end a run beyond a limit."""

import numpy as np
import pytest
import torch
import xarray as xr

from ennforce.analysis.audits import ALL, errors_along, rows
from ennforce.auditing import FEWEST, SITE_CLASSES, Audit, AuditError, site_classes
from ennforce.config import ConfigError, load_study
from ennforce.corrected import FollowingForces
from ennforce.dynamics import Recorder, quench
from ennforce.electrons.following import active
from ennforce.forces import ExactForces, NetworkForces
from ennforce.lattice import Lattice
from ennforce.models import Hamiltonian, Kondo, Sphere
from ennforce.networks import Architecture, build
from ennforce.sections import Bath
from ennforce.stages import left_out
from tests.conftest import configuration, holstein


def network(model: Hamiltonian, kind: str = "enn") -> NetworkForces:
    torch.manual_seed(3)
    options = {"separable": True} if kind == "enn" else {}
    architecture = Architecture(
        kind, model.lattice.name, str(model.field_type), width=1, depth=1, first_radius=1, mixed=True, **options
    )
    return NetworkForces(build(architecture, 0.7, 0.3).eval(), model)


def test_sites_fall_into_the_classes_that_their_surroundings_say():
    """Two domains with a straight wall between rows 9 and 10, and a patch of small fields around (4, 4)."""
    model = holstein("default", (20, 20), 0.1)
    fields = 0.7 * np.where(np.arange(20) < 10, 1.0, -1.0)[:, None] * model.lattice.stagger()
    fields[2:7, 2:7] *= 0.01
    found = site_classes(model, fields[None], 0.7)[0]
    assert SITE_CLASSES[found[4, 4]] == "small field" and SITE_CLASSES[found[15, 15]] == "bulk"
    assert {SITE_CLASSES[n] for n in found[9:11].ravel()} == {"wall"}
    # Classes go with the lattice's symmetries and with particles and holes.
    np.testing.assert_array_equal(site_classes(model, -np.roll(fields, 4, 1)[None], 0.7)[0], np.roll(found, 4, 1))
    np.testing.assert_array_equal(site_classes(model, fields.T[None], 0.7)[0], found.T)


def test_unit_spins_are_never_small():
    model = Kondo(Lattice("triangular", (12, 12)), temperature=0.3)
    fields = Sphere().near(0.0, 1.0, np.random.default_rng(0).normal(size=(2, 3, 12, 12)), model.lattice)
    assert site_classes(model, fields, 1.0).max() == 1


@pytest.mark.parametrize("kind", ["scalar", "spins"])
def test_an_audit_of_all_sites_gives_the_error_of_the_network(kind):
    """As many draws as sites, which repeat: sums within a few standard errors of those of exact diagonalisation."""
    if kind == "scalar":
        model = holstein("default", (16, 16), 0.2)
        fields = np.stack([configuration("default", "walls", (16, 16), n) for n in range(4)])
        forces = network(model)
    else:
        model = Kondo(Lattice.square(12, 12), temperature=0.3, J=1.5, chemical_potential=-1.0)
        fields = Sphere().near(0.0, 1.0, np.random.default_rng(0).normal(size=(4, 3, 12, 12)), model.lattice)
        forces = network(model, "typed")
    audit = Audit(forces, FollowingForces(model, 1e-3), [5], share=1.0, seed=1)
    found = audit(fields, np.arange(4), 5).expand_dims(time=[2.0])
    exact = ExactForces(model).electronic_forces(fields)
    error = forces.electronic_forces(fields) - exact
    every = np.arange(model.lattice.num_sites)
    flat = [active(model, e.reshape(model.components, -1), f, every) for e, f in zip(error, fields, strict=True)]
    true = np.sqrt(np.mean([(e**2).sum(axis=0).mean() for e in flat]))
    along = errors_along([found.isel(replica=[0, 1]), found.isel(replica=[2, 3])]).isel(time=0)
    assert float(along["sites"].sel(site_class=ALL)) == 4 * len(every)
    measured, doubt = (float(along[name].sel(site_class=ALL)) for name in ("rms", "rms_error"))
    assert abs(measured - true) < 4.0 * doubt and doubt < 0.1 * true
    assert float(along["largest"].sel(site_class=ALL)) <= np.sqrt(max((e**2).sum(axis=0).max() for e in flat)) * 1.02
    table = {row["class"]: row for row in rows(errors_along([found]))}
    assert table[ALL]["rms"] == pytest.approx(measured) and sum(table[name]["sites"] for name in SITE_CLASSES) == 4 * len(every)


def test_draws_follow_the_share_and_the_steps_that_passed():
    model = holstein("default", (32, 32), 0.2)
    audit = Audit(network(model), FollowingForces(model, 1e-2), [1, 4, 1000], share=1 / 2048)
    fields = configuration("default", "walls", (32, 32))[None]
    counts = {step: int(audit(fields, np.array([0]), step)["audit_sites"].sum()) for step in (1, 2, 4, 1000)}
    assert counts == {1: FEWEST, 2: 0, 4: FEWEST, 1000: 996 // 2}
    one, two = (audit(fields, np.array([0]), 4) for _ in range(2))
    xr.testing.assert_identical(one, two)
    both = audit(np.concatenate([fields, fields]), np.array([7, 0]), 4)
    xr.testing.assert_identical(both.isel(replica=[1]), one)


def run(folder, steps: int, limit: float | None):
    model = holstein("default", (16, 16), 0.2)
    forces = network(model)
    audit = Audit(forces, FollowingForces(model, 1e-2), [10, 20, 30], share=1 / 64, seed=2, limit=limit)
    bath = {**Bath().model_dump(), "temperature": 0.2}
    recorder = Recorder(
        lambda state: audit(state.fields, state.replicas, state.step), np.array([5, 10, 15, 20, 25, 30]), np.array([30]), 0.1,
        folder / "state", interval=1e9, judge=audit.check,
    )  # fmt: skip
    quench(forces, model, np.arange(2), 3, bath, steps, recorder)
    return recorder.dataset()


def test_a_run_beyond_its_limit_ends_in_one_line_and_keeps_its_checkpoint(tmp_path):
    whole = run(tmp_path, 30, None)
    assert (whole["audit_sites"].sum(("replica", "site_class")).values > 0).tolist() == [False, True, False, True, False, True]
    with pytest.raises(AuditError, match=r"at t = 1 the network's force errs by .* more than the limit 0.05: train it further"):
        run(tmp_path, 30, 0.05)
    assert (tmp_path / "state").exists()
    with pytest.raises(AuditError, match="at t = 1 "):  # it does not go on beyond the limit when it is started again
        run(tmp_path, 30, 0.05)
    resumed = run(tmp_path, 30, 100.0)  # the limit is raised: the run goes on from where it ended, to the bit
    xr.testing.assert_identical(resumed, whole)


def test_fields_that_run_away_are_left_to_the_dynamics(caplog):
    """Whose error names the step: the audit says that it saw nothing, and sees the other replicas."""
    model = holstein("default", (16, 16), 0.2)
    fields = np.stack([configuration("default", "walls", (16, 16)), 9e3 * configuration("default", "random", (16, 16))])
    found = Audit(network(model), FollowingForces(model, 1e-2), [3])(fields, np.arange(2), 3)
    assert found["audit_sites"].sum("site_class").values.tolist() == [FEWEST, 0]
    assert "no audit of replica 1 after step 3" in caplog.text


def test_bad_input_is_one_line():
    model = holstein("default", (16, 16), 0.2)
    with pytest.raises(ValueError, match="share = 0.0 of the sites to be audited"):
        Audit(network(model), FollowingForces(model), [1], share=0.0)
    with pytest.raises(ValueError, match="limit = 0.001 is not above the accuracy"):
        Audit(network(model), FollowingForces(model, 2e-3), [1], limit=1e-3)
    for settings, text in (
        ({"audit": {"share": 0}}, "audit.share = 0: input should be greater than 0"),
        ({"audit": {"share": 2}}, "audit.share = 2: input should be less than or equal to 1"),
        ({"corrected": {"share": -0.1}}, "corrected.share = -0.1"),
        ({"audit": {"limit": 1e-3}}, "limit = 0.001 is not above accuracy = 0.005"),
        ({"corrected": {"accuracy": 2}}, "corrected.accuracy = 2"),
    ):
        with pytest.raises(ConfigError, match=text):
            load_study(settings)


def test_a_model_whose_electrons_act_on_each_other_is_not_audited(monkeypatch):
    study = load_study({})
    assert "audit" not in left_out(study)
    monkeypatch.setattr(type(study.lattice_model), "local", False)
    assert "no network is audited" in left_out(study)["audit"]
