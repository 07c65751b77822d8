"""SOAP on problems whose answer is known."""

import pytest
import torch
from torch import nn

from ennforce.training.optimiser import SOAP


def least_squares(optimiser, steps: int) -> float:
    """Excess loss of a matrix fitted to badly scaled inputs in a rotated basis: hard for Adam, easy in the eigenbasis."""
    torch.manual_seed(0)
    rotation = torch.linalg.qr(torch.randn(12, 12)).Q
    inputs = torch.randn(400, 12) @ torch.diag(torch.logspace(0, -2, 12)) @ rotation
    target = torch.randn(6, 12)
    weight = nn.Parameter(torch.zeros(6, 12))
    stepper = optimiser([weight])
    for step in range(steps):
        for group in stepper.param_groups:
            group["lr"] = 0.1 * (1 - step / steps)
        stepper.zero_grad()
        loss = ((inputs @ (weight - target).T) ** 2).mean()
        loss.backward()
        stepper.step()
    return float(loss.detach())


def test_soap_solves_what_adam_crawls_on():
    assert least_squares(lambda p: SOAP(p, lr=0.1), 300) < 0.1 * least_squares(lambda p: torch.optim.Adam(p, lr=0.1), 300)


def test_state_survives_saving(tmp_path):
    def problem():
        torch.manual_seed(1)
        weights = [nn.Parameter(torch.randn(3, 4, 5)), nn.Parameter(torch.randn(7)), nn.Parameter(torch.randn(2, 600))]
        return weights, SOAP(weights, lr=0.01, every=3)

    def advance(weights, optimiser, steps):
        for step in steps:
            generator = torch.Generator().manual_seed(step)
            for weight in weights:
                weight.grad = torch.randn(weight.shape, generator=generator)
            optimiser.step()

    weights, optimiser = problem()
    advance(weights, optimiser, range(10))
    torch.save(optimiser.state_dict(), tmp_path / "state")
    others = [nn.Parameter(w.detach().clone()) for w in weights]
    resumed = SOAP(others, lr=0.01, every=3)
    resumed.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    advance(weights, optimiser, range(10, 17))
    advance(others, resumed, range(10, 17))
    assert all(torch.equal(a, b) for a, b in zip(weights, others, strict=True))


def test_gradients_that_nearly_vanish_leave_weights_finite():
    """As of the biases of saturated activations: on covariances of numbers so small LAPACK gives up in single precision."""
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        small = 10.0 ** -(6.0 + 40.0 * torch.rand(48, generator=generator)) * (torch.rand(48, generator=generator) < 0.4)
        weight = nn.Parameter(torch.zeros(48))
        optimiser = SOAP([weight], lr=0.1)
        for _ in range(3):
            weight.grad = small.clone()
            optimiser.step()
        assert bool(torch.isfinite(weight).all())


def test_weights_that_nothing_holds_shrink():
    weight = nn.Parameter(torch.ones(3, 4))
    optimiser = SOAP([weight], lr=0.1, weight_decay=0.5)
    for _ in range(5):
        weight.grad = torch.zeros(3, 4)
        optimiser.step()
    torch.testing.assert_close(weight.detach(), torch.full((3, 4), 0.95**4))  # the first step only collects


def test_closures_are_refused():
    with pytest.raises(ValueError, match="no closure"):
        SOAP([nn.Parameter(torch.zeros(2))], lr=0.1).step(lambda: None)


def test_weights_of_equal_shape_are_stepped_as_each_by_itself():
    """Also where one of them is left out of some steps, and lags behind from then on."""
    shapes = [(3, 4), (3, 2, 2), (7,), (7,), (2, 600), (1,), (3, 4)]
    torch.manual_seed(0)
    together = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    apart = [nn.Parameter(weight.detach().clone()) for weight in together]
    optimisers = [SOAP(together, lr=0.01, every=3), *(SOAP([weight], lr=0.01, every=3) for weight in apart)]
    for step in range(20):
        for number, (one, other) in enumerate(zip(together, apart, strict=True)):
            left_out = number == 1 and step in (0, 8, 9)
            one.grad = None if left_out else torch.randn(one.shape) + one.detach()
            other.grad = None if one.grad is None else one.grad.clone()
        for optimiser in optimisers:
            optimiser.step()
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
