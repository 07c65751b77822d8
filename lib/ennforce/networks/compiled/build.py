"""Kernels built for a plan with the system's C compiler, once, and kept in a cache."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from ennforce.networks.compiled.plan import Plan
from ennforce.networks.compiled.source import GRADIENTS, LAYERS, STRIPS, VECTORS, source

log = logging.getLogger("ennforce")
# Not -ffast-math: it would change the processor's mode for the whole process, and reorder sums whose order is accuracy.
FLAGS = ("-O3", "-march=native", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-shared", "-fPIC")
LIBRARIES = ("-lm",)
GENERATORS = tuple(
    Path(__file__).with_name(name) for name in ("transform.py", "expressions.py", "plan.py", "layout.py", "source.py")
)


@functools.cache
def library(plan: Plan, gradients: bool = False) -> ctypes.CDLL | None:
    """The kernel of a plan, of its forces or its ``gradients``, from the cache or freshly compiled.

    None, with a word in the log, where it cannot be built.
    """
    if os.environ.get("ENNFORCE_NATIVE") == "0":
        return None
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        log.info("no C compiler found: networks run in torch, several times slower (install gcc or clang, or set CC)")
        return None
    path = _cache() / name_of(plan, gradients, compiler)
    found = _loaded(path)
    if found is None:
        found = _loaded(path) if _compiled(compiler, source(plan, gradients), path) else None
    if found is None:
        return None
    pointer, count = ctypes.c_void_p, ctypes.c_long
    if gradients:
        found.job_size.restype = count
        found.gradient_size.argtypes, found.gradient_size.restype = [pointer], count
        found.begin.argtypes, found.begin.restype = [pointer] * 12, None
        found.work.argtypes, found.work.restype = [pointer, count], None
        found.finish.argtypes, found.finish.restype = [pointer] * 2, ctypes.c_double
    else:
        for name in ("halo", "columns", "field_sites", "workspace_size"):
            getattr(found, name).restype = count
        found.forces.argtypes, found.forces.restype = [*[pointer] * 4, *[count] * 8, pointer, pointer], None
    return found


def name_of(plan: Plan, gradients: bool, compiler: str) -> str:
    """The file name of a kernel in the cache."""
    # What writes the code stands for the code, which need not be written to find it in the cache.
    texts = [path.read_text() for path in (VECTORS, LAYERS, STRIPS, GRADIENTS, *GENERATORS)]
    identity = "\n".join([*texts, repr(plan), repr(gradients), compiler, *FLAGS, _processor()])
    return f"network-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.so"


def _loaded(path: Path) -> ctypes.CDLL | None:
    """The library, or None where there is none, or none that is whole."""
    try:
        return ctypes.CDLL(str(path)) if path.exists() else None
    except OSError:
        return None


def _compiled(compiler: str, code: str, path: Path) -> bool:
    """Build the library at ``path``; false, with the compiler's first words in the log, where that fails."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        text, fresh = Path(folder) / "network.c", Path(folder) / path.name
        text.write_text(code)
        try:
            built = subprocess.run([compiler, *FLAGS, "-o", fresh, text, *LIBRARIES], capture_output=True, text=True)
            reason = (built.stderr.strip().splitlines() or ["no message"])[0] if built.returncode else ""
        except OSError as error:
            reason = str(error)
        if reason:
            log.info("%s cannot build the network kernel (%s): networks run in torch, several times slower", compiler, reason)
            return False
        fresh.replace(path)
    return True


def _cache() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ennforce"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    return _own_folder()


@functools.cache
def _own_folder() -> Path:
    """A folder for this process where the cache cannot be written."""
    return Path(tempfile.mkdtemp(prefix="ennforce-"))


def _processor() -> str:
    """What -march=native depends on: a home folder may be shared by machines of several kinds."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
