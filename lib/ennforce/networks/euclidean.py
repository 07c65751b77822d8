"""An E(3)-equivariant message-passing network on the lattice's sites as points of the plane z = 0 (after Batzner et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from ennforce.lattice import Lattice, Shift
from ennforce.networks.base import Architecture
from ennforce.networks.odd import OddNetwork

CUTOFF = 2.3  # lattice constants: the shells at 1, sqrt 2, 2 and sqrt 5
RADIUS = 2  # reach of these shells along an axis
DEGREES = (0, 1, 2)  # l of the features and of the spherical harmonics; parity is (-1)^l throughout
RADIAL = 8  # radial functions, and units of the hidden layer that follows them


def neighbours() -> list[Shift]:
    """Shifts to the sites within the cutoff, nearest first, without the site itself."""
    return list(Lattice("square", (1, 1)).ball(CUTOFF)[1:])


def couplings(degrees_in: Iterable[int], degrees_out: Iterable[int]) -> dict[tuple[int, int, int], torch.Tensor]:
    """Couplings of a neighbour's feature to the harmonic of its direction: (l_in, l_harmonic, l_out) to (neighbours, d_out, d_in).

    Raises ImportError where e3nn is not installed.
    """
    try:
        from e3nn import o3
    except ImportError as error:
        raise ImportError("network kind 'euclidean' needs e3nn: pip install \"ennforce[euclidean]\"") from error
    positions = torch.tensor([(x, y, 0.0) for y, x in neighbours()], dtype=torch.float64)
    result = {}
    for l_in in degrees_in:
        for l_sh in DEGREES:
            harmonics = o3.spherical_harmonics(l_sh, positions, normalize=True, normalization="component")
            for l_out in degrees_out:
                if abs(l_in - l_sh) <= l_out <= l_in + l_sh and (l_in + l_sh + l_out) % 2 == 0:
                    symbol = o3.wigner_3j(l_in, l_sh, l_out, dtype=torch.float64) * (2 * l_out + 1) ** 0.5
                    result[l_in, l_sh, l_out] = torch.einsum("ish,ns->nhi", symbol, harmonics)
    return result


def dimension(channels: dict[int, int]) -> int:
    """Components of ``channels``, copies by degree."""
    return sum((2 * degree + 1) * copies for degree, copies in channels.items())


class MessageConv(nn.Module):
    """Sum over neighbours of W(|s|) [h(r + s) x Y(s)], and a linear map of h(r): on a lattice one convolution with a typed filter.

    ``channels_in`` and ``channels_out``: copies of each degree l; weights W are a small network's function of the distance.
    """

    def __init__(self, channels_in: dict[int, int], channels_out: dict[int, int]) -> None:
        super().__init__()
        self.channels_in, self.channels_out = channels_in, channels_out
        self.paths = []
        for path, basis in couplings(channels_in, channels_out).items():
            self.paths.append(path)
            self.register_buffer("coupling_" + "_".join(map(str, path)), basis, persistent=False)
        sizes = [channels_out[out] * channels_in[l_in] for l_in, _, out in self.paths]
        distances = torch.tensor([math.hypot(*shift) for shift in neighbours()])
        centres = torch.linspace(0.0, CUTOFF, RADIAL)
        self.radial: torch.Tensor
        self.register_buffer("radial", torch.exp(-((distances[:, None] - centres) ** 2) / (CUTOFF / RADIAL)), persistent=False)
        self.hidden = nn.Linear(RADIAL, RADIAL)
        self.weights = nn.Linear(RADIAL, sum(sizes), bias=False)
        self.own = nn.ParameterDict()
        for degree in sorted(channels_in.keys() & channels_out.keys()):
            weight = torch.randn(channels_out[degree], channels_in[degree])
            self.own[str(degree)] = nn.Parameter(weight * channels_in[degree] ** -0.5)
        self.bias = nn.Parameter(torch.zeros(channels_out[0]))
        self.sizes = sizes
        incoming = {degree: sum(channels_in[i] for i, _, out in self.paths if out == degree) for degree in channels_out}
        self.gains = [(len(distances) * incoming[out]) ** -0.5 for _, _, out in self.paths]
        nn.init.normal_(self.weights.weight, std=2.0 * RADIAL**-0.5)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds per site of the dense convolution that is run, corners of its square included."""
        inputs, outputs = dimension(self.channels_in), dimension(self.channels_out)
        return inputs * outputs * (2 * RADIUS + 1) ** 2

    def filter(self) -> torch.Tensor:
        """The plain filter (C_out, C_in, 5, 5); channels run degree by degree, copy by copy."""
        size = 2 * RADIUS + 1
        radial = self.weights(functional.silu(self.hidden(self.radial.to(self.bias.dtype)))).split(self.sizes, dim=1)
        blocks = {}
        for l_out, n_out in self.channels_out.items():
            for l_in, n_in in self.channels_in.items():
                blocks[l_out, l_in] = self.bias.new_zeros(n_out, 2 * l_out + 1, n_in, 2 * l_in + 1, size, size)
        dy, dx = torch.tensor(neighbours(), device=self.bias.device).T + RADIUS
        for path, weight, gain in zip(self.paths, radial, self.gains, strict=True):
            l_in, _, l_out = path
            weight = weight.reshape(-1, self.channels_out[l_out], self.channels_in[l_in])
            basis = getattr(self, "coupling_" + "_".join(map(str, path))).to(weight.dtype)
            blocks[l_out, l_in][..., dy, dx] += gain * torch.einsum("noi,nhk->ohikn", weight, basis)
        for degree, weight in self.own.items():
            identity = torch.eye(2 * int(degree) + 1, dtype=weight.dtype, device=weight.device)
            blocks[int(degree), int(degree)][..., RADIUS, RADIUS] += torch.einsum("oi,hk->ohik", weight, identity)
        return torch.cat(
            [torch.cat([blocks[o, i].flatten(2, 3).flatten(0, 1) for i in self.channels_in], dim=1) for o in self.channels_out]
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        bias = functional.pad(self.bias, (0, dimension(self.channels_out) - len(self.bias)))  # scalars come first
        return functional.conv2d(features, self.filter(), bias)


class EuclideanNetwork(OddNetwork):
    """``euclidean``: layers of messages over all neighbours within 2.3 lattice constants and gates, read out from the scalars.

    Features are ``width`` copies of 0e, 1o and 2e, scalars alone after the last of ``depth`` layers; the reach is 2 ``depth``.
    Exactly equivariant under every rotation and reflection, those of the lattice included, and exactly odd (antisymmetrised).
    Components that change sign under z -> -z stay zero and are computed all the same, as such networks do. Raises ImportError
    without e3nn.
    """

    def __init__(self, architecture: Architecture, field_scale: float = 1.0, force_scale: float = 1.0) -> None:
        super().__init__(architecture, field_scale, force_scale)
        width, depth = architecture.width, architecture.depth
        hidden = dict.fromkeys(DEGREES, width)
        gated = hidden | {0: width * len(DEGREES)}  # scalars, then a gate for every copy of the other degrees
        inputs, outputs = [{0: 1}, *[hidden] * (depth - 1)], [*[gated] * (depth - 1), {0: width}]
        self.layers = nn.ModuleList(MessageConv(*channels) for channels in zip(inputs, outputs, strict=True))
        self.readout = nn.Conv2d(width, 1, 1, bias=False)

    @property
    def receptive_radius(self) -> int:
        return RADIUS * self.architecture.depth

    @property
    def multiply_adds_of_one_sign(self) -> int:
        return sum(cast(MessageConv, layer).multiply_adds for layer in self.layers) + self.architecture.width

    def response_of_one_sign(self, fields: torch.Tensor) -> torch.Tensor:
        features = fields
        for layer in self.layers:
            update = self._gate(layer(features))
            kept = features[:, : update.shape[1], RADIUS:-RADIUS, RADIUS:-RADIUS]  # the last layer keeps the scalars
            features = update + kept if kept.shape == update.shape else update
        return self.readout(features)

    def _gate(self, features: torch.Tensor) -> torch.Tensor:
        """SiLU of the scalars; every copy of a higher degree times one sigmoid."""
        width = self.architecture.width
        if features.shape[1] == width:
            return functional.silu(features)
        sizes = [(2 * degree + 1) * width for degree in DEGREES[1:]]
        scalars, gates, *others = features.split([width, len(sizes) * width, *sizes], dim=1)
        gated = [
            (other.unflatten(1, (width, -1)) * torch.sigmoid(gate)[:, :, None]).flatten(1, 2)
            for other, gate in zip(others, gates.split(width, dim=1), strict=True)
        ]
        return torch.cat([functional.silu(scalars), *gated], dim=1)
