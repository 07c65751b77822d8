"""The table of figures: the folder itself, read without running it."""

import inspect
from importlib import import_module

import pytest

from ennforce import figures

WHOLE = 'CAPTION = "A wave."\nCATEGORY = "Waves"\nTARGETS = ("figures",)\n'


@pytest.mark.parametrize("name", figures.table())
def test_a_figure_is_drawn_from_its_inputs_and_settings(name):
    entry = figures.table()[name]
    module = import_module(f"ennforce.figures.{name}")
    assert set(inspect.signature(module.draw).parameters) == {*entry.inputs, *entry.settings}
    assert hasattr(module, "save") == (entry.formats != ("svg", "png"))
    assert entry.caption.format(order="order", wave_vector="there").strip().endswith(".")
    assert {*entry.targets} <= {"figures", "frontier", "sweep"} and entry.targets


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (WHOLE.replace("CATEGORY", "KIND"), "wave.py is no figure, for it lacks CATEGORY: see lib/ennforce/figures"),
        (WHOLE + 'INPUTS = {"a": f"{b}.nc"}\n', "wave.py: INPUTS is read without being run: write its value out"),
    ],
)
def test_a_file_that_is_no_figure_is_told_by_name(tmp_path, monkeypatch, text, message):
    monkeypatch.setattr(figures, "FOLDER", tmp_path)
    (tmp_path / "style.py").write_text("import numpy\n")
    (tmp_path / "wave.py").write_text(WHOLE)
    assert figures.table() == {"wave": figures.Entry("A wave.", "Waves", ("figures",))}
    (tmp_path / "wave.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        figures.table()
