"""The Chebyshev engine on a torch device, for GPUs: the windows of many start sites are one tensor (PHYSICS P4)."""

from __future__ import annotations

import numpy as np
import torch

from ennforce.electrons.engines import check_moment
from ennforce.electrons.stencil import Shift2, Stencil, Window

ELEMENTS = 1 << 26  # of one tensor of windows, on a GPU: 256 MiB in float32


def torch_device(name: str) -> torch.device:
    """The device of that name; raises ValueError where this machine has none."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}; use 'cpu'") from None
    return device


class TorchChebyshevEngine:
    """As ``ChebyshevEngine``, on a torch device."""

    def __init__(
        self, stencil: Stencil, shifts: tuple[Shift2, ...], functions: np.ndarray, device: torch.device, elements: int = ELEMENTS
    ) -> None:
        self.stencil, self.shifts, self.device, self.most = stencil, ((0, 0), *shifts), device, elements
        padded = np.pad(functions, ((0, 0), (0, functions.shape[1] % 2)))
        self.functions = torch.as_tensor(padded, dtype=torch.float64, device=device)
        self.doubling = stencil.orbitals == 1 and len(self.shifts) == 1

    @property
    def steps(self) -> int:
        order = self.functions.shape[1]
        return order // 2 if self.doubling else order - 1

    def values(self, sites: np.ndarray, window: Window) -> np.ndarray:
        return self._run(sites, window)[0]

    def moments(self, sites: np.ndarray, window: Window) -> np.ndarray:
        """sum over sites and orbitals of <start|T_m|start>, shape (order)."""
        return self._run(sites, window)[1]

    @torch.inference_mode()
    def _run(self, sites: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
        stencil = self.stencil
        box = (window.rows + 2 * stencil.reach[0]) * (window.columns + 2 * stencil.reach[1])
        chunk = max(1, self.most // (box * max(stencil.planes, len(stencil.arrays))))
        inside = np.zeros((window.rows, window.columns), dtype=bool)
        for row, (first, last) in zip(inside, window.spans[-1], strict=True):
            row[first:last] = True
        mask = None if inside.all() else torch.as_tensor(inside, device=self.device)
        arrays = torch.as_tensor(stencil.arrays, device=self.device)
        results, trace = [], torch.zeros(self.functions.shape[1], dtype=torch.float64, device=self.device)
        for start in range(0, len(sites), chunk):
            some = torch.as_tensor(sites[start : start + chunk], device=self.device)
            height, width = stencil.shape
            rows = (some // width)[:, None] - window.centre[0] + torch.arange(window.rows, device=self.device)
            across = (some % width)[:, None] - window.centre[1] + torch.arange(window.columns, device=self.device)
            local = arrays[:, (rows % height)[:, :, None], (across % width)[:, None, :]]
            results.append(
                torch.stack([self._columns(orbital, local, window, mask, trace) for orbital in range(stencil.orbitals)], 1)
            )
        return torch.cat(results, -1).cpu().numpy(), trace.cpu().numpy()

    def _columns(
        self, orbital: int, local: torch.Tensor, window: Window, mask: torch.Tensor | None, trace: torch.Tensor
    ) -> torch.Tensor:
        """Values (functions, elements, n) from one orbital of the windows ``local`` (slots, n, rows, columns)."""
        stencil, functions = self.stencil, self.functions
        count, rows, columns = local.shape[1:]
        top, left = stencil.reach
        shape = (stencil.planes, count, rows + 2 * top, columns + 2 * left)
        old, new = (torch.zeros(shape, dtype=local.dtype, device=self.device) for _ in range(2))
        inner = (slice(None), slice(None), slice(top, top + rows), slice(left, left + columns))
        places = [
            ((window.centre[0] + dy) % rows, (window.centre[1] + dx) % columns) if window.torus
            else (window.centre[0] + dy, window.centre[1] + dx)
            for dy, dx in self.shifts
        ]  # fmt: skip
        y, x = (torch.tensor(axis, device=self.device) for axis in zip(*places, strict=True))
        new[inner][orbital, :, window.centre[0], window.centre[1]] = 1.0

        def read(vector: torch.Tensor) -> torch.Tensor:
            """The vector at the elements, (elements, n)."""
            return vector[inner][:, :, y, x].permute(2, 0, 1).reshape(-1, count).double()

        def moment(m: int, values: torch.Tensor) -> None:
            result.add_(functions[:, m, None, None] * values)
            trace[m] += values[orbital].sum()

        def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return (a[inner] * b[inner]).sum(dim=(0, 2, 3), dtype=torch.float64)[None]

        result = torch.zeros((len(functions), len(self.shifts) * stencil.planes, count), dtype=torch.float64, device=self.device)
        start = read(new)
        moment(0, start)
        first = last = start
        for m in range(1, self.steps + 1):
            if window.torus:
                self._wrap(new, rows, columns)
            self._advance(new, old, local, inner, 1.0 if m == 1 else 2.0, mask)
            old, new = new, old
            if not self.doubling:
                last = read(new)
                moment(m, last)
                continue
            overlap = product(new, old)
            first = overlap if m == 1 else first
            moment(2 * m - 1, _real(2.0 * overlap - first if m > 1 else first, start))
            last = 2.0 * product(new, new) - 1.0
            if 2 * m < functions.shape[1]:
                moment(2 * m, _real(last, start))
        check_moment(float(last.abs().max()))
        return result

    def _advance(self, new: torch.Tensor, old: torch.Tensor, local: torch.Tensor, inner, factor: float, mask) -> None:
        rows, columns = local.shape[2:]
        top, left = self.stencil.reach

        def moved(plane: int, shift: Shift2) -> torch.Tensor:
            dy, dx = shift
            return new[plane, :, top + dy : top + dy + rows, left + dx : left + dx + columns]

        for plane in range(self.stencil.planes):
            total = torch.zeros_like(local[0])
            for source, shift, slot in self.stencil.varying[plane]:
                total.addcmul_(local[slot], moved(source, shift))
            for source, shift, element in self.stencil.uniform[plane]:
                total.add_(moved(source, shift), alpha=float(element))
            there = old[inner][plane]
            torch.sub(total.mul_(factor), there, out=total)
            there.copy_(total if mask is None else total * mask)

    def _wrap(self, vector: torch.Tensor, rows: int, columns: int) -> None:
        top, left = self.stencil.reach
        if left:
            vector[..., :left] = vector[..., columns : columns + left].clone()
            vector[..., columns + left :] = vector[..., left : 2 * left].clone()
        if top:
            vector[:, :, :top] = vector[:, :, rows : rows + top].clone()
            vector[:, :, rows + top :] = vector[:, :, top : 2 * top].clone()


def _real(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Diagonal elements (1, n) in the place of (elements, n): their imaginary plane is zero."""
    return torch.cat([values, torch.zeros_like(like[1:])])
