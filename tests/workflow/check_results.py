"""Check that a finished study's figures and numbers exist and are sane: python tests/workflow/check_results.py results/smoke"""

from __future__ import annotations

import json
import sys
from pathlib import Path

CHECKS = ("dynamics", "equilibrium", "conservation", "divergence", "timestep")
FIGURES = ("symmetry", "training", "parity", *CHECKS, "snapshots", "structure_factor", "growth", "collapse")


def problems(study: Path) -> list[str]:
    """What is missing or not believable, one line each."""
    found = []
    for name in FIGURES:
        for kind, start in (("svg", b"<?xml"), ("png", b"\x89PNG")):
            path = study / "figures" / f"{name}.{kind}"
            if not path.exists() or not path.read_bytes().startswith(start) or path.stat().st_size < 5000:
                found.append(f"{path} is missing or not a figure")
    summary = json.loads((study / "summary.json").read_text())
    if not summary["force_error"]["quench"]["relative"] < 0.3:
        found.append(f"the force error on quench data is {summary['force_error']['quench']['relative']:.2f}")
    if not summary["equivariance_error"] < 1e-5:
        found.append(f"the equivariance error is {summary['equivariance_error']:.1e}")
    if not all(0 < p <= 1 for p in summary["dynamics_p_values"].values()):
        found.append(f"impossible p-values {summary['dynamics_p_values']}")
    if "nan" in (study / "summary.md").read_text():
        found.append("the summary shows nan")
    return found


if __name__ == "__main__":
    found = problems(Path(sys.argv[1]))
    print("\n".join(found) or f"{sys.argv[1]}: {2 * len(FIGURES)} figure files and all numbers are there and sane")
    sys.exit(bool(found))
