"""A quench of one lattice too large for one machine, with network forces: start it with torchrun, outside Snakemake.

torchrun --nproc-per-node 2 scripts/giant.py results/default/models/enn --shape 1024 1024 --steps 100 --output results/giant.nc
"""

import argparse
import json
import logging
import os
from pathlib import Path

import numpy as np
import xarray as xr

from ennforce import processes
from ennforce.auditing import Audit
from ennforce.corrected import FollowingForces
from ennforce.dynamics import Recorder, State, log_spaced_steps
from ennforce.dynamics.distributed import quench_in_slabs
from ennforce.forces import NetworkForces
from ennforce.io import file_digest, provenance, read_json, text_digest, write_dataset
from ennforce.observables import Observer, observables_of
from ennforce.sections import Bath
from ennforce.supervision import Audit as AuditSettings
from ennforce.workflow import set_threads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of the trained network")
    parser.add_argument(
        "--shape", type=int, nargs="+", metavar="LENGTH", required=True, help="even lengths, LY LX; rows are shared out"
    )
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="NetCDF file of observables and snapshots")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--observations", type=int, default=20, help="times, log-spaced, at which the lattice is gathered")
    parser.add_argument("--snapshots", type=int, default=2, help="full fields kept, log-spaced")
    parser.add_argument(
        "--checkpoint-every", type=int, default=200, metavar="STEPS", help="between states to go on from, beside the output"
    )
    parser.add_argument("--audit", type=float, default=1 / 1024, help="share of the sites on which the force is audited; 0: none")
    parser.add_argument("--bath", type=json.loads, default={}, help='what differs from the bath of training, {"temperature": 0.1}')
    options = parser.parse_args()
    with processes.joined(accelerator=False):
        run(options)


def run(options: argparse.Namespace) -> None:
    set_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    forces = NetworkForces.load(options.model)
    model = forces.model.resized(*options.shape)
    bath = Bath(**{**read_json(options.model / "model.json")["bath"], **options.bath}).model_dump()
    observed = log_spaced_steps(1, options.steps, options.observations)
    kept = log_spaced_steps(max(1, options.steps // 100), options.steps, options.snapshots)
    observer = Observer(model, observables_of(model, bath["dynamics"]), bath["mass"])
    facts = {"model": model.parameters(), "bath": bath, "engine": "network", "seed": options.seed, "audit": options.audit}
    audit = (
        Audit(forces, FollowingForces(model, AuditSettings().accuracy), observed, options.audit, options.seed)
        if options.audit
        else None
    )
    weights = options.model / "weights.pt"
    # Named by all that decides the result, so that a state is never taken for another's.
    checkpoint = options.output.with_suffix(f".{text_digest([facts, file_digest(weights), list(observed), list(kept)])}.resume")

    def observe(state: State) -> xr.Dataset:
        found = observer(state.fields, state.momenta, state.replicas)
        return found.merge(audit(state.fields, state.replicas, state.step)) if audit else found

    recorder = Recorder(observe, observed, kept, bath["dt"], checkpoint, axes=model.space.axes(model.lattice))

    def say(text: str, *numbers: int) -> None:
        if processes.number() == 0:
            logging.info(text, *numbers)

    quench_in_slabs(
        forces, max(1, forces.network.radius), model, np.array([0]), options.seed, bath, options.steps, recorder,
        options.checkpoint_every,
        resumed=lambda step: say("goes on from step %d", step),
        progress=lambda step, total: say("step %d of %d", step, total) if step in observed else None,
    )  # fmt: skip
    if processes.number() == 0:
        dataset = recorder.dataset()
        dataset.attrs = provenance([options.model / "model.json", weights], **facts)
        write_dataset(dataset, options.output)
        checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
