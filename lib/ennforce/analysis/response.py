"""Linear response of the uniform state: the electrons' own, and that of a trained network (PHYSICS P10)."""

from __future__ import annotations

import numpy as np
import scipy.optimize
import torch

from ennforce.models import Hamiltonian
from ennforce.networks import ForceNetwork

# Distances from (pi, pi) of the shells of wave vectors: the peak alone, and rings around it.
SHELLS = ((0.0, 1e-9), (1e-9, 0.2), (0.2, 0.4), (0.4, 0.8), (0.8, 1.6), (1.6, 4.5))
DEGENERATE = 1e-8  # difference of energies below which the difference quotient is a derivative


def bare_response(model: Hamiltonian) -> np.ndarray:
    """chi_ab(q) = dF_a(q) / dphi_b(q) at zero field, F the electronic force: Lindhard's sum, shape (a, b, *lattice.shape).

    chi_ab(q) = -(1/N) sum_k,nm [f(e_nk) - f(e_mk+q)] / (e_nk - e_mk+q) <nk|V_a|mk+q><mk+q|V_b|nk>, V = dH/dphi: exact on this
    torus, for any number of orbitals. q as ``numpy.fft.fft2`` orders it. Raises ValueError for a model whose bonds feel the field.
    """
    if model.density_bonds:
        raise ValueError(f"the bonds of {type(model).__name__} depend on its field: this response is for on-site couplings")
    zero = np.zeros(model.field_shape)
    blocks, shape = model.blocks(zero), model.lattice.shape
    waves = np.meshgrid(*(2 * np.pi * np.arange(length) / length for length in shape), indexing="ij")
    origin = (0,) * len(shape)
    hamiltonian = np.broadcast_to(blocks.onsite[origin], (*shape, blocks.orbitals, blocks.orbitals)).astype(complex)
    for shift, block in blocks.hops():
        uniform = block if block.ndim == 2 else block[origin]
        hamiltonian = hamiltonian + np.exp(1j * sum(s * k for s, k in zip(shift, waves, strict=True)))[..., None, None] * uniform
    energies, states = np.linalg.eigh(hamiltonian)
    occupied = _fermi(energies, model)
    vertices = [_vertex(model, component) for component in range(model.components)]
    chi = np.empty((model.components, model.components, *shape))
    axes = tuple(range(len(shape)))
    for q in np.ndindex(*shape):
        back = tuple(-n for n in q)
        other, filled, beyond = (np.roll(x, back, axes) for x in (energies, occupied, states))
        slope = _quotient(
            energies[..., :, None], other[..., None, :], occupied[..., :, None], filled[..., None, :], model.temperature
        )
        elements = [np.swapaxes(states, -1, -2).conj() @ vertex @ beyond for vertex in vertices]
        for a, one in enumerate(elements):
            for b, two in enumerate(elements):
                chi[(a, b, *q)] = -(slope * one * two.conj()).real.sum() / model.lattice.num_sites
    return chi


def _vertex(model: Hamiltonian, component: int) -> np.ndarray:
    """dH/dphi on a site, (b, b)."""
    plus, minus = np.zeros(model.field_shape), np.zeros(model.field_shape)
    (plus if model.components == 1 else plus[component])[...] = 1.0
    (minus if model.components == 1 else minus[component])[...] = -1.0
    origin = (0,) * model.lattice.dimension
    return 0.5 * (model.blocks(plus).onsite[origin] - model.blocks(minus).onsite[origin])


def _fermi(energies: np.ndarray, model: Hamiltonian) -> np.ndarray:
    def occupation(mu: float) -> np.ndarray:
        return 0.5 * (1.0 - np.tanh((energies - mu) / (2.0 * model.temperature)))

    if model.filling is None:
        return occupation(model.chemical_potential)
    wanted, edge = model.filling * model.lattice.num_sites, 40.0 * model.temperature
    ends = float(energies.min()) - edge, float(energies.max()) + edge
    return occupation(scipy.optimize.brentq(lambda mu: occupation(mu).sum() - wanted, *ends))


def _quotient(e: np.ndarray, other: np.ndarray, f: np.ndarray, filled: np.ndarray, temperature: float) -> np.ndarray:
    """[f(e) - f(e')] / (e - e'), and f' where they are equal."""
    difference = e - other
    equal = np.abs(difference) < DEGENERATE
    return np.where(equal, -f * (1.0 - f) / temperature, (f - filled) / np.where(equal, 1.0, difference))


def network_response(network: ForceNetwork, shape: tuple[int, ...]) -> np.ndarray:
    """dF(q)/dQ(q) of a network's force at zero field on a torus of ``shape``, one component, ordered as ``bare_response``."""
    fields = torch.zeros(1, 1, *shape, dtype=next(network.parameters()).dtype, requires_grad=True)
    (row,) = torch.autograd.grad(network.on_torus(fields).flatten()[0], fields)
    return np.fft.fftn(row[0, 0].double().numpy()).real


def distances(shape: tuple[int, ...]) -> np.ndarray:
    """|q - (pi, pi)| of every wave vector, ordered as ``bare_response``, shape ``shape``."""
    waves = (np.minimum(k, 2 * np.pi - k) for k in (2 * np.pi * np.arange(length) / length for length in shape))
    return np.sqrt(sum((k - np.pi) ** 2 for k in np.meshgrid(*waves, indexing="ij")))


def shells(shape: tuple[int, ...]) -> dict[tuple[float, float], np.ndarray]:
    """The wave vectors in each of ``SHELLS`` that has any on this torus, as masks of ``shape``."""
    far = distances(shape)
    inside = {(low, high): (far >= low) & (far < high) for low, high in SHELLS}
    return {limits: mask for limits, mask in inside.items() if mask.any()}


def gains(fields: np.ndarray, forces: np.ndarray) -> np.ndarray:
    """Sum of F_q Q_q* by that of |Q_q|^2 over configurations (n, Ly, Lx), in every shell: the response at fields of finite size."""
    q, f = np.fft.fftn(fields, axes=(1, 2)), np.fft.fftn(forces, axes=(1, 2))
    inside = shells(fields.shape[1:]).values()
    return np.array([(f * q.conj()).real[:, m].sum() / (np.abs(q) ** 2)[:, m].sum() for m in inside])


def along_path(chi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """chi(q), (L, L), on the wave vectors of (0, 0), (0, pi), (pi, pi), (0, 0), with the length of the path up to each."""
    half, height = chi.shape[1] // 2, chi.shape[0] // 2
    steps = [(0, x) for x in range(half)] + [(y, half) for y in range(height)]
    diagonal = min(half, height)
    steps += [(height * (diagonal - n) // diagonal, half * (diagonal - n) // diagonal) for n in range(diagonal + 1)]
    points = np.array(steps)
    waves = points * (2 * np.pi / np.array(chi.shape))
    lengths = np.concatenate([[0.0], np.cumsum(np.sqrt((np.diff(waves, axis=0) ** 2).sum(axis=1)))])
    return lengths, chi[tuple(points.T)]
