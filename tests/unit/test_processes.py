"""Training in two processes that torchrun starts: the weights of one, to rounding.

Run as a module, this file is the program that torchrun starts.
"""

import functools
import itertools
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from ennforce import processes
from ennforce.networks import Architecture
from ennforce.training import loop
from ennforce.training.dataset import Samples

ROOT = Path(__file__).parents[2]
# Kind, batch and crop: shares of two and two, of two and one; a batch that is moved by one element on all; a force by autograd;
# crops of 4 x 4 sites.
CASES: list[tuple] = [("enn", 4), ("enn", 3), ("cnn_augmented", 2), ("enn_energy", 2), ("enn", 3, 4)]
STEPS = 12


def trained(kind: str, batch: int, crop: int | None = None, **options) -> loop.Trained:
    fields = np.random.default_rng(0).normal(size=(6, 1, 8, 8)).astype(np.float32)
    samples = Samples(fields, np.tanh(fields + 0.3 * np.roll(fields, 1, -1)))
    architecture = Architecture(kind=kind, width=1, depth=1, first_radius=1)
    values = {name: options.pop(name) for name in ("steps", "seconds") if name in options}
    recipe = loop.Recipe(
        **{"steps": STEPS, "batch": batch, "learning_rate": 1e-2, "validate_every": 5, "seed": 3, "crop": crop} | values
    )
    return loop.fit(architecture, samples, samples, recipe, **options)


def smoothly(*case) -> loop.Trained:
    """By an optimiser smooth in the gradient: the first bases of SOAP are of degenerate matrices, where rounding decides."""
    with mock.patch.object(loop, "SOAP", functools.partial(torch.optim.Adam, eps=1e-3)):
        return trained(*case)


class Killed(Exception):
    pass


def kill(step, total, text):
    if step == 7:
        raise Killed


def program(folder: Path) -> None:
    with processes.joined():
        number = processes.number()
        results = [smoothly(*case) for case in CASES]
        results.append(trained("enn", 4))
        # Process 1 has no checkpoint of its own: it takes up what process 0 reads.
        state = folder / f"state-{number}"
        with pytest.raises(Killed):
            trained("enn", 4, checkpoint=state, interval=0.0, progress=kill)
        assert state.exists() == (number == 0)
        results.append(trained("enn", 4, checkpoint=state))
        # Clocks of 1/128 s a reading, that of process 1 twice as fast: they have to agree on one.
        ticks = itertools.count()
        with mock.patch.object(loop.time, "process_time", lambda: next(ticks) * (1 + number) / 128):
            results.append(trained("enn", 2, steps=10**6, seconds=0.5))
        with pytest.raises(ValueError, match="a batch of 1 cannot be shared out over 2 processes"):
            trained("enn", 1)
        torch.save([(result.network.state_dict(), result.history.tolist()) for result in results], folder / f"{number}.pt")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run([*launcher, "--module", __name__, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder / f"{number}.pt", weights_only=True) for number in (0, 1)]


def assert_same(one, other, **tolerance):
    np.testing.assert_allclose(one[1], other[1], **tolerance)
    for name, weight in one[0].items():
        scale = float(weight.abs().max())
        np.testing.assert_allclose(weight / scale, other[0][name] / scale, **tolerance)


def test_two_processes_find_the_weights_of_one(results):
    for case, found in zip(CASES, results[0], strict=False):
        alone = smoothly(*case)
        assert_same((alone.network.state_dict(), alone.history), found, rtol=0, atol=3e-6)


def test_all_processes_have_the_same_weights_and_history(results):
    for first, second in zip(*results, strict=True):
        assert_same(first, second, rtol=0, atol=0)


def test_processes_that_were_killed_go_on_to_the_same_weights(results):
    undisturbed, resumed = results[0][len(CASES) : len(CASES) + 2]
    assert_same(undisturbed, resumed, rtol=0, atol=0)


def test_a_training_by_time_ends_for_all_at_once(results):
    _, history = results[0][-1]
    assert len(history) == loop.VALIDATIONS and history[-1][0] == 64


if __name__ == "__main__":
    program(Path(sys.argv[1]))
