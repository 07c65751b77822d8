"""What a job's result depends on: every way to import is followed, and nothing that is not used counts."""

import ast
import os
import re
import textwrap
from pathlib import Path

import pytest

from ennforce import sources
from ennforce.figures import FOLDER
from tests.workflow.conftest import ROOT

PACKAGE = {
    "__init__.py": "",
    "whole.py": "def anything(): ...",
    "parts.py": """
        from typing import TYPE_CHECKING
        import numpy as np
        if TYPE_CHECKING:
            from ennforce.unused import other
        CONSTANT = 1
        def used(): return helper(CONSTANT)
        def helper(x): return np.sin(x)
        def not_used(): ...
        """,
    "room/__init__.py": "from ennforce.room.inner import shown\n",
    "room/inner.py": "def shown(): return late()\ndef late():\n    from .deep import bottom\n    return bottom\n",
    "room/deep.py": "bottom = open('kernel.c')\nhidden = 2\n",
    "room/kernel.c": "int main;",
    "room/other.c": "int other;",
    "plain.py": "first, second = 1, 2",
    "effects.py": "TABLE = {}\nTABLE['x'] = entry()\ndef entry(): ...\nWANTED = 1\n",
    "register.py": "def note(f): return f\n@note\ndef noted(): ...\nWANTED = 1\n",
    "unused.py": "other = 1",
    "io.py": "def read(): ...",
}
SCRIPT = """
    import ennforce.plain
    from ennforce import whole
    from ennforce.effects import WANTED
    from ennforce.io import read
    from ennforce.parts import used, not_used as spare
    from ennforce.register import WANTED as also
    from ennforce.room import shown
    def main():
        from ennforce import io
        return WANTED, also, shown
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "LIBRARY", tmp_path)
    for name, text in {**{f"ennforce/{name}": text for name, text in PACKAGE.items()}, "script.py": SCRIPT}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    yield tmp_path
    forget()


def forget():
    """A process reads a file once: this is what a new one would know."""
    for known in (sources.digest, sources._read, sources._find, sources._others):
        known.cache_clear()


def digest(project: Path, *unused: str) -> str:
    forget()
    return sources.digest(project / "script.py", *unused)


@pytest.mark.parametrize(
    ("file", "old", "new", "matters"),
    [
        ("script.py", "return WANTED", "return not WANTED", True),
        ("ennforce/whole.py", "anything", "something", True),
        ("ennforce/parts.py", "helper(CONSTANT)", "helper(2)", True),
        ("ennforce/parts.py", "CONSTANT = 1", "CONSTANT = 2", True),
        ("ennforce/parts.py", "np.sin", "np.cos", True),
        ("ennforce/parts.py", "import numpy as np", "import torch as np", True),
        ("ennforce/parts.py", "import numpy as np", "import numpy as np\n# a remark", False),
        ("ennforce/unused.py", "1", "2", False),
        ("ennforce/room/inner.py", "return late()", "return not late()", True),
        ("ennforce/room/deep.py", "open", "close", True),
        ("ennforce/room/deep.py", "hidden = 2", "hidden = 3", False),
        ("ennforce/room/kernel.c", "main", "other", True),
        ("ennforce/room/other.c", "other", "main", False),
        ("ennforce/plain.py", "1, 2", "2, 1", True),
        ("ennforce/effects.py", "entry(): ...", "entry(): return 1", True),
        ("ennforce/register.py", "noted(): ...", "noted(): return 1", True),
        ("ennforce/io.py", "...", "return 1", False),
    ],
)
def test_an_edit_counts_where_it_can_change_the_result(project, file, old, new, matters):
    before, path = digest(project), project / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert (digest(project) != before) == matters


def test_a_touched_file_changes_nothing_and_a_moved_project_neither(project):
    before = digest(project)
    for path in project.rglob("*.py"):
        os.utime(path, (1, 1))
    assert digest(project) == before
    (project / "script.py").rename(project / "moved" if (project / "moved").mkdir() else project / "moved" / "script.py")
    forget()
    assert sources.digest(project / "moved" / "script.py") == before


def test_what_a_job_does_not_use_can_be_left_out(project):
    path = project / "ennforce" / "parts.py"
    before = digest(project, "spare")
    path.write_text(path.read_text().replace("not_used(): ...", "not_used(): return 1"))
    assert digest(project, "spare") == before


def modules(script: str, *unused: str) -> set[str]:
    return {module.removeprefix("ennforce.") for module, _ in sources.definitions(ROOT / "scripts" / script, *unused)}


def test_the_scripts_of_this_project_depend_on_their_own_stage():
    """Solvers and networks are one import apart, in ``forces``."""
    assert modules("label.py") >= {"electrons.solver", "electrons.kernels", "models.holstein", "lattice"}
    assert not {name for name in modules("label.py") if name.startswith(("networks", "training", "dynamics", "analysis"))}
    assert modules("sample_quench.py") >= {"dynamics.langevin", "electrons.solver", "training.dataset"}
    assert not {name for name in modules("sample_quench.py") if name.startswith(("networks", "training.loop", "analysis"))}
    assert modules("train.py") >= {"networks.layers", "networks.cnn", "training.optimiser", "processes"}
    assert not {name for name in modules("train.py") if name.startswith(("electrons", "dynamics", "config"))}
    assert {name for module, name in sources.definitions(ROOT / "scripts" / "train.py") if module == "ennforce.sections"} == {
        "Annotated", "Field", "Energy", "EitherEnergy"
    }  # fmt: skip
    assert ("ennforce.networks.compiled.source", "layers.c") in sources.definitions(ROOT / "scripts" / "train.py")
    figure = {module.removeprefix("ennforce.") for module, _ in sources.definitions(FOLDER / "growth.py")} | modules("figure.py")
    assert figure >= {"growth", "figure", "figures.style"}
    assert not {name for name in figure if name.startswith(("electrons", "networks", "training", "dynamics", "config"))}
    # What an engine does not use, as workflow/rules/common.smk has it.
    text = (ROOT / "workflow" / "rules" / "common.smk").read_text()
    unused = ast.literal_eval(re.search(r"^UNUSED = (\{.*?^\})", text, re.DOTALL | re.MULTILINE).group(1))
    driven_by_kpm, driven_by_network = (modules("trajectory.py", *unused[engine]) for engine in ("kpm", "network"))
    assert not {name for name in driven_by_kpm if name.startswith("networks")} and "electrons.solver" in driven_by_kpm
    assert "electrons.solver" not in driven_by_network and driven_by_network >= {"networks.compiled.build", "electrons.following"}
    assert "corrected" in modules("trajectory.py", *unused["corrected"])
