"""A word where numba compiles: the first call of a kernel on a machine takes seconds, and would seem to hang."""

from __future__ import annotations

import functools
import logging
from typing import Any

from numba.core import event

log = logging.getLogger("ennforce")


class _Teller(event.Listener):
    told = False

    def on_start(self, event: Any) -> None:
        function = getattr(event.data["dispatcher"], "py_func", None)
        if not self.told and getattr(function, "__module__", "").startswith("ennforce."):
            self.told = True
            log.info("compiling kernels for this machine: a few seconds, once; later runs find them in a cache")

    def on_end(self, event: Any) -> None:
        pass


@functools.cache
def announce() -> None:
    """From now on, tell the log, once a process and at level INFO, that a kernel of this package is being compiled."""
    event.register("numba:compile", _Teller())
