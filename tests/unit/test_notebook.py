"""docs/notebooks: their cells run, from top to bottom, and hold no output."""

import matplotlib
import nbformat
import pytest

from tests.unit.test_readme import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_is_kept_without_outputs(path, tmp_path, monkeypatch):
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)  # no results here
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    namespace: dict = {}
    for number, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code"):
        assert not cell.outputs and cell.execution_count is None, f"clear the outputs of {path.name}"
        exec(compile(cell.source, f"{path.name}, code cell {number}", "exec"), namespace)
