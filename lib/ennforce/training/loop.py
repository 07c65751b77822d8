"""The training loop: SOAP, learning rate by schedule or by plateaus, weight averaging, validation, checkpoint and resume."""

from __future__ import annotations

import contextlib
import copy
import functools
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch

from ennforce import processes
from ennforce.io import DataError, one_line, write_atomically
from ennforce.networks import Architecture, ForceNetwork, build
from ennforce.networks.compiled.inference import native
from ennforce.networks.conditioned import ConditionedNetwork
from ennforce.networks.tensors import alike, read_tensors, write_tensors
from ennforce.training.augmentation import augmented
from ennforce.training.dataset import Samples
from ennforce.training.gradients import TorchGradients, gradients_of
from ennforce.training.optimiser import SOAP

log = logging.getLogger("ennforce")
WARM_UP = 0.03  # share of the steps
AVERAGING = 0.02  # window of the weight average, as a share of the steps
CLIP = 1.0  # norm to which gradients are cut
DECAY = 1e-3  # share by which a step at the full rate shrinks weights: long trainings made networks steep (docs/networks.md)
VALIDATIONS = 10  # of a training by time
# Of a training with patience, which knows no end beforehand.
FIRST_STEPS = 100  # of the warm-up
IMPROVEMENT = 0.01  # share by which the validation error must fall to count as better
REDUCTION = 1 / 3  # of the learning rate on a plateau
CROPS = 4  # in place of a whole configuration
RECENT = 0.1  # window of the weight average, as a share of the steps so far


@dataclass(frozen=True)
class Recipe:
    """How to train, at most for ``steps`` and ``seconds``; batch and ``validate_every`` in configurations and steps.

    By ``seconds`` of CPU time, learning rate, average and validations follow what of it was spent on steps. With ``patience``, a
    number of validations, the rate falls on plateaus and the training ends when that no longer helps (``plateaus``); what has
    been done then does not depend on the bounds. With ``crop``, a step learns from ``CROPS`` parts of that many sites along each
    axis, anywhere in as many configurations, in place of each whole one: more configurations then share the work of a step.
    Lattices less than twice as long, and networks that reach further than a crop, learn from whole ones nevertheless.
    """

    steps: int
    batch: int
    learning_rate: float
    validate_every: int
    seed: int
    seconds: float | None = None
    patience: int | None = None
    crop: int | None = None

    def cropped(self, shape: Sequence[int], reach: int) -> Recipe:
        """What is done on lattices of ``shape`` by a network of this reach: crops that take the place of the batch, or none."""
        if self.crop is None or min(shape) < 2 * self.crop or reach > self.crop:
            return replace(self, crop=None)
        return replace(self, batch=CROPS * self.batch)


@dataclass
class Trained:
    """The best network of a training, its history, rows (step, training error, validation error), and its end.

    Errors are those of ``relative_error``. ``seconds``: CPU time spent on steps up to each row. ``stopped``: by "patience", "time"
    or "steps".
    """

    network: ForceNetwork
    history: np.ndarray
    best_step: int
    seconds: np.ndarray
    stopped: str


def plateaus(errors: Sequence[float], patience: int) -> tuple[int, bool]:
    """How often the learning rate was reduced after these validation errors, and whether the training is over.

    The rate falls when ``patience`` validations in a row have not lowered the error by ``IMPROVEMENT``; when they have not even
    at a rate just reduced, the training is over.
    """
    reference, waited, reductions, better = math.inf, 0, 0, True
    for error in errors:
        if error < (1.0 - IMPROVEMENT) * reference:
            reference, waited, better = error, 0, True
        else:
            waited += 1
        if waited == patience:
            if not better:
                return reductions, True
            reductions, waited, better = reductions + 1, 0, False
    return reductions, False


