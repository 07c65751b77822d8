"""The Chebyshev engine on a torch device, for GPUs: the windows of many start sites are one tensor (PHYSICS P4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ennforce.electrons.engines import check_moment
from ennforce.electrons.stencil import Stencil, Window
from ennforce.lattice import Shift

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
    """f(H) = sum_m functions[f, m] T_m(H~) on a torch device; ``stencil`` is of the scaled H~, whose dtype is the recursion's."""

    def __init__(
        self, stencil: Stencil, shifts: tuple[Shift, ...], functions: np.ndarray, device: torch.device, elements: int = ELEMENTS
    ) -> None:
        self.stencil, self.shifts, self.device, self.most = stencil, (stencil.zero, *shifts), device, elements
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
        box = int(np.prod(np.array(window.box) + 2 * np.array(stencil.reach)))
        chunk = max(1, self.most // (box * max(stencil.planes, len(stencil.arrays))))
        inside = np.zeros((len(window.spans[-1]), window.box[-1]), dtype=bool)
        for row, (first, last) in zip(inside, window.spans[-1], strict=True):
            row[first:last] = True
        mask = None if inside.all() else torch.as_tensor(inside.reshape(window.box), device=self.device)
        arrays = torch.as_tensor(stencil.arrays, device=self.device)
        results, trace = [], torch.zeros(self.functions.shape[1], dtype=torch.float64, device=self.device)
        for start in range(0, len(sites), chunk):
            places = np.stack(np.unravel_index(sites[start : start + chunk], stencil.lattice.shape), axis=1) - window.centre
            index: list[Any] = [slice(None)]
            for axis, (side, length) in enumerate(zip(window.box, stencil.lattice.shape, strict=True)):
                along = (places[:, axis, None] + np.arange(side)) % length
                shape = (len(places), *(side if other == axis else 1 for other in range(len(window.box))))
                index.append(torch.as_tensor(along.reshape(shape), device=self.device))
            local = arrays[tuple(index)]
            results.append(
                torch.stack([self._columns(orbital, local, window, mask, trace) for orbital in range(stencil.orbitals)], 1)
            )
        return torch.cat(results, -1).cpu().numpy(), trace.cpu().numpy()

    def _columns(
        self, orbital: int, local: torch.Tensor, window: Window, mask: torch.Tensor | None, trace: torch.Tensor
    ) -> torch.Tensor:
        """Values (functions, elements, n) from one orbital of the windows ``local`` (slots, n, *box)."""
        stencil, functions = self.stencil, self.functions
        count, box, dimension = local.shape[1], np.array(window.box), len(window.box)
        outer = (stencil.planes, count, *(box + 2 * np.array(stencil.reach)).tolist())
        old, new = (torch.zeros(outer, dtype=local.dtype, device=self.device) for _ in range(2))
        inner = self._part(window, stencil.zero)
        everywhere: Any = slice(None)
        places = np.array(window.centre) + np.array(self.shifts)
        at = tuple(torch.as_tensor(axis, device=self.device) for axis in (places % box if window.torus else places).T)
        new[inner][orbital][(everywhere, *window.centre)] = 1.0

        def read(vector: torch.Tensor) -> torch.Tensor:
            """The vector at the elements, (elements, n)."""
            return vector[inner][(everywhere, everywhere, *at)].permute(2, 0, 1).reshape(-1, count).double()

        def moment(m: int, values: torch.Tensor) -> None:
            result.add_(functions[:, m, None, None] * values)
            trace[m] += values[orbital].sum()

        def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return (a[inner] * b[inner]).sum(dim=(0, *range(2, 2 + dimension)), dtype=torch.float64)[None]

        result = torch.zeros((len(functions), len(self.shifts) * stencil.planes, count), dtype=torch.float64, device=self.device)
        start = read(new)
        moment(0, start)
        first = last = start
        for m in range(1, self.steps + 1):
            if window.torus:
                self._wrap(new, window)
            self._advance(new, old, local, window, 1.0 if m == 1 else 2.0, mask)
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

    def _advance(self, new: torch.Tensor, old: torch.Tensor, local: torch.Tensor, window: Window, factor: float, mask) -> None:
        for plane in range(self.stencil.planes):
            total = torch.zeros_like(local[0])
            for source, shift, slot in self.stencil.varying[plane]:
                total.addcmul_(local[slot], new[self._part(window, shift)][source])
            for source, shift, element in self.stencil.uniform[plane]:
                total.add_(new[self._part(window, shift)][source], alpha=float(element))
            there = old[self._part(window, self.stencil.zero)][plane]
            torch.sub(total.mul_(factor), there, out=total)
            there.copy_(total if mask is None else total * mask)

    def _part(self, window: Window, shift: Shift) -> tuple[slice, ...]:
        """Where the box, moved by ``shift``, lies in vectors (planes, n, *box with its rim)."""
        begins = (reach + s for reach, s in zip(self.stencil.reach, shift, strict=True))
        return (slice(None), slice(None), *(slice(first, first + side) for first, side in zip(begins, window.box, strict=True)))

    def _wrap(self, vector: torch.Tensor, window: Window) -> None:
        """Fill the rim around a torus with its periodic images, axis by axis."""
        for axis, (reach, side) in enumerate(zip(self.stencil.reach, window.box, strict=True), start=2):
            vector.narrow(axis, 0, reach).copy_(vector.narrow(axis, side, reach).clone())
            vector.narrow(axis, reach + side, reach).copy_(vector.narrow(axis, reach, reach).clone())


def _real(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Diagonal elements (1, n) in the place of (elements, n): their imaginary plane is zero."""
    return torch.cat([values, torch.zeros_like(like[1:])])
