"""Accuracy against cost: power laws, tables, and the antisymmetric part of the force's derivative."""

import csv
import io

import numpy as np
import pytest
import torch
from torch.nn import functional

from ennforce.networks import Architecture, EquivariantNetwork
from ennforce.tables import as_csv, as_markdown, write_table
from ennforce.training import frontier
from ennforce.training.frontier import cost_at_error, lowest_by, median_seconds, on_square, pareto, power_law
from ennforce.training.metrics import jacobian_antisymmetry


def test_a_power_law_is_found_with_its_error():
    counts = np.array([10, 20, 50, 100, 200])
    fit = power_law(counts, 0.3 * counts**-0.4)
    assert fit["exponent"] == pytest.approx(0.4) and fit["prefactor"] == pytest.approx(0.3) and fit["exponent_error"] < 1e-8
    rng = np.random.default_rng(0)
    fits = [power_law(counts, 0.3 * counts**-0.4 * np.exp(0.1 * rng.normal(size=5))) for _ in range(500)]
    spread = np.std([f["exponent"] for f in fits])
    assert np.sqrt(np.mean([f["exponent_error"] ** 2 for f in fits])) == pytest.approx(spread, rel=0.15)


def test_what_few_points_leave_open_is_none():
    assert power_law([10, 20], [0.2, 0.1])["exponent"] == pytest.approx(1.0)
    assert power_law([10, 20], [0.2, 0.1])["exponent_error"] is None
    assert power_law([10], [0.2]) == {"exponent": None, "exponent_error": None, "prefactor": None}


def test_the_lowest_error_up_to_a_mark():
    assert lowest_by([5, 10, 25, 99], [10, 20, 30], [0.3, 0.1, 0.2]) == [None, 0.3, 0.1, 0.1]


def test_tables_hold_every_row(tmp_path):
    rows = [{"name": "a", "error": 0.123456}, {"name": "b, c", "error": None}]
    assert list(csv.reader(io.StringIO(as_csv(rows)))) == [["name", "error"], ["a", "0.123456"], ["b, c", ""]]
    assert as_markdown(rows) == "| name | error |\n| --- | --- |\n| a | 0.123 |\n| b, c | – |\n"
    files = {name: str(tmp_path / name) for name in ("csv", "markdown")}
    write_table(files, rows, before="Errors.", after="Two rows.\n", shown=[{"name": "a"}])
    assert (tmp_path / "csv").read_text() == as_csv(rows)
    assert (tmp_path / "markdown").read_text() == "Errors.\n\n| name |\n| --- |\n| a |\n\nTwo rows.\n"


def test_fields_are_repeated_periodically():
    fields = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(on_square(fields, 8)[:3, 4:8], fields)
    np.testing.assert_array_equal(on_square(fields, 2), fields[:2, :2])


def test_the_median_of_all_calls_but_the_first_is_timed(monkeypatch):
    """By a clock that only the calls move: 100 s, then 3, 1, 4 and 2 s."""
    clock, durations = [0.0], iter([100.0, 3.0, 1.0, 4.0, 2.0])
    monkeypatch.setattr(frontier.time, "perf_counter", lambda: clock[0])

    def call():
        clock[0] += next(durations)

    assert median_seconds(call, 4) == 2.5 and not list(durations)


class Linear(EquivariantNetwork):
    """A force J Q: the field itself, and neighbours to the right with one weight and to the left with another."""

    def __init__(self, right: float, left: float) -> None:
        super().__init__(Architecture(width=1, depth=1, first_radius=1))
        self.kernel = torch.tensor([[[[left, 1.0, right]]]])

    def on_torus(self, fields: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(functional.pad(fields, (1, 1, 0, 0), mode="circular"), self.kernel)


def test_antisymmetry_of_known_derivatives():
    """J - J^T has entries right - left: |J - J^T|^2 = 2 N (right - left)^2, |J|^2 = N (1 + right^2 + left^2)."""
    fields = np.random.default_rng(0).normal(size=(1, 4, 6))
    assert jacobian_antisymmetry(Linear(0.5, 0.5), fields) == 0.0
    expected = (2 * 0.5**2 / (1 + 0.7**2 + 0.2**2)) ** 0.5
    assert jacobian_antisymmetry(Linear(0.7, 0.2), fields, batch=5) == pytest.approx(expected, rel=1e-6)


def test_the_front_holds_what_none_beats():
    errors, costs = [0.1, 0.05, 0.2, 0.05, 0.01], [1.0, 2.0, 3.0, 1.5, 9.0]
    assert pareto(errors, costs) == [0, 3, 4]
    assert pareto([0.1], [1.0]) == [0] and pareto([0.1, 0.2], [1.0, 1.0]) == [0]


def test_costs_are_compared_at_equal_error():
    errors, costs = [0.1, 0.001, 0.01], [1.0, 100.0, 10.0]
    assert cost_at_error(0.01, errors, costs) == pytest.approx(10.0)
    assert cost_at_error(10**-1.5, errors, costs) == pytest.approx(10**0.5)
    assert cost_at_error(0.5, errors, costs) == pytest.approx(1.0) and cost_at_error(1e-4, errors, costs) == pytest.approx(100.0)
