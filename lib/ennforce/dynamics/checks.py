"""What must hold of states and forces before a compiled loop, which looks at no bounds, runs over them: one-line errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ennforce.dynamics.device import CHECK_EVERY, RUNAWAY
from ennforce.noise import numbered

if TYPE_CHECKING:
    from ennforce.dynamics.langevin import State


def owned(state: State) -> tuple[Any, Any, np.ndarray]:
    """Contiguous copies of fields and momenta, and the replicas' numbers as int64, of a state on which the dynamics may run.

    Momenta that are None, of fields without any, stay None. Raises ValueError unless fields and momenta are float64, of one shape
    (replica, ...) and on one device, finite, and not yet as large as those of a run that diverged, and ``replicas`` numbers each.
    """
    given = state.arrays()
    on_host = isinstance(state.fields, np.ndarray)
    for name, values in given.items():
        if not isinstance(values, np.ndarray if on_host else torch.Tensor):
            raise ValueError(
                f"the state has fields as {type(state.fields).__name__} and {name} as {type(values).__name__}: give two arrays, or "
                f"two tensors on one device"
            )
        if str(values.dtype).removeprefix("torch.") != "float64":
            raise ValueError(f"the state's {name} are {values.dtype}: convert them to float64, in which the dynamics computes")
    momenta = given.get("momenta")
    if momenta is not None and state.fields.shape != momenta.shape:
        raise ValueError(
            f"the state has fields of shape {tuple(state.fields.shape)} and momenta of shape {tuple(momenta.shape)}: give "
            f"one momentum for each field"
        )
    if momenta is not None and not on_host and state.fields.device != momenta.device:
        raise ValueError(f"the state has fields on {state.fields.device} and momenta on {momenta.device}: use one device")
    if state.fields.ndim < 2 or 0 in state.fields.shape:
        raise ValueError(f"the state has fields of shape {tuple(state.fields.shape)}: give (replica, Ly, Lx), one replica at least")
    replicas = numbered(state.replicas)
    if len(replicas) != len(state.fields):
        raise ValueError(f"the state has {len(state.fields)} replicas but {len(replicas)} numbers of replicas: number each of them")
    for name, values in given.items():
        _require_below(name, values, RUNAWAY if name == "fields" else np.inf)
    copies = {name: _copy(values) for name, values in given.items()}
    return copies["fields"], copies.get("momenta"), replicas


def _copy(values: Any) -> Any:
    if isinstance(values, np.ndarray):
        return np.array(values, order="C")
    return values.detach().clone(memory_format=torch.contiguous_format)


def _require_below(name: str, values: Any, limit: float) -> None:
    """Raise ValueError where the state's values are not finite, or not below ``limit``."""
    size = abs(values)
    if bool((size < limit).all()):
        return
    wrong = int((~(size < np.inf)).sum())
    if wrong:
        raise ValueError(f"{wrong} of the state's {name} are NaN or infinite: start from finite ones")
    raise ValueError(f"the state's {name} reach {float(size.max()):.3g}, as if a run had diverged: start below {limit:g}")


def usable(forces: Any, fields: Any) -> Any:
    """Forces as the loops take them; raises ValueError unless they are real numbers in the shape, and the place, of the fields."""
    on_host = isinstance(fields, np.ndarray)
    forces = np.asarray(forces) if on_host else forces
    place = "an array" if on_host else f"a tensor on {fields.device}"
    if not on_host and (not isinstance(forces, torch.Tensor) or forces.device != fields.device):
        raise ValueError(f"the force field returned {type(forces).__name__} for {place}: forces must be where the fields are")
    if forces.shape != fields.shape:
        raise ValueError(
            f"the force field returned forces of shape {tuple(forces.shape)} for fields of shape {tuple(fields.shape)}: return one "
            f"force for each field"
        )
    real = forces.dtype.kind in "fiu" if on_host else not forces.dtype.is_complex
    if not real:
        raise ValueError(f"the force field returned forces of type {forces.dtype}: return real numbers")
    return np.require(forces, np.float64, ["C", "W"]) if on_host else forces.detach().to(torch.float64)


def why_lost(fields: Any, forces: Any, step: int, dt: float) -> str:
    """Why fields ran away in ``step``, in one line: the forces where they are at fault, else the time step."""
    largest = float(abs(fields).max())
    known = isinstance(fields, np.ndarray)  # tensors are looked at now and then, when NaN has long spread to everything
    wrong = int((~(abs(forces) < np.inf)).sum()) if known else 0
    if wrong:
        return f"the force field returned {wrong} forces that are NaN or infinite at step {step}, for finite fields: mend them"
    when = f"at step {step}" if known else f"within {CHECK_EVERY} steps before or at step {step}"
    return (
        f"the trajectory diverged {when} (largest field {largest:.3g}, largest force {float(abs(forces).max()):.3g}): use a "
        f"smaller time step than {dt} or a force field that covers these configurations"
    )
