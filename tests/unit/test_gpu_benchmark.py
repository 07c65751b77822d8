"""The benchmark of a GPU runs where there is one; here its code is tried on the processor."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so_and_ends():
    done = run()
    assert done.returncode == 0 and done.stdout == "no CUDA device on this machine: nothing is measured\n"


def test_its_code_runs_on_any_device(tmp_path):
    done = run("--device", "cpu", "--trial", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    text = (tmp_path / "gpu.md").read_text()
    assert all(part in text for part in ("## Training", "| 64 x 64 |", "### `default`", "| solver within 0.1, sampled |"))