def fit(
    architecture: Architecture,
    training: Samples,
    validation: Samples,
    recipe: Recipe,
    *,
    start: ForceNetwork | None = None,
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    interval: float = 30.0,
    progress: Callable[[int, int, str], None] = lambda step, total, text: None,
    resumed: Callable[[int], None] = lambda step: None,
) -> Trained:
    """Train; the same arguments give the same weights on the same machine, interrupted or not, unless the recipe has ``seconds``.

    ``start``: a network of this architecture, from whose weights and scales training goes on; else they are drawn.
    The validated and returned weights are an exponential average. With ``checkpoint``, the whole state of training is written
    there atomically every ``interval`` seconds, and a call that finds it goes on from it, telling ``resumed`` the step. Called by
    several processes at once (``processes.joined``), each computes its share of every batch, and all return the weights that one
    alone would find, to rounding; process 0 validates, reads and writes. Raises FloatingPointError, naming the step, if the loss
    is no longer finite, and ValueError for a batch smaller than the number of processes, or a start of another architecture.
    """
    run = _resumed(lambda: _Training(architecture, training, validation, recipe, device, start), checkpoint)
    resumed(run.step)
    last_saved = time.monotonic()
    with _single_thread(not isinstance(run.gradients, TorchGradients)):
        while not run.finished:
            started = time.process_time()  # equal time is then equal computing, whatever else the machine does
            run.advance()
            run.elapsed += time.process_time() - started
            if recipe.seconds is not None:
                run.elapsed = processes.from_first(lambda: run.elapsed)  # one clock, or they would not stop together
            if run.due:
                run.validate()
            text = f"validation {run.history[-1][2]:.2%}" if run.history else "validation pending"
            progress(run.step, math.ceil(run.planned), text)
            if checkpoint is not None and processes.number() == 0 and time.monotonic() - last_saved > interval:
                write_atomically(checkpoint, functools.partial(write_tensors, run.state()))
                last_saved = time.monotonic()
    run.network.load_state_dict(run.best)
    return Trained(run.network.cpu().eval(), np.array(run.history), run.best_step, np.array(run.times), run.stopped)


