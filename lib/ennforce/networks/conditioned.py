"""Networks for electrons under many conditions: weights that depend on temperature and the like, folded where these are fixed."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping

import torch
from torch import nn

from ennforce.networks.base import Architecture, ForceNetwork

ORDER = 2  # of the polynomials, in all inputs together
GAIN = 0.1  # of the changes: the optimiser steps all weights alike, and three sets of them would overshoot together
LOGARITHMIC = ("electron_temperature",)  # a metal answers as ln(t / T)
ROUNDING = 1e-5  # of the span, within which its border is met


class ConditionedNetwork(ForceNetwork):
    """A network of any kind, whose every weight is a polynomial of the ``inputs`` of its architecture.

    W(c) = W_0 + sum_k p_k(c) W_k, with products p_k of Chebyshev polynomials, of degree ``ORDER`` at most, of each input over the
    span of training; temperatures count by their logarithm. Whatever its weights are, a network of the package is exactly
    equivariant, so this one is under all conditions; and at fixed conditions it is a plain network (``at``), which costs no more
    than one that was trained for them. Beyond the span the weights are those of its border. Without conditions, ``forward`` and
    ``on_torus`` are those of the middle of the span. ``plain``: a fresh network of this architecture without inputs.
    """

    def __init__(
        self, architecture: Architecture, plain: ForceNetwork, field_scale: float = 1.0, force_scale: float = 1.0
    ) -> None:  # fmt: skip
        super().__init__(architecture, field_scale, force_scale)
        self.plain, self.augmented = plain, plain.augmented  # type: ignore[misc]
        count = len(architecture.inputs)
        degrees = itertools.product(range(ORDER + 1), repeat=count)
        self.degrees = [degree for degree in degrees if 0 < sum(degree) <= ORDER]
        self.changes = nn.ModuleList(_zeros_like(plain) for _ in self.degrees)
        self.least: torch.Tensor
        self.most: torch.Tensor
        self.register_buffer("least", torch.ones(count))
        self.register_buffer("most", torch.ones(count))

    def span(self, conditions: torch.Tensor) -> None:
        """Take the span from the conditions of the training samples, (sample, inputs)."""
        self.least.copy_(conditions.amin(0))
        self.most.copy_(conditions.amax(0))

    def at(self, conditions: Mapping[str, float | None], beyond: bool = False) -> ForceNetwork:
        """The plain network for electrons under these conditions, by name; more than the inputs may be named.

        Raises ValueError where an input is not given, or is outside of the span and not allowed to be ``beyond``.
        """
        values = []
        for name, least, most in zip(self.architecture.inputs, self.least.tolist(), self.most.tolist(), strict=True):
            value = conditions.get(name)
            if value is None:
                given = ", ".join(key for key, one in conditions.items() if one is not None)
                raise ValueError(f"the network depends on {name}, which the model does not have: it has {given}")
            room = ROUNDING * max(abs(least), abs(most))
            if not least - room <= value <= most + room and not beyond:
                raise ValueError(
                    f"{name} = {value:.6g} is outside of {least:.6g} to {most:.6g}, on which the network was trained: train it "
                    f"there too, or use it as at the nearest border with extrapolate=True"
                )
            values.append(value)
        folded = copy.deepcopy(self.plain)
        with torch.no_grad():
            weights = self.weights(self.least.new_tensor(values))
            for name, weight in folded.named_parameters():
                weight.copy_(weights[name])
            folded.field_scale.copy_(self.field_scale)
            folded.force_scale.copy_(self.force_scale)
        return folded.train(self.training)

    def weights(self, conditions: torch.Tensor) -> dict[str, torch.Tensor]:
        """The plain network's weights, by name, under conditions (inputs,)."""
        factors = self._polynomials(conditions)
        return {
            name: sum((f * change.get_parameter(_key(name)) for f, change in zip(factors, self.changes, strict=True)), weight)
            for name, weight in self.plain.named_parameters()
        }

    def _polynomials(self, conditions: torch.Tensor) -> list[float]:
        """p_k of conditions (inputs,)."""
        angles = []
        for name, *values in zip(
            self.architecture.inputs, conditions.tolist(), self.least.tolist(), self.most.tolist(), strict=True
        ):
            value, least, most = (math.log(v) for v in values) if name in LOGARITHMIC else values
            place = (2.0 * value - least - most) / (most - least) if most > least else 0.0
            angles.append(math.acos(min(max(place, -1.0), 1.0)))
        return [GAIN * math.prod(math.cos(n * angle) for n, angle in zip(degree, angles, strict=True)) for degree in self.degrees]

    @property
    def _middle(self) -> torch.Tensor:
        logarithmic = [name in LOGARITHMIC for name in self.architecture.inputs]
        geometric, arithmetic = (self.least * self.most).abs().sqrt(), 0.5 * (self.least + self.most)
        return torch.where(torch.tensor(logarithmic, device=self.least.device), geometric, arithmetic)

    @property
    def receptive_radius(self) -> int:
        return self.plain.receptive_radius

    @property
    def multiply_adds(self) -> int:
        return self.plain.multiply_adds

    def calibrate(self, fields: torch.Tensor) -> None:
        self.plain.calibrate(fields / self.field_scale)

    def response(self, fields: torch.Tensor) -> torch.Tensor:
        return self._called("response", fields, self._middle)

    def periodic_response(self, fields: torch.Tensor) -> torch.Tensor:
        return self._called("periodic_response", fields, self._middle)

    def forward(self, fields: torch.Tensor, conditions: torch.Tensor | None = None) -> torch.Tensor:
        """Forces inside the halo of fields (batch, C, *lattice), each under conditions of its own (batch, inputs)."""
        return super().forward(fields) if conditions is None else self._each("response", fields, conditions)

    def on_torus(self, fields: torch.Tensor, conditions: torch.Tensor | None = None) -> torch.Tensor:
        """Forces (batch, C, *lattice) of fields (batch, C, *lattice), each under conditions of its own (batch, inputs)."""
        return super().on_torus(fields) if conditions is None else self._each("periodic_response", fields, conditions)

    def _each(self, method: str, fields: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        scaled = (fields / self.field_scale).split(1)
        return torch.cat([self._called(method, one, of) for one, of in zip(scaled, conditions, strict=True)]) * self.force_scale

    def _called(self, method: str, fields: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        """A method of the plain network with the weights for conditions (inputs,), differentiable by all of ours."""
        weights = {f"network.{name}": weight for name, weight in self.weights(conditions).items()}
        return torch.func.functional_call(_Method(self.plain, method), weights, (fields,))

    def expanded(self) -> nn.Module:
        return self.at(dict(zip(self.architecture.inputs, self._middle.tolist(), strict=True))).expanded()


class _Method(nn.Module):
    """A method of a network as a module, whose weights ``functional_call`` can replace."""

    def __init__(self, network: ForceNetwork, name: str) -> None:
        super().__init__()
        self.network, self.name = network, name

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        return getattr(self.network, self.name)(fields)


def _key(name: str) -> str:
    """The name of a weight as one of a dictionary of parameters, which has no dots."""
    return name.replace(".", "/")


def _zeros_like(network: nn.Module) -> nn.ParameterDict:
    """A zero for every weight of a network."""
    return nn.ParameterDict({_key(name): nn.Parameter(torch.zeros_like(weight)) for name, weight in network.named_parameters()})
