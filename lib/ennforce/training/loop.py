"""The training loop: Adam with warm-up and cosine decay, weight averaging, validation, best model, checkpoint and resume."""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ennforce.io import write_atomically
from ennforce.networks.models import Architecture, EquivariantNetwork
from ennforce.training.dataset import Samples

WARM_UP = 0.03  # share of the steps
AVERAGING = 0.02  # window of the weight average, as a share of the steps
CLIP = 1.0  # norm to which gradients are cut


@dataclass(frozen=True)
class Recipe:
    steps: int
    batch: int
    learning_rate: float
    validate_every: int
    seed: int


@dataclass
class Trained:
    """The best network of a training and its history, rows (step, training loss, validation error), both relative."""

    network: EquivariantNetwork
    history: np.ndarray
    best_step: int


def fit(
    architecture: Architecture,
    training: Samples,
    validation: Samples,
    recipe: Recipe,
    *,
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    interval: float = 30.0,
    progress: Callable[[int, int, str], None] = lambda step, total, text: None,
    resumed: Callable[[int], None] = lambda step: None,
) -> Trained:
    """Train; the same arguments give the same weights on the same machine, interrupted or not.

    The validated and returned weights are an exponential average. With ``checkpoint``, the whole state of training is written
    there atomically every ``interval`` seconds, and a call that finds it goes on from it. Raises FloatingPointError, naming the
    step, if the loss is no longer finite.
    """
    torch.manual_seed(recipe.seed)
    spread = float(training.forces.std())
    network = EquivariantNetwork(architecture, float(training.fields.std()), spread).to(device)
    horizon = max(2.0, AVERAGING * recipe.steps)
    averaged = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(1.0 - 1.0 / horizon))
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step / recipe.steps))
    order = torch.Generator().manual_seed(recipe.seed)
    fields, forces = torch.as_tensor(training.fields, device=device), torch.as_tensor(training.forces, device=device)

    step, history, best_error, best_step, best = 0, [], math.inf, 0, {}
    saved = _load(checkpoint)
    if saved is not None:
        for part, state in ((network, "network"), (averaged, "averaged"), (optimiser, "optimiser"), (schedule, "schedule")):
            part.load_state_dict(saved[state])
        order.set_state(saved["order"])
        step, history, best_error, best_step, best = (saved[k] for k in ("step", "history", "best_error", "best_step", "best"))

    running, since, last_saved = 0.0, 0, time.monotonic()
    if saved is not None:
        running, since = saved["running"], saved["since"]
        resumed(step)
    while step < recipe.steps:
        chosen = torch.randint(len(fields), (recipe.batch,), generator=order).to(device)
        loss = ((network.on_torus(fields[chosen]) - forces[chosen]) ** 2).mean() / spread**2
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimiser.step()
        schedule.step()
        averaged.update_parameters(network)
        step += 1
        running, since = running + float(loss.detach()), since + 1
        if not math.isfinite(running):
            raise FloatingPointError(f"the loss is not finite at step {step}: use a smaller learning rate than {recipe.learning_rate}")
        if step % recipe.validate_every == 0 or step == recipe.steps:
            error = relative_error(averaged.module, validation, recipe.batch)
            history.append((step, math.sqrt(running / since), error))
            running, since = 0.0, 0
            if error < best_error:
                best_error, best_step = error, step
                best = {name: value.detach().clone() for name, value in averaged.module.state_dict().items()}
        latest = f"validation {history[-1][2]:.2%}" if history else "validation pending"
        progress(step, recipe.steps, latest)
        if checkpoint is not None and time.monotonic() - last_saved > interval:
            state = {
                "network": network.state_dict(), "averaged": averaged.state_dict(), "optimiser": optimiser.state_dict(),
                "schedule": schedule.state_dict(), "order": order.get_state(), "step": step, "history": history,
                "best_error": best_error, "best_step": best_step, "best": best, "running": running, "since": since,
            }  # fmt: skip
            write_atomically(checkpoint, lambda path, state=state: torch.save(state, path))
            last_saved = time.monotonic()
    network.load_state_dict(best)
    return Trained(network.cpu().eval(), np.array(history), best_step)


@torch.no_grad()
def predict(network: EquivariantNetwork, fields: np.ndarray, batch: int = 8) -> np.ndarray:
    """Predicted target forces of (sample, component, Ly, Lx) fields."""
    device = next(network.parameters()).device
    parts = [network.on_torus(torch.as_tensor(fields[n : n + batch], device=device)).cpu().numpy() for n in range(0, len(fields), batch)]
    return np.concatenate(parts)


def relative_error(network: EquivariantNetwork, samples: Samples, batch: int) -> float:
    """RMSE over the standard deviation of the true force."""
    residual = predict(network, samples.fields, batch) - samples.forces
    return float(np.sqrt(np.mean(residual.astype(float) ** 2)) / samples.forces.astype(float).std())


def _rate(done: float) -> float:
    """Share of the full learning rate: linear warm-up, then half a cosine down to zero."""
    return min(1.0, (done + 1e-3) / WARM_UP) * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


def _load(checkpoint: str | Path | None) -> dict | None:
    """A training state, or None where there is none or it cannot be read: then training starts afresh."""
    if checkpoint is None or not Path(checkpoint).exists():
        return None
    try:
        return torch.load(checkpoint, weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError):
        return None