@contextlib.contextmanager
def _single_thread(wanted: bool) -> Iterator[None]:
    """Torch with one thread: beside compiled gradients it has small tensors alone, which more threads make slower."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if wanted else threads)
        yield
    finally:
        torch.set_num_threads(threads)


class _Training:
    """Everything that changes while a network is trained."""

    def __init__(
        self, architecture: Architecture, training: Samples, validation: Samples, recipe: Recipe, device: str,
        start: ForceNetwork | None = None,
    ) -> None:  # fmt: skip
        if start is not None and start.architecture != architecture:
            raise ValueError(
                f"training cannot go on from a network of another architecture, {start.architecture} instead of {architecture}: "
                "use the settings of that network (section network), or no start"
            )
        if recipe.batch < processes.count():
            raise ValueError(
                f"a batch of {recipe.batch} cannot be shared out over {processes.count()} processes: use a batch of at least "
                f"{processes.count()}, or fewer processes"
            )
        torch.manual_seed(recipe.seed)
        self.validation, self.device = validation, device
        self.fields = torch.as_tensor(training.fields, device=device)
        self.forces = torch.as_tensor(training.forces, device=device)
        self.weights = torch.as_tensor(training.weights(), dtype=self.forces.dtype, device=device)
        self.network = build(architecture, float(training.fields.std()), float(training.forces.std())).to(device)
        self.recipe = recipe = recipe.cropped(training.fields.shape[2:], self.network.receptive_radius)
        self.conditions = None if training.conditions is None else torch.as_tensor(training.conditions, device=device)
        if start is None:
            self.network.calibrate(self.fields)
            if self.conditions is not None:
                cast(ConditionedNetwork, self.network).span(self.conditions)
        else:
            self.network.load_state_dict(start.state_dict())
        self.step = self.best_step = self.since = 0
        self.elapsed = 0.0  # seconds of CPU time spent on steps; validation does not count
        self.gradients = gradients_of(self.network, halo=recipe.crop is not None)
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        # Listed once: to walk through the modules of a network takes as long as a step of its average.
        self.parameters, self.averages = list(self.network.parameters()), list(self.averaged.parameters())
        self.history: list[tuple[int, float, float]] = []
        self.times: list[float] = []  # elapsed at each row of the history
        self.optimiser = SOAP(self.network.parameters(), lr=recipe.learning_rate, weight_decay=DECAY / recipe.learning_rate)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, lambda step: self.rate(step))
        self.order = torch.Generator().manual_seed(recipe.seed)
        self.best_error, self.loss = math.inf, 0.0  # loss: summed over the ``since`` steps since the last validation
        self.best: dict[str, torch.Tensor] = {}

    def share(self, step: int) -> float:
        """How much of the training is done after ``step`` steps, from 0 to 1."""
        return step / self.recipe.steps if self.recipe.seconds is None else self.elapsed / self.recipe.seconds

    def rate(self, step: int) -> float:
        """Share of the full learning rate after ``step`` steps."""
        if self.recipe.patience is None:
            return _rate(self.share(step))
        return min(1.0, (step + 1) / FIRST_STEPS) * REDUCTION ** self.plateaus[0]

    @property
    def plateaus(self) -> tuple[int, bool]:
        return (0, False) if self.recipe.patience is None else plateaus([row[2] for row in self.history], self.recipe.patience)

    @property
    def stopped(self) -> str:
        """What has ended the training, if anything has."""
        if self.plateaus[1]:
            return "patience"
        if self.step >= self.recipe.steps:
            return "steps"
        return "time" if self.share(self.step) >= 1.0 else ""

    @property
    def finished(self) -> bool:
        return self.stopped != ""

    @property
    def planned(self) -> float:
        """Steps in all, as far as it can be told now."""
        if self.recipe.seconds is None or self.elapsed == 0.0:
            return self.recipe.steps
        return self.step if self.finished else min(self.recipe.steps, self.step / self.share(self.step))

    @property
    def due(self) -> bool:
        """Whether to validate now."""
        if self.finished or self.recipe.seconds is None or self.recipe.patience is not None:
            return self.finished or self.step % self.recipe.validate_every == 0
        return self.share(self.step) >= (len(self.history) + 1) / VALIDATIONS

    def advance(self) -> None:
        """One step of the optimiser."""
        chosen = torch.randint(len(self.fields), (self.recipe.batch,), generator=self.order)
        # Every process draws the same numbers and takes its share of them; shares may differ by one configuration.
        chosen = chosen.tensor_split(processes.count())[processes.number()].to(self.device)
        # Losses and gradients are averaged over the processes, which gives all configurations of the batch the same weight.
        share = len(chosen) * processes.count() / self.recipe.batch
        fields, forces, weights = self.fields[chosen], self.forces[chosen], share * self.weights[chosen]
        if self.network.augmented:
            fields, forces = augmented(fields, forces, self.order)
        if self.recipe.crop is not None:
            places = torch.randint(2**31, (self.recipe.batch, fields.dim() - 2), generator=self.order)
            mine = places.tensor_split(processes.count())[processes.number()]
            fields = windows(fields, mine - self.network.receptive_radius, self.recipe.crop + 2 * self.network.receptive_radius)
            forces = windows(forces, mine, self.recipe.crop)
        told = () if self.conditions is None else (self.conditions[chosen],)
        value = processes.mean(self.gradients(fields, forces, weights, *told))
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the loss is not finite at step {self.step + 1}: use a smaller learning rate than {self.recipe.learning_rate}, "
                "or, if training was resumed, delete the state it went on from"
            )
        cut([weight.grad for weight in self.parameters if weight.grad is not None], CLIP)
        self.optimiser.step()
        self.schedule.step()
        window = AVERAGING * self.planned if self.recipe.patience is None else RECENT * self.step
        with torch.no_grad():
            torch._foreach_lerp_([*self.averages], [*self.parameters], 1.0 if self.step == 0 else 1.0 / max(2.0, window))
        self.step, self.since, self.loss = self.step + 1, self.since + 1, self.loss + value

    def validate(self) -> None:
        """Add a row to the history; keep the averaged weights if they are the best so far."""
        error = processes.from_first(lambda: relative_error(self.averaged, self.validation))
        self.history.append((self.step, math.sqrt(self.loss / self.since), error))
        self.times.append(self.elapsed)
        self.loss, self.since = 0.0, 0
        if error < self.best_error:
            self.best_error, self.best_step = error, self.step
            self.best = {name: value.detach().clone() for name, value in self.averaged.state_dict().items()}

    PARTS = ("network", "averaged", "optimiser", "schedule")
    VALUES = ("step", "best_step", "since", "history", "times", "best_error", "loss", "best", "elapsed")

    def state(self) -> dict:
        parts = {name: getattr(self, name).state_dict() for name in self.PARTS}
        return {**parts, **{name: getattr(self, name) for name in self.VALUES}, "order": self.order.get_state()}

    def restore(self, state: dict) -> None:
        """Take over a state as ``state()`` gives it; raises, before or after changes, if it is not one of this training."""
        fresh = self.state()
        for name, value in fresh.items():
            found = state[name]
            if name == "best":
                fits = found == {} if not state["history"] else alike(found, dict(self.network.state_dict()))
            elif name == "history":
                fits = isinstance(found, list) and all(alike(row, (0, 0.0, 0.0)) for row in found)
            elif name == "times":
                fits = alike(found, [0.0] * len(state["history"]))
            elif name == "optimiser":  # its state is looked at by the optimiser itself
                fits = alike(found["param_groups"], value["param_groups"])
            else:
                fits = alike(found, value)
            if not fits:
                raise ValueError(f"{name} is not that of this training")
        steps = [state["step"], state["since"], state["best_step"], state["schedule"]["last_epoch"] - state["step"]]
        if not (0 <= steps[0] <= self.recipe.steps and 0 <= steps[1] <= steps[0] and 0 <= steps[2] <= steps[0] and steps[3] == 0):
            raise ValueError(f"step {state['step']} is none of this training")
        if not (0.0 <= state["elapsed"] < math.inf and math.isfinite(state["loss"])):
            raise ValueError("its times or losses are not finite")
        for name in self.PARTS:
            getattr(self, name).load_state_dict(state[name])
        for name in self.VALUES:
            setattr(self, name, state[name])
        self.order.set_state(state["order"])


def _resumed(fresh: Callable[[], _Training], checkpoint: str | Path | None) -> _Training:
    """The training that a checkpoint holds, or a fresh one where there is none, or none that is whole and of this training."""
    run, saved = fresh(), processes.from_first(lambda: _saved(checkpoint))
    if saved is None:
        return run
    try:
        run.restore(saved)
    except Exception as error:  # whatever torch makes of a foreign state
        log.info("the saved training cannot be resumed (%s): training starts afresh", one_line(error))
        return fresh()
    return run


def _saved(checkpoint: str | Path | None) -> dict | None:
    """The content of a checkpoint, or None where there is none, or none that is whole."""
    if checkpoint is None or not Path(checkpoint).exists():
        return None
    try:
        return read_tensors(checkpoint)
    except DataError as error:
        log.info("%s cannot be resumed (%s): training starts afresh", Path(checkpoint).name, one_line(error))
        return None


def windows(values: torch.Tensor, places: torch.Tensor, side: int) -> torch.Tensor:
    """Cubes (batch, C, side, ...) out of periodic values (batch, C, *lattice), each from its place (batch, axis) on."""
    for axis in range(places.shape[1]):
        sites = (places[:, axis, None] + torch.arange(side)) % values.shape[2 + axis]
        index = sites.to(values.device).view(len(values), 1, *(side if n == axis else 1 for n in range(places.shape[1])))
        values = values.take_along_dim(index, 2 + axis)
    return values


@torch.no_grad()
def cut(gradients: list[torch.Tensor], limit: float) -> None:
    """Shorten gradients, all by one factor, so that their norm, taken of all together, is at most ``limit``."""
    norm = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))))
    if norm > limit:
        torch._foreach_mul_(gradients, limit / norm)


@torch.no_grad()
def predict(network: ForceNetwork, fields: np.ndarray, conditions: np.ndarray | None = None, batch: int = 8) -> np.ndarray:
    """Predicted target forces of (sample, component, Ly, Lx) fields, of electrons under conditions (sample, inputs)."""
    device = next(network.parameters()).device
    given = [torch.as_tensor(values, device=device) for values in (fields, conditions) if values is not None]
    call = (native(network) or network).on_torus
    parts = [call(*some).cpu().numpy() for some in zip(*(values.split(batch) for values in given), strict=True)]
    return np.concatenate(parts)


def relative_error(network: ForceNetwork, samples: Samples) -> float:
    """The measure that training makes small: root mean square over configurations of error by rms force (``Samples.weights``)."""
    residual = (predict(network, samples.fields, samples.conditions) - samples.forces).astype(float)
    return float(np.sqrt(np.mean((residual**2).reshape(len(samples), -1).mean(axis=1) * samples.weights())))


def _rate(done: float) -> float:
    """Share of the full learning rate: linear warm-up, then half a cosine down to zero."""
    return min(1.0, (done + 1e-3) / WARM_UP) * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))
